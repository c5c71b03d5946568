"""What a finished certification gives: held-out measurements for the store, a preset a margin, a row a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from himap.presets import Certificate
from objectives.provenance import commit, versions
from objectives.statistics.estimates import Interval
from objectives.statistics.intervals import accuracy_interval, difference_interval
from search.certifying.certify_driver import CertifyTask
from search.certifying.evidence import least_pool
from search.certifying.study_certifier import TEST, Verdict
from storage import Confirmation, Latency, QuestionSource, Store, StudyKey, Trial
from storage.confirmation import points
from storage.pareto import OperatingPoint, dense_trial
from storage.presets import HeldOut, preset_of, preset_path
from storage.records import latency_fields, utc_now


@dataclass(frozen=True)
class FinishedStudy:
    """A study that has finished exploring.

    Attributes:
        id: in the store.
        source: where the questions come from, if they are not embedded.
        family: transformers class of the model; "" where unknown.
        layers: depth of its decoder; 0 where unknown.
        cost: field of a trial that is to be small.
    """

    id: int
    key: StudyKey
    trials: Sequence[Trial]
    source: QuestionSource | None = None
    family: str = ""
    layers: int = 0
    cost: str = "flops_ratio"


@dataclass(frozen=True)
class CertifiedSetting:
    """What is deployed within one margin of one study: the cheapest certified trial, or dense.

    Attributes:
        preset: its file.
        latency: with the speed-up over dense; None for dense, or where it was not measured.
    """

    benchmark: str
    verdict: Verdict
    trial: Trial
    preset: Path
    latency: Latency | None = None


def delivered(task: CertifyTask) -> list[int]:
    """Return the trials other than dense that are deployed within some margin."""
    return list(dict.fromkeys(one.number for one in task.certifier.verdicts() if one.number is not None))


def keep(
    store: Store, study: FinishedStudy, task: CertifyTask, folder: Path, latencies: Mapping[int, Latency]
) -> list[CertifiedSetting]:
    """Store what the test measured, write a preset a margin, and return what is deployed within each.

    Args:
        latencies: of delivered trials.
    """
    dense = dense_trial(study.trials)
    assert dense is not None
    by_number = {trial.number: trial for trial in study.trials}
    tested = {n: _confirmation(task, by_number[n], dense, bound) for n, bound in task.certifier.bounds().items()}
    for number, latency in latencies.items():
        tested[number] = replace(tested[number], **latency_fields(latency))
    for confirmation in tested.values():
        store.confirm(study.id, confirmation)
    settings = []
    for verdict in task.certifier.verdicts():
        trial = dense if verdict.number is None else by_number[verdict.number]
        point = operating_point(verdict.margin)
        held_out = HeldOut(point, {study.key.questions: tested[trial.number]}) if trial.number in tested else None
        preset = preset_of(
            study.key,
            trial,
            held_out,
            {} if study.source is None else {study.key.questions: study.source},
            family=study.family,
            layers=study.layers,
            certificate=_certificate(task, verdict, point),
        )
        parts = [] if point.slug == "within-1" else [point.slug]
        path = preset_path(folder, study.key, study.key.questions, *parts)
        speed = latencies.get(trial.number)
        settings.append(CertifiedSetting(study.key.questions, verdict, trial, preset.write(path), speed))
    return settings


def operating_point(margin: float) -> OperatingPoint:
    """Return the operating point of a margin: the cheapest setting within it."""
    return OperatingPoint(f"within-{100 * margin:g}", f"cheapest within {points(margin)} of dense", margin)


def table_lines(settings: Sequence[CertifiedSetting]) -> list[str]:
    """Return a line for each benchmark and margin: what is deployed, its share of FLOPs, its speed-up, its bound.

    The last line says how the speed-ups were timed.
    """
    width = max((len(setting.benchmark) for setting in settings), default=0)
    lines, timed = [], list[str]()
    for setting in settings:
        verdict, trial = setting.verdict, setting.trial
        within = f"{setting.benchmark:{width}}  within {points(verdict.margin)}"
        if verdict.number is None:
            lines.append(f"{within}: dense, 100 % of FLOPs; {verdict.reason}")
        else:
            speed = ""
            if setting.latency is not None and (headline := setting.latency.headline) is not None:
                speed = f", speed-up {headline.ratio}"
                timed.append(headline.conditions(setting.latency.device))
            lines.append(
                f"{within}: {100 * trial.flops_ratio:.0f} % of FLOPs{speed}, certified on {verdict.n} test "
                f"questions to lose at most {points(verdict.bound)}; {setting.preset}"
            )
    return [*lines, *([f"speed-up: {'; '.join(dict.fromkeys(timed))}"] if timed else [])]


def _confirmation(task: CertifyTask, trial: Trial, dense: Trial, bound: float) -> Confirmation:
    """Return the trial's measurement on the test questions that it and dense answered."""
    plan = task.certifier.plan
    assert plan is not None
    scores = task.certifier.test_scores(trial.number).tolist()
    base = task.certifier.test_scores(dense.number)[: len(scores)].tolist()
    groups = plan.units[: len(scores)].tolist()
    accuracy = accuracy_interval(scores, groups)
    same = trial.number == dense.number
    difference = Interval(0.0, 0.0, 0.0) if same else difference_interval(scores, base, groups)
    measured = {name: value for name, value in vars(trial).items() if name in Confirmation.__dataclass_fields__}
    own = {
        "accuracy": accuracy.mean,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "n": len(scores),
        "scores": tuple(scores),
        "metrics": {},
        "commit": commit(),
        "versions": versions(),
        "created_at": utc_now(),
    }
    return Confirmation(
        **{**measured, **own},
        n_questions=plan.evidence.pool,
        split=task.splits[TEST],
        trial=trial.number,
        dense_accuracy=float(np.mean(base)),
        difference=difference.mean,
        difference_low=difference.low,
        difference_high=difference.high,
        bound=bound,
    )


def _certificate(task: CertifyTask, verdict: Verdict, point: OperatingPoint) -> Certificate:
    plan = task.certifier.plan
    assert plan is not None
    certified = verdict.number is not None
    pool, level = plan.evidence.pool, plan.level
    if certified:
        text = (
            f"certified: loses at most {points(verdict.bound)} against dense, by {verdict.n} of {pool} test questions "
            f"(level {100 * level:g} % for all margins together)"
        )
    else:
        least = least_pool(verdict.margin, level / len(plan.chains))
        text = (
            f"not certified: nothing cheaper than dense could be certified within {points(verdict.margin)} with {pool} "
            f"test questions: {verdict.reason}; a setting that changes no answer needs {least}"
        )
    return Certificate(
        operating_point=point.name,
        margin_points=round(100 * verdict.margin, 6),
        certified=certified,
        verdict=text,
        level=level,
        bound_points=None if verdict.bound != verdict.bound else round(100 * verdict.bound, 6),
        pool=pool,
        plan=plan.digest or None,
    )
