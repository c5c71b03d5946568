"""Confirmations: what goes in comes out, one for each configuration and subset, and the verdict."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from himap import PruningConfig
from storage import Confirmation, RecordError, StorageError, Store, StudyKey
from tests.storage.made_confirmation import FULL

BARE = (
    "config",
    "n_questions",
    "n",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "dense_accuracy",
    "difference",
    "difference_low",
    "difference_high",
)


def test_every_field_comes_back_as_it_was_put_in(store: Store, key: StudyKey) -> None:
    assert set(FULL) == {field.name for field in fields(Confirmation)}
    full = Confirmation(**FULL)
    study = store.study(key)
    before = store.version_stamp(study)
    store.confirm(study, full)
    assert store.version_stamp(study) != before
    assert store.confirmations(study) == [full]
    assert full.config.canonical() == PruningConfig(2, 50.5, 8, 75, "last_token", "instruction")


def test_what_was_not_measured_is_nan_again(store: Store, key: StudyKey) -> None:
    study = store.study(key)
    store.confirm(study, Confirmation(**{name: FULL[name] for name in BARE}))
    (read,) = store.confirmations(study)
    assert math.isnan(read.latency_ms) and math.isnan(read.flops)
    assert (read.trial, read.split, read.scores) == (None, "test", ())


def test_a_second_one_of_the_same_takes_its_place(store: Store, key: StudyKey) -> None:
    study, full = store.study(key), Confirmation(**FULL)
    cheaper, fewer = (
        replace(full, config=replace(full.config, r1=90.0), flops=1e9),
        replace(full, n_questions=100, flops=8e9),
    )
    elsewhere = replace(full, split="validation")
    for one in (full, cheaper, fewer, elsewhere, replace(full, device="another")):
        store.confirm(study, one)
    assert store.confirmations(study) == [cheaper, replace(full, device="another"), fewer]
    assert store.confirmations(study, "validation") == [elsewhere]
    assert store.confirmations(store.study(replace(key, seed=1))) == []


def test_numbers_of_numpy_are_stored_as_plain_ones(store: Store, key: StudyKey) -> None:
    study = store.study(key)
    store.confirm(study, Confirmation(**{**FULL, "n": np.int64(499), "accuracy": np.float64(0.861)}))
    assert store.confirmations(study) == [Confirmation(**FULL)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "got n=0; expected at least one question"),
        ({"accuracy": 0.9}, r"got accuracy 0.9 in \[0.827, 0.889\]"),
        ({"difference": 0.1}, "got difference 0.1 in"),
        ({"difference_low": math.nan}, "got difference -0.004 in"),
        ({"created_at": datetime(2026, 1, 1)}, "no time zone"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        Confirmation(**{**FULL, **changes})


def test_errors_are_one_line(store: Store, key: StudyKey) -> None:
    with pytest.raises(StorageError, match="has no study 99"):
        store.confirm(99, Confirmation(**FULL))
    with pytest.raises(RecordError, match="confirmation on test questions: got device=None; expected str"):
        store.confirm(store.study(key), Confirmation(**{**FULL, "device": None}))


@pytest.mark.parametrize(
    ("bound", "loss", "verdict"),
    [
        (0.01, 0.01, "certified within 1 point"),
        (0.009, 0.02, "certified within 2 points"),
        (0.005, 0.005, "certified within 0.5 points"),
        (0.011, 0.01, "not certified: -0.4 points against dense, 95 % interval -0.9 to +0.2, n = 499"),
        (math.nan, 0.01, "not certified: -0.4 points against dense, 95 % interval -0.9 to +0.2, n = 499"),
    ],
)
def test_the_verdict_asks_for_a_bound(bound: float, loss: float, verdict: str) -> None:
    assert Confirmation(**{**FULL, "bound": bound}).verdict(loss) == verdict


@pytest.mark.parametrize(("low", "within"), [(-0.009, True), (-0.01, False)])
def test_an_estimate_is_within_a_margin_by_its_whole_interval(low: float, within: bool) -> None:
    assert Confirmation(**{**FULL, "difference_low": low}).within(0.01) == within
