"""From a search's answers to verdicts: what is asked, what is certified, and that a stop changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from search.certifying.refine import Aim
from search.certifying.study_certifier import TEST, VALIDATION, Chunk, Plan, StudyCertifier

LOSSES = {0: 0.0, 1: 0.0, 2: 0.004, 3: 0.05, 4: 0.3}  # of each trial against dense, trial 0
COSTS = {0: 1.0, 1: 0.6, 2: 0.4, 3: 0.25, 4: 0.1}
SETTING = Aim((0.005, 0.01, 0.02), 0.05, 2000)


class MemoryBook:
    """A book without a store; `taken` counts the answers that it was given."""

    def __init__(self) -> None:
        self.pieces: dict[str, dict[int, list[tuple[int, np.ndarray]]]] = {VALIDATION: {}, TEST: {}}
        self.plans: list[Plan] = []
        self.taken = 0
        self.again = False

    def answers(self, split: str) -> Mapping[int, Sequence[tuple[int, np.ndarray]]]:
        return self.pieces[split]

    def add(self, split: str, start: int, scores: Mapping[int, np.ndarray]) -> None:
        for number, values in scores.items():
            self.pieces[split].setdefault(number, []).append((start, values))
            self.taken += len(values)

    def register(self, plan: Plan) -> Plan:
        self.plans.append(replace(plan))
        return plan

    def stored(self, margins: Sequence[float], level: float, units: np.ndarray) -> Plan | None:
        return self.plans[0] if self.plans and self.again else None


class Answers:
    """Made-up scores of every trial on every question; dense answers nine of ten questions right."""

    def __init__(self, seed: int = 0, losses: Mapping[int, float] = LOSSES) -> None:
        rng = np.random.default_rng(seed)
        self.scores: dict[str, dict[int, np.ndarray]] = {}
        for split in (VALIDATION, TEST):
            dense, lost = (rng.random(4000) < 0.9).astype(float), rng.random(4000)
            self.scores[split] = {n: dense * (lost >= loss / 0.9) for n, loss in losses.items()}

    def certifier(self, book: MemoryBook, answers_left: int = 8_000, aim: Aim = SETTING) -> StudyCertifier:
        searched = {number: values[:120] for number, values in self.scores[VALIDATION].items()}
        return StudyCertifier(
            *(book, aim, 0, COSTS, searched, np.arange(4000), np.arange(aim.pool)), answers_left=answers_left
        )

    def answer(self, certifier: StudyCertifier, chunk: Chunk) -> None:
        scores = self.scores[chunk.split]
        certifier.take(chunk, {number: scores[number][chunk.start : chunk.stop] for number in chunk.numbers})

    def run(self, certifier: StudyCertifier, chunks: int = 10_000) -> StudyCertifier:
        """Answer that many chunks, several of which are out at a time."""
        while chunks:
            out = [chunk for chunk in (certifier.next() for _ in range(3)) if chunk is not None][:chunks]
            if not out:
                break
            for chunk in reversed(out):
                self.answer(certifier, chunk)
            chunks -= len(out)
        return certifier


def test_each_margin_gets_its_cheapest_certified_setting() -> None:
    certifier = Answers().run(Answers().certifier(MemoryBook()))
    assert certifier.done
    verdicts = {verdict.margin: verdict.number for verdict in certifier.verdicts()}
    assert verdicts[0.02] == 2
    assert verdicts[0.005] in (1, None)
    assert verdicts[0.01] in (1, 2)
    assert all(LOSSES[one.number] < one.bound <= one.margin for one in certifier.verdicts() if one.number is not None)


def test_hopeless_settings_are_not_asked_again() -> None:
    book = MemoryBook()
    Answers().run(Answers().certifier(book))
    assert 4 not in book.pieces[VALIDATION]
    assert not {3, 4} & set(book.pieces[TEST])


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 8, 13])
def test_a_stop_after_any_chunk_changes_no_verdict(stop: int) -> None:
    answers, book = Answers(), MemoryBook()
    whole = answers.run(answers.certifier(MemoryBook()))
    answers.run(answers.certifier(book), stop)
    resumed = answers.run(answers.certifier(book))
    assert resumed.done
    assert [v.number for v in resumed.verdicts()] == [v.number for v in whole.verdicts()]


def test_a_finished_one_asks_nothing_more() -> None:
    answers, book = Answers(), MemoryBook()
    first = answers.run(answers.certifier(book))
    taken = book.taken
    again = answers.run(answers.certifier(book, 8_000))
    assert book.taken == taken
    assert again.verdicts() == first.verdicts()
    assert again.plan is not None and first.plan is not None
    assert again.plan.chains == first.plan.chains


def test_refining_spends_no_more_than_is_left() -> None:
    book = MemoryBook()
    Answers().run(Answers().certifier(book, answers_left=350))
    assert sum(len(values) for pieces in book.pieces[VALIDATION].values() for _, values in pieces) <= 350


def test_the_plan_stands_before_the_first_test_question() -> None:
    answers, book = Answers(), MemoryBook()
    certifier = answers.certifier(book)
    while (chunk := certifier.next()) is None or chunk.split == VALIDATION:
        assert book.plans == []
        assert chunk is not None
        answers.answer(certifier, chunk)
    assert len(book.plans) == 1
    assert certifier.phase == "certify"


def test_settings_that_are_likely_to_be_tested_answer_the_questions_prepared_for_another() -> None:
    losses = dict.fromkeys(LOSSES, 0.0) | {4: 0.3}
    answers, book = Answers(losses=losses), MemoryBook()
    certifier = answers.certifier(book)
    while (chunk := certifier.next()) is not None and chunk.split == VALIDATION:
        answers.answer(certifier, chunk)
    assert chunk is not None and certifier.plan is not None
    chain = max(certifier.plan.chains.values(), key=len)
    assert len(chain) > 1
    assert {0, *chain} <= set(chunk.numbers)
    assert 4 not in chunk.numbers


def test_where_nothing_holds_dense_stands_and_says_why() -> None:
    losses = {0: 0.0, 1: 0.1, 2: 0.15, 3: 0.2, 4: 0.3}
    answers = Answers(losses=losses)
    certifier = answers.run(answers.certifier(MemoryBook()))
    assert [verdict.number for verdict in certifier.verdicts()] == [None, None, None]
    assert certifier.verdicts()[0].reason == "no cheaper configuration had a chance"


def test_too_small_a_pool_names_the_loss_that_it_certifies() -> None:
    answers = Answers(losses={0: 0.0, 1: 0.0, 2: 0.0, 3: 0.05, 4: 0.3})
    certifier = answers.run(answers.certifier(MemoryBook(), aim=Aim((0.01, 0.05), 0.05, 300)))
    first, second = certifier.verdicts()
    assert second.number == 2
    assert first.number is None
    assert first.reason


def test_wrong_certificates_are_rare() -> None:
    wrong = 0
    for seed in range(40):
        answers = Answers(seed, {0: 0.0, 1: 0.0102, 2: 0.0102, 3: 0.0202, 4: 0.3})
        aim = Aim((0.01, 0.02), 0.05, 1000)
        certifier = answers.run(answers.certifier(MemoryBook(), aim=aim))
        truth = {1: 0.0102, 2: 0.0102, 3: 0.0202, 4: 0.3}
        wrong += any(v.number is not None and truth[v.number] >= v.margin for v in certifier.verdicts())
    assert wrong <= 4  # 5 % of 40 are 2; more than 4 has a chance of 1.4 %
