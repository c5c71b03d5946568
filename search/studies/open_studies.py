"""Opens the studies of a launch: one for each model-benchmark pair, with what is stored of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from himap import PruningConfig
from objectives.evaluation.checkpoints import Target
from search.inputs.baselines import baselines
from search.inputs.questions import Asked, image_tokens
from search.sampling.problem import Goals
from search.sampling.space import VERSION, SearchSpace, effective
from search.studies.lease_holder import LeaseHolder
from search.studies.study import Key, Study
from search.studies.study_run import StudyRun
from storage import Store, StudyKey, Trial
from storage.pareto import cheapest_within, front

SPLIT = "validation"
_WARM_STARTS = 8  # of each other pair's front


@dataclass(frozen=True)
class Request:
    """What a user asked for: on what, how many trials a pair, on how many questions at most, after what."""

    asked: list[Asked]
    budget: int
    questions: int
    sampler: str
    seed: int
    workers: int = 1
    goals: Goals = field(default_factory=Goals)


def open_runs(store: Store, target: Target, request: Request, holder: LeaseHolder | None = None) -> list[StudyRun]:
    """A pair per benchmark; what the store already holds of it counts towards the budget.

    A holder takes each study before it is read, so that nobody else adds to it.

    Raises:
        StudyLockedError: another process searches one of them.
    """
    others = [(s.key, store.trials(s.id)) for s in store.studies() if s.key.weights_digest == target.digest]
    counted = [(asked, image_tokens(target.weights, asked)) for asked in request.asked]
    return [_open(store, target, asked, tokens, request, others, holder) for asked, tokens in counted]


def _open(
    store: Store,
    target: Target,
    asked: Asked,
    tokens: list[int],
    request: Request,
    others: list[tuple[StudyKey, list[Trial]]],
    holder: LeaseHolder | None,
) -> StudyRun:
    found, seed = asked.found, request.seed
    key = StudyKey(target.name, target.digest, found.name, SPLIT, asked.n, seed, VERSION, found.digest)
    study_id = store.study(key, target.family, target.shape.layers)
    if holder is not None:
        holder.take(study_id, key)
    if asked.record is not None:
        store.set_questions(study_id, asked.record)
    stored = store.trials(study_id)
    study = Study(
        SearchSpace(target.shape.layers, request.seed),
        baselines(target),
        tokens,
        request.sampler,
        request.seed,
        stored,
        goals=request.goals,
        warm_starts=warm_starts(key, others),
        known=measured(key, others, tokens),
        workers=request.workers,
        unfinished=store.running(study_id),
    )
    return StudyRun(key, study_id, study, request.budget, stored, asked=asked, family=target.family)


def measured(
    key: StudyKey, others: list[tuple[StudyKey, list[Trial]]], image_tokens: list[int]
) -> dict[Key, tuple[str, Trial]]:
    """What other studies measured of the same weights on the same questions, by what it does.

    Latencies of another version of the space stay behind: they were not always measured in quiet.
    """
    asked = (key.questions, key.split, key.n_questions)
    return {
        effective(trial.config, image_tokens): (
            trial.parent or _named(other, trial),
            trial if other.space == key.space else replace(trial, latency_ms=math.nan),
        )
        for other, trials in others
        if other != key and (other.questions, other.split, other.n_questions) == asked
        for trial in trials
        if trial.complete
    }


def warm_starts(key: StudyKey, others: list[tuple[StudyKey, list[Trial]]]) -> list[tuple[PruningConfig, str]]:
    """What other benchmarks found, and where: first of each the cheapest within one point of its dense, so
    that settings can be compared across pairs; then some members of each front, spread over its costs."""
    best: list[tuple[PruningConfig, str]] = []
    found: list[tuple[PruningConfig, str]] = []
    for other, trials in others:
        members = front(trials)
        if other.questions == key.questions or not members:
            continue
        step = max(1, len(members) / _WARM_STARTS)
        chosen = [members[int(i * step)] for i in range(min(_WARM_STARTS, len(members)))]
        found += [(trial.config, _named(other, trial)) for trial in chosen]
        dense = next((trial for trial in trials if trial.origin == "dense" and trial.complete), None)
        cheapest = cheapest_within(members, dense)
        best += [(cheapest.config, _named(other, cheapest))] if cheapest is not None else []
    return list(dict(best + found).items())


def _named(key: StudyKey, trial: Trial) -> str:
    return f"study {key.name}, trial {trial.number}"
