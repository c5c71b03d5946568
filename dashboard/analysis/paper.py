"""The paper's figures, to stand beside ours. Pure.

Source: Yin, Si, Wang, "Lifting the Veil on Visual Information Flow in MLLMs", CVPR 2025 (arXiv 2503.13108),
Table 1: accuracies of baseline, FastV and HiMAP, and TFLOPs by Eq. 10. MME is the sum of its scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from dashboard.analysis.study_view import View
from storage.records import Trial

SOURCE = "Yin, Si, Wang, CVPR 2025 (arXiv 2503.13108), Table 1"
# as the search calls the model: as the paper calls it
MODELS = {"llava-7b": "LLaVA-7B", "llava-13b": "LLaVA-13B", "qwenvl": "QwenVL-7B"}
Three = tuple[float, float, float]
TFLOPS: dict[str, Three] = {
    "llava-7b": (2.98, 1.56, 0.73),
    "llava-13b": (5.81, 3.09, 1.36),
    "qwenvl": (3.60, 1.90, 0.89),
}
ACCURACY: dict[tuple[str, str], Three] = {
    ("llava-7b", "vqav2"): (78.3, 78.1, 78.6),
    ("llava-7b", "textvqa"): (58.2, 58.3, 58.4),
    ("llava-7b", "pope"): (86.4, 84.9, 86.2),
    ("llava-7b", "mme"): (1749.9, 1742.6, 1785.1),
    ("llava-7b", "scienceqa"): (67.9, 68.1, 68.3),
    ("llava-7b", "aokvqa"): (76.6, 77.0, 77.2),
    ("llava-13b", "vqav2"): (79.8, 79.9, 80.2),
    ("llava-13b", "textvqa"): (61.4, 61.4, 61.7),
    ("llava-13b", "pope"): (87.2, 84.8, 86.5),
    ("llava-13b", "mme"): (1794.4, 1796.3, 1809.4),
    ("llava-13b", "scienceqa"): (71.6, 71.3, 72.1),
    ("llava-13b", "aokvqa"): (82.0, 81.3, 81.4),
    ("qwenvl", "vqav2"): (78.4, 78.5, 78.8),
    ("qwenvl", "textvqa"): (60.8, 58.3, 61.3),
    ("qwenvl", "pope"): (84.5, 82.7, 83.7),
    ("qwenvl", "mme"): (1782.6, 1767.2, 1798.3),
    ("qwenvl", "scienceqa"): (68.0, 68.2, 68.5),
    ("qwenvl", "aokvqa"): (75.7, 75.3, 75.9),
}


@dataclass(frozen=True)
class Ours:
    """A study's dense, FastV and paper settings, as far as they are measured."""

    dense: Trial | None
    fastv: Trial | None
    paper: Trial | None

    def three(self, number: Callable[[Trial], float]) -> list[float | None]:
        """A number of each; None where it is not measured."""
        return [None if one is None else number(one) for one in (self.dense, self.fastv, self.paper)]


def ours(view: View) -> Ours:
    """What stands beside the paper's rows."""
    found = {trial.origin: trial for trial in view.landmarks}
    return Ours(found.get("dense"), found.get("fastv"), found.get("paper"))


def table(views: Mapping[tuple[str, str], View]) -> pd.DataFrame:
    """One row for each of the paper's pairs that we have: its figures, then ours in percent."""
    rows = []
    for (model, benchmark), theirs in ACCURACY.items():
        view = views.get((model, benchmark))
        if view is None:
            continue
        here = ours(view)
        measured = here.three(lambda trial: 100 * trial.accuracy)
        cost = here.three(lambda trial: trial.paper_flops)
        ratio = None if cost[0] is None or cost[2] is None else 100 * cost[2] / cost[0]
        paper_cost = TFLOPS[model]
        rows.append(
            [
                MODELS[model],
                benchmark,
                *theirs,
                theirs[2] - theirs[0],
                100 * paper_cost[2] / paper_cost[0],
                *measured,
                _difference(measured[2], measured[0]),
                ratio,
            ]
        )
    names = ("dense", "fastv", "himap", "change", "flops")
    columns = ["model", "benchmark", *(f"paper_{n}" for n in names), *(f"our_{n}" for n in names)]
    return pd.DataFrame(rows, columns=columns)


def _difference(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else value - base
