"""Opens the studies of a launch: one for each model-benchmark pair, with what is stored of them."""

from __future__ import annotations

from dataclasses import dataclass

from objectives.benchmarks import benchmark
from objectives.benchmarks.embedded import embedded_questions
from objectives.models import image_token_counts
from search.driver import Pair
from search.space import VERSION, SearchSpace
from search.study import PairStudy
from search.targets import Target
from storage import Store, StudyKey

SPLIT = "validation"


@dataclass(frozen=True)
class Request:
    """What a user asked for: which benchmarks, how many trials a pair, on how many questions."""

    benchmarks: list[str]
    budget: int
    questions: int
    sampler: str
    seed: int


def open_pairs(store: Store, target: Target, request: Request) -> list[Pair]:
    """A pair per benchmark; what the store already holds of it counts towards the budget."""
    return [_open(store, target, name, request) for name in request.benchmarks]


def _open(store: Store, target: Target, name: str, request: Request) -> Pair:
    key = StudyKey(target.name, target.digest, name, SPLIT, request.questions, request.seed, VERSION)
    study_id = store.study(key)
    stored = store.trials(study_id)
    questions = embedded_questions(benchmark(name), SPLIT, request.questions)
    study = PairStudy(
        SearchSpace(target.shape.layers, request.seed),
        target.landmarks,
        image_token_counts(target.source, questions),
        request.sampler,
        request.seed,
        stored,
    )
    return Pair(key, study_id, study, request.budget, stored)
