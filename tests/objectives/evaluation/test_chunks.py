"""The order in which an evaluator asks: shuffled, the same each time, groups in one piece."""

from __future__ import annotations

import pytest

from objectives.benchmarks import Question, benchmark
from objectives.data.embedded import embedded_questions
from objectives.errors import DataError
from objectives.evaluation.batches import chunked, parts
from objectives.evaluation.evaluator import check_questions


@pytest.mark.parametrize("name", ["pope", "mme"])
def test_both_questions_of_a_pair_are_in_one_chunk_side_by_side(name: str) -> None:
    questions = embedded_questions(benchmark(name), "validation", 120)
    chunks = chunked(questions, 32)
    order = [i for chunk in chunks for i in chunk]
    assert sorted(order) == list(range(len(questions))) != order
    assert chunks == chunked(questions, 32)
    for chunk in chunks:
        groups = [questions[i].group for i in chunk]
        assert groups[::2] == groups[1::2]
        assert len(chunk) <= 32


def test_questions_without_groups_are_shuffled_singly_into_equal_chunks() -> None:
    questions = [Question(str(i), "x", "?", ("a",)) for i in range(100)]
    chunks = chunked(questions, 32)
    assert [len(chunk) for chunk in chunks] == [len(part) for part in parts(range(100), 32)] == [25] * 4
    assert any(abs(a - b) > 1 for a, b in zip(chunks[0], chunks[0][1:], strict=False))


def test_a_group_larger_than_a_chunk_stays_whole() -> None:
    questions = [Question(str(i), "x", "?", ("a",), group="all" if i < 70 else "") for i in range(100)]
    assert any(set(range(70)) <= set(chunk) for chunk in chunked(questions, 32))


def test_questions_without_an_image_are_refused_and_counted() -> None:
    seeing, blind = Question("a", "x", "?", ("a",), more_images=("y",)), Question("b", "", "?", ("a",))
    check_questions([seeing])
    with pytest.raises(DataError, match=r"2 of 3 questions have no image, the first is 'b'"):
        check_questions([seeing, blind, blind])
