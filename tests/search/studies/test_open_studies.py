"""What a study takes over from others: measurements of the same, and fronts of other benchmarks."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from himap import PruningConfig
from objectives.data.source import Source
from objectives.evaluation import prompt_check
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.models import load_processor
from objectives.evaluation.prompt_check import PromptCheck
from search.certifying.confirmer import studies_of
from search.config import SearchConfig
from search.inputs.questions import load_study_questions
from search.running import launch_run
from search.sampling.space import SearchSpace
from search.studies.open_studies import known_results, open_runs, warm_starts
from search.studies.study_run import StudyRun
from storage import Latency, Store, open_store
from tests.search.search_helpers import IMAGE_TOKENS, KEY, LAYERS, ROOT, trial

EXAMPLE = ROOT / "examples" / "questions.jsonl"
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
    elsewhere = known[SearchSpace.effect_key(MORE, IMAGE_TOKENS)][1]
    assert repr(elsewhere.latency) == repr(Latency(math.nan, math.nan, math.nan, elsewhere.device))


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


def test_other_studies_are_those_of_the_same_weights(tmp_path: Path) -> None:
    """A name may stand for other weights (checkpoint-500), and the same weights may have several names."""
    check: Any = SimpleNamespace(image_tokens=lambda questions: list(IMAGE_TOKENS))
    shape = SimpleNamespace(layers=LAYERS)
    target: Any = SimpleNamespace(
        **{
            "name": "tiny",
            "digest": "0" * 64,
            "dtype": "auto",
            "family": "",
            "shape": shape,
            "weights": "x",
            "fastv_k": 2,
            "place": "x",
        },
        cut_layers=tuple(range(1, LAYERS)),
    )
    loaded = SimpleNamespace(name="pope", digest="", questions=())
    questions: Any = SimpleNamespace(loaded=loaded, n=20, record=None)
    moved = PruningConfig(2, 60, 8, 60)
    with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        for key in (replace(KEY, weights_digest="f" * 64, seed=1), replace(KEY, model="other name", seed=2)):
            store.add(store.study(key), trial(4, PAPER if key.model == "tiny" else MORE))
            mme = store.study(replace(key, benchmark="mme"))
            store.add(mme, trial(4, moved if key.model == "tiny" else replace(moved, r1=61)))
        (run,) = open_runs(store, SearchConfig("tiny", 5), target, [questions], check)
        run.close()
    assert set(run.study._known) == {SearchSpace.effect_key(MORE, IMAGE_TOKENS)}
    assert [config.r1 for origin, config, _ in run.study._queue if origin == "warm_start"] == [61]


def test_an_edited_processor_starts_a_study_of_its_own(tiny: Path, tmp_path: Path) -> None:
    """Rows that were measured with other processor settings never meet, neither as trials nor as known results."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny, folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    questions = [load_study_questions(Source("pope"), "validation", 4)]

    def opened(store: Store) -> StudyRun:
        target = resolve(str(folder))
        (run,) = open_runs(
            store, SearchConfig(str(folder), 9, sampler="random"), target, questions, PromptCheck(folder)
        )
        return run

    with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        first = opened(store)
        store.add(first.study_id, trial(0, PruningConfig.dense(), "dense"))
        assert len(opened(store).trials) == 1
        edited = settings | {"image_mean": [0.9, 0.9, 0.9]}
        (folder / "preprocessor_config.json").write_text(json.dumps(edited))
        second = opened(store)
        assert second.study_id != first.study_id and not second.trials and not second.study._known
        (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=3))
        assert opened(store).study_id not in (first.study_id, second.study_id)  # by bytes: no file is interpreted
        assert [summary.key.model for summary in store.studies()] == ["checkpoint"] * 3


def test_another_dtype_starts_a_study_of_its_own(tiny: Path, tmp_path: Path) -> None:
    questions = [load_study_questions(Source("pope"), "validation", 4)]
    with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:

        def opened(dtype: str) -> StudyRun:
            config = SearchConfig(str(tiny), 9, sampler="random", dtype=dtype)
            target = resolve(str(tiny), dtype=dtype)
            return open_runs(store, config, target, questions, PromptCheck(tiny))[0]

        first = opened("auto")
        store.add(first.study_id, trial(0, PruningConfig.dense(), "dense"))
        other = opened("bfloat16")
        assert other.study_id != first.study_id and not other.trials and not other.study._known
        assert other.key.name == f"{first.key.name}/bfloat16"
        target = resolve(str(tiny))
        assert [one.id for one in studies_of(store, target, []).values()] == [first.study_id]
        assert not studies_of(store, replace(target, dtype="bfloat16"), [])  # it has no trial


def test_a_search_loads_one_processor(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[object] = []
    monkeypatch.setattr(
        prompt_check, "load_processor", lambda weights: loads.append(weights) or load_processor(weights)
    )
    monkeypatch.setattr(launch_run, "Pool", None)  # stops the search before its workers start
    monkeypatch.chdir(tmp_path)
    config = SearchConfig(str(tiny), 9, data=str(EXAMPLE), metric="exact_match", sampler="random", workers=1)
    with pytest.raises(TypeError, match="NoneType"):
        launch_run.run(config)
    assert loads == [str(tiny)]
