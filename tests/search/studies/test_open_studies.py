"""What a study takes over from others: measurements of the same, and fronts of other benchmarks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from himap import PruningConfig
from search.config import SearchConfig
from search.sampling.space import SearchSpace
from search.studies import open_studies
from search.studies.open_studies import known_results, open_runs, warm_starts
from storage import open_store
from tests.search.search_helpers import IMAGE_TOKENS, KEY, LAYERS, trial

PAPER = PruningConfig.paper()
MORE = PruningConfig(2, 90, 8, 90)


def test_a_measurement_of_the_same_questions_is_known_by_what_it_does() -> None:
    seed, old = (replace(KEY, seed=1), replace(KEY, seed=2, space="two-cuts-1"))
    others = [
        (seed, [trial(4, PAPER), trial(5, MORE, reason="out of memory")]),
        (old, [trial(6, MORE)]),
        (KEY, [trial(0, PruningConfig.dense())]),  # the study itself
        (replace(KEY, n_questions=40), [trial(1, PruningConfig.fastv())]),
        (replace(KEY, benchmark="mme"), [trial(2, PruningConfig.fastv())]),
    ]
    known = known_results(KEY, others, list(IMAGE_TOKENS))
    assert set(known) == {SearchSpace.effect_key(PAPER, IMAGE_TOKENS), SearchSpace.effect_key(MORE, IMAGE_TOKENS)}
    parent, there = known[SearchSpace.effect_key(PAPER, IMAGE_TOKENS)]
    assert (parent, there.number) == (f"study {seed.name}, trial 4", 4)
    assert there.latency_ms > 0
    assert math.isnan(known[SearchSpace.effect_key(MORE, IMAGE_TOKENS)][1].latency_ms)


def test_a_reused_measurement_names_where_it_was_made() -> None:
    again = trial(4, PAPER, parent="study first, trial 9")
    known = known_results(KEY, [(replace(KEY, seed=1), [again])], list(IMAGE_TOKENS))
    assert known[SearchSpace.effect_key(PAPER, IMAGE_TOKENS)][0] == "study first, trial 9"


def test_fronts_of_other_benchmarks_are_thinned_out_evenly() -> None:
    mme = replace(KEY, benchmark="mme")
    trials = [trial(n, PruningConfig(2, 96 - n, 8, 50)) for n in range(24)]
    beaten = trial(30, MORE, flops=1e12, accuracy=0.1, accuracy_low=0.0, accuracy_high=0.2)
    moved = warm_starts(KEY, [(mme, [*trials, beaten]), (replace(KEY, seed=3), [trial(1, PAPER)])])
    assert [config.r1 for config, _ in moved] == [96, 93, 90, 87, 84, 81, 78, 75]
    assert moved[1][1] == f"study {mme.name}, trial 3"
    dense = trial(40, PruningConfig.dense(), "dense", accuracy=0.65, accuracy_low=0.5, accuracy_high=0.8)
    first, *rest = warm_starts(KEY, [(mme, [*trials, dense])])
    cheapest = min((t for t in trials if t.accuracy >= 0.64), key=lambda t: t.flops)
    assert first == (
        PruningConfig(cheapest.config.k1, cheapest.config.r1, 8, 50),
        f"study {mme.name}, trial {cheapest.number}",
    )
    assert first not in rest
    assert warm_starts(KEY, [(mme, [trial(5, PAPER)])]) == [(PAPER, f"study {mme.name}, trial 5")]
    assert warm_starts(KEY, [(mme, [])]) == []


def test_other_studies_are_those_of_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may stand for other weights (checkpoint-500), and the same weights may have several names."""
    monkeypatch.setattr(open_studies.PromptCheck, "image_tokens", lambda *_: list(IMAGE_TOKENS))
    shape = SimpleNamespace(layers=LAYERS)
    target: Any = SimpleNamespace(
        name="tiny", digest="0" * 64, family="", shape=shape, weights="x", fastv_k=2, place="x"
    )
    loaded = SimpleNamespace(name="pope", digest="", questions=())
    questions: Any = SimpleNamespace(loaded=loaded, n=20, record=None)
    moved = PruningConfig(2, 60, 8, 60)
    with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        for key in (replace(KEY, weights_digest="f" * 64, seed=1), replace(KEY, model="other name", seed=2)):
            store.add(store.study(key), trial(4, PAPER if key.model == "tiny" else MORE))
            mme = store.study(replace(key, benchmark="mme"))
            store.add(mme, trial(4, moved if key.model == "tiny" else replace(moved, r1=61)))
        (run,) = open_runs(store, SearchConfig("tiny", 5), target, [questions])
        run.close()
    assert set(run.study._known) == {SearchSpace.effect_key(MORE, IMAGE_TOKENS)}
    assert [config.r1 for origin, config, _ in run.study._queue if origin == "warm_start"] == [61]
