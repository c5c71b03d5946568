"""A study as Ray Tune's searcher drives it: one call hands a candidate out, one takes its result in."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from objectives.data.source import Source
from search.asked import ask
from search.errors import StudyFailedError, UsageError
from search.goals import Goals
from search.keeper import Keeper
from search.pair import Pair
from search.pairs import SPLIT, Request, open_pairs
from search.race import Rival
from search.results import finished_trial, reused_trial, rivals, running_trial
from search.study import Candidate
from search.targets import resolve
from search.tenant import Tenant
from storage import Trial, open_store

Given = tuple[Candidate, tuple[Rival, ...]]


@dataclass(frozen=True)
class Plan:
    """One study: what is asked of which weights, for how many trials, and where the store is.

    Raises:
        UsageError: goals that need latencies.
    """

    model: str
    source: Source
    budget: int
    storage: str = "sqlite:///himap.db"
    questions: int = 120
    seed: int = 0
    sampler: str = "auto"
    workers: int = 1
    weights: str = "auto"
    goals: Goals = field(default_factory=Goals)
    race: bool = True
    prefix_bytes: int = 2**30

    def __post_init__(self) -> None:
        if self.goals.timed:
            raise UsageError(
                "Ray Tune gives no quiet device; expected goals without latency, or search.launch"
            )


class OpenStudy:
    """Opens the plan's study in its store and holds its lease until the budget is spent.

    As many candidates as there are workers are asked for ahead, as `search.driver` does to keep workers busy;
    so both learn the same before they ask.

    Args:
        resumed: numbers of trials that Tune goes on with by itself.
    """

    def __init__(self, plan: Plan, resumed: Collection[int] = ()) -> None:
        self._plan, self._store = plan, open_store(plan.storage)
        self._tenant = Tenant(self._store).__enter__()
        self._keeper = Keeper(self._store, self._tenant.owner)
        asked = ask(plan.source, SPLIT, plan.questions)
        request = Request(
            [asked], plan.budget, plan.questions, plan.sampler, plan.seed, plan.workers, plan.goals
        )
        (self._pair,) = open_pairs(self._store, resolve(plan.model, plan.weights), request, self._tenant)
        self._live: dict[int, Candidate] = {}
        self._ahead: deque[Given] = deque()
        for _ in self._store.running(self._pair.study_id):  # these are asked first
            given = self._ask()
            if given and given[0].number in resumed:
                self._live[given[0].number] = given[0]
            elif given:
                self._ahead.append(given)

    def hand(self) -> Given | None:
        """A candidate and its rivals; None once the budget is spent or handed out."""
        given = self._ahead.popleft() if self._ahead else self._ask()
        if given is None:
            return None
        candidate = given[0]
        self._live[candidate.number] = candidate
        self._keeper.begin(self._pair.study_id, running_trial(candidate))
        while len(self._ahead) < self._plan.workers and (following := self._ask()):
            self._ahead.append(following)
        return given

    def finish(self, number: int, fields: dict[str, Any] | None, reason: str) -> None:
        """Commits a result; nothing for a trial that is in the store, which Tune may measure once more after
        a kill.

        Raises:
            StudyFailedError: measurements fail one after the other.
        """
        candidate = self._live.pop(number, None)
        if candidate is None:
            return
        self._pair.running -= 1
        self._keep(candidate, finished_trial(candidate, fields, reason))
        if self._pair.done:
            self._tenant.__exit__()
            self._store.close()

    def _ask(self) -> Given | None:
        pair = self._pair
        while pair.wants:
            candidate = pair.study.ask()
            if candidate is None:
                pair.exhausted = True
            elif candidate.known is not None:
                self._keep(candidate, reused_trial(candidate))
            else:
                pair.running += 1
                return candidate, rivals(pair, candidate) if self._plan.race else ()
        return None

    def _keep(self, candidate: Candidate, trial: Trial) -> None:
        pair: Pair = self._pair
        self._tenant.check()
        self._keeper.add(pair.study_id, trial)
        pair.add(trial)
        pair.study.tell(candidate, trial)
        if pair.hopeless:
            raise StudyFailedError(pair.hopeless)
