"""The records that everything reads and writes. No SQL here, no torch.

A `StudyKey` says which question a study answers; a `Trial` is one measured (or failed) configuration.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from himap.config import PruningConfig
from himap.presets.schema import Timing
from storage.errors import RecordError

State = Literal["complete", "pruned", "failed"]
JobState = Literal["queued", "running", "finished", "failed", "cancelled"]
Origin = Literal["dense", "fastv", "paper", "paper_long", "random", "uniform", "downsample", "warm_start", "sampler"]

STATES: tuple[str, ...] = get_args(State)
ORIGINS: tuple[str, ...] = get_args(Origin)
SPEEDUP = ("speedup", "speedup_low", "speedup_high")
BASELINES = tuple(origin for origin in ORIGINS if origin not in ("warm_start", "sampler"))


def utc_now() -> datetime:
    """Return the present moment, timezone-aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, order=True)
class StudyKey:
    """What makes two studies the same: results of different weights, questions or `--dtype` never mix.

    `source` is a digest of the questions and images; it is empty where the questions are embedded. `dtype` is the one
    that was asked for; auto is the checkpoint's, on a CPU float32, and so depends on the device.
    """

    model: str
    weights_digest: str
    benchmark: str
    split: str
    n_questions: int
    seed: int
    space: str
    source: str = ""
    dtype: str = "auto"

    @property
    def questions(self) -> str:
        """The benchmark, with the digest of questions that are not embedded: "pope", "mine-anls@1a2b3c4d"."""
        return f"{self.benchmark}@{self.source}" if self.source else self.benchmark

    @property
    def weights(self) -> str:
        """The weights in a few letters, with the dtype where one was asked for: "0f3a9c1e", "0f3a9c1e in bfloat16"."""
        return self.weights_digest[:8] + ("" if self.dtype == "auto" else f" in {self.dtype}")

    @property
    def name(self) -> str:
        """A readable name that is the same in every store, unlike the store's integer id."""
        part = f"{self.split}-{self.n_questions}"
        name = f"{self.model}/{self.questions}/{part}/seed-{self.seed}/{self.space}/{self.weights_digest[:12]}"
        return name if self.dtype == "auto" else f"{name}/{self.dtype}"


@dataclass(frozen=True)
class QuestionSource:
    """Where the questions of a study come from; the study's key says what they are.

    `origin` is for people ("mine.jsonl"). The other fields are the options by which a command asks the same questions.
    `skipped` are rows of a file that were left out: line and reason.
    """

    origin: str
    benchmark: str = ""
    data: str = ""
    metric: str = ""
    data_root: str = ""
    hub: bool = False
    skip_bad: bool = False
    skipped: tuple[tuple[int, str], ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The options as words of a command line."""
        named = {
            "--benchmark": self.benchmark,
            "--data": self.data,
            "--metric": self.metric,
            "--data-root": self.data_root,
        }
        words = [word for name, value in named.items() if value for word in (name, value)]
        return [*words, *(["--hub"] if self.hub else []), *(["--on-bad", "skip"] if self.skip_bad else [])]

    @property
    def options(self) -> str:
        """The options as a shell takes them: "--data mine.jsonl --metric anls"."""
        return shlex.join(self.arguments)


@dataclass(frozen=True)
class Latency:
    """Milliseconds to the first token of a single prompt, and the device.

    They are dense's median by the speed-up, `low` and `high` by the ends of its 95 % interval. `timings` is everything
    that was timed, the first one of these the speed-up's.
    """

    median: float
    low: float
    high: float
    device: str
    dense: float = math.nan
    timings: tuple[Timing, ...] = ()

    @classmethod
    def of(cls, timings: tuple[Timing, ...], device: str) -> Latency:
        """Return the latency of these timings."""
        first = timings[0]
        median, low, high = (first.dense_ms / part for part in (first.speedup, first.speedup_high, first.speedup_low))
        return cls(median, low, high, device, first.dense_ms, timings)

    def counted_from(self, dense: float) -> Latency:
        """Return the latency where dense takes that many milliseconds; itself where one of them is not known.

        With one value of dense for a whole study its latencies are comparable, whatever else ran during one of them.
        """
        scale = dense / self.dense if self.dense > 0 else math.nan
        if not scale > 0:
            return self
        return replace(self, median=scale * self.median, low=scale * self.low, high=scale * self.high, dense=dense)

    @property
    def headline(self) -> Timing | None:
        """The timing that stands for all, see `headline`."""
        return headline(self.timings)


def headline(timings: Sequence[Timing]) -> Timing | None:
    """Return the first token of single prompts: with the vision tower where that was timed, as a user waits for it."""
    single = {timing.figure: timing for timing in timings if timing.batch == 1}
    return single.get("first_token_with_vision") or single.get("first_token")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a configuration costs and earns on the questions of one benchmark.

    Token counts are means over questions. `paper_flops` are multiply-adds by Eq. 10 of the paper (image tokens only),
    `flops` true prefill FLOPs of the decoder, `flops_ratio` their part of dense. Accuracies are parts of 1 with a 95 %
    interval over `n` questions, latencies as in `Latency`, `seconds` the wall time of the measurement. What was not
    measured is NaN. `scores` holds one value per question, in question order (NaN for one that was not asked); it is
    empty where it was not loaded.
    """

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
    dense_latency_ms: float = math.nan
    timings: tuple[Timing, ...] = ()
    device: str = ""
    seconds: float = math.nan
    commit: str = ""
    created_at: datetime = field(default_factory=utc_now)
    versions: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    scores: tuple[float, ...] = ()

    @property
    def latency(self) -> Latency:
        """The latency, of NaN where it was not measured."""
        times = (self.latency_ms, self.latency_low_ms, self.latency_high_ms)
        return Latency(*times, self.device, self.dense_latency_ms, self.timings)

    def timed_at(self, batch: int) -> bool:
        """Return whether every figure was timed at this batch, and not the first token alone."""
        return any(timing.figure == "output_token" and timing.batch == batch for timing in self.timings)

    @property
    def speedup(self) -> float:
        """The time to dense's first token by the configuration's, timed in turns."""
        return self._speedup(self.latency_ms)

    @property
    def speedup_low(self) -> float:
        """The lower end of its 95 % interval."""
        return self._speedup(self.latency_high_ms)

    @property
    def speedup_high(self) -> float:
        """The upper end of its 95 % interval."""
        return self._speedup(self.latency_low_ms)

    def _speedup(self, milliseconds: float) -> float:
        return self.dense_latency_ms / milliseconds if milliseconds > 0 else math.nan

    def flat(self) -> dict[str, Any]:
        """Return the fields by name, the settings of the configuration and the speed-up among them.

        Scores and timings are left out.
        """
        values: dict[str, Any] = {}
        for name, value in vars(self).items():
            values |= value.as_dict() if name == "config" else {name: value}
        del values["scores"], values["timings"]
        return values | {name: getattr(self, name) for name in SPEEDUP}


def latency_fields(latency: Latency) -> dict[str, Any]:
    """Return the fields of a `Measurement` that a latency sets."""
    return {
        "latency_ms": latency.median,
        "latency_low_ms": latency.low,
        "latency_high_ms": latency.high,
        "dense_latency_ms": latency.dense,
        "timings": latency.timings,
        "device": latency.device,
    }


def without_latency(trial: Trial) -> Trial:
    """Return the trial as it was before its latency was measured."""
    return replace(trial, **latency_fields(Latency(math.nan, math.nan, math.nan, trial.device)))


@dataclass(frozen=True)
class Trial(Measurement):
    """One configuration of a study, with its measurement.

    A `pruned` trial was stopped once it was worse than another with 95 % confidence; its accuracy is an estimate on
    the `n` questions that were asked. Pruned and failed trials carry their `reason`. `parent` names the trial ("study
    NAME, trial 3") that a warm start takes its configuration from, or, for a `reused` trial, its measurement.

    Raises:
        RecordError: state, origin, time zone, accuracy or reason contradict that.
    """

    number: int
    state: State
    origin: Origin
    config: PruningConfig
    reason: str = ""
    parent: str = ""
    reused: bool = False

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
        """Whether the trial was measured to its end."""
        return self.state == "complete"

    @property
    def failed(self) -> bool:
        """Whether the trial has no measurement."""
        return self.state == "failed"

    @property
    def is_baseline(self) -> bool:
        """Whether the configuration is dense, FastV, one of the paper's or a control, and not the search's."""
        return self.origin in BASELINES


@dataclass(frozen=True)
class RunningTrial:
    """A trial that was handed to a worker and is not stored yet; `attempts` counts the workers it was lost with.

    It outlives its driver, so that the next one resumes it.
    """

    number: int
    origin: Origin
    config: PruningConfig
    parent: str = ""
    attempts: int = 0
    begun_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True)
