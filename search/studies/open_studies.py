"""Open the studies of a search, one a benchmark, with what the store holds of them and of related ones."""

from __future__ import annotations

from collections.abc import Iterable

from himap import PruningConfig
from objectives.evaluation.checkpoints import Target
from objectives.evaluation.prompt_check import PromptCheck
from search.config import SearchConfig
from search.inputs.baselines import baselines
from search.inputs.questions import SPLIT, StudyQuestions
from search.sampling.space import VERSION, EffectKey, SearchSpace
from search.studies.lease_holder import LeaseHolder
from search.studies.store_writer import StoreWriter
from search.studies.study import KnownResult, Study
from search.studies.study_run import StudyRun
from storage import Store, StudyKey, Trial
from storage.pareto import cheapest_within, dense_trial, front
from storage.records import without_latency

_WARM_STARTS = 8  # of each other study's front

StoredStudy = tuple[StudyKey, list[Trial]]


def open_runs(
    store: Store,
    config: SearchConfig,
    target: Target,
    questions: Iterable[StudyQuestions],
    check: PromptCheck,
    holder: LeaseHolder | None = None,
    workers: int = 1,
) -> list[StudyRun]:
    """Return a study run a benchmark; what the store already holds of it counts towards the budget.

    Args:
        check: of the target's processor, which counts the image tokens.
        holder: takes the lease of each study before it is read, so that nobody else adds to it.
        workers: trials that will run at the same time.

    Raises:
        StudyLockedError: another process searches one of them.
        DataError: the model cannot take an image.
    """
    others = [(s.key, store.trials(s.id)) for s in store.studies() if of_target(s.key, target)]
    counted = [(part, check.image_tokens(part.loaded.questions)) for part in questions]
    seed, family = config.seed, target.family
    space = SearchSpace(target.shape.layers, seed, cut_layers=target.cut_layers)
    writer = StoreWriter(store, holder.owner if holder else "")
    runs: list[StudyRun] = []
    for part, tokens in counted:
        name, source, digest = part.loaded.name, part.record, part.loaded.digest
        key = StudyKey(target.name, target.digest, name, SPLIT, part.n, seed, VERSION, digest, target.dtype)
        study_id = store.study(key, family, space.layers, target.place)
        if holder is not None:
            holder.take(study_id, key)
        if source is not None:
            store.set_questions(study_id, source)
        stored = store.trials(study_id)
        study = Study(
            *(space, baselines(target), tokens, config.sampler, seed, stored),
            goals=config.goals,
            warm_starts=warm_starts(key, others),
            known=known_results(key, others, tokens),
            workers=workers,
            unfinished=store.running(study_id),
        )
        begun = (key, study_id, study, config.trials, stored, writer)
        runs.append(StudyRun(*begun, race=config.race, source=source, family=family))
    return runs


def of_target(key: StudyKey, target: Target) -> bool:
    """Return whether a study is of these weights, with the same `--dtype`."""
    return (key.weights_digest, key.dtype) == (target.digest, target.dtype)


def known_results(key: StudyKey, others: list[StoredStudy], image_tokens: list[int]) -> dict[EffectKey, KnownResult]:
    """Return what other studies measured of the same weights on the same questions, by effect.

    Latencies of another version of the space are left out: not all of them were measured on an idle device.
    """
    same = (key.questions, key.split, key.n_questions)
    return {
        SearchSpace.effect_key(trial.config, image_tokens): (
            trial.parent or _name(other, trial),
            trial if other.space == key.space else without_latency(trial),
        )
        for other, trials in others
        if other != key and (other.questions, other.split, other.n_questions) == same
        for trial in trials
        if trial.complete
    }


def warm_starts(key: StudyKey, others: list[StoredStudy]) -> list[tuple[PruningConfig, str]]:
    """Return configurations from the fronts of other benchmarks, each with the name of its trial.

    First the cheapest within one point of dense of each benchmark, so that settings can be compared across studies;
    then some members of each front, spread over its costs.
    """
    cheapest: list[tuple[PruningConfig, str]] = []
    spread: list[tuple[PruningConfig, str]] = []
    for other, trials in others:
        members = front(trials)
        if other.questions == key.questions or not members:
            continue
        step = max(1, len(members) / _WARM_STARTS)
        chosen = [members[int(i * step)] for i in range(min(_WARM_STARTS, len(members)))]
        spread += [(trial.config, _name(other, trial)) for trial in chosen]
        best = cheapest_within(members, dense_trial(trials))
        cheapest += [(best.config, _name(other, best))] if best is not None else []
    return list(dict(cheapest + spread).items())


def _name(key: StudyKey, trial: Trial) -> str:
    return f"study {key.name}, trial {trial.number}"
