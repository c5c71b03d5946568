"""What a study searches for: objectives, limits, and which sampler can take them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from search.errors import UsageError
from storage.records import Trial

FIELDS = {"accuracy": "accuracy", "flops": "flops_ratio", "paper_flops": "paper_flops", "latency": "latency_ms"}
REFERENCE = 15.0  # points
SAMPLERS = ("auto", "ehvi", "gp", "tpe", "nsga2", "random")


@dataclass(frozen=True)
class Goals:
    """Accuracy against one or two costs, within limits.

    Args:
        objectives: "accuracy" and one or two others of FIELDS.
        max_drop: accuracy that may be lost against dense, in points.
        max_flops: true FLOPs, in percent of dense.
        max_latency: milliseconds to the first token.
        reference: accuracy below dense, in points, from which on a front gains.

    Raises:
        UsageError: unknown objectives, too few or too many of them, or a negative limit.
    """

    objectives: tuple[str, ...] = ("accuracy", "flops")
    max_drop: float | None = None
    max_flops: float | None = None
    max_latency: float | None = None
    reference: float = REFERENCE

    def __post_init__(self) -> None:
        if unknown := [name for name in self.objectives if name not in FIELDS]:
            raise UsageError(f"unknown objective {unknown[0]!r}; expected some of {', '.join(FIELDS)}")
        costs = set(self.objectives) - {"accuracy"}
        if "accuracy" not in self.objectives or len(costs) not in (1, 2):
            got = " ".join(self.objectives)
            raise UsageError(f"got the objectives {got!r}; expected accuracy and one or two costs beside it")
        limits = {"max-drop": self.max_drop, "max-flops": self.max_flops, "max-latency": self.max_latency}
        for flag, limit in {**limits, "reference": self.reference}.items():
            if limit is not None and not 0 <= limit < math.inf:
                raise UsageError(f"got --{flag} {limit}; expected a number from 0 up")

    @property
    def timed(self) -> bool:
        """Whether a result counts only once its latency is measured."""
        return "latency" in self.objectives or self.max_latency is not None

    @property
    def directions(self) -> list[Literal["minimize", "maximize"]]:
        """The objectives' directions, as Optuna takes them."""
        return ["maximize" if name == "accuracy" else "minimize" for name in self.objectives]

    def values(self, trial: Trial) -> list[float] | None:
        """Return the objectives' values; None for a failed trial, or before its latency is measured."""
        values = [float(getattr(trial, FIELDS[name])) for name in self.objectives]
        limits = self.constraints(trial, None).values()
        return None if trial.failed or not all(map(math.isfinite, [*values, *limits])) else values

    def constraints(self, trial: Trial, dense: Trial | None) -> dict[str, float]:
        """Return by how much each limit is exceeded, 0 or less within it; 0 while dense is not measured."""
        excess: dict[str, float] = {}
        if self.max_drop is not None:
            drop = dense.accuracy - trial.accuracy if dense is not None else self.max_drop / 100
            excess["drop"] = drop - self.max_drop / 100
        if self.max_flops is not None:
            excess["flops"] = trial.flops_ratio - self.max_flops / 100
        if self.max_latency is not None:
            excess["latency"] = trial.latency_ms - self.max_latency
        return excess

    def within(self, trial: Trial, dense: Trial | None) -> bool:
        """Return whether a trial keeps all limits."""
        return all(excess <= 1e-12 for excess in self.constraints(trial, dense).values())


def check_sampler(name: str, goals: Goals) -> None:
    """Refuse a sampler that does not exist or cannot take these objectives.

    Raises:
        UsageError: it is one of those.
    """
    if name not in SAMPLERS:
        raise UsageError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")
    if name == "ehvi" and len(goals.objectives) > 2:
        got = " ".join(goals.objectives)
        raise UsageError(f"got --sampler ehvi with the objectives {got}; it takes two: leave one out, or use tpe")
