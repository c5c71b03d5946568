"""One study as it grows: what an ask, a commit and a resume take at so many trials."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.engine.run import LAYERS, TOKENS, empty, open_study
from search.sampling.space import SearchSpace
from search.studies.study import Candidate
from search.studies.study_run import trial_of
from storage import Store, Trial, open_store

_BATCH = 500


def growth(url: str, sizes: list[int], asks: int, sampler: str) -> list[dict[str, float]]:
    """A row for each size: seconds to resume, milliseconds (medians) to ask, to tell and to commit."""
    with open_store(url) as store:
        return [_at(store, size, asks, sampler) for size in sizes]


def _at(store: Store, size: int, asks: int, sampler: str) -> dict[str, float]:
    _fill(store, size)
    start = time.perf_counter()
    study_id, _, study, stored = open_study(store, sampler)
    resume = time.perf_counter() - start
    times: dict[str, list[float]] = {"ask": [], "commit": [], "tell": []}

    def timed(what: str, do: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        done = do()
        times[what].append(1e3 * (time.perf_counter() - begun))
        return done

    while len(times["ask"]) < asks:
        candidate = timed("ask", study.ask)
        trial = trial_of(candidate, empty(candidate.config))
        timed("commit", lambda trial=trial: store.add(study_id, trial))
        timed("tell", lambda candidate=candidate, trial=trial: study.tell(candidate, trial))
    medians = {f"{what}_ms": statistics.median(taken) for what, taken in times.items()}
    return {"trials": len(stored), "resume_s": resume, **medians}


def _fill(store: Store, size: int) -> None:
    """Brings the study to that size with configurations drawn at random, none twice."""
    study_id, _, _, stored = open_study(store, "random")
    space, source = SearchSpace(LAYERS), random.Random(f"{size} rows")  # no study draws the same
    seen = {SearchSpace.effect_key(trial.config, (TOKENS,)) for trial in stored}
    rows: list[Trial] = []
    for number in range(len(stored), size):
        config = space.draw(source)
        while SearchSpace.effect_key(config, (TOKENS,)) in seen:
            config = space.draw(source)
        seen.add(SearchSpace.effect_key(config, (TOKENS,)))
        rows.append(trial_of(Candidate(number, config, "sampler"), empty(config)))
    for begin in range(0, len(rows), _BATCH):
        store.add_all(study_id, rows[begin : begin + _BATCH])
