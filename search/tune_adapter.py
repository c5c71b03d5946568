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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from himap import PruningConfig
from search.asked import ask
from search.measure import Bench
from search.pairs import SPLIT
from search.race import Rival
from search.targets import KNOWN, resolve
from search.tune_study import OpenStudy, Plan

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
        weights = resolve(plan.model, plan.weights).source
        self._bench = Bench(weights, SPLIT, plan.questions, plan.prefix_bytes, {asked.key: asked.found})
        self._assignment: Assignment = config["assignment"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._assignment = new_config["assignment"]
        return True

    def step(self) -> dict[str, Any]:
        """One trial. What goes wrong in it is its result, so that it is recorded and not tried again."""
        given = self._assignment
        try:
            fields = self._bench.measure(self._key, given.config, given.rivals)
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

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
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


def tuner(
    plan: Plan, name: str = "himap", folder: Path | None = None, gpus_per_worker: float = 0
) -> tune.Tuner:
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
        name: str(Path(place).resolve())
        for name, place in given.items()
        if place not in words and Path(place).is_dir()
    }
    return replace(plan, source=replace(asked, **places), **local)
