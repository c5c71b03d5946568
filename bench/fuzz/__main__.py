"""Feed generated bad inputs to everything that reads a file, a URL or an option, and count what happens.

    python -m bench.fuzz --inputs 10000

Each input gives a result, or one line of text (a command: with exit code 2). A traceback, a line that shows a
password, a half-written file, a wait of 20 seconds or 2 GB of memory is a fault. Exit code 1 for any fault;
--replay "own data:17" runs one input again and shows what it gave.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from typing import Any

from bench import command
from bench.fuzz.case import Outcome, run_case
from bench.fuzz.kinds import KINDS
from bench.measuring import provenance


def fuzz(inputs: int, seed: int) -> list[Outcome]:
    """Return the outcomes of that many inputs, the kinds in turn."""
    kinds = list(KINDS.items())
    return [run_case(*kinds[i % len(kinds)], seed=seed + i // len(kinds)) for i in range(inputs)]


def document(outcomes: list[Outcome], seconds: float) -> dict[str, Any]:
    """Return the counts of each kind, the faults, and what they were measured on."""
    counts = Counter((outcome.kind, outcome.verdict) for outcome in outcomes)
    return {
        "kinds": {
            kind: {verdict: counts[kind, verdict] for verdict in ("result", "refused", "fault")} for kind in KINDS
        },
        "faults": [f"{one.kind}:{one.seed} {one.text}" for one in outcomes if one.verdict == "fault"],
        "inputs": len(outcomes),
        "seconds": round(seconds, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **provenance(),
    }


def _report(result: dict[str, Any]) -> str:
    lines = [f"{'':10}{'inputs':>8}{'result':>8}{'refused':>9}{'faults':>8}"]
    for kind, counts in result["kinds"].items():
        cells = sum(counts.values()), counts["result"], counts["refused"], counts["fault"]
        lines.append(f"{kind:10}{cells[0]:8}{cells[1]:8}{cells[2]:9}{cells[3]:8}")
    lines.append(f"{result['inputs']} inputs in {result['seconds']} s, at most {result['peak_memory_mb']} MB")
    return "\n".join([*lines, *result["faults"]])


def main(arguments: list[str] | None = None) -> int:
    """Run the inputs; return 0, 1 where there is a fault, or 2 for options that make no sense."""
    parser = command.parser("bench.fuzz", __doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", metavar="KIND:SEED")
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
    result = document(outcomes, time.perf_counter() - start)
    command.show(result if options.json else _report(result))
    return int(bool(result["faults"]))


if __name__ == "__main__":
    sys.exit(main())
