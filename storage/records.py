"""The value objects that everything reads and writes. No SQL here, no torch.

A `StudyKey` says which question a study answers; a `Trial` is one measured (or failed) configuration.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from storage.errors import RecordError

State = Literal["complete", "stopped", "failed"]
Origin = Literal["dense", "fastv", "paper", "paper_long", "random", "uniform", "downsample", "transfer", "sampler"]

STATES: tuple[str, ...] = get_args(State)
ORIGINS: tuple[str, ...] = get_args(Origin)


def utc_now() -> datetime:
    """The present moment, timezone-aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, order=True)
class StudyKey:
    """What makes two studies the same: results of different weights or questions never mix."""

    model: str
    weights_digest: str
    benchmark: str
    split: str
    n_questions: int
    seed: int
    space: str

    @property
    def name(self) -> str:
        """A readable name that is the same in every store, unlike the store's integer id."""
        questions = f"{self.split}-{self.n_questions}"
        return "/".join(
            [self.model, self.benchmark, questions, f"seed-{self.seed}", self.space, self.weights_digest[:12]]
        )


@dataclass(frozen=True)
class Trial:
    """One configuration and what it cost and earned.

    Units: `r1`, `r2` percent 0..100; token counts are means over questions; `paper_flops` multiply-adds by
    Eq. 10 of the paper (image tokens only); `flops` true prefill FLOPs of the decoder; `flops_ratio` true
    FLOPs as a part of dense; accuracies 0..1 with a 95 % interval over `n` questions; latencies in
    milliseconds per prompt (median and quartiles); `seconds` wall time of the whole trial.
    What was not measured is NaN. `scores` holds one value per question, in question order (NaN for one that
    was not asked), or is empty when it was not loaded.

    A `stopped` trial was given up once it was surely worse than another; its accuracy is an estimate on the
    `n` questions that were asked. Stopped and failed trials carry their `reason`. `source` names the trial
    that the measurement was taken from ("study NAME, trial 3"), or where a transferred configuration comes
    from; it is empty for what was measured here and not transferred.

    Raises RecordError when state, origin, time zone, accuracy or reason contradict that.
    """

    number: int
    state: State
    origin: Origin
    k1: int
    r1: float
    k2: int
    r2: float
    phi_shallow: str = "instruction"
    phi_deep: str = "intra_column"
    seed: int = 0
    image_tokens: float = math.nan
    tokens_after_k1: float = math.nan
    tokens_after_k2: float = math.nan
    text_tokens: float = math.nan
    paper_flops: float = math.nan
    flops: float = math.nan
    flops_ratio: float = math.nan
    accuracy: float = math.nan
    accuracy_low: float = math.nan
    accuracy_high: float = math.nan
    n: int = 0
    latency_ms: float = math.nan
    latency_low_ms: float = math.nan
    latency_high_ms: float = math.nan
    device: str = ""
    seconds: float = math.nan
    commit: str = ""
    reason: str = ""
    source: str = ""
    created_at: datetime = field(default_factory=utc_now)
    versions: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise RecordError(f"trial {self.number}: {problem}")

    def _problem(self) -> str:
        if self.number < 0:
            return "got a negative number; trials count from 0"
        if self.state not in STATES:
            return f"got state {self.state!r}; expected one of {', '.join(STATES)}"
        if self.origin not in ORIGINS:
            return f"got origin {self.origin!r}; expected one of {', '.join(ORIGINS)}"
        if self.created_at.utcoffset() is None:
            return "created_at has no time zone; use storage.records.utc_now()"
        if self.state != "complete" and not self.reason:
            return f"a {self.state} trial needs a reason"
        if self.state != "failed" and not 0 <= self.accuracy <= 1:
            return f"got accuracy {self.accuracy}; a {self.state} trial needs one within 0..1"
        return ""

    @property
    def complete(self) -> bool:
        """True when the trial was measured to its end."""
        return self.state == "complete"

    @property
    def failed(self) -> bool:
        """True when the trial has no measurement."""
        return self.state == "failed"


@dataclass(frozen=True)
class Latency:
    """Milliseconds per prompt, median and quartiles, and the device they were measured on."""

    median: float
    low: float
    high: float
    device: str


@dataclass(frozen=True)
class StudySummary:
    """One study at a glance. `trials` counts every recorded trial, `failed` and `stopped` those in these
    states."""

    id: int
    key: StudyKey
    trials: int
    failed: int
    created_at: datetime
    updated_at: datetime
    stopped: int = 0

    @property
    def complete(self) -> int:
        """Trials that were measured to their end."""
        return self.trials - self.failed - self.stopped


@dataclass(frozen=True)
class Lease:
    """`owner` is a random id; `pid`, `host` and `birth` say which process that is.

    `birth` is the same for no two processes of one machine, not even after a reboot; empty where that cannot
    be told. Moments are by the store's clock.
    """

    owner: str
    host: str
    pid: int
    birth: str
    taken_at: datetime = field(default_factory=utc_now)
    renewed_at: datetime = field(default_factory=utc_now)
    expires_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True)
class RunningTrial:
    """A trial that was handed to a worker and is not stored yet; `attempts` counts the workers it was lost
    with. It outlives its driver, so that the next one goes on with it. Units as in `Trial`."""

    number: int
    origin: Origin
    k1: int
    r1: float
    k2: int
    r2: float
    phi_shallow: str
    phi_deep: str
    seed: int
    source: str = ""
    attempts: int = 0
    begun_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True)
class QuestionSource:
    """The source of a study's questions; the study's key says what they are, this says where they were.

    `origin` is for people ("mine.jsonl"), `options` is what a command takes to ask the same questions
    ("--data mine.jsonl --metric anls"), `skipped` are rows of a file that were left out: line and reason.
    """

    origin: str
    options: str
    skipped: tuple[tuple[int, str], ...] = ()

    @property
    def words(self) -> list[str]:
        """The options one by one, as a shell splits them."""
        try:
            return shlex.split(self.options)
        except ValueError:  # no quotation mark may be left open
            return [self.options]
