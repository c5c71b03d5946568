"""Feed generated bad inputs to everything that reads a file, a URL or an option, and count what happens.

    python -m bench.fuzz --inputs 10000 --write

Each input gives a result, or one line of text (a command: with exit code 2). A traceback, a line that shows a
password, a half-written file, a wait of 20 seconds or 2 GB of memory is a fault. Exit code 1 for any fault;
--replay "own data:17" runs one input again and shows what it gave; --write puts the table in docs/results/fuzz.md.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from bench import command
from bench.docs import pages
from bench.fuzz.case import CaseResult, run_case
from bench.fuzz.kinds import KINDS
from bench.measuring import provenance
from minis.tables import markdown


def fuzz(inputs: int, seed: int) -> list[CaseResult]:
    """Return the outcomes of that many inputs, the kinds in turn."""
    kinds = list(KINDS.items())
    return [run_case(*kinds[i % len(kinds)], seed=seed + i // len(kinds)) for i in range(inputs)]


def document(outcomes: list[CaseResult], seed: int, seconds: float) -> dict[str, Any]:
    """Return the counts of each kind, the faults, and what they were measured on."""
    counts = Counter((outcome.kind, outcome.verdict) for outcome in outcomes)
    return {
        "kinds": {
            kind: {verdict: counts[kind, verdict] for verdict in ("result", "refused", "fault")} for kind in KINDS
        },
        "faults": [f"{one.kind}:{one.seed} {one.text}" for one in outcomes if one.verdict == "fault"],
        "inputs": len(outcomes),
        "seed": seed,
        "seconds": round(seconds, 1),
        "memory_mb": max(one.grown for one in outcomes) // 10**6,
        **provenance(),
    }


def report(result: dict[str, Any]) -> str:
    """Return the counts as a table, with what they were measured on, and the faults."""
    rows = [[kind, sum(counts.values()), *counts.values()] for kind, counts in result["kinds"].items()]
    table = markdown(["kind", "inputs", "result", "refused", "fault"], [list(map(str, row)) for row in rows])
    measured = (
        f"{result['inputs']} inputs from seed {result['seed']} in {result['seconds']} s, each at most "
        f"{result['memory_mb']} MB more memory; {result['device']}, commit {result['commit']}."
    )
    return "\n".join([table, "", measured, *result["faults"]])


def main(arguments: list[str] | None = None) -> int:
    """Run the inputs; return 0, 1 where there is a fault, or 2 for options that make no sense."""
    parser = command.parser("bench.fuzz", __doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", metavar="KIND:SEED")
    parser.add_argument("--write", action="store_true", help="put the table in docs/results/fuzz.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.replay:
        kind, _, seed = options.replay.rpartition(":")
        if kind not in KINDS or not seed.isdigit():
            return command.fail(f"got --replay {options.replay}; expected KIND:SEED with a kind of {', '.join(KINDS)}")
        outcome = run_case(kind, KINDS[kind], int(seed))
        command.show(f"{outcome.verdict}\n{outcome.text}")
        return int(outcome.verdict == "fault")
    start = time.perf_counter()
    outcomes = fuzz(options.inputs, options.seed)
    result = document(outcomes, options.seed, time.perf_counter() - start)
    if options.write:
        pages.write("fuzz", counts=report(result))
    command.show(result if options.json else report(result))
    return int(bool(result["faults"]))


if __name__ == "__main__":
    sys.exit(main())
