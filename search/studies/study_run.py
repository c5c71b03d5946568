"""A study in progress: one way to the next candidate, and one way from a result to a stored trial."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from objectives.provenance import commit, versions
from search.studies.store_writer import StoreWriter
from search.studies.study import Candidate, Study
from search.workers.racing import Rival
from storage import Latency, QuestionSource, RecordError, RunningTrial, StudyKey, Trial
from storage.pareto import dense_trial, front
from storage.records import BASELINES, Measurement, latency_fields, utc_now, without_latency

_RETRIES = 2  # of a candidate that was lost with its worker
_MAX_FAILURES = 8  # in a row, after which a study is abandoned


class StudyRun:
    """A study in progress: what is stored of it, what is running, and what its sampler has learned.

    Asks run in a thread, so that results can be committed meanwhile; the sampler learns them once it has answered.

    Args:
        trials: what the store holds of the study.
        race: whether candidates race against the front.
        source: where the questions come from, if they are not embedded.
        family: transformers class of the model; "" where unknown.
        on_trial: called after each committed trial.

    Attributes:
        exhausted: whether no configuration with a new effect is left, or next to nothing to gain.
        abandoned: why the study was abandoned: its measurements failed, one after the other; "" if it was not.
    """

    def __init__(
        self,
        key: StudyKey,
        study_id: int,
        study: Study,
        budget: int,
        trials: list[Trial],
        writer: StoreWriter,
        *,
        race: bool = True,
        source: QuestionSource | None = None,
        family: str = "",
        on_trial: Callable[[StudyRun, Trial], None] | None = None,
    ) -> None:
        self.key, self.study_id, self.study, self.budget, self.trials = key, study_id, study, budget, trials
        self.source, self.family, self.on_trial = source, family, on_trial
        self.exhausted, self.abandoned = False, ""
        self._writer, self._race = writer, race
        self._running = self._failures = 0
        self._retries: list[Candidate] = []
        self._untimed: dict[int, Candidate] = {}
        self._pending: list[tuple[Candidate, Trial]] = []
        self._asker = ThreadPoolExecutor(1, "ask")
        self._answer: Future[Candidate | None] | None = None

    @property
    def _devices(self) -> set[str]:
        """The devices that this study's own latencies come from."""
        return {trial.device for trial in self.trials if trial.device and (trial.latency_ms > 0 or not trial.reused)}

    @property
    def wants(self) -> bool:
        """Whether another candidate should be handed out."""
        if self.abandoned:
            return False
        return bool(self._retries) or (not self.exhausted and len(self.trials) + self._running < self.budget)

    @property
    def asking(self) -> bool:
        """Whether the sampler is busy with an answer."""
        return self._answer is not None

    @property
    def untimed(self) -> list[Trial]:
        """Trials that the sampler learns once their latency is measured, dense first."""
        waiting = [trial for trial in self.trials if trial.number in self._untimed]
        return sorted(waiting, key=lambda trial: trial.origin != "dense")

    @property
    def done(self) -> bool:
        """Whether nothing is left to do or to wait for."""
        return not self.wants and not self._running and not self._untimed

    @property
    def progress(self) -> float:
        """The part of the budget that is spent or being spent."""
        return (len(self.trials) + self._running) / self.budget

    def next(self, timeout: float | None = None) -> Candidate | None:
        """Return the next candidate to measure; from then on it is running, and the store knows it.

        Candidates that were lost with a worker come first, then what the study asks for. A candidate whose result is
        known is committed at once.

        Returns:
            None if a known result was committed, nothing new is left, or the sampler is still `asking`.
        """
        if self._answer is None:
            if self._retries:
                return self._begin(self._retries.pop())
            self._answer = self._asker.submit(self.study.ask)
        if not wait([self._answer], timeout).done:
            return None
        candidate, self._answer = self._answer.result(), None
        for observation in self._pending:
            self.study.tell(*observation)
        self._pending.clear()
        if candidate is None:
            self.exhausted = True
        elif candidate.known is not None:
            reused = _reused(candidate, *candidate.known, self._devices)
            self._keep(candidate, replace(reused, **latency_fields(self._counted(reused.latency))))
        else:
            return self._begin(candidate)
        return None

    def commit(
        self, candidate: Candidate, measurement: Measurement | None, reason: str = "", lost: bool = False
    ) -> None:
        """Take the result of a running candidate: write it, count it and tell the sampler.

        Args:
            measurement: None for a failure; with a `reason` that of a pruned trial.
            lost: the worker died with it, so it is measured again, twice at most.

        Raises:
            StoreLostError: the store was unavailable for too long; the result does not count.
            LeaseLostError: another process searches the study by now.
        """
        self._running -= 1
        if lost and candidate.attempts < _RETRIES:
            candidate.attempts += 1
            self._retries.append(candidate)
        else:
            self._keep(candidate, trial_of(candidate, measurement, reason))

    def commit_latency(self, trial: Trial, latency: Latency | None) -> None:
        """Write the latency of a stored trial, and tell the sampler if it waits for it; None for a failure.

        All latencies of a device count from that of the study's dense trial.
        """
        if latency is not None:
            trial = self._keep_latency(trial, self._counted(latency))
            if trial.origin == "dense":
                for other in [known for known in self.trials if known.latency_ms > 0]:
                    if (counted := self._counted(other.latency)) != other.latency:
                        self._keep_latency(other, counted)
        candidate = self._untimed.pop(trial.number, None)
        if candidate is not None:
            self._tell(candidate, trial)

    def _keep_latency(self, trial: Trial, latency: Latency) -> Trial:
        self._writer.set_latency(self.study_id, trial.number, latency)
        index = [stored.number for stored in self.trials].index(trial.number)
        self.trials[index] = replace(trial, **latency_fields(latency))
        return self.trials[index]

    def _counted(self, latency: Latency) -> Latency:
        dense = dense_trial(self.trials)
        if dense is None or dense.device != latency.device:
            return latency
        return latency.counted_from(dense.latency_ms)

    def close(self) -> None:
        """Stop asking."""
        self._asker.shutdown(wait=False, cancel_futures=True)

    def _begin(self, candidate: Candidate) -> Candidate:
        self._running += 1
        candidate.rivals = self._rivals(candidate)
        begun = RunningTrial(candidate.number, candidate.origin, candidate.config, candidate.parent, candidate.attempts)
        self._writer.begin(self.study_id, begun)
        return candidate

    def _keep(self, candidate: Candidate, trial: Trial) -> None:
        """Write a trial, then let it count; too many failures in a row end the study."""
        self._writer.add(self.study_id, trial)
        self.trials.append(trial)
        self._failures = self._failures + 1 if trial.failed else 0
        if self._failures >= _MAX_FAILURES:
            self.abandoned = (
                f"{self.key.questions}: the last {self._failures} measurements failed, the last one with: "
                f"{trial.reason}; what was measured is stored, and the same command resumes from there"
            )
        if self.study.goals.timed and trial.complete and not trial.latency_ms > 0:
            self._untimed[trial.number] = candidate
        else:
            self._tell(candidate, trial)
        if self.on_trial is not None:
            self.on_trial(self, trial)

    def _tell(self, candidate: Candidate, trial: Trial) -> None:
        if self.asking:
            self._pending.append((candidate, trial))
        else:
            self.study.tell(candidate, trial)

    def _rivals(self, candidate: Candidate) -> tuple[Rival, ...]:
        """Return the front members that the candidate races against; none where it is measured to its end."""
        if not self._race or candidate.origin in BASELINES or self.study.goals.timed:
            return ()
        return tuple(
            Rival(t.number, t.flops, t.paper_flops, t.scores)
            for t in front(self.trials)
            if t.scores and t.n == len(t.scores)
        )


