"""What a search reports: its progress to a callback, and its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search.certifying.certified import CertifiedSetting
from search.studies.study_run import StudyRun
from storage import QuestionSource, StudyKey, Trial
from storage.pareto import front, hypervolume

Phase = Literal["message", "measuring", "trial"]


@dataclass(frozen=True)
class Progress:
    """What a search has just done.

    Attributes:
        phase: "message" with text for people, "measuring" once the workers are up, "trial" after each stored trial.
        runs: the studies of the search, with their trials so far.
        stop: call it to end the search once the running trials are stored.
        message: one line or more.
        run: the study of the trial that was stored last; None in other phases.
    """

    phase: Phase
    runs: Sequence[StudyRun]
    stop: Callable[[], None]
    message: str = ""
    run: StudyRun | None = None


@dataclass(frozen=True)
class StudyResult:
    """The result of one study.

    Attributes:
        trials: all stored trials of the study.
        preset: the file of its preset; None where no trial is complete.
        source: where the questions come from, if they are not embedded.
        abandoned: whether it was abandoned, as its measurements failed.
        message: why it ended before its budget; "" if it did not.
        certified: what is deployed within each margin, once the test has ended.
    """

    key: StudyKey
    trials: tuple[Trial, ...]
    preset: Path | None = None
    source: QuestionSource | None = None
    abandoned: bool = False
    message: str = ""
    certified: tuple[CertifiedSetting, ...] = ()

    @property
    def front(self) -> list[Trial]:
        """The Pareto front of FLOPs and accuracy, by rising FLOPs."""
        return front(self.trials)

    @property
    def hypervolume(self) -> float:
        """The area between the front and the reference point (FLOPs ratio 1, accuracy 0)."""
        return hypervolume(self.trials)


@dataclass(frozen=True)
class SearchResult:
    """The result of a search: its studies, and whether it was stopped before their budgets were spent."""

    studies: tuple[StudyResult, ...]
    stopped: bool = False
