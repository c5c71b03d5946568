"""One configuration for several benchmarks: below a share of dense's FLOPs, that of the least worst loss."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from himap import PruningConfig
from search.errors import UsageError
from storage import Trial
from storage.pareto import front


@dataclass
class Candidate:
    """A front member of one benchmark, and by how much it is less accurate than dense on those where that is
    known, measured on the searches' own questions."""

    benchmark: str
    trial: Trial
    drops: dict[str, float] = field(default_factory=dict)

    @property
    def config(self) -> PruningConfig:
        return self.trial.config

    @property
    def worst(self) -> float:
        return max(self.drops.values())


def candidates(trials: Mapping[str, Sequence[Trial]], max_ratio: float) -> list[Candidate]:
    """Members of every benchmark's front that cost at most `max_ratio` of dense there, each configuration
    once, with what the studies know about it.

    Raises:
        UsageError: a study without dense, or no member that cheap.
    """
    dense = {name: next((t for t in each if t.origin == "dense"), None) for name, each in trials.items()}
    known: dict[PruningConfig, dict[str, float]] = {}
    for name, each in trials.items():
        base = dense[name]
        if base is None:
            raise UsageError(f"the search on {name} has not measured dense; run it again to its budget")
        for trial in each:
            known.setdefault(trial.config, {})[name] = base.accuracy - trial.accuracy
    found: dict[PruningConfig, Candidate] = {}
    for name, each in trials.items():
        for trial in front(each):
            config = trial.config
            if trial.flops_ratio <= max_ratio and config not in found:
                found[config] = Candidate(name, trial, known[config])
    if not found:
        raise UsageError(
            f"no front has a member at {100 * max_ratio:g} % of dense's FLOPs; expected a larger --max-flops"
        )
    return list(found.values())


def best(found: Sequence[Candidate], benchmarks: Sequence[str], drop: Callable[[Candidate, str], float]) -> Candidate:
    """The candidate with the smallest worst drop, then the cheapest.

    What is known bounds a candidate's worst drop from below, so the most promising one is completed first,
    and the rest is never measured.

    Args:
        drop: measures a candidate on a benchmark; called only for what is not known.
    """
    tie = itertools.count()
    queue = [(each.worst, each.trial.flops_ratio, next(tie), each) for each in found]
    heapq.heapify(queue)
    while True:
        *_, candidate = heapq.heappop(queue)
        unknown = next((name for name in benchmarks if name not in candidate.drops), None)
        if unknown is None:
            return candidate
        candidate.drops[unknown] = drop(candidate, unknown)
        heapq.heappush(queue, (candidate.worst, candidate.trial.flops_ratio, next(tie), candidate))
