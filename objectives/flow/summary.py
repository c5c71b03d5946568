"""Summarize a measured flow: means with intervals over questions, and the paper's hypotheses. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from objectives.statistics.estimates import wilson
from objectives.statistics.resampling import Resampling, percentiles

_NOISE = 1e-6  # a mean shift of probability below this is rounding, and has no logarithm worth plotting
_SAFE = 0.93  # share of the paper's answers that stay when a flow is blocked in the last layers

Numbers = np.ndarray
Estimate = dict[str, float]


class Estimates:
    """Means and ratios with their 95 % bootstrap intervals; all see the same draws of `n` questions."""

    def __init__(self, n: int) -> None:
        self._draws = Resampling(n).draws

    def means(self, values: Numbers) -> list[Estimate]:
        """Return the estimate of each column of (n, m) values."""
        low, high = percentiles(self._draws(values))
        return [_estimate(*bounds) for bounds in zip(values.mean(0), low, high, strict=True)]

    def mean(self, values: Numbers) -> Estimate:
        """Return the estimate of (n,) values."""
        return self.means(values[:, None])[0]

    def rate(self, values: Numbers) -> Estimate:
        """Return the estimate of (n,) values in [0, 1].

        Right-or-wrong values take Wilson's interval: the bootstrap has no width where all are alike.
        """
        if not set(values.tolist()) <= {0.0, 1.0}:
            return self.mean(values)
        span = wilson(float(values.mean()), len(values))
        return _estimate(span.mean, span.low, span.high)

    def log_ratios(self, above: Numbers, below: Numbers) -> list[Estimate | None]:
        """Return log(mean above / mean below) of each column; None where one of the means is almost 0."""
        ratios: list[Estimate | None] = []
        for a, b in zip(above.T, below.T, strict=True):
            if min(a.mean(), b.mean()) < _NOISE:
                ratios.append(None)
                continue
            drawn = np.log(np.maximum(self._draws(a), _NOISE) / np.maximum(self._draws(b), _NOISE))
            ratios.append(_estimate(np.log(a.mean() / b.mean()), *percentiles(drawn)))
        return ratios


def _estimate(mean: float, low: float, high: float) -> Estimate:
    return {"mean": float(mean), "low": float(low), "high": float(high)}


def summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary of a complete record of `flow.measure.FlowMeasurement`; docs/flow.md lists its fields."""
    questions = [record["saliency"][str(i)] for i in range(len(record["saliency"]))]
    sums = {name: np.array([question[name] for question in questions]) for name in questions[0]}
    blocks = list(record["disruption"].values())
    plain = np.array(record["plain"]["score"])
    estimates = Estimates(len(questions))
    rows = [_row(block, plain, estimates) for block in blocks]
    shifts = {
        flow: np.array([b["shift"] for b in blocks if b["where"] == "layer" and b["flow"] == flow]).T
        for flow in ("visual_textual", "intra_visual", "random")
    }
    result = {
        "layers": next(iter(sums.values())).shape[1],
        "ends": max(len(block["layers"]) for block in blocks if block["where"] == "first"),
        "accuracy": estimates.rate(plain),
        "saliency": {name: estimates.means(values) for name, values in sums.items()},
        "disruption": rows,
        "effect": {flow: estimates.means(values) for flow, values in shifts.items()},
        "bias_ratio": estimates.log_ratios(shifts["intra_visual"], shifts["visual_textual"]),
    }
    return result | {"hypotheses": _hypotheses(sums, blocks, result["bias_ratio"], estimates)}


def _row(block: Mapping[str, Any], plain: Numbers, estimates: Estimates) -> dict[str, Any]:
    values = {name: np.array(block[name]) for name in ("consistency", "jaccard", "shift", "score")}
    row: dict[str, Any] = {name: block[name] for name in ("flow", "where", "layers")}
    row |= {"consistency": estimates.rate(values["consistency"]), "accuracy": estimates.rate(values["score"])}
    row |= {name: estimates.mean(values[name]) for name in ("jaccard", "shift")}
    return row | {"change": estimates.mean(values["score"] - plain)}


