"""Value objects refuse what contradicts itself, and scores are packed without loss."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import datetime

import pytest

from storage.errors import RecordError, StorageError
from storage.records import QuestionSource, StudyKey, Trial
from storage.sql.rows import pack_scores, unpack_scores


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": "running"}, "got state 'running'; expected one of complete, pruned, failed"),
        ({"origin": "guess"}, "got origin 'guess'; expected one of dense, fastv, paper,"),
        ({"number": -1}, "negative number"),
        ({"accuracy": math.nan}, "got accuracy nan; a complete trial needs one within 0..1"),
        ({"accuracy": 86.1}, "got accuracy 86.1"),
        ({"state": "failed"}, "a failed trial needs a reason"),
        ({"state": "pruned"}, "a pruned trial needs a reason"),
        ({"state": "pruned", "reason": "worse", "accuracy": math.nan}, "a pruned trial needs one within"),
        ({"created_at": datetime(2026, 1, 1)}, "no time zone"),
    ],
)
def test_contradictions_are_refused(make_trial: Callable[..., Trial], change: dict[str, object], problem: str) -> None:
    with pytest.raises(RecordError) as caught:
        make_trial(**change)
    assert problem in str(caught.value)
    assert isinstance(caught.value, StorageError)


def test_records_do_not_change(make_trial: Callable[..., Trial]) -> None:
    with pytest.raises(FrozenInstanceError):
        make_trial().accuracy = 1.0  # type: ignore[misc]


def test_the_name_of_a_study_tells_its_parts(key: StudyKey) -> None:
    assert key.name == "qwenvl-mini/pope/validation-500/seed-0/himap-1/0123456789ab"
    assert replace(key, seed=1).name != key.name
    assert "/mine-anls@12345678/" in replace(key, benchmark="mine-anls", source="12345678").name


def test_a_source_of_questions_is_the_options_of_a_command() -> None:
    source = QuestionSource("a file", data="my file.jsonl", metric="anls", data_root="x", skip_bad=True)
    assert source.options == "--data 'my file.jsonl' --metric anls --data-root x --on-bad skip"
    assert QuestionSource("a set", benchmark="pope", hub=True).arguments == ["--benchmark", "pope", "--hub"]


@pytest.mark.parametrize("values", [(), (0.0,), (1 / 3, 0.1, math.pi, -0.0), tuple(i / 7 for i in range(1000))])
def test_scores_are_packed_without_loss(values: tuple[float, ...]) -> None:
    assert unpack_scores(pack_scores(values)) == values


def test_scores_are_compact() -> None:
    draw = random.Random(0)
    scores = [float(draw.random() < 0.8) for _ in range(1000)]
    assert len(pack_scores(scores)) < 500  # one byte for two answers or less, from eight for one
