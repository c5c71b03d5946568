"""The page of answers has the tables that its command prints."""

from __future__ import annotations

import pytest

from bench import answers
from bench.docs import pages


def test_the_page_has_todays_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert answers.main([]) == 0
    printed = capsys.readouterr().out.strip().split("\n\n")
    page = (pages.PAGES / "answers.md").read_text()
    assert all(f":begin -->\n{table}\n<!-- " in page for table in printed)