def trial_of(candidate: Candidate, measurement: Measurement | None, reason: str = "") -> Trial:
    """Return the record of a candidate's result.

    A measurement with a reason is that of a pruned trial. Without a measurement, or with one that makes no sense,
    such as NaN, the trial has failed.
    """
    if measurement is not None:
        fields = {**vars(measurement), "state": "pruned" if reason else "complete", "reason": reason}
        try:
            return _record(candidate, fields)
        except RecordError as error:
            reason = f"the worker returned nonsense: {error}"
    return _record(candidate, {"state": "failed", "reason": reason})


def _record(candidate: Candidate, fields: dict[str, Any]) -> Trial:
    own = {"number": candidate.number, "origin": candidate.origin, "config": candidate.config}
    now = {"versions": versions(), "commit": commit(), "created_at": utc_now()}
    return Trial(**{**fields, **own, **now, "parent": candidate.parent})


def _reused(candidate: Candidate, parent: str, known: Trial, devices: Collection[str]) -> Trial:
    """Return the record of a measurement of another study, which took no time here.

    Its latency is that of one of `devices`, or was not measured.
    """
    return replace(
        known if known.device in devices else without_latency(known),
        config=candidate.config,
        number=candidate.number,
        origin=candidate.origin,
        parent=parent,
        reused=True,
        seconds=0.0,
        created_at=utc_now(),
    )
