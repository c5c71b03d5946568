"""What must be true after the faults: committed trials are kept, none is twice, a calm run measures the same."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import attrgetter
from typing import Any

from search.inputs.questions import SPLIT
from search.sampling.space import SearchSpace
from search.workers.trial_runner import TrialRunner
from storage import StorageError, Trial, open_store
from storage.records import without_latency


def trials_in(url: str, benchmark: str) -> dict[int, Trial]:
    """Return the trials of the benchmark's study by number; none while the store cannot be read."""
    try:
        with open_store(url, readonly=True) as store:
            studies = [s.id for s in store.studies() if s.key.benchmark == benchmark]
            trials = store.trials(studies[0]) if studies else []
    except StorageError:
        return {}
    return {t.number: replace(without_latency(t), device="") for t in trials}  # both may be set later


def lost(seen: dict[int, Trial], now: dict[int, Trial]) -> int:
    """Count the trials that were committed once and are gone or changed."""
    return sum(repr(trial) != repr(now.get(number)) for number, trial in seen.items())  # NaN is not equal to itself


def checked(trials: dict[int, Trial], budget: int, runner: TrialRunner, benchmark: str) -> dict[str, Any]:
    """Return the counts that must be zero, and how many measurements a calm process repeated."""
    image_tokens = runner.evaluator(benchmark).tokens()[0]
    keys = {SearchSpace.effect_key(trial.config, image_tokens) for trial in trials.values()}
    measured = [trial for trial in trials.values() if not trial.failed]
    return {
        "trials": len(trials),
        "failed": sum(t.failed for t in trials.values()),
        "stopped_by_race": sum(t.state == "pruned" for t in trials.values()),
        "missing_numbers": len(set(range(budget)) - set(trials)),
        "beyond_budget": max(0, len(trials) - budget),
        "same_configuration_twice": len(trials) - len(keys),
        "measured_again": len(measured),
        "measured_differently": sum(not _repeats(trial, runner, benchmark) for trial in measured),
    }


def _repeats(trial: Trial, runner: TrialRunner, benchmark: str) -> bool:
    """Return whether this process gets the same score for each question of the trial, and the same costs."""
    again, _ = runner.measure(benchmark, trial.config)
    scores = [(was, now) for was, now in zip(trial.scores, again.scores, strict=True) if not math.isnan(was)]
    costs = attrgetter("flops", "paper_flops", "flops_ratio", "tokens_after_k1", "tokens_after_k2")
    return all(was == now for was, now in scores) and bool(costs(trial) == costs(again))


def calm_runner(source: str, questions: int) -> TrialRunner:
    """Return a trial runner without prefix cache."""
    return TrialRunner(source, SPLIT, questions)
