"""Every page of the documentation: its commands parse, its paths exist, its examples import what there is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, commands, fences, missing_names, missing_paths, parse

TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
EXAMPLES = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "examples").glob("*.py"))}


@pytest.mark.parametrize("page", TEXTS)
def test_every_command_parses(page: str) -> None:
    for words in commands(TEXTS[page]):
        try:
            parse(words)
        except SystemExit as refused:
            assert not refused.code, f"{' '.join(words)}: refused with {refused.code}"


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_commands_of_an_example_parse(example: str) -> None:
    usage = ast.get_docstring(ast.parse(EXAMPLES[example].read_text())) or ""
    lines = [line for line in usage.splitlines() if line.startswith("    python ")]
    assert lines
    for words in commands("```sh\n" + "\n".join(lines) + "\n```"):
        parse(words)


@pytest.mark.parametrize("page", PAGES, ids=list(TEXTS))
def test_every_path_exists(page: Path) -> None:
    assert missing_paths(page) == []


@pytest.mark.parametrize("page", TEXTS)
def test_the_python_examples_import_what_there_is(page: str) -> None:
    assert [name for example in fences(TEXTS[page], "python") for name in missing_names(example)] == []


def test_a_wrong_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    (words,) = commands("```sh\npython -m search.launch --model qwenvl --budgets 3\n```")
    with pytest.raises(SystemExit):
        parse(words)
    assert "--budget" in capsys.readouterr().err


def test_a_wrong_name_is_found() -> None:
    assert missing_names("from himap import prune, prunes") == ["himap.prunes"]
