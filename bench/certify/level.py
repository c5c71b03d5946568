"""Simulate the score test of partial credits where the loss is just the margin: how often does it certify?

    python -m bench.certify.level --runs 200000

Parts of answers are lost and gained alike, at several rates, and one part is lost more often, so that the mean loss
is the margin. The test runs at all its looks, at pools of 125 to 2,000 questions. The table holds the largest rate of
wrong certificates as a part of the level, over all cases.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench import command
from bench.measuring import provenance
from minis.tables import markdown
from search.certifying.evidence import looks, score_p_value

PARTS = {
    "whole": (1.0,),
    "thirds": (1 / 3, 2 / 3, 1.0),
    "VQA": (0.3, 0.6, 0.9, 1.0),
    "a tenth": (0.1,),
    "mixed": (0.05, 1.0),
}
POOLS, MARGINS = (125, 200, 500, 1600, 2000), (0.005, 0.01, 0.02, 0.05)
RATES, LEVELS = (0.0, 0.005, 0.02, 0.06, 0.15), (0.05, 0.0167, 0.005, 0.002)


def chances(parts: tuple[float, ...], margin: float) -> Iterator[np.ndarray]:
    """Yield chances of each part to be lost, then of each to be gained, then of no change, with this mean loss."""
    for rate, more in itertools.product(RATES, range(len(parts))):
        changed = np.full(2 * len(parts), rate / len(parts))
        changed[more] += margin / parts[more]
        if changed.sum() < 1:
            yield np.append(changed, 1 - changed.sum())


def p_values(parts: tuple[float, ...], chance: np.ndarray, pool: int, margin: float, rng: Any, runs: int) -> np.ndarray:
    """Return the p-value over all looks, (runs,); the vectorized form of `search.certifying.evidence.looks_p_value`."""
    lost, gained, best, before = np.zeros(runs), np.zeros(runs), np.ones(runs), 0
    for look in looks(pool):
        counts, before = rng.multinomial(look.n - before, chance, runs), look.n
        lost += counts[:, : len(parts)] @ np.array(parts)
        gained += counts[:, len(parts) : -1] @ np.array(parts)
        best = np.minimum(best, score_p_value(lost, gained, look.n, margin) / look.share)
    return best


def simulate(runs: int) -> dict[str, Any]:
    """Return, by parts and level, the largest rate of wrong certificates as a part of the level, and the cases."""
    rng, worst, cases = np.random.default_rng(0), {name: np.zeros(len(LEVELS)) for name in PARTS}, 0
    for (name, parts), pool, margin in itertools.product(PARTS.items(), POOLS, MARGINS):
        for chance in chances(parts, margin):
            values, cases = p_values(parts, chance, pool, margin, rng, runs), cases + 1
            rates = [(values <= level).mean() / level for level in LEVELS]
            worst[name] = np.maximum(worst[name], rates)
    largest = {name: dict(zip(map(str, LEVELS), rates.tolist(), strict=True)) for name, rates in worst.items()}
    return {"largest": largest, "cases": cases, "runs": runs, **provenance()}


def report(result: dict[str, Any]) -> str:
    """Return the table."""
    head = ["parts of an answer", *(f"level {100 * level:g} %" for level in LEVELS)]
    rows = [[name, *(f"{rate:.2f}" for rate in rates.values())] for name, rates in result["largest"].items()]
    size = f"{result['cases']:,} cases, {result['runs']:,} tests each; commit {result['commit']}."
    return f"{markdown(head, rows)}\n\n{size}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit code 1 if any rate exceeds its level."""
    parser = command.parser("bench.certify.level", __doc__)
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    result = simulate(options.runs)
    command.show(result if options.json else report(result))
    return int(any(rate > 1 for rates in result["largest"].values() for rate in rates.values()))


if __name__ == "__main__":
    sys.exit(main())
