"""docs/api.md: each signature on the page is that of the code, and its examples run."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from typing import Any

import pytest

from tests.docs.pages import ROOT, fences

TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SIGNATURES = re.findall(r"^- `([\w.]+)\((.*?)\)`", TEXT, flags=re.MULTILINE)
IMMUTABLE = {"mappingproxy({})": "{}"}


def resolve(name: str) -> Any:
    """The object of a dotted name."""
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        try:
            value = import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            value = getattr(value, part)
        return value
    raise AssertionError(f"there is no {name}")


def shown(parameters: str) -> list[tuple[str, str | None, bool]]:
    """Name, default and whether by keyword only, as the page has them."""
    (function,) = ast.parse(f"def f({parameters}): ...").body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + [ast.unparse(d) for d in arguments.defaults]
    positional = [(a.arg, d, False) for a, d in zip(arguments.args, defaults, strict=True)]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return positional + [(a.arg, ast.unparse(d) if d else None, True) for a, d in named]


def actual(thing: Any) -> list[tuple[str, str | None, bool]]:
    """The same as the code has them."""
    parameters = [p for p in inspect.signature(thing).parameters.values() if p.name != "self"]
    defaults = [None if p.default is p.empty else IMMUTABLE.get(repr(p.default), repr(p.default)) for p in parameters]
    return [(p.name, default, p.kind is p.KEYWORD_ONLY) for p, default in zip(parameters, defaults, strict=True)]


@pytest.mark.parametrize(("name", "parameters"), SIGNATURES, ids=[name for name, _ in SIGNATURES])
def test_the_signature_is_that_of_the_code(name: str, parameters: str) -> None:
    assert shown(parameters) == actual(resolve(name))


def test_the_fields_of_a_search_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:required|`(.*?)`) \|", TEXT, flags=re.MULTILINE)
    expected = actual(resolve("search.SearchConfig"))
    assert [(name, str(ast.literal_eval(default)) if default else None) for name, default in rows] == [
        (name, str(ast.literal_eval(default)) if default else None) for name, default, _ in expected
    ]


def test_everything_public_of_himap_is_on_the_page() -> None:
    import himap

    functions = [name for name in himap.__all__ if inspect.isfunction(getattr(himap, name))]
    assert len(SIGNATURES) > 30
    assert {f"himap.{name}" for name in functions} <= {name for name, _ in SIGNATURES}


def test_the_measuring_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = [block for block in fences(TEXT, "python") if "Evaluator" in block]
    exec(example.replace("120", "20"), {})
    assert "mean=" in capsys.readouterr().out