def _span(layers: int, first: float, last: float) -> slice:
    """Return the layers at the relative depth of the paper's `first` to `last` of 32; at least one."""
    start = min(layers - 1, round(first * layers / 32))
    return slice(start, max(start + 1, round(last * layers / 32)))


def _hypotheses(
    sums: Mapping[str, Numbers],
    blocks: Sequence[Mapping[str, Any]],
    ratio: Sequence[Estimate | None],
    estimates: Estimates,
) -> list[dict[str, Any]]:
    layers = sums["image"].shape[1]
    text, visual = sums["visual_textual"], sums["intra_visual"]
    early, middle = _span(layers, 0, 3), _span(layers, 7, 16)
    answers = {(b["flow"], b["where"]): np.array(b["consistency"]) for b in blocks if b["where"] != "layer"}
    kept = [answers[flow, "last"] for flow in ("visual_textual", "intra_visual", "random")]
    least = min(kept, key=lambda values: float(values.mean()))
    first = {flow: answers[flow, "first"] for flow in ("visual_textual", "intra_visual", "random")}
    claims = [
        ("S_vt is above S_vv in the first layers", early, estimates.mean((text - visual)[:, early].mean(1))),
        ("S_vv is above S_vt in the middle layers", middle, estimates.mean((visual - text)[:, middle].mean(1))),
        (
            "blocking visual-textual flow in the first layers changes more answers than intra-visual flow",
            None,
            estimates.mean(first["intra_visual"] - first["visual_textual"]),
        ),
        (
            "blocking visual-textual flow in the first layers changes more answers than random rows",
            None,
            estimates.mean(first["random"] - first["visual_textual"]),
        ),
        (
            f"whatever is blocked in the last layers, at least {_SAFE:.0%} of the answers stay",
            None,
            {part: value - _SAFE for part, value in estimates.rate(least).items()},
        ),
    ]
    rows = [_judged(claim, span, estimate) for claim, span, estimate in claims]
    deep = [(layer, value) for layer, value in enumerate(ratio) if value and layer >= layers // 2]
    shallow = [(layer, value) for layer, value in enumerate(ratio) if value and layer in range(layers)[early]]
    for claim, chosen, sign in (
        ("D_l is below 0 in the first layers", shallow, -1),
        ("D_l is above 0 in the deeper half", deep, 1),
    ):
        rows.append(_judged_ratio(claim, chosen, sign))
    return rows


def _judged(claim: str, span: slice | None, estimate: Estimate) -> dict[str, Any]:
    """Judge a claim by the estimate of a difference that is positive where the claim holds."""
    verdict = "agrees" if estimate["low"] > 0 else "disagrees" if estimate["high"] < 0 else "undecided"
    layers = [span.start, span.stop - 1] if span else None
    return {"claim": claim, "layers": layers, "difference": estimate, "verdict": verdict}


def _judged_ratio(claim: str, chosen: Sequence[tuple[int, Estimate]], sign: int) -> dict[str, Any]:
    """Judge a claim about bias ratios: it holds if every layer's interval is on the claimed side."""
    ratios = [(sign * value["low"], sign * value["high"]) for _, value in chosen]
    right = sum(min(pair) > 0 for pair in ratios)
    wrong = sum(max(pair) < 0 for pair in ratios)
    verdict = "undecided"
    if ratios and right == len(ratios):
        verdict = "agrees"
    elif ratios and wrong == len(ratios):
        verdict = "disagrees"
    layers = [chosen[0][0], chosen[-1][0]] if chosen else None
    return {
        "claim": claim,
        "layers": layers,
        "agreeing": right,
        "disagreeing": wrong,
        "of": len(ratios),
        "verdict": verdict,
    }
