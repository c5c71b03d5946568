"""A search that is put together on a page, as options of `search.launch`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from objectives.evaluation.known_models import KNOWN

MARGINS = (0.5, 1.0, 2.0, 3.0, 5.0)  # points
USUAL_MARGINS, USUAL_COSTS = MARGINS[:3], ("flops",)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class NewSearch:
    """What a search is of, on which questions, for how many trials and after what.

    Attributes:
        data: the file of own questions; None for benchmarks.
        max_drop, max_flops, max_latency: in points, percent of dense, milliseconds; None for no limit.
    """

    model: str
    budget: int
    benchmarks: tuple[str, ...] = ()
    data: Path | None = None
    metric: str = ""
    skip_bad: bool = False
    certify: bool = True
    margins: tuple[float, ...] = USUAL_MARGINS
    costs: tuple[str, ...] = USUAL_COSTS
    max_drop: float | None = None
    max_flops: float | None = None
    max_latency: float | None = None

    def options(self) -> list[str]:
        """Return the options of `search.launch`, those alone that differ from its defaults."""
        words = ["--model", self.model, "--budget", str(self.budget)]
        if self.data is None:
            words += ["--benchmark", *self.benchmarks]
        else:
            words += ["--data", str(self.data), "--metric", self.metric]
            words += ["--on-bad", "skip"] if self.skip_bad else []
        if not self.certify:
            words.append("--no-certify")
        elif self.margins != USUAL_MARGINS:
            words += ["--margins", *(f"{margin:g}" for margin in self.margins)]
        if self.costs != USUAL_COSTS:
            words += ["--objectives", "accuracy", *self.costs]
        limits = {"--max-drop": self.max_drop, "--max-flops": self.max_flops, "--max-latency": self.max_latency}
        return words + [word for name, value in limits.items() if value is not None for word in (name, f"{value:g}")]


def known_models(folder: Path | None) -> Mapping[str, str]:
    """Return what --model takes, with a name for people: the paper's models, and checkpoints below a folder."""
    models = {name: f"{name} ({known.hub_id.split('/')[-1]})" for name, known in KNOWN.items()}
    below = sorted(path.parent for path in folder.glob("*/config.json")) if folder is not None else []
    return models | {str(path.absolute()): path.name for path in below}
