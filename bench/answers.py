"""Measure how own questions' metrics read the labelled answers, and write the tables of docs/results/answers.md.

python -m bench.answers --write
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

from bench import command
from bench.docs import pages
from objectives.benchmarks.rules.free_choice import read_choice
from objectives.benchmarks.rules.free_number import read_number
from objectives.benchmarks.rules.free_yes_no import read_yes_no

SETS = Path(__file__).parents[1] / "tests" / "objectives" / "benchmarks"
METRICS = {"choice": "multiple_choice", "yes_no": "yes_no", "number": "number"}


def reading(row: dict[str, object]) -> str | float | None:
    """Return what the metric of a labelled row reads."""
    answer = str(row["answer"])
    if row["kind"] == "choice":
        choices = row["choices"]
        return read_choice(answer, choices if isinstance(choices, list) else [])
    return read_yes_no(answer) if row["kind"] == "yes_no" else read_number(answer)


def same(one: object, other: object) -> bool:
    """Return whether two readings agree; numbers up to rounding."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other)
    return one == other


def counts(rows: list[dict[str, object]]) -> dict[str, Counter[str]]:
    """Return by kind how many answers there are, have a labelled reading, are read, and are read right."""
    result: dict[str, Counter[str]] = {kind: Counter() for kind in METRICS}
    for row in rows:
        value = reading(row)
        right = value is not None and same(value, row["reading"])
        found = {"answers": True, "labelled": row["reading"] is not None, "read": value is not None, "right": right}
        result[str(row["kind"])].update({name: int(flag) for name, flag in found.items()})
    return result


def load(name: str) -> list[dict[str, object]]:
    """Read one of the labelled sets, "labelled" or "fresh"."""
    return [json.loads(line) for line in (SETS / f"{name}_answers.jsonl").read_text().splitlines()]


def table(name: str) -> str:
    """Return the table of a labelled set."""
    lines = [
        "| metric | answers | with a reading | read | right | precision | recall |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, n in counts(load(name)).items():
        shares = f"{n['right'] / n['read']:.3f} | {n['right'] / n['labelled']:.3f}"
        numbers = f"{n['answers']} | {n['labelled']} | {n['read']} | {n['right']}"
        lines.append(f"| `{METRICS[kind]}` | {numbers} | {shares} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = command.parser("bench.answers", __doc__)
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/results/answers.md")
    options = parser.parse_args(arguments)
    tables = {name: table(name) for name in ("labelled", "fresh")}
    command.show("\n\n".join(tables.values()))
    if options.write:
        pages.write("answers", **tables)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
