"""Make a study ready to be refined and certified: its answers, its further questions, its book."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from objectives.benchmarks import Question
from objectives.data.source import QuestionSet
from objectives.data.subsets import TEST_SINGLE, TEST_UNITS, VALIDATION_SINGLE, one_per_image, shared_images
from search.certifying.certified import FinishedStudy
from search.certifying.certify_driver import CertifyTask
from search.certifying.evidence import LEAST_LOOK
from search.certifying.refine import Aim
from search.certifying.study_book import StudyBook
from search.certifying.study_certifier import TEST, VALIDATION, StudyCertifier
from storage import Ledger, Trial
from storage.pareto import dense_trial

_FURTHER = 10_000  # validation questions of embedded scenes, which have no end


@dataclass(frozen=True)
class CertifyQuestions:
    """The questions behind a search's own, and the names of their splits.

    Attributes:
        validation_units: (n,) units of all validation questions, the search's first.
        test_units: (pool,) units of the test questions.
        splits: of the worker, for "validation" and "test".
        pool_digest: of the test questions; "" where they have no end.
    """

    validation_units: np.ndarray
    test_units: np.ndarray
    splits: dict[str, str]
    pool_digest: str


def embedded_questions_of(searched: Sequence[Question], pool: int) -> CertifyQuestions:
    """Return further questions about embedded scenes: each about a scene of its own, of which there is no end."""
    first = unit_numbers(searched)
    further = np.arange(len(searched), _FURTHER) + len(first)
    splits = {VALIDATION: VALIDATION_SINGLE, TEST: TEST_SINGLE}
    return CertifyQuestions(np.concatenate([first, further]), np.arange(pool), splits, "")


def other_questions_of(
    validation: QuestionSet, test: QuestionSet, pool: int
) -> tuple[CertifyQuestions, dict[str, QuestionSet]]:
    """Return further questions of a file or a dataset, and what a worker asks of them, by split.

    One question per image is tested where there are enough images: independent questions certify a margin with the
    fewest answers. Otherwise all are.
    """
    single = one_per_image(test.questions)
    alone = len(single) >= LEAST_LOOK
    asked = single if alone else test.questions
    name = TEST_SINGLE if alone else TEST_UNITS
    units = unit_numbers(asked)
    order = np.argsort(units, kind="stable")  # the questions of a unit side by side
    asked, units = [asked[i] for i in order], units[order]
    size = min(pool, len(asked))
    while 0 < size < len(asked) and units[size - 1] == units[size]:
        size -= 1  # no unit is cut in two
    units = units[:size]
    splits = {VALIDATION: VALIDATION, TEST: name}
    chosen = CertifyQuestions(unit_numbers(validation.questions), units, splits, test.digest)
    ordered = QuestionSet(test.benchmark, list(asked), test.name, test.origin, test.digest)
    return chosen, {VALIDATION: validation, name: ordered}


def unit_numbers(questions: Sequence[Question]) -> np.ndarray:
    """Return the same number for questions that share an image, (n,), in order of first appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in shared_images(questions)], int)


def searched_scores(trials: Sequence[Trial]) -> dict[int, np.ndarray]:
    """Return the scores of the trials that answered as many questions of the search as dense, by number."""
    dense = dense_trial(trials)
    n = 0 if dense is None else len(dense.scores)
    whole = [trial for trial in trials if trial.complete and len(trial.scores) == n > 0]
    return {t.number: np.array(t.scores) for t in whole if not any(map(math.isnan, t.scores))}


def certify_task(
    study: FinishedStudy,
    ledger: Ledger,
    questions: CertifyQuestions,
    aim: Aim,
    answers_left: int,
    *,
    again: bool = False,
) -> CertifyTask | None:
    """Return the task of a study; None where dense is not measured.

    Args:
        answers_left: to refine it.
        again: whether a stored plan of the same aim is taken as it is.
    """
    dense = dense_trial(study.trials)
    scores = searched_scores(study.trials)
    if dense is None or dense.number not in scores:
        return None
    known = {trial.number: trial for trial in study.trials if trial.number in scores}
    largest = getattr(dense, study.cost)
    certifier = StudyCertifier(
        StudyBook(ledger, study.key, questions.pool_digest, again=again),
        aim,
        dense.number,
        {number: getattr(trial, study.cost) / largest for number, trial in known.items()},
        scores,
        questions.validation_units,
        questions.test_units,
        answers_left=answers_left,
        seed=study.key.seed,
    )
    configs = {number: trial.config for number, trial in known.items()}
    return CertifyTask(study.key.questions, certifier, configs, questions.splits)
