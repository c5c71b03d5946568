"""`search.to_optuna`: what Optuna itself, and its dashboard, read from the copies."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from search.to_optuna import main
from storage import Latency, Store, open_store
from storage.pareto import front
from tests.search.reporting.test_report import DENSE, FAILED, at
from tests.search.search_helpers import KEY

BEGAN = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
STOPPED = at(3, 0.2, 0.1, state="pruned", reason="less accurate than trial 1")
FRONT = [at(1, 0.25, 0.5, metrics={"f1": 0.75}), at(2, 0.5, 0.8)]
OTHERS = [DENSE, *FRONT, STOPPED, replace(FAILED, number=4)]
TRIALS = [replace(t, created_at=BEGAN + timedelta(minutes=t.number)) for t in OTHERS]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, with a store of one study with trials of every state and an empty one."""
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///himap.db") as store:
        store.add_all(store.study(KEY), TRIALS)
        store.study(replace(KEY, benchmark="vqav2"))
    return tmp_path


def run(*arguments: str) -> int:
    return main(["--storage", "sqlite:///himap.db", "--to", "sqlite:///optuna.db", *arguments])


def loaded(name: str = KEY.name) -> optuna.Study:
    """The copy, as a user of Optuna would load it."""
    return optuna.load_study(study_name=name, storage="sqlite:///optuna.db")


def store() -> Store:
    return open_store("sqlite:///himap.db")


def test_optuna_loads_what_the_store_holds(here: Path) -> None:
    assert run("--max-drop", "20", "--max-flops", "40") == 0
    study = loaded()
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy", "flops_ratio"]
    assert (study.user_attrs["benchmark"], study.user_attrs["weights_digest"]) == ("pope", "0" * 64)
    states = [TrialState.COMPLETE] * 3 + [TrialState.PRUNED, TrialState.FAIL]
    assert [t.state for t in study.trials] == states
    for ours, theirs in zip(TRIALS, study.trials, strict=True):
        assert theirs.number == theirs.user_attrs["number"] == ours.number
        assert theirs.params == {
            name: getattr(ours.config, name) for name in ("k1", "k2", "r1", "r2", "phi_shallow", "phi_deep")
        }
        assert theirs.values == (None if ours.failed else [ours.accuracy, ours.flops_ratio])
        assert theirs.datetime_complete is not None
        assert theirs.datetime_complete.astimezone(UTC) == ours.created_at
    assert study.trials[1].duration == timedelta(seconds=0.5)
    assert study.trials[1].user_attrs["metrics"] == {"f1": 0.75}
    assert study.trials[4].user_attrs["reason"] == "out of memory"
    assert "accuracy" not in study.trials[4].user_attrs  # NaN, which is no JSON
    limits = [t.constraints for t in study.trials]
    assert limits[1]["drop"] == pytest.approx(0.81 - 0.5 - 0.2)
    assert limits[2]["flops"] == pytest.approx(0.1)
    assert limits[4] == {}


def test_the_front_is_the_same(here: Path) -> None:
    assert run() == 0
    ours = {(t.accuracy, t.flops_ratio) for t in front(TRIALS)}
    assert {tuple(t.values) for t in loaded().best_trials} == ours


def test_repeated_it_adds_only_what_is_new(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == run() == 0
    said = capsys.readouterr().out
    assert said.count("5 trials, 5 of them written now") == said.count("5 trials, 0 of them written now") == 1
    before = loaded().trials
    with store() as opened:
        opened.add(opened.study(KEY), at(5, 0.3, 0.6))
    assert run() == 0
    assert "6 trials, 1 of them written now" in capsys.readouterr().out
    assert loaded().trials[:5] == before
    assert len(loaded().trials) == 6


def test_what_changed_later_is_copied_anew(here: Path) -> None:
    assert run("--objectives", "accuracy", "latency") == 0
    with store() as opened:
        opened.set_latency(opened.study(KEY), 2, Latency(3.5, 3.0, 4.0, "none"))
    assert run("--objectives", "accuracy", "latency") == 0
    assert loaded().trials[2].values == [0.8, 3.5]
    assert [t.number for t in loaded().trials] == list(range(5))


def test_only_what_was_chosen_is_copied(here: Path) -> None:
    assert run("--benchmark", "vqav2", "--model", "tiny") == 0
    (name,) = optuna.get_all_study_names("sqlite:///optuna.db")
    assert "/vqav2/" in name
    assert loaded(name).trials == []


def test_studies_of_others_are_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna.create_study(study_name=KEY.name, storage="sqlite:///optuna.db")
    assert run() == 2
    assert "another program's study" in capsys.readouterr().err
    assert loaded().user_attrs == {}


def test_another_aim_needs_another_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert run("--max-drop", "1") == 2
    said = capsys.readouterr().err
    assert "choose another --to" in said
    assert len(loaded().trials) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "llava-7b"], "has tiny/pope, tiny/vqav2"),
        (["--storage", "sqlite:///missing.db"], "start a search"),
        (["--to", "optuna.db"], "cannot use --to as Optuna's storage"),
        (["--to", "sqlite:///no/where.db"], "in a folder that exists"),
        (["--to", "postgresql://me:secret@127.0.0.1:9/optuna"], "of a server that runs"),
        (["--objectives", "flops"], "expected accuracy and one or two costs"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    here: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert (err.count("\n"), err.startswith("error: ")) == (1, True)
    assert "secret" not in err


def test_optuna_dashboard_shows_it(here: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="pip install optuna-dashboard")
    from bench.dashboard.peers import serving_optuna

    assert run("--benchmark", "pope", "--max-flops", "40") == 0
    with serving_optuna(f"sqlite:///{here / 'optuna.db'}") as address:

        def read(path: str) -> Any:
            return json.loads(urllib.request.urlopen(f"{address}/api/{path}", timeout=60).read())

        (summary,) = read("studies")["study_summaries"]
        assert summary["study_name"] == KEY.name
        detail = read(f"studies/{summary['study_id']}")
    assert detail["objective_names"] == ["accuracy", "flops_ratio"]
    shown = [(t["state"], t["constraints"]) for t in detail["trials"]]
    assert [state for state, _ in shown] == ["Complete", "Complete", "Complete", "Pruned", "Fail"]
    assert [len(limits) for _, limits in shown] == [1, 1, 1, 1, 0]
    assert [p["name"] for p in detail["trials"][1]["params"]]
