"""The paper's published figures, and a table of them beside ours.

Yin, Si, Wang, "Lifting the Veil on Visual Information Flow in MLLMs", CVPR 2025 (arXiv 2503.13108),
Table 1: accuracies of dense, FastV and HiMAP, and TFLOPs by Eq. 10. MME is the sum of its scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from dashboard.analysis.study_view import Pair, View

SOURCE = "Yin, Si, Wang, CVPR 2025 (arXiv 2503.13108), Table 1"
MODELS = {  # the search's name of a model: the paper's
    "llava-7b": "LLaVA-7B",
    "llava-13b": "LLaVA-13B",
    "qwenvl": "QwenVL-7B",
}
Three = tuple[float, float, float]
TFLOPS: dict[str, Three] = {
    "llava-7b": (2.98, 1.56, 0.73),
    "llava-13b": (5.81, 3.09, 1.36),
    "qwenvl": (3.60, 1.90, 0.89),
}
ACCURACY: dict[Pair, Three] = {
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


def table(views: Mapping[Pair, View]) -> pd.DataFrame:
    """Return one row for each of the paper's pairs that we have: its figures, then ours in percent."""
    rows = [
        [MODELS[pair[0]], pair[1], *_figures(accuracies, TFLOPS[pair[0]]), *_our_figures(views[pair])]
        for pair, accuracies in ACCURACY.items()
        if pair in views
    ]
    figures = [f"{side}_{name}" for side in ("paper", "our") for name in ("dense", "fastv", "himap", "change", "flops")]
    return pd.DataFrame(rows, columns=["model", "benchmark", *figures])


def _our_figures(view: View) -> list[float]:
    """Return the figures of a study; NaN stands for what is not measured."""
    trials = {trial.origin: trial for trial in view.baselines}
    ours = [trials.get(origin) for origin in ("dense", "fastv", "paper")]
    dense, fastv, paper = (math.nan if trial is None else 100 * trial.accuracy for trial in ours)
    return _figures((dense, fastv, paper), [math.nan if trial is None else trial.paper_flops for trial in ours])


def _figures(accuracies: Three, flops: Sequence[float]) -> list[float]:
    """Return accuracies of dense, FastV and HiMAP, then HiMAP's change and its share of dense's FLOPs in percent."""
    return [*accuracies, accuracies[2] - accuracies[0], 100 * flops[2] / flops[0]]
