"""The same search through Ray Tune, for those who already run it: a Trainable and a Searcher.

    from search import SearchConfig
    from search.integrations.ray_tune import tuner
    results = tuner(SearchConfig("qwenvl", budget=200, benchmarks=["pope"], workers=2)).fit()

The study, its store and its measurements are those of `search.launch`: the same seed gives the same trials with one
worker, and either may resume what the other began. Latencies and certificates need `search.launch`: run it with the
same budget afterwards.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from himap import PruningConfig
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.known_models import KNOWN
from objectives.evaluation.prompt_check import PromptCheck
from search.config import SearchConfig
from search.errors import StudyFailedError, UsageError
from search.inputs.questions import SPLIT, searched_questions
from search.studies.lease_holder import LeaseHolder
from search.studies.open_studies import open_runs
from search.studies.study import Candidate
from search.workers.racing import Rival
from search.workers.trial_runner import TrialRunner
from storage import open_store
from storage.records import Measurement

_RETRIES = 2


@dataclass(frozen=True)
class Assignment:
    """What a worker is to measure; one value for Tune, which logs whatever is in a configuration."""

    number: int
    config: PruningConfig
    rivals: tuple[Rival, ...] = field(repr=False)


@dataclass(frozen=True)
class WorkerReply:
    """A worker's measurement, or the reason why there is none; one value for Tune, too."""

    measurement: Measurement | None = field(repr=False)
    reason: str = ""


