"""The parts of a preset file, schema 1, and one line for the first defect of a file."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from himap.config import PruningConfig
from himap.errors import ConfigError, PresetError, shown

SCHEMA = 1
KIND = "himap-preset"
_NUMBER = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
_UNQUOTED = "; write the number without quotes"

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Signed = Annotated[float, Field(ge=-1, le=1)]
Amount = Annotated[float, Field(ge=0)] | None
Positive = Annotated[float, Field(gt=0)]
Figure = Literal["first_token", "first_token_with_vision", "output_token"]


class Part(BaseModel):
    """A mapping of known fields, each of its exact type, that does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


def _config(value: object) -> PruningConfig:
    if isinstance(value, PruningConfig):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping, got {shown(value)}")
    if missing := [one.name for one in fields(PruningConfig) if one.name not in value]:
        raise ValueError(f"lacks {', '.join(missing)}")
    try:
        return PruningConfig.from_dict(value)
    except ConfigError as error:
        quoted = any(isinstance(one, str) and _NUMBER.fullmatch(one) for one in value.values())
        raise ValueError(f"{error}{_UNQUOTED if quoted else ''}") from None


Configuration = Annotated[PruningConfig, PlainValidator(_config), PlainSerializer(PruningConfig.as_dict)]


class ModelPart(Part):
    """The model that was measured; family (its transformers class) and depth are null where not known.

    `dtype` is the one that was asked for; auto is the checkpoint's, on a CPU float32.
    """

    name: Text
    family: Text | None
    layers: Count | None
    weights_digest: Text
    dtype: Annotated[str, Field(pattern="^(auto|bfloat16|float16|float32)$")] = "auto"


class Certificate(Part):
    """Which operating point of the front this is, its margin against dense, and whether held-out questions certify it.

    An estimate, which nobody measured on held-out questions, is never certified. `level` is the chance of any wrong
    certificate among all margins of the plan, `pool` the number of its test questions, `bound_points` the loss that is
    certified not to be exceeded: by this configuration, or, where dense stands in, by the one that was tested. `plan`
    is the digest under which the store holds the plan.
    """

    operating_point: Text
    margin_points: Annotated[float, Field(gt=0)]
    certified: bool
    verdict: Text
    level: Share | None = None
    bound_points: Amount = None
    pool: Count | None = None
    plan: Text | None = None


class Timing(Part):
    """How long a batch of prompts takes, against dense on the same prompts.

    A figure is the time to the first token, from image features or with the vision tower, or the time of each further
    token. `ms` and `dense_ms` are medians over the `repeats`. `speedup` is the median of their ratios within a repeat,
    with its 95 % interval: dense and the configuration take turns, so that drift of the device does not count.
    """

    figure: Figure
    batch: Count
    ms: Positive
    dense_ms: Positive
    speedup: Positive
    speedup_low: Positive
    speedup_high: Positive
    repeats: Count

    @model_validator(mode="after")
    def _in_order(self) -> Timing:
        _check_order("speedup", self.speedup_low, self.speedup, self.speedup_high)
        return self

    @property
    def ratio(self) -> str:
        """The speed-up with its interval: "x2.15 [2.11, 2.18]"."""
        return f"x{self.speedup:.2f} [{self.speedup_low:.2f}, {self.speedup_high:.2f}]"

    def conditions(self, device: str) -> str:
        """Return what was timed: "first token with vision, batch 1, 20 repeats, NVIDIA A100"."""
        return f"{self.figure.replace('_', ' ')}, batch {self.batch}, {self.repeats} repeats, {device}"


class Measured(Part):
    """What the configuration cost and earned on `n` questions of one benchmark's split; null is what was not measured.

    `source` is a digest of questions that are not embedded, and `questions` are the options by which they were asked
    for. Accuracies are parts of 1 with 95 % intervals; `difference` is against dense on the same questions, with its
    95 % paired interval, null in an estimate. `paper_flops` are multiply-adds by Eq. 10 of the paper, `flops` true
    prefill FLOPs, `flops_ratio` their part of dense; token counts are means. `speed` has one entry a figure and batch,
    none where nothing was timed.
    """

    benchmark: Text
    source: Text | None = None
    questions: Text | None = None
    split: Text
    n: Count
    accuracy: Share
    accuracy_low: Share | None
    accuracy_high: Share | None
    dense_accuracy: Share | None
    difference: Signed | None
    difference_low: Signed | None
    difference_high: Signed | None
    paper_flops: Amount
    flops: Amount
    flops_ratio: Amount
    image_tokens: Amount
    tokens_after_k1: Amount
    tokens_after_k2: Amount
    text_tokens: Amount
    speed: Annotated[tuple[Timing, ...], Field(strict=False)]

    @property
    def key(self) -> str:
        """The benchmark, with the digest of questions that are not embedded: "pope", "mine-anls@1a2b3c4d"."""
        return f"{self.benchmark}@{self.source}" if self.source else self.benchmark

    @model_validator(mode="after")
    def _in_order(self) -> Measured:
        _check_order("accuracy", self.accuracy_low, self.accuracy, self.accuracy_high)
        _check_order("difference", self.difference_low, self.difference, self.difference_high)
        return self


class Provenance(Part):
    """Where the configuration was found (study, trial) and where, when and with what it was measured."""

    study: Text
    trial: Annotated[int, Field(ge=0)]
    seed: int
    device: str
    commit: str
    versions: dict[str, str]
    date: str

    @model_validator(mode="after")
    def _is_a_date(self) -> Provenance:
        try:
            datetime.fromisoformat(self.date)
        except ValueError:
            raise ValueError(f"date must be a date as in 2026-03-04T05:06:07+00:00, got {shown(self.date)}") from None
        return self


def check_kind(document: dict[str, Any]) -> None:
    """Refuse a file of another kind, or of a schema that this version does not read.

    Raises:
        PresetError: another kind, or a newer schema.
    """
    if document.get("kind") != KIND:
        raise PresetError(f"not a preset: expected kind {KIND!r}, got {shown(document.get('kind'))}")
    schema = document.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise PresetError(f"schema must be a whole number from 1 on, got {shown(schema)}")
    if schema > SCHEMA:
        raise PresetError(f"written for schema {shown(schema)}, this version reads up to {SCHEMA}; update himap-search")


def _check_order(name: str, low: float | None, mean: float | None, high: float | None) -> None:
    known = [value for value in (low, mean, high) if value is not None]
    if known != sorted(known):
        raise ValueError(f"must have {name}_low <= {name} <= {name}_high")


def first_defect(error: ValidationError) -> str:
    """Return pydantic's first finding in one line, with the field's path."""
    defect = error.errors(include_url=False)[0]
    location = ".".join(str(part) for part in defect["loc"])
    parent, _, last = location.rpartition(".")
    kind, message = defect["type"], defect["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return f"{parent or 'the file'} lacks {last}"
    if kind == "extra_forbidden":
        return f"{parent or 'the file'} has an unknown field {shown(last)}"
    if kind == "value_error":
        return f"{location}: {message}"
    message = re.sub("^(Input|String|Tuple) should", "must", message).replace("valid tuple", "list")
    if kind in ("model_type", "dict_type"):
        message = "must be a mapping"
    quoted = kind in ("float_type", "int_type") and _NUMBER.fullmatch(str(defect["input"]))
    hint = _UNQUOTED if quoted else ""
    if kind == "string_type" and isinstance(defect["input"], int | float):
        hint = "; write the text in quotes"
    return f"{location} {message[:120]}, got {shown(defect['input'])}{hint}"
