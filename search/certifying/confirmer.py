"""Measures chosen configurations again, on questions that no search has seen, paired with dense."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers.utils import logging

from himap import PruningConfig
from objectives.data.subsets import shared_images
from objectives.evaluation.checkpoints import Target
from objectives.provenance import commit, versions
from objectives.statistics.intervals import accuracy_interval, difference_interval
from search.inputs.questions import Library
from search.workers.racing import Rival
from search.workers.trial_runner import TrialRunner
from storage import Confirmation, Store, StudyKey, StudySummary
from storage.confirmation import HELD_OUT
from storage.records import utc_now

DENSE = PruningConfig.dense()


@dataclass(frozen=True)
class Asked:
    """A configuration to be measured for a study; `trial` is its number there, None if it has none."""

    study_id: int
    benchmark: str
    config: PruningConfig
    trial: int | None = None


class Confirmer:
    """Confirmations of one target's weights on the first `n_questions` of a split.

    The model is loaded when the first measurement needs it. What the store holds of the same weights,
    configuration and questions, from whichever study, is not measured again.

    Args:
        on_step: called before each measurement with what it is.
        library: questions of the benchmarks that are not embedded.
        floor: a configuration that surely loses more than this (of 1) against dense is given up early; its
            confirmation then has fewer questions, and NaN for the scores of the others.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        n_questions: int,
        split: str = HELD_OUT,
        on_step: Callable[[str], None] = lambda said: None,
        library: Library | None = None,
        floor: float | None = None,
    ) -> None:
        self._store, self._target, self._n, self._split = store, target, n_questions, split
        self._library, self._floor = library, floor
        self._on_step = on_step
        self._runner: TrialRunner | None = None
        self._known: dict[tuple[str, PruningConfig], tuple[int, Confirmation]] = {}
        for summary in store.studies():
            if summary.key.weights_digest == target.digest:
                self._learn(summary)

    def _learn(self, summary: StudySummary) -> None:
        for each in self._store.confirmations(summary.id, self._split):
            if each.n_questions == self._n:
                self._known[summary.key.questions, each.config.canonical()] = summary.id, each

    def missing(self, asked: Sequence[Asked]) -> int:
        """How many measurements `confirm` would make for these, dense included."""
        wanted = {(each.benchmark, config.canonical()) for each in asked for config in (each.config, DENSE)}
        return len(wanted - set(self._known))

    def confirm(self, asked: Asked) -> Confirmation:
        """The configuration on held-out questions, paired with dense; stored when this returns."""
        found = self._known.get((asked.benchmark, asked.config.canonical()))
        if found is None:
            return self._keep(asked, self._measured(asked))
        study_id, known = found
        if study_id == asked.study_id and asked.trial in (None, known.trial):
            return known
        return self._keep(asked, replace(known, trial=asked.trial))

    def _keep(self, asked: Asked, confirmation: Confirmation) -> Confirmation:
        self._store.confirm(asked.study_id, confirmation)
        self._known[asked.benchmark, confirmation.config.canonical()] = asked.study_id, confirmation
        return confirmation

    def _measured(self, asked: Asked) -> Confirmation:
        dense = None if asked.config == DENSE else self.confirm(Asked(asked.study_id, asked.benchmark, DENSE))
        self._on_step(f"{asked.benchmark}: {described(asked.config)}")
        if self._runner is None:
            self._runner = open_runner(self._target.weights, self._split, self._n, self._library)
        fields = measured_again(self._runner, asked.benchmark, asked.config, dense, self._floor)
        return Confirmation(config=asked.config, **fields, trial=asked.trial, split=self._split, n_questions=self._n)


def open_runner(source: str, split: str, n_questions: int, library: Library | None = None) -> TrialRunner:
    """The checkpoint with its questions, loaded without a progress bar of its own."""
    asked = {} if library is None else library.questions(split, n_questions, source)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    return TrialRunner(source, split, n_questions, asked=asked)


def measured_again(
    runner: TrialRunner, benchmark: str, config: PruningConfig, dense: Confirmation | None, floor: float | None = None
) -> dict[str, Any]:
    """Fields of a `Confirmation`: accuracy and difference to `dense` (None: this is dense), costs, latency of
    both side by side; `floor` as for a `Confirmer`."""
    fields = runner.measure(benchmark, config, _floors(dense, floor))
    for name in ("state", "reason"):
        fields.pop(name, None)
    evaluator = runner.evaluator(benchmark)
    asked = [i for i, score in enumerate(fields["scores"]) if not math.isnan(score)]
    shared = shared_images(evaluator.questions)
    graded, groups = evaluator.benchmark.graded, [shared[i] for i in asked]
    scores = [fields["scores"][i] for i in asked]
    accuracy = accuracy_interval(scores, groups, graded=graded)
    difference = (0.0, 0.0, 0.0)
    if dense is not None:
        found = difference_interval(scores, [dense.scores[i] for i in asked], groups, graded=graded)
        difference = found.mean, found.low, found.high
    timed = runner.time(benchmark, config)
    return {
        **fields,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "dense_accuracy": accuracy.mean if dense is None else dense.accuracy,
        **dict(zip(("difference", "difference_low", "difference_high"), difference, strict=True)),
        "latency_ms": timed["median"],
        "latency_low_ms": timed["low"],
        "latency_high_ms": timed["high"],
        "dense_latency_ms": timed["median"] if dense is None else runner.time(benchmark, DENSE)["median"],
        "commit": commit(),
        "versions": versions(),
        "created_at": utc_now(),
    }


def _floors(dense: Confirmation | None, floor: float | None) -> tuple[Rival, ...]:
    """Dense less `floor`, as something that costs nothing to race against."""
    if dense is None or floor is None:
        return ()
    return (Rival(-1, 0.0, 0.0, tuple(score - floor for score in dense.scores)),)


def described(config: PruningConfig) -> str:
    """In a few words: "dense", "50 % at 2 by instruction, 75 % at 8 by intra_column"."""
    return ", ".join(f"{cut.percent:g} % at {cut.layer} by {cut.criterion}" for cut in config.cuts) or "dense"


def studies_of(store: Store, target: Target, names: Sequence[str]) -> dict[str, StudySummary]:
    """For each benchmark the study of the target's weights that asked the most questions, then the one with
    the most complete trials; without names, of every benchmark that has one."""
    found: dict[str, StudySummary] = {}
    for summary in store.studies():
        key: StudyKey = summary.key
        if (key.model, key.weights_digest) != (target.name, target.digest) or not summary.complete:
            continue
        if names and key.questions not in names:
            continue
        best = found.get(key.questions)
        if best is None or _size(summary) > _size(best):
            found[key.questions] = summary
    return found


def _size(summary: StudySummary) -> tuple[int, int]:
    return summary.key.n_questions, summary.complete
