"""What must hold after chaos: what was committed is kept, nothing is twice, a calm run measures the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from search.inputs.questions import SPLIT
from search.sampling.space import SearchSpace
from search.workers.trial_runner import TrialRunner
from storage import StorageError, Trial, open_store


def trials_in(url: str, benchmark: str) -> dict[int, Trial]:
    """The trials of the benchmark's study by number; none while there is no store to read."""
    try:
        with open_store(url, readonly=True) as store:
            (study,) = [s.id for s in store.studies() if s.key.benchmark == benchmark] or [None]
            found = [] if study is None else store.trials(study)
    except StorageError:
        return {}
    return {trial.number: _lasting(trial) for trial in found}


def _lasting(trial: Trial) -> Trial:
    """A trial without its latency, which comes later than the rest and replaces the device's name."""
    return replace(trial, latency_ms=0.0, latency_low_ms=0.0, latency_high_ms=0.0, device="")


def lost(seen: dict[int, Trial], now: dict[int, Trial]) -> int:
    """Trials that were committed once and are gone or changed."""
    return sum(not _same(trial, now.get(number)) for number, trial in seen.items())


def _same(one: Trial, other: Trial | None) -> bool:
    return other is not None and repr(one) == repr(other)  # by text, since NaN is not equal to itself


def checked(found: dict[int, Trial], budget: int, bench: TrialRunner, benchmark: str) -> dict[str, Any]:
    """The counts that must be zero, and how many measurements a calm process made again."""
    image_tokens = bench.evaluator(benchmark).tokens()[0]
    keys = {SearchSpace.effect_key(trial.config, image_tokens) for trial in found.values()}
    measured = [trial for trial in found.values() if not trial.failed]
    differing = [trial.number for trial in measured if not _repeated(trial, bench, benchmark)]
    return {
        "trials": len(found),
        "failed": sum(t.failed for t in found.values()),
        "stopped_by_race": sum(t.state == "pruned" for t in found.values()),
        "missing_numbers": len(set(range(budget)) - set(found)),
        "beyond_budget": max(0, len(found) - budget),
        "same_configuration_twice": len(found) - len(keys),
        "measured_again": len(measured),
        "measured_differently": len(differing),
    }


def _repeated(trial: Trial, bench: TrialRunner, benchmark: str) -> bool:
    """Whether this process gets the same score for each question that was asked, and the same costs."""
    again, _ = bench.measure(benchmark, trial.config)
    asked = [(was, now) for was, now in zip(trial.scores, again.scores, strict=True) if not math.isnan(was)]
    costs = ("flops", "paper_flops", "flops_ratio", "tokens_after_k1", "tokens_after_k2")
    return all(was == now for was, now in asked) and all(getattr(trial, c) == getattr(again, c) for c in costs)


def calm_bench(source: str, questions: int) -> TrialRunner:
    """A bench without prefix cache or races."""
    return TrialRunner(source, SPLIT, questions)
