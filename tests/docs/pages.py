"""Read the pages of the documentation: their commands, links, paths and examples."""

from __future__ import annotations

import argparse
import ast
import contextlib
import re
import runpy
import shlex
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FOLDERS = ("bench", "dashboard", "docs", "examples", "himap", "minis", "objectives", "search", "storage", "tests")
_PATH = re.compile(rf"`((?:{'|'.join(_FOLDERS)})/[\w./-]*)`(?!:\n)")  # a colon comes before a file that the page shows
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


class Parsed(BaseException):
    """Raised in place of running a command whose arguments were accepted."""


def fences(text: str, language: str) -> list[str]:
    """The blocks of code of one language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """The project's commands in shell blocks and in inline code, split into words."""
    blocks = "".join(fences(text, "sh")).replace("\\\n", " ")
    lines = [part for line in blocks.splitlines() for part in line.split("&&")]
    for line in [*lines, *re.findall(r"`([^`]+)`", text.replace("```", ""))]:
        words = shlex.split(" ".join(line.split()), comments=True) if _ours(line) else []
        if words:
            yield words


def _ours(line: str) -> bool:
    return bool(re.match(r"\s*(python -m (?!venv|pip)|python examples/|himap-search )", line))


def parse(words: list[str]) -> None:
    """Let the command's own parser read its arguments; nothing is run. A bare name only has to exist.

    Raises:
        SystemExit: the parser refuses the arguments.
    """
    with intercepted(words), contextlib.suppress(Parsed):
        if words[0] == "himap-search":
            import_module("search.__main__").main(words[1:] if words[2:] else [*words[1:], "--help"])
        elif words[1] != "-m":
            runpy.run_path(str(ROOT / words[1]), run_name="__main__")
        else:
            command = import_module(module(words[2]))
            if words[3:]:
                command.main(words[3:])


def module(name: str) -> str:
    """The module that `python -m NAME` runs."""
    spec = find_spec(name)
    assert spec, f"there is no module {name}"
    return f"{name}.__main__" if spec.submodule_search_locations else name


@contextlib.contextmanager
def intercepted(words: list[str]) -> Iterator[None]:
    """Within, a parser that accepts its arguments raises Parsed."""
    real = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, args: list[str] | None = None, namespace: object = None) -> None:
        real(self, args, namespace)  # type: ignore[call-overload]  # the stub wants a Namespace
        raise Parsed

    reading = mock.patch.object(argparse.ArgumentParser, "parse_args", parse_args)
    with reading, mock.patch.object(sys, "argv", words[1:]):
        yield


def missing_paths(page: Path) -> list[str]:
    """Links and paths of a page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    links = [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    paths = [path for path in _PATH.findall(text) if "NAME" not in path and not (ROOT / path).exists()]
    return links + paths


def missing_names(example: str) -> list[str]:
    """Names that an example imports and that do not exist."""
    missing = []
    for node in ast.walk(ast.parse(textwrap.dedent(example))):
        if isinstance(node, ast.ImportFrom) and node.module:
            source = import_module(node.module)
            missing += [f"{node.module}.{name.name}" for name in node.names if not _has(source, name.name)]
        elif isinstance(node, ast.Import):
            missing += [name.name for name in node.names if find_spec(name.name) is None]
    return missing


def _has(source: ModuleType, name: str) -> bool:
    is_package = hasattr(source, "__path__")
    return hasattr(source, name) or (is_package and find_spec(f"{source.__name__}.{name}") is not None)
