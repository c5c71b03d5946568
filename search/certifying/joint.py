"""One configuration for several benchmarks: below a part of dense's FLOPs, the one with the smallest worst loss."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from himap import PruningConfig
from search.errors import UsageError
from storage import Trial
from storage.pareto import dense_trial, front


@dataclass
class JointCandidate:
    """A front member of one benchmark.

    `drops` is by how much it is less accurate than dense on the benchmarks where that is known, measured on the
    searches' own questions.
    """

    benchmark: str
    trial: Trial
    drops: dict[str, float] = field(default_factory=dict)

    @property
    def config(self) -> PruningConfig:
        """The configuration of the trial."""
        return self.trial.config

    @property
    def worst(self) -> float:
        """The largest known drop."""
        return max(self.drops.values())


def joint_candidates(studies: Mapping[str, Sequence[Trial]], max_ratio: float) -> list[JointCandidate]:
    """Return the members of every benchmark's front that cost at most `max_ratio` of dense there.

    Each configuration occurs once, with what the studies know about it.

    Args:
        studies: trials by benchmark.

    Raises:
        UsageError: a study without dense, or no member that cheap.
    """
    drops: dict[PruningConfig, dict[str, float]] = {}
    for name, trials in studies.items():
        dense = dense_trial(trials)
        if dense is None:
            raise UsageError(f"the search on {name} has not measured dense; run it again to its budget")
        for trial in trials:
            drops.setdefault(trial.config, {})[name] = dense.accuracy - trial.accuracy
    candidates: dict[PruningConfig, JointCandidate] = {}
    for name, trials in studies.items():
        for trial in front(trials):
            if trial.flops_ratio <= max_ratio and trial.config not in candidates:
                candidates[trial.config] = JointCandidate(name, trial, drops[trial.config])
    if not candidates:
        raise UsageError(
            f"no front has a member at {100 * max_ratio:g} % of dense's FLOPs; expected a larger --max-flops"
        )
    return list(candidates.values())


def best_joint(
    candidates: Sequence[JointCandidate], benchmarks: Sequence[str], drop: Callable[[JointCandidate, str], float]
) -> JointCandidate:
    """Return the candidate with the smallest worst drop, then the cheapest.

    The known drops bound a candidate's worst drop from below, so the most promising one is completed first, and most
    are never measured.

    Args:
        drop: measures a candidate on a benchmark; called only for what is not known.
    """
    tie = itertools.count()
    queue = [(one.worst, one.trial.flops_ratio, next(tie), one) for one in candidates]
    heapq.heapify(queue)
    while True:
        *_, candidate = heapq.heappop(queue)
        unknown = next((name for name in benchmarks if name not in candidate.drops), None)
        if unknown is None:
            return candidate
        candidate.drops[unknown] = drop(candidate, unknown)
        heapq.heappush(queue, (candidate.worst, candidate.trial.flops_ratio, next(tie), candidate))
