"""The same search through Ray Tune, for those who already run it: a Trainable and a Searcher.

    from search.tune_adapter import Plan, tuner
    results = tuner(Plan("qwenvl", Source("pope"), budget=200)).fit()

The study, its store and its measurements are those of `search.launch`: the same seed gives the same trials
with one worker, and either may go on where the other stopped. Latencies are left to `search.launch`, which
measures them where nothing else runs: the same budget there adds those of the front.
"""

from __future__ import annotations

import base64
import json
import pickle
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from himap import PruningConfig
from objectives.data.source import Source
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.known_models import KNOWN
from search.errors import StudyFailedError, UsageError
from search.inputs.questions import ask
from search.sampling.problem import Goals
from search.studies.lease_holder import LeaseHolder
from search.studies.open_studies import SPLIT, Request, open_runs
from search.studies.store_writer import StoreWriter
from search.studies.study import Candidate
from search.studies.study_run import StudyRun, finished_trial, reused_trial, rivals, running_trial
from search.workers.racing import Rival
from search.workers.trial_runner import TrialRunner
from storage import Trial, open_store

_RETRIES = 2


@dataclass(frozen=True)
class Assignment:
    """What a worker is to measure; one value for Tune, which logs whatever is in a configuration."""

    number: int
    config: PruningConfig
    rivals: tuple[Rival, ...] = field(repr=False)


@dataclass(frozen=True)
class Measured:
    """What a worker measured, or the reason why not; one value for Tune too."""

    fields: dict[str, Any] | None = field(repr=False)
    reason: str = ""


class Measurement(tune.Trainable):
    """Measures one configuration a trial; a reused actor keeps its model and its caches."""

    def setup(self, config: dict[str, Any]) -> None:
        plan: Plan = pickle.loads(base64.b64decode(config["plan"]))
        asked = ask(plan.source, SPLIT, plan.questions)
        self._key = asked.key
        weights = resolve(plan.model, plan.weights).weights
        self._runner = TrialRunner(weights, SPLIT, plan.questions, plan.prefix_bytes, {asked.key: asked.found})
        self._assignment: Assignment = config["assignment"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._assignment = new_config["assignment"]
        return True

    def step(self) -> dict[str, Any]:
        """One trial. What goes wrong in it is its result, so that it is recorded and not tried again."""
        given = self._assignment
        try:
            fields = self._runner.measure(self._key, given.config, given.rivals)
        except Exception as error:
            said = (str(error).strip() or "no message").splitlines()[-1]
            measured = Measured(None, f"{type(error).__name__}: {said}"[:500])
            return {"number": given.number, "measured": measured, "done": True}
        shown = {name: fields[name] for name in ("accuracy", "flops_ratio", "paper_flops")}
        return {"number": given.number, "measured": Measured(fields), **shown, "done": True}


class StudySearcher(Searcher):
    """Asks the stored study, and commits a result before it counts.

    All its state is in the store, but for which Tune trial has which number: that is saved with the
    experiment, so that a trial which Tune itself goes on with after a kill is not handed out again.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()  # with a metric Tune would end the experiment at the first failed measurement
        self._plan = plan
        self._numbers: dict[str, int] = {}
        self._study: OpenStudy | None = None

    def suggest(self, trial_id: str) -> Any:
        """What the trial is to measure, or FINISHED, a string that Ray's own annotation leaves out."""
        given = self._opened().hand()
        if given is None:
            return Searcher.FINISHED
        candidate, rivals = given
        self._numbers[trial_id] = candidate.number
        return {"assignment": Assignment(candidate.number, candidate.config, rivals)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self._numbers.pop(trial_id, None)
        measured = (result or {}).get("measured") or Measured(None, "the worker died")
        if number is not None:
            self._opened().finish(number, measured.fields, measured.reason)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_text(json.dumps(self._numbers))

    def restore(self, checkpoint_path: str) -> None:
        self._numbers = json.loads(Path(checkpoint_path).read_text())

    def _opened(self) -> OpenStudy:
        if self._study is None:
            self._study = OpenStudy(self._plan, set(self._numbers.values()))
        return self._study

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_study": None}


def trainable(gpus_per_worker: float = 0) -> Any:
    """What `tune.Tuner.restore(path, trainable())` wants."""
    return tune.with_resources(Measurement, {"cpu": 1, "gpu": gpus_per_worker})


def tuner(plan: Plan, name: str = "himap", folder: Path | None = None, gpus_per_worker: float = 0) -> tune.Tuner:
    """A Tuner that runs the plan; its own files are in `folder`/`name` (default: where Tune puts them)."""
    return tune.Tuner(
        trainable(gpus_per_worker),
        # as text, for Tune may restore what is no plain value as a placeholder
        param_space={"plan": base64.b64encode(pickle.dumps(_absolute(plan))).decode()},
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(plan),
            num_samples=-1,  # the searcher ends it
            max_concurrent_trials=plan.workers,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(folder) if folder else None,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # a trial has no state to keep
            failure_config=tune.FailureConfig(max_failures=_RETRIES),
            verbose=0,
        ),
    )


def _absolute(plan: Plan) -> Plan:
    """The plan for workers, which Tune puts into folders of their own."""
    asked = plan.source
    places = {name: place.resolve() for name in ("data", "data_root") if (place := getattr(asked, name))}
    words = {*KNOWN, "auto", "mini", "full"}
    given = {"model": plan.model, "weights": plan.weights}
    local: dict[str, Any] = {
        name: str(Path(place).resolve()) for name, place in given.items() if place not in words and Path(place).is_dir()
    }
    return replace(plan, source=replace(asked, **places), **local)


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
            raise UsageError("Ray Tune gives no quiet device; expected goals without latency, or search.launch")


class OpenStudy:
    """Opens the plan's study in its store and holds its lease until the budget is spent.

    As many candidates as there are workers are asked for ahead, as `search.driver` does to keep workers busy;
    so both learn the same before they ask.

    Args:
        resumed: numbers of trials that Tune goes on with by itself.
    """

    def __init__(self, plan: Plan, resumed: Collection[int] = ()) -> None:
        self._plan, self._store = plan, open_store(plan.storage)
        self._holder = LeaseHolder(self._store).__enter__()
        self._writer = StoreWriter(self._store, self._holder.owner)
        asked = ask(plan.source, SPLIT, plan.questions)
        request = Request([asked], plan.budget, plan.questions, plan.sampler, plan.seed, plan.workers, plan.goals)
        (self._pair,) = open_runs(self._store, resolve(plan.model, plan.weights), request, self._holder)
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
        self._writer.begin(self._pair.study_id, running_trial(candidate))
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
            self._holder.__exit__()
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
        pair: StudyRun = self._pair
        self._holder.check()
        self._writer.add(pair.study_id, trial)
        pair.add(trial)
        pair.study.tell(candidate, trial)
        if pair.abandoned:
            raise StudyFailedError(pair.abandoned)
