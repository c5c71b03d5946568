"""Replayed searches, on a generated table whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench.search import __main__ as search
from bench.search import replay as search_replay
from bench.search.racing import false_stops
from bench.search.replay import ReplayPool, Variant, exhaustive, replay
from bench.search.tabulate import ScoreTable, grid, load_table, save_table
from himap import PruningConfig
from objectives.evaluation.latency import device_name
from objectives.flops import DecoderShape
from objectives.provenance import commit
from search.sampling.space import SearchSpace
from search.studies.study import Baseline
from search.workers.jobs import Job
from search.workers.racing import FAMILY_WISE_ERROR, Rival
from search.workers.trial_runner import costs
from storage.pareto import dominated_area

LAYERS, TOKENS, TEXT, N = 12, 100, 20, 60
SHAPE = DecoderShape(128, 352, LAYERS, 4, 4, 32)
STEPS: dict[str, Any] = {"layer_step": 3, "percent_step": 25, "shallow": ("instruction",), "deep": ("intra_column",)}
BASELINES: list[Baseline] = [("dense", PruningConfig.dense()), ("paper", PruningConfig.paper())]


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    """Questions of rising difficulty: the more is computed, the more of them are right."""
    configs = grid(SearchSpace(LAYERS, **STEPS), BASELINES, [TOKENS])
    spent = [costs(SHAPE, [TOKENS], [TEXT], config) for config in configs]
    noise = np.random.default_rng(0).normal(0, 0.08, (len(configs), N))
    ratio = np.array([one.flops_ratio for one in spent])
    scores = (np.sqrt(ratio)[:, None] + noise > np.linspace(0.3, 0.95, N)).astype(float)
    dense = costs(SHAPE, [TOKENS], [TEXT], PruningConfig.dense()).flops
    order = np.random.default_rng(1).permutation(N).tolist()
    meta = {
        "model": "m",
        "weights_digest": "d",
        "benchmark": "b",
        "split": "validation",
        "n": N,
        "cores": 2,
        "layers": LAYERS,
        "steps": STEPS,
        "image_tokens": [TOKENS],
        "prepare": 1.0,
        "chunks": [order[:20], order[20:40], order[40:]],
        "layer_flops": dense / LAYERS,
        "baselines": [(origin, config.as_dict()) for origin, config in BASELINES],
        "costs": {"batched": (0.1, 1 / dense), "alone": (1.0, 5 / dense), "published": (2.0, 9 / dense)},
        "cost_errors": {},
        "device": "none",
        "commit": "",
        "date": "",
    }
    columns = {k: np.array([getattr(s, k) for s in spent]) for k in ("flops", "flops_ratio", "paper_flops")}
    return ScoreTable(meta, configs, scores, columns)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own time, which a replay counts too, is none: a loaded machine changes no result here."""
    monkeypatch.setattr(search_replay, "time", SimpleNamespace(perf_counter=lambda: 0.0))


def test_a_table_survives_its_file(table: ScoreTable, tmp_path: Path) -> None:
    save_table(tmp_path / "t.npz", table)
    again = load_table(tmp_path / "t.npz")
    assert again.configs == table.configs
    assert (again.scores == table.scores).all()
    assert again.index() == table.index()
    assert again.space == table.space
    assert again.baselines == BASELINES


def test_the_table_holds_each_effect_once_and_all_that_is_proposed(table: ScoreTable) -> None:
    index = table.index()
    assert len(index) == len(table.configs)
    run = replay(table, Variant("random"), 0, 60)
    assert len(run.share) == 60


def test_the_hypervolume_is_of_what_was_measured_to_the_end(table: ScoreTable) -> None:
    assert dominated_area([(0.5, 0.5), (0.25, 0.25)]) == pytest.approx(0.5 * 0.5 + 0.25 * 0.25)
    run = replay(table, Variant("tpe"), 1, 80)
    assert (np.diff(run.share) >= 0).all()
    assert (np.diff(run.seconds) >= 0).all()
    assert 0.5 < run.share[-1] <= 1
    assert exhaustive(table) < 1
    assert run.until(0.5) == run.seconds[np.flatnonzero(run.share >= 0.5)[0]]
    assert run.until(1.1) == np.inf


def test_a_trial_that_loses_the_race_is_pruned_and_takes_less_time(table: ScoreTable) -> None:
    pool = ReplayPool(table, Variant())
    config = table.configs[int(table.scores.mean(1).argmin())]
    for rivals in ((), (Rival(0, 0.0, 0.0, (1.0,) * N),)):
        pool.submit(Job("b", config, rivals=rivals))
    (pruned,), (complete,) = pool.finished(0), pool.finished(0)
    assert pruned.measurement is not None and complete.measurement is not None
    assert "0" in pruned.reason and complete.reason == ""
    assert 0 < pruned.measurement.n < N == complete.measurement.n
    assert pruned.measurement.seconds < complete.measurement.seconds


def test_each_part_saves_what_it_should(table: ScoreTable) -> None:
    """The same proposals, since drawn at random: only their cost differs."""

    def seconds(**changes: Any) -> float:
        return float(replay(table, Variant("random", **changes), 3, 60).seconds[-1])

    ours = seconds()
    assert ours < seconds(prefix=False)
    assert ours < seconds(race=False)
    assert ours < seconds(evaluation="alone") / 4
    assert seconds(evaluation="alone") < seconds(evaluation="published")


def test_the_race_on_the_table_stops_few_wrongly(table: ScoreTable) -> None:
    result = false_stops(table)
    assert result["fair"] > 100
    assert result["rate"] <= FAMILY_WISE_ERROR
    assert 0 < result["stopped_of_beaten"] <= 1
    assert result["asked_of_beaten"] < 1


def test_pairs_race_as_pairs(table: ScoreTable) -> None:
    """Both questions of a pair are right or wrong together: half as much is known as their number says."""
    order = [i for pair in np.random.default_rng(1).permutation(N // 2) for i in (2 * pair, 2 * pair + 1)]
    chunks = [[int(i) for i in order[begin : begin + 20]] for begin in range(0, N, 20)]
    scores = np.repeat(table.scores[:, ::2], 2, axis=1)
    paired, single = (
        ScoreTable({**table.meta, "chunks": chunks, "groups": groups}, table.configs, scores, table.spent)
        for groups in ([i // 2 for i in range(N)], list(range(N)))
    )
    result = false_stops(paired)
    assert result["rate"] <= FAMILY_WISE_ERROR
    assert result["asked_of_beaten"] > false_stops(single)["asked_of_beaten"]
    seconds = [float(replay(one, Variant("random"), 3, 60).seconds[-1]) for one in (paired, single)]
    assert seconds[0] > seconds[1]  # a pair weighs less, so the race needs more of them


def test_the_command_reports_what_is_missing_and_compares(
    table: ScoreTable, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert search.main(["--table", str(tmp_path / "none.npz")]) == 2
    assert "make it with python -m bench.search.tabulate" in capsys.readouterr().err
    save_table(tmp_path / "t.npz", table)
    monkeypatch.setattr(search, "BUDGET", 30)
    monkeypatch.setattr(search, "VARIANTS", {name: search.VARIANTS[name] for name in ("ours", "loop")})
    assert search.main(["--table", str(tmp_path / "t.npz"), "--seeds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["ours", "loop"]
    assert search.main(["--table", str(tmp_path / "t.npz"), "--seeds", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["replayed"]["device"] == device_name(torch.device("cpu"))
    assert result["replayed"]["commit"] == commit()
