"""README.md: short, set up in one line each, and its table of results is the one of the results page.

`tests/docs/test_pages.py` holds that its commands parse and that its paths exist.
"""

from __future__ import annotations

import re
import tomllib

from objectives.benchmarks import EVERY_BENCHMARK
from tests.docs.pages import ROOT, commands, fences

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def test_it_is_about_ninety_lines() -> None:
    assert len([line for line in TEXT.splitlines() if line]) <= 100


def test_set_up_is_one_line_each_and_names_extras_that_exist() -> None:
    (block,) = [block for block in fences(TEXT, "sh") if "venv" in block]
    search, test = block.splitlines()
    assert "pip install -e '.[search]' && python -m search.launch" in search
    assert test.endswith("pip install -e '.[dev]' && pytest")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for group in re.findall(r"'\.\[([\w,]+)\]'", TEXT) for extra in group.split(",")}
    assert named <= set(extras) and {"search", "dev"} <= named


def test_the_table_of_results_has_the_figures_of_the_results_page() -> None:
    rows = re.findall(r"^\| \w+ \| .* n = [\d,]+ \|$", TEXT, flags=re.MULTILINE)
    assert len(rows) == 6
    page = (ROOT / "docs" / "results" / "main_job.md").read_text(encoding="utf-8")
    assert [row for row in rows if row not in page] == []


def test_its_counts_are_those_of_the_code() -> None:
    import himap

    families, benchmarks = len(himap.supported_models()), len(EVERY_BENCHMARK)
    assert f"{families} transformers families" in TEXT
    assert f"{NUMBERS[benchmarks].capitalize()} benchmarks" in TEXT


def test_the_commands_of_a_search_are_in_the_table() -> None:
    named = {words[2] for words in commands(TEXT.split("## Commands")[1]) if words[0] == "python"}
    assert {f"search.{name}" for name in ("launch", "status", "export", "verify", "to_optuna")} <= named
