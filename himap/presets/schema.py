"""What a preset file may hold: the current schema, the older one, and one line for the first defect."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from himap.errors import PresetError, shown

SCHEMA = 2
KIND = "himap-preset"

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Signed = Annotated[float, Field(ge=-1, le=1)]
Amount = Annotated[float, Field(ge=0)] | None


def _moment(value: object) -> object:
    """YAML reads a date without quotes as one; a preset keeps its text."""
    return value.isoformat() if isinstance(value, date) else value


def _named(value: object) -> object:
    """Schema 1 also took a study's number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Part(BaseModel):
    """A mapping of known fields, each of its exact type, that does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Configuration(Part):
    """The fields of `himap.PruningConfig`, which checks their ranges."""

    k1: int
    r1: float
    k2: int
    r2: float
    phi_shallow: Text
    phi_deep: Text
    seed: int


class ModelPart(Part):
    """The model that was measured; family (its transformers class) and depth are null where not known."""

    name: Text
    family: Text | None
    layers: Count | None
    weights_digest: Text


class Promise(Part):
    """Which place on the front this is, what it promises against dense, and whether held-out data agree."""

    place: Text
    within_points: Annotated[float, Field(gt=0)]
    confirmed: bool
    verdict: Text


class Numbers(Part):
    """What a configuration cost and earned; null is what was not measured.

    Accuracies and their 95 % intervals are parts of 1; `paper_flops` multiply-adds by Eq. 10 of the paper,
    `flops` true prefill FLOPs, `flops_ratio` their part of dense; milliseconds per prompt; mean token counts.
    """

    accuracy: Share
    accuracy_low: Share | None
    accuracy_high: Share | None
    paper_flops: Amount
    flops: Amount
    flops_ratio: Amount
    latency_ms: Amount
    image_tokens: Amount
    tokens_after_k1: Amount
    tokens_after_k2: Amount

    @model_validator(mode="after")
    def _in_order(self) -> Numbers:
        _check_order("accuracy", self.accuracy_low, self.accuracy, self.accuracy_high)
        return self


class Measured(Numbers):
    """Numbers on `n` questions of one benchmark's split; `difference` is against dense on the same ones, with
    its 95 % paired interval, null in an estimate. `questions` are the options by which questions that are not
    embedded were asked for; it may be left out."""

    benchmark: Text
    questions: Text | None = None
    split: Text
    n: Count
    dense_accuracy: Share | None
    difference: Signed | None
    difference_low: Signed | None
    difference_high: Signed | None
    dense_latency_ms: Amount
    text_tokens: Amount

    @model_validator(mode="after")
    def _difference_in_order(self) -> Measured:
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
    date: Annotated[str, BeforeValidator(_moment)]

    @model_validator(mode="after")
    def _is_a_date(self) -> Provenance:
        try:
            datetime.fromisoformat(self.date)
        except ValueError:
            raise ValueError(f"date must be a date as in 2026-03-04T05:06:07+00:00, got {shown(self.date)}") from None
        return self


class Document(Part):
    """A preset file of schema 2."""

    schema_: Annotated[Literal[2], Field(alias="schema")]
    kind: Literal["himap-preset"]
    configuration: Configuration
    model: ModelPart
    promise: Promise
    measured: Annotated[tuple[Measured, ...], Field(strict=False, min_length=1)]
    provenance: Provenance


class OldModelPart(Part):
    name: Text
    weights_digest: Text


class OldBenchmark(Part):
    name: Text
    split: Text
    n: Count


class OldMeasured(Numbers):
    n: Count


class OldProvenance(Provenance):
    study: Annotated[Text, BeforeValidator(_named)]
    estimate: Text


class OldDocument(Part):
    """A preset file of schema 1: one benchmark, never confirmed."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    kind: Literal["himap-preset"]
    configuration: Configuration
    model: OldModelPart
    benchmark: OldBenchmark
    measured: OldMeasured
    provenance: OldProvenance

    def current(self) -> Document:
        """The same as a document of the current schema."""
        measured = {
            **self.measured.model_dump(),
            "benchmark": self.benchmark.name,
            "split": self.benchmark.split,
            **dict.fromkeys(
                ("dense_accuracy", "difference", "difference_low", "difference_high", "dense_latency_ms", "text_tokens")
            ),
        }
        return Document.model_validate(
            {
                "schema": SCHEMA,
                "kind": KIND,
                "configuration": self.configuration,
                "model": {**self.model.model_dump(), "family": None, "layers": None},
                "promise": {
                    "place": "member of the front",
                    "within_points": 1.0,
                    "confirmed": False,
                    "verdict": f"not confirmed: {self.provenance.estimate}",
                },
                "measured": [measured],
                "provenance": self.provenance.model_dump(exclude={"estimate"}),
            }
        )


def parse(document: dict[str, Any]) -> Document:
    """A file's content, checked.

    Raises:
        PresetError: another kind, a newer schema, or the first field that is unknown, missing or wrong.
    """
    if document.get("kind") != KIND:
        raise PresetError(f"not a preset: expected kind {KIND!r}, got {shown(document.get('kind'))}")
    schema = document.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise PresetError(f"schema must be a whole number from 1 on, got {shown(schema)}")
    if schema > SCHEMA:
        raise PresetError(f"written for schema {shown(schema)}, this version reads up to {SCHEMA}; update himap-search")
    try:
        if schema == 1:
            return OldDocument.model_validate(document).current()
        return Document.model_validate(document)
    except ValidationError as error:
        raise PresetError(_first_defect(error)) from None


def _check_order(name: str, low: float | None, mean: float | None, high: float | None) -> None:
    known = [value for value in (low, mean, high) if value is not None]
    if known != sorted(known):
        raise ValueError(f"must have {name}_low <= {name} <= {name}_high")


def _first_defect(error: ValidationError) -> str:
    """Pydantic's first finding in one line, with the field's path."""
    found = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    parent, _, last = place.rpartition(".")
    kind, said = found["type"], found["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return f"{parent or 'the file'} lacks {last}"
    if kind == "extra_forbidden":
        return f"{parent or 'the file'} has an unknown field {shown(last)}"
    if kind == "value_error":
        return f"{place} {said}"
    said = re.sub("^(Input|String|Tuple) should", "must", said).replace("valid tuple", "list")
    if kind in ("model_type", "dict_type"):
        said = "must be a mapping"
    return f"{place} {said[:120]}, got {shown(found['input'])}"
