"""Measure chosen configurations again, on questions that no search has seen, paired with dense."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from transformers.utils import logging

from himap import PruningConfig
from objectives.data.subsets import shared_images
from objectives.evaluation.checkpoints import Target
from objectives.provenance import commit, versions
from objectives.statistics.estimates import Interval
from objectives.statistics.intervals import accuracy_interval, difference_interval
from search.inputs.questions import Library
from search.studies.open_studies import of_target
from search.workers.trial_runner import TrialRunner
from storage import Confirmation, Store, StudySummary
from storage.confirmation import HELD_OUT
from storage.records import latency_fields, utc_now

DENSE = PruningConfig.dense()


@dataclass(frozen=True)
class Selected:
    """A configuration to confirm for a study; `trial` is its number there, None if it has none."""

    study_id: int
    benchmark: str
    config: PruningConfig
    trial: int | None = None


class Confirmer:
    """Confirmations of one target's weights on the first `n_questions` of a split.

    The model is loaded when the first measurement needs it. What the store holds of the same weights, configuration
    and questions, from whichever study, is not measured again.

    Args:
        on_step: called before each measurement with its description.
        library: questions of the benchmarks that are not embedded.
        batch: besides single prompts this batch is timed; None times nothing.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        n_questions: int,
        split: str = HELD_OUT,
        on_step: Callable[[str], None] = lambda description: None,
        library: Library | None = None,
        batch: int | None = None,
    ) -> None:
        self._store, self._target, self._n, self._split = store, target, n_questions, split
        self._library, self._batch = library, batch
        self._on_step = on_step
        self._runner: TrialRunner | None = None
        self._known: dict[tuple[str, PruningConfig], tuple[int, Confirmation]] = {}
        for summary in store.studies():
            if of_target(summary.key, target):
                self._learn(summary)

    def _learn(self, summary: StudySummary) -> None:
        for confirmation in self._store.confirmations(summary.id, self._split):
            if confirmation.n_questions == self._n:
                self._known[summary.key.questions, confirmation.config.canonical()] = summary.id, confirmation

    def missing(self, selection: Sequence[Selected]) -> int:
        """Return how many measurements `confirm` would make for these, dense included."""
        wanted = {(one.benchmark, config.canonical()) for one in selection for config in (one.config, DENSE)}
        return len(wanted - set(self._known))

    def confirm(self, selected: Selected) -> Confirmation:
        """Return the configuration on these questions, paired with dense; it is stored by then."""
        known = self._known.get((selected.benchmark, selected.config.canonical()))
        if known is None:
            return self._keep(selected, self._measure(selected))
        study_id, confirmation = known
        timed = self._timed(selected.benchmark, confirmation)
        if timed is confirmation and study_id == selected.study_id and selected.trial in (None, confirmation.trial):
            return confirmation
        return self._keep(selected, replace(timed, trial=selected.trial))

    def _keep(self, selected: Selected, confirmation: Confirmation) -> Confirmation:
        self._store.confirm(selected.study_id, confirmation)
        self._known[selected.benchmark, confirmation.config.canonical()] = selected.study_id, confirmation
        return confirmation

    def _measure(self, selected: Selected) -> Confirmation:
        benchmark, config = selected.benchmark, selected.config
        dense = None if config == DENSE else self.confirm(Selected(selected.study_id, benchmark, DENSE))
        self._on_step(f"{benchmark}: {describe(config)}")
        confirmation = confirm(self._loaded(), benchmark, config, dense, self._n)
        return self._timed(benchmark, replace(confirmation, trial=selected.trial, split=self._split))

    def _timed(self, benchmark: str, confirmation: Confirmation) -> Confirmation:
        """Return the confirmation with the speed at the batch, where that is wanted and not there yet."""
        if self._batch is None or confirmation.timed_at(self._batch) or confirmation.config.is_dense:
            return confirmation
        return timed(self._loaded(), benchmark, confirmation, self._batch)

    def _loaded(self) -> TrialRunner:
        if self._runner is None:
            self._runner = open_runner(self._target, self._split, self._n, self._library)
        return self._runner


def open_runner(target: Target, split: str, n_questions: int, library: Library | None = None) -> TrialRunner:
    """Return a trial runner for these questions, loaded without a progress bar of its own."""
    questions = {} if library is None else library.questions(split, n_questions)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    return TrialRunner(target.weights, split, n_questions, questions=questions, dtype=target.dtype)


def confirm(
    runner: TrialRunner, benchmark: str, config: PruningConfig, dense: Confirmation | None, n_questions: int
) -> Confirmation:
    """Measure a configuration on held-out questions, without its speed.

    Args:
        dense: the confirmation of dense; None if this is dense.
        n_questions: that were asked for; the runner may have fewer.
    """
    measurement, _ = runner.measure(benchmark, config)
    evaluator = runner.evaluator(benchmark)
    scores, groups, graded = measurement.scores, shared_images(evaluator.questions), evaluator.benchmark.graded
    accuracy = accuracy_interval(scores, groups, graded=graded)
    difference = Interval(0.0, 0.0, 0.0)
    if dense is not None:
        difference = difference_interval(scores, dense.scores, groups, graded=graded)
    own = {
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "commit": commit(),
        "versions": versions(),
        "created_at": utc_now(),
    }
    return Confirmation(
        **{**vars(measurement), **own},
        config=config,
        n_questions=n_questions,
        dense_accuracy=accuracy.mean if dense is None else dense.accuracy,
        difference=difference.mean,
        difference_low=difference.low,
        difference_high=difference.high,
    )


def timed(runner: TrialRunner, benchmark: str, confirmation: Confirmation, batch: int) -> Confirmation:
    """Return the confirmation with its speed against dense, at batch 1 and at this one."""
    return replace(confirmation, **latency_fields(runner.time(benchmark, confirmation.config, batch)))


def describe(config: PruningConfig) -> str:
    """Return a configuration in a few words: "dense", "50 % at 2 by instruction, 75 % at 8 by intra_column"."""
    return ", ".join(f"{cut.percent:g} % at {cut.layer} by {cut.criterion}" for cut in config.cuts) or "dense"


def studies_of(store: Store, target: Target, names: Sequence[str]) -> dict[str, StudySummary]:
    """Return a study of the target's weights for each benchmark, of all benchmarks without names.

    It is the one that asks the most questions, then the one with the most complete trials.
    """
    studies: dict[str, StudySummary] = {}
    for summary in store.studies():
        key = summary.key
        if key.model != target.name or not of_target(key, target) or not summary.complete:
            continue
        if names and key.questions not in names:
            continue
        best = studies.get(key.questions)
        if best is None or _size(summary) > _size(best):
            studies[key.questions] = summary
    return studies


def _size(summary: StudySummary) -> tuple[int, int]:
    return summary.key.n_questions, summary.complete