class TrialTrainable(tune.Trainable):
    """Measures one configuration a trial; a reused actor keeps its model and its caches."""

    def setup(self, config: dict[str, Any]) -> None:
        """Load the model and the questions."""
        search = SearchConfig.from_json(config["search"])
        target = resolve(search.model, search.weights, dtype=search.dtype)
        (questions,) = searched_questions(PromptCheck(target.weights), search.sources(), search.questions)
        self._key = questions.key
        own = {questions.key: questions.loaded}
        self._runner = TrialRunner(
            target.weights, SPLIT, search.questions, search.memory_mb * 2**20, own, dtype=target.dtype
        )
        self._assignment: Assignment = config["assignment"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next assignment."""
        self._assignment = new_config["assignment"]
        return True

    def step(self) -> dict[str, Any]:
        """Measure. An error is the trial's result, so that it is recorded and not tried again."""
        number, config, rivals = self._assignment.number, self._assignment.config, self._assignment.rivals
        try:
            measurement, reason = self._runner.measure(self._key, config, rivals)
        except Exception as error:
            message = (str(error).strip() or "no message").splitlines()[-1]
            reply = WorkerReply(None, f"{type(error).__name__}: {message}"[:500])
            return {"number": number, "reply": reply, "done": True}
        shown = {name: getattr(measurement, name) for name in ("accuracy", "flops_ratio", "paper_flops")}
        return {"number": number, "reply": WorkerReply(measurement, reason), **shown, "done": True}


class StudySearcher(Searcher):
    """Asks the stored study, and commits a result before it counts.

    All its state is in the store, except which Tune trial has which number: that is saved with the experiment, so that
    a trial which Tune itself resumes after a kill is not handed out again.
    """

    def __init__(self, search: SearchConfig) -> None:
        super().__init__()  # with a metric Tune would end the experiment at the first failed measurement
        self._search = replace(search, certify=False)  # it spends the whole budget on trials
        self._numbers: dict[str, int] = {}
        self._study: TuneStudy | None = None

    def suggest(self, trial_id: str) -> Any:
        """Return what the trial is to measure, or FINISHED, a string that Ray's own annotation leaves out."""
        candidate = self._opened().hand_out()
        if candidate is None:
            return Searcher.FINISHED
        self._numbers[trial_id] = candidate.number
        return {"assignment": Assignment(candidate.number, candidate.config, candidate.rivals)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Commit the trial's result."""
        number = self._numbers.pop(trial_id, None)
        reply = (result or {}).get("reply") or WorkerReply(None, "the worker died")
        if number is not None:
            self._opened().finish(number, reply)

    def save(self, checkpoint_path: str) -> None:
        """Save which Tune trial has which number."""
        Path(checkpoint_path).write_text(json.dumps(self._numbers))

    def restore(self, checkpoint_path: str) -> None:
        """Read what `save` wrote."""
        self._numbers = json.loads(Path(checkpoint_path).read_text())

    def _opened(self) -> TuneStudy:
        if self._study is None:
            self._study = TuneStudy(self._search, set(self._numbers.values()))
        return self._study

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_study": None}


def trainable(gpus_per_worker: float = 0) -> Any:
    """Return what `tune.Tuner.restore(path, trainable())` takes."""
    return tune.with_resources(TrialTrainable, {"cpu": 1, "gpu": gpus_per_worker})


def tuner(search: SearchConfig, name: str = "himap", folder: Path | None = None) -> tune.Tuner:
    """Return a Tuner that runs the search; its own files are in `folder`/`name` (default: where Tune puts them).

    Raises:
        UsageError: several benchmarks, or goals that need latencies.
    """
    if len(search.sources()) > 1:
        raise UsageError("Ray Tune runs one study; expected one name in benchmarks, or search.launch")
    if search.goals.timed:
        raise UsageError("Ray Tune gives no idle device; expected goals without latency, or search.launch")
    return tune.Tuner(
        trainable(search.gpus_per_worker or 0),
        param_space={"search": _absolute(search).to_json()},
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(search),
            num_samples=-1,  # the searcher ends it
            max_concurrent_trials=search.workers or 1,
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


def _absolute(search: SearchConfig) -> SearchConfig:
    """Return the same with absolute paths, for workers, which Tune puts into folders of their own."""

    def absolute(path: str) -> str:
        named = path in KNOWN or path in ("auto", "mini", "full")
        return path if named or not Path(path).exists() else str(Path(path).resolve())

    data, data_root = (path and absolute(path) for path in (search.data, search.data_root))
    return replace(
        search, model=absolute(search.model), weights=absolute(search.weights), data=data, data_root=data_root
    )


class TuneStudy:
    """Opens the search's study in its store and holds its lease until the budget is spent.

    As many candidates as there are workers are asked for ahead, as the driver does to keep workers busy; so both learn
    the same before they ask.

    Args:
        resumed: numbers of trials that Tune resumes by itself.
    """

    def __init__(self, search: SearchConfig, resumed: Collection[int] = ()) -> None:
        self._workers = search.workers or 1
        self._store = open_store(search.storage)
        self._holder = LeaseHolder(self._store).__enter__()
        target = resolve(search.model, search.weights, dtype=search.dtype)
        check = PromptCheck(target.weights)
        questions = searched_questions(check, search.sources(), search.questions)
        (self._run,) = open_runs(self._store, search, target, questions, check, self._holder, self._workers)
        self._live: dict[int, Candidate] = {}
        self._ahead: deque[Candidate] = deque()
        for _ in self._store.running(self._run.study_id):  # these are asked first
            candidate = self._ask()
            if candidate and candidate.number in resumed:
                self._live[candidate.number] = candidate
            elif candidate:
                self._ahead.append(candidate)

    def hand_out(self) -> Candidate | None:
        """Return a candidate; None once the budget is spent or handed out."""
        candidate = self._ahead.popleft() if self._ahead else self._ask()
        if candidate is None:
            return None
        self._live[candidate.number] = candidate
        while len(self._ahead) < self._workers and (following := self._ask()):
            self._ahead.append(following)
        return candidate

    def finish(self, number: int, reply: WorkerReply) -> None:
        """Commit a result; do nothing for a trial that is stored, which Tune may measure once more after a kill.

        Raises:
            StudyFailedError: the study is abandoned.
        """
        candidate = self._live.pop(number, None)
        if candidate is None:
            return
        self._holder.check()
        self._run.commit(candidate, reply.measurement, reply.reason)
        if self._run.abandoned:
            raise StudyFailedError(self._run.abandoned)
        if self._run.done:
            self._run.close()
            self._holder.__exit__()
            self._store.close()

    def _ask(self) -> Candidate | None:
        while self._run.wants:
            if (candidate := self._run.next()) is not None:
                return candidate
        return None
