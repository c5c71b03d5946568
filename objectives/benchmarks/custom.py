"""The benchmark of a user's own questions, and its metrics by name."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rapidfuzz.distance import Levenshtein

from objectives.benchmarks.base import OPTION_LETTER, SHORT_ANSWER, Benchmark, Question
from objectives.benchmarks.captions import HIGHEST, PROMPT, cider
from objectives.benchmarks.rules.free_choice import read_choice
from objectives.benchmarks.rules.free_number import read_number
from objectives.benchmarks.rules.free_yes_no import read_yes_no
from objectives.benchmarks.rules.vqa import evalai, textvqa_accuracy
from objectives.errors import DataError

Scorer = Callable[[Question, str], float]
TOLERANCE = 0.05  # relative, as ChartQA's relaxed accuracy
_ANLS_LEAST = 0.5
_SENTENCE = 32  # tokens: "The correct answer is **B**." is cut by 8
_SHORT = {"vqa": "vqa_accuracy"}


@dataclass(frozen=True)
class Metric:
    """The last line of prompts and the scorer of answers; `score` is None for CIDEr, which needs all answers."""

    score: Scorer | None
    suffix: str = SHORT_ANSWER
    max_new_tokens: int = 16
    graded: bool = False


def metric(name: str) -> Metric:
    """Return the metric called `name`; "number" may carry a relative tolerance, as in "number=0.01".

    Raises:
        DataError: no such metric.
    """
    kind, _, tolerance = metric_name(name).partition("=")
    if kind == "number" and tolerance:
        try:
            allowed = float(tolerance)
        except ValueError:
            allowed = math.nan
        if not 0 <= allowed < 1:
            raise DataError(f"got metric {name!r}; expected a tolerance from 0 to below 1, as in number=0.01")
        return replace(METRICS[kind], score=lambda question, answer: number(question, answer, allowed))
    if kind not in METRICS or tolerance:
        raise DataError(f"unknown metric {name!r}; expected one of {', '.join(METRICS)}")
    return METRICS[kind]


def metric_name(given: str) -> str:
    """Return the one name of a metric that users may write in several ways: "VQA" is vqa_accuracy."""
    name = given.lower().replace("-", "_")
    return _SHORT.get(name, name)


def exact(question: Question, answer: str) -> float:
    """Return 1 if the answer is among the true ones, apart from case, outer spaces and a final period."""
    return float(_simple(answer) in map(_simple, question.answers))


def vqa(question: Question, answer: str) -> float:
    """Return the VQA accuracy, with all texts in the form of the EvalAI processor.

    With ten annotators it is TextVQA's; with fewer min(1, matches / 3); with one it is equality.
    """
    if len(question.answers) == 10:
        return textvqa_accuracy(answer, question.answers)
    matches = sum(evalai(truth) == evalai(answer) for truth in question.answers)
    return min(1.0, matches / min(3, len(question.answers)))


def yes_no(question: Question, answer: str) -> float:
    """Return 1 if the answer says the truth, yes or no."""
    return float(read_yes_no(answer) == _simple(question.answers[0]))


def choice(question: Question, answer: str) -> float:
    """Return 1 if the answer means the right option, by its letter or by its words."""
    return float(read_choice(answer, question.choices) == question.answers[0])


def number(question: Question, answer: str, tolerance: float = TOLERANCE) -> float:
    """Return 1 if the number in the answer lies within the relative tolerance of the truth."""
    value = read_number(answer)
    truths = [true for text in question.answers if (true := read_number(text)) is not None]
    return float(value is not None and any(abs(value - true) <= tolerance * abs(true) for true in truths))


def anls(question: Question, answer: str) -> float:
    """Return the normalized Levenshtein similarity to the closest of the given answers; 0 below one half.

    Source: ANLS of Biten et al., Scene Text Visual Question Answering (ICCV 2019).
    """
    one = _composed(answer.strip().lower())
    truths = (_composed(truth.strip().lower()) for truth in question.answers)
    return max(Levenshtein.normalized_similarity(one, truth, score_cutoff=_ANLS_LEAST) for truth in truths)


def _simple(text: str) -> str:
    return " ".join(_composed(text.casefold()).split()).rstrip(".")


def _composed(text: str) -> str:
    """Return a text with one form of each accented letter: "é" may be one character or two."""
    return unicodedata.normalize("NFC", text)


METRICS: dict[str, Metric] = {
    "exact_match": Metric(exact),
    "vqa_accuracy": Metric(vqa),
    "yes_no": Metric(yes_no, max_new_tokens=_SENTENCE),
    "multiple_choice": Metric(choice, OPTION_LETTER, _SENTENCE),
    "number": Metric(number, max_new_tokens=_SENTENCE),
    "anls": Metric(anls, max_new_tokens=32, graded=True),
    "cider": Metric(None, PROMPT, 64, graded=True),
}


class OwnBenchmark(Benchmark):
    """A user's own questions under one metric; `name` names the file and the metric."""

    def __init__(self, name: str, title: str, measured: Metric) -> None:
        self.name, self.title = name, title
        self.suffix, self.max_new_tokens, self.graded = (measured.suffix, measured.max_new_tokens, measured.graded)
        self._score, self.corpus = measured.score, measured.score is None

    def prompt(self, question: Question) -> str:
        return super().prompt(question) if question.text else self.suffix

    def target(self, question: Question) -> str:
        return max(question.answers, key=question.answers.count)

    def score(self, question: Question, answer: str) -> float:
        return self.scores([question], [answer])[0] if self._score is None else self._score(question, answer)

    def scores(self, questions: Sequence[Question], answers: Sequence[str]) -> list[float]:
        if self._score is None:
            return [value / HIGHEST for value in cider(questions, answers)]
        return super().scores(questions, answers)

    def metrics(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
        figures = super().metrics(questions, answers)
        return figures | ({"cider": 100 * HIGHEST * figures["accuracy"]} if self._score is None else {})