class Lease:
    """The right of one process to search a study; a study has one lease at most.

    The owner renews it. Once it has expired anybody may take it, and then nothing that the former owner still writes
    is accepted. `owner` is a random id; `pid`, `host` and `birth` say which process that is. `birth` is the same for
    no two processes of one machine, not even after a reboot; it is empty where that cannot be told. Moments are by the
    store's clock.
    """

    owner: str
    host: str
    pid: int
    birth: str
    taken_at: datetime = field(default_factory=utc_now)
    renewed_at: datetime = field(default_factory=utc_now)
    expires_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True)
class JobRecord:
    """A request that a runner carries out: its place in the queue, and how far it is.

    `kind` says what the JSON text `request` is; its relative paths refer to `folder`. Of the queued jobs those with the
    highest `priority` come first, but none before `ready_at`. `message` is the result in one line, or why it waits.
    `cancelling` asks the runner to stop it. `starts` counts its processes, `crashes` those in a row that ended soon and
    without a reason. A running job has the lease of its runner (`owner`, `host`, `pid`, `birth`, `expires_at`) and a
    process of its own (`process_pid`, `process_birth`). Moments are by the store's clock.
    """

    kind: str
    request: str
    folder: str
    submitted_by: str
    priority: int = 0
    id: int = 0
    state: JobState = "queued"
    message: str = ""
    cancelling: bool = False
    starts: int = 0
    crashes: int = 0
    submitted_at: datetime = field(default_factory=utc_now)
    ready_at: datetime = field(default_factory=utc_now)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    owner: str = ""
    host: str = ""
    pid: int = 0
    birth: str = ""
    expires_at: datetime | None = None
    process_pid: int = 0
    process_birth: str = ""


@dataclass(frozen=True)
class StudySummary:
    """One study at a glance.

    `family` is the model's transformers class and `layers` its decoder's depth ("" and 0 where unknown); `weights` is
    what --weights takes for the same weights ("" where the model's name implies them). `trials`
    counts every recorded trial, `failed` and `pruned` those in these states.
    """

    id: int
    key: StudyKey
    trials: int
    failed: int
    created_at: datetime
    updated_at: datetime
    pruned: int = 0
    family: str = ""
    layers: int = 0
    weights: str = ""

    @property
    def complete(self) -> int:
        """Trials that were measured to their end."""
        return self.trials - self.failed - self.pruned
