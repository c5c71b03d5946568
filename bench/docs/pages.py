"""Write measured tables into the pages of docs/results, each between two comments that name it."""

from __future__ import annotations

from pathlib import Path

from himap.files import write_atomically

PAGES = Path(__file__).parents[2] / "docs" / "results"


def write(page: str, **tables: str) -> None:
    """Replace tables of docs/results/PAGE.md, given by name; the rest of the page stays.

    Raises:
        ValueError: the page has no such table.
    """
    path = PAGES / f"{page}.md"
    text = path.read_text()
    for name, table in tables.items():
        before, begin, rest = text.partition(f"<!-- {name}:begin -->\n")
        _, end, after = rest.partition(f"<!-- {name}:end -->")
        if not end:
            raise ValueError(f"got no table {name!r} in {path}; expected <!-- {name}:begin --> and its end")
        text = f"{before}{begin}{table}\n{end}{after}"
    write_atomically(path, text)
