"""Time an ask, a commit, a tell and a resume of one study at several sizes."""

from __future__ import annotations

import random
import statistics

from bench.endless import endless
from bench.engine.run import QUESTIONS, open_study
from bench.measuring import timed
from bench.synthetic import LAYERS, TOKENS, measurement
from search.sampling.space import SearchSpace
from search.studies.study import Candidate
from search.studies.study_run import trial_of
from storage import Store, Trial, open_store

_BATCH = 500


def growth(url: str, sizes: list[int], asks: int, sampler: str) -> list[dict[str, float]]:
    """Return a row for each size: seconds to resume, and milliseconds (medians) to ask, commit and tell."""
    with endless(), open_store(url) as store:
        return [_at(store, size, asks, sampler) for size in sizes]


def _at(store: Store, size: int, asks: int, sampler: str) -> dict[str, float]:
    _fill(store, size)
    (study_id, _, study, stored), resume = timed(open_study, store, sampler)
    seconds: dict[str, list[float]] = {"ask": [], "commit": [], "tell": []}
    for _ in range(asks):
        candidate, ask = timed(study.ask)
        assert candidate is not None, "the space holds more configurations than any size"
        trial = trial_of(candidate, measurement(candidate.config, QUESTIONS))
        seconds["ask"].append(ask)
        seconds["commit"].append(timed(store.add, study_id, trial)[1])
        seconds["tell"].append(timed(study.tell, candidate, trial)[1])
    medians = {f"{name}_ms": 1e3 * statistics.median(values) for name, values in seconds.items()}
    return {"trials": len(stored), "resume_s": resume, **medians}


def _fill(store: Store, size: int) -> None:
    """Fill the study up to that size with configurations drawn at random, none twice."""
    study_id, _, _, stored = open_study(store, "random")
    space, rng = SearchSpace(LAYERS), random.Random(f"{size} rows")  # no study has this seed
    seen = {SearchSpace.effect_key(trial.config, (TOKENS,)) for trial in stored}
    rows: list[Trial] = []
    while len(stored) + len(rows) < size:
        config = space.draw(rng)
        if (key := SearchSpace.effect_key(config, (TOKENS,))) not in seen:
            seen.add(key)
            candidate = Candidate(len(stored) + len(rows), config, "sampler")
            rows.append(trial_of(candidate, measurement(config, QUESTIONS)))
    for begin in range(0, len(rows), _BATCH):
        store.add_all(study_id, rows[begin : begin + _BATCH])
