"""Studies of a store as studies in Optuna's own storage."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from himap.errors import first_line
from search.errors import UsageError
from search.sampling.problem import FIELDS, Goals
from storage import Store, StudySummary, Trial
from storage.pareto import dense_trial

_PARAMS = ("k1", "k2", "r1", "r2", "phi_shallow", "phi_deep")
_NO_ATTRIBUTES = (*_PARAMS, "created_at")
_COMPARED = (
    *("state", "values", "params", "distributions"),
    *("user_attrs", "system_attrs", "datetime_start", "datetime_complete"),
)
_MARK = "himap_search"
# optuna-dashboard looks for constraints there in versions before named ones.
_UNNAMED = "constraints"


class _FastStorage(optuna.storages.RDBStorage):
    """Optuna's storage that writes new trials in half the time: their attributes are not looked up one by one."""

    def _set_trial_attr_without_commit(self, session: Any, model_cls: Any, trial_id: int, key: str, value: Any) -> None:
        session.add(model_cls(trial_id=trial_id, key=key, value_json=json.dumps(value)))


def copy(store: Store, target: str, model: str, benchmark: str, goals: Goals) -> Iterator[str]:
    """Bring the copies of the chosen studies up to date; yield a line about each.

    Args:
        target: URL of Optuna's storage.
        model, benchmark: of the studies, or "all".

    Raises:
        UsageError: no such study, storage that cannot be used, or a study there that is not a copy of ours.
    """
    studies = store.studies()
    chosen = [s for s in studies if model in ("all", s.key.model) and benchmark in ("all", s.key.questions)]
    if not chosen:
        there = ", ".join(f"{s.key.model}/{s.key.questions}" for s in studies) or "no studies"
        raise UsageError(f"found no study of model {model!r} and benchmark {benchmark!r}; {store.location} has {there}")
    storage = _open(target)
    for summary in chosen:
        yield _copy(summary, store.trials(summary.id, scores=False), storage, goals)


def _open(target: str) -> optuna.storages.BaseStorage:
    """Return Optuna's storage; its tables are created where there are none."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        return _FastStorage(target)
    except Exception as error:  # whatever the database's driver raises
        raise UsageError(
            f"cannot use --to as Optuna's storage: {first_line(error)}; expected sqlite:///FILE in a folder that "
            "exists, or postgresql://USER@HOST/DATABASE of a server that runs"
        ) from error


def _copy(summary: StudySummary, trials: Sequence[Trial], storage: optuna.storages.BaseStorage, goals: Goals) -> str:
    name = summary.key.name
    wanted = frozen_trials(trials, goals, summary.layers)
    study = _study(summary, storage, goals)
    kept = study.get_trials(deepcopy=False)
    if any(map(_differ, kept, wanted)) or len(kept) > len(wanted):
        optuna.delete_study(study_name=name, storage=storage)
        study, kept = _study(summary, storage, goals), []
    study.add_trials(wanted[len(kept) :])
    return f"{name}: {len(wanted)} trials, {len(wanted) - len(kept)} of them written now"


def _study(summary: StudySummary, storage: optuna.storages.BaseStorage, goals: Goals) -> optuna.Study:
    """Return the copy of that study, created if there is none."""
    name = summary.key.name
    mark = asdict(goals) | {"objectives": list(goals.objectives)}
    if name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        if study.user_attrs.get(_MARK) != mark:
            got = study.user_attrs.get(_MARK, "another program's study")
            raise UsageError(
                f"--to has a study {name} with {got}; expected {mark}: choose another --to, or delete it "
                "with `optuna delete-study`"
            )
        return study
    study = optuna.create_study(study_name=name, storage=storage, directions=goals.directions)
    study.set_metric_names([FIELDS[objective] for objective in goals.objectives])
    for field, value in asdict(summary.key).items():
        study.set_user_attr(field, value)
    study.set_user_attr(_MARK, mark)  # last: a study without it is not touched again
    return study


def frozen_trials(trials: Sequence[Trial], goals: Goals, layers: int = 0) -> list[FrozenTrial]:
    """Return the trials as Optuna's, by rising number; `layers` is the decoder's depth."""
    last = max([layers - 1, 2, *(trial.config.k2 for trial in trials)])
    depths = IntDistribution(1, last)
    percents = FloatDistribution(0, 100)
    criteria = sorted({name for trial in trials for name in (trial.config.phi_shallow, trial.config.phi_deep)})
    choices = CategoricalDistribution(criteria or [""])
    kinds = (depths, depths, percents, percents, choices, choices)
    distributions: dict[str, BaseDistribution] = dict(zip(_PARAMS, kinds, strict=True))
    dense = dense_trial(trials)
    ordered = sorted(trials, key=lambda trial: trial.number)
    return [_frozen(trial, dense, distributions, goals) for trial in ordered]


def _frozen(trial: Trial, dense: Trial | None, distributions: dict[str, BaseDistribution], goals: Goals) -> FrozenTrial:
    values = goals.values(trial)
    limits = goals.constraints(trial, dense) if values else {}
    seconds = trial.seconds if math.isfinite(trial.seconds) else 0.0
    ended = trial.created_at.astimezone().replace(tzinfo=None)  # Optuna's times are local and naive
    frozen = optuna.trial.create_trial(
        state=_state(trial, values),
        values=values,
        params={name: getattr(trial.config, name) for name in _PARAMS},
        distributions=distributions,
        user_attrs={name: v for name, v in trial.flat().items() if name not in _NO_ATTRIBUTES and not _empty(v)},
        system_attrs={_UNNAMED: list(limits.values())} if limits else {},
        constraints=limits,
    )
    frozen.datetime_start, frozen.datetime_complete = ended - timedelta(seconds=seconds), ended
    return frozen


def _state(trial: Trial, values: list[float] | None) -> TrialState:
    """Return the state; a trial that lacks an objective yet, such as a latency, is pruned, too."""
    if trial.failed:
        return TrialState.FAIL
    return TrialState.COMPLETE if trial.complete and values else TrialState.PRUNED


def _empty(value: Any) -> bool:
    """Return whether there is nothing to write, or NaN, which JSON does not have."""
    return value in ("", {}) or (isinstance(value, float) and math.isnan(value))


def _differ(one: FrozenTrial, other: FrozenTrial) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in _COMPARED)
