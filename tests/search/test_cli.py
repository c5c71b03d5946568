"""`himap-search`: it runs the commands, and their common options mean the same."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from search.__main__ import COMMANDS, main
from storage import open_store


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"python -m search.{name.replace('-', '_')} " in text
    assert len(text.splitlines()) > 10
    assert max(map(len, text.splitlines())) <= 120


def test_without_a_command_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert main(["launhc"]) == 2
    assert capsys.readouterr().err.startswith("error: got the command 'launhc'; expected one of launch, export")


def test_options_of_one_name_mean_the_same_everywhere() -> None:
    meanings: dict[str, set[str]] = {}
    modules = [f"search.{name.replace('-', '_')}" for name in COMMANDS]
    modules += ["objectives.accuracy", "objectives.score", "objectives.flow.__main__", "objectives.flops.__main__"]
    for name in modules:
        for action in import_module(name).parser()._actions:
            for option in action.option_strings:
                meanings.setdefault(option, set()).add(f"{action.metavar} {action.nargs} {action.type}")
    shared = ("--weights", "--storage", "--json", "--data", "--metric", "--data-root", "--hub", "--on-bad")
    assert {option: len(meanings[option]) for option in shared} == dict.fromkeys(shared, 1)


def test_json_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///himap.db").close()
    assert main(["status", "--storage", "sqlite:///himap.db", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"studies": []}
    assert main(["status", "--storage", "sqlite:///himap.db", "--json", "out.json"]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(Path("out.json").read_text()) == {"studies": []}
    assert main(["status", "--storage", "sqlite:///himap.db", "--json", "no/out.json"]) == 2
    assert "expected a file in a folder that exists" in capsys.readouterr().err


def test_a_package_that_is_not_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "search.status", raising=False)
    monkeypatch.setitem(sys.modules, "storage", None)
    assert main(["status", "--storage", "sqlite:///himap.db"]) == 2
    assert capsys.readouterr().err == "error: got no module 'storage'; install it: pip install 'himap-search[search]'\n"
