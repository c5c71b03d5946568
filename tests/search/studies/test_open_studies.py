"""What a study takes over from others: measurements of the same, and fronts of other benchmarks."""

from __future__ import annotations

import math
from dataclasses import replace

from himap import PruningConfig
from search.sampling.space import effective
from search.studies.open_studies import measured, warm_starts
from tests.search.search_helpers import IMAGE_TOKENS, KEY, trial

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
    known = measured(KEY, others, list(IMAGE_TOKENS))
    assert set(known) == {effective(PAPER, IMAGE_TOKENS), effective(MORE, IMAGE_TOKENS)}
    source, there = known[effective(PAPER, IMAGE_TOKENS)]
    assert (source, there.number) == (f"study {seed.name}, trial 4", 4)
    assert there.latency_ms > 0
    assert math.isnan(known[effective(MORE, IMAGE_TOKENS)][1].latency_ms)


def test_a_reused_measurement_names_where_it_was_made() -> None:
    again = trial(4, PAPER, parent="study first, trial 9")
    known = measured(KEY, [(replace(KEY, seed=1), [again])], list(IMAGE_TOKENS))
    assert known[effective(PAPER, IMAGE_TOKENS)][0] == "study first, trial 9"


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
