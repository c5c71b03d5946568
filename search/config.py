"""The configuration of a search: the options of `search.launch` as one record, which goes to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from himap.presets.schema import first_defect
from objectives.benchmarks import BENCHMARKS
from objectives.data.source import Source
from objectives.options import DTYPES, EVERYTHING, sources
from search.errors import UsageError
from search.inputs.limits import LEAST_QUESTIONS, LEVEL, MARGINS, QUESTIONS, check_certifying, check_number
from search.sampling.problem import REFERENCE, Goals, check_sampler
from storage.job_text import explored_trials


@dataclass(frozen=True)
class SearchConfig:
    """A search: of which model, on which questions, for how many trials, after what, and where.

    Args:
        model: qwenvl, llava-7b, llava-13b, a checkpoint's folder or a hub id.
        budget: trials a study, or as many answers to further questions; what the store holds counts.
        benchmarks: names, or "all".
        weights: auto, mini, full, a folder or a hub id.
        data: a file of your own questions, or a saved datasets folder, in place of benchmarks.
        metric: how the answers to `data` are scored.
        data_root: folder of a benchmark's official files; with `data` that of relative image paths.
        hub: take the benchmark's dataset from the Hugging Face hub.
        on_bad: "stop" at rows of `data` that cannot be used, or "skip" them.
        storage: URL of the store.
        workers: how many; None takes one a GPU, without GPUs one a core that this process may use.
        address: HOST:PORT of a Ray cluster to join; None starts Ray on this machine.
        gpus_per_worker: 0.5 for two workers on one GPU, 2 for a model that one cannot hold; None takes 1 where there
            are GPUs.
        dtype: auto, bfloat16, float16 or float32; auto is the checkpoint's, on a CPU float32.
        memory_mb: MiB a worker may use for images and layers that many configurations share; on a GPU as much of the
            CPU's besides.
        questions: validation questions a trial, fewer if there are no more.
        sampler: auto, ehvi, gp, tpe, nsga2 or random.
        objectives: accuracy with one or two of flops, paper_flops and latency.
        max_drop: accuracy that may be lost, in points.
        max_flops: true FLOPs, in percent of dense.
        max_latency: milliseconds to the first token.
        reference: accuracy below dense, in points, from which on the front gains.
        race: prune configurations that lose, with 95 % confidence, to one that costs no more.
        certify: spend most of the budget on further questions for the best configurations, and certify presets.
        margins: accuracy that a certified preset may lose, in points.
        level: chance of any wrong certificate of a study, in percent.
        pool: test questions of a study; None for 2,000, or all of a file of your own.
        latency_batch: prompts that are timed at once, besides single ones.
        seed: of the sampler and the random criterion.
        presets: folder of the presets.

    Raises:
        UsageError: a value out of range, or an unknown objective or sampler.
        DataError: options of questions that contradict each other.
        UnknownBenchmarkError: no benchmark has this name.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    model: str
    budget: int
    benchmarks: Sequence[str] = tuple(EVERYTHING)
    weights: str = "auto"
    data: str | None = None
    metric: str = ""
    data_root: str | None = None
    hub: bool = False
    on_bad: str = "stop"
    storage: str = "sqlite:///himap.db"
    workers: int | None = None
    address: str | None = None
    gpus_per_worker: float | None = None
    dtype: str = DTYPES[0]
    memory_mb: int = 1024
    questions: int = QUESTIONS
    sampler: str = "auto"
    objectives: Sequence[str] = ("accuracy", "flops")
    max_drop: float | None = None
    max_flops: float | None = None
    max_latency: float | None = None
    reference: float = REFERENCE
    race: bool = True
    certify: bool = True
    margins: Sequence[float] = MARGINS
    level: float = LEVEL
    pool: int | None = None
    latency_batch: int = 8
    seed: int = 0
    presets: str = "presets"

    def __post_init__(self) -> None:
        for name in ("benchmarks", "objectives", "margins"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))
        self.sources()
        for name, least in (
            ("budget", 1),
            ("questions", LEAST_QUESTIONS),
            ("seed", 0),
            ("memory_mb", 0),
            ("latency_batch", 1),
        ):
            check_number(f"--{name.replace('_', '-')}", getattr(self, name), least)
        if self.dtype not in DTYPES:
            raise UsageError(f"got --dtype {self.dtype}; expected one of {', '.join(DTYPES)}")
        check_certifying(self.margins, self.level, self.pool)
        check_sampler(self.sampler, self.goals)
        check_folder("presets", self.presets)

    @property
    def trials(self) -> int:
        """Trials a study: the budget, of which certifying leaves a part for further questions."""
        return explored_trials(self.budget, certify=self.certify)

    @property
    def gpus_of_a_worker(self) -> int:
        """GPUs that hold a worker's model, at least one."""
        return int(max(1.0, self.gpus_per_worker or 1.0))

    @property
    def goals(self) -> Goals:
        """The objectives and the limits."""
        return Goals(tuple(self.objectives), self.max_drop, self.max_flops, self.max_latency, self.reference)

    def sources(self) -> list[Source]:
        """Return where the questions come from, one source a benchmark."""
        return sources(self, self.benchmarks, BENCHMARKS)

    def to_json(self) -> str:
        """Return the fields as a JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> SearchConfig:
        """Return the reverse of `to_json`; fields with a default may be left out.

        Raises:
            UsageError: not such an object: no JSON, an unknown or missing field, or one of the wrong type; otherwise
                as the constructor.
        """
        try:
            return TypeAdapter(cls).validate_json(text, strict=True)
        except ValidationError as error:
            unknown = [str(one["loc"][0]) for one in error.errors() if one["type"] == "unexpected_keyword_argument"]
            known = ", ".join(one.name for one in fields(cls))
            defect = f"unknown field {unknown[0]}; known are {known}" if unknown else first_defect(error).strip()
            raise UsageError(f"not a search configuration: {defect}") from None


def check_folder(option: str, path: str | Path) -> None:
    """Refuse a folder to write to that is a file.

    Raises:
        UsageError: it is.
    """
    if Path(path).exists() and not Path(path).is_dir():
        raise UsageError(f"got --{option} {path}, which is a file; expected a folder")
