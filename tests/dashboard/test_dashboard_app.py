"""Each page in each of its states, run by Streamlit's own test runner."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard.access import cached_reads, commands
from dashboard.access.options import read_options
from dashboard.app import STORE_PAGES, STUDY_PAGES, TITLES
from dashboard.views import empty
from himap.presets import Figure, Timing
from storage import Ledger, QuestionSource, Store, StudyKey, Trial, open_store
from tests.dashboard.app_pages import APP, checked, words
from tests.dashboard.generated_store import PHIS, confirmation, failed, fill, measured, pruned, searched, study_key


def figure(app: AppTest) -> dict[str, Any]:
    (chart,) = app.get("plotly_chart")
    return json.loads(chart.proto.spec)


def test_no_store_yet_says_what_to_type_and_fills_by_itself(page: Any, database: str) -> None:
    app = page("--storage", database)
    assert "No store yet" in words(app)
    assert f"python -m search.launch --model qwenvl --budget 200 --storage {database}" in words(app)
    file = Path(database.removeprefix("sqlite:///"))
    assert not file.exists()
    with open_store(database) as store:
        assert "The store is empty" in words(checked(app.run()))
        study = store.study(study_key())
        assert "No finished trial yet" in words(checked(app.run()))
        store.add(study, failed(0, "hung for 60 s"))
        checked(app.run())
        assert "Every trial so far failed" in words(app)
        assert list(app.dataframe[0].value["reason"]) == ["hung for 60 s"]
        for trial in searched(3)[1:]:
            store.add(study, trial)
        assert "Complete trials" in [metric.label for metric in checked(app.run()).metric]
    file.unlink()
    assert "No store yet" in words(checked(app.run()))


def test_an_unreadable_store_says_why(page: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    app = page("--storage", f"sqlite:///{tmp_path / 'notes.txt'}")
    assert len(app.error) == 1
    assert "expected a SQLite file" in words(app)
    assert "the password" not in words(page("--storage", "postgresql://u:the password@127.0.0.1:1/x"))
    assert "check that the server runs" in words(page("--storage", "postgresql://u@127.0.0.1:1/x"))


@pytest.mark.parametrize("arguments", [["--stroage", "x"], ["--storage"], ["himap.db"]])
def test_wrong_arguments_get_one_line(page: Any, arguments: list[str]) -> None:
    app = page(*arguments)
    assert len(app.error) == 1
    assert "expected -- --storage URL" in words(app)


def test_the_store_defaults_to_the_one_of_the_search() -> None:
    assert read_options([]).storage == "sqlite:///himap.db"
    assert empty.search_command("sqlite:///himap.db", read_options([]).storage) == empty.SEARCH_COMMAND
    command = empty.search_command("postgresql://u:secret@h/d?sslmode=require&user=b", read_options([]).storage)
    assert "secret" not in command
    assert command.endswith("--storage 'postgresql://u@h/d?sslmode=require&user=b'")


def test_a_searched_study_shows_front_numbers_and_provenance(page: Any, searched_store: str) -> None:
    app = page("--storage", searched_store)
    assert app.selectbox(key="pair").value == ("qwenvl-mini", "aokvqa")
    assert app.multiselect(key="criteria").options == sorted([*PHIS, "uniform", "downsample"])
    assert len(app.selectbox) == 2  # that benchmark has two studies
    checked(app.selectbox(key="pair").set_value(("qwenvl-mini", "pope")).run())
    assert len(app.selectbox) == 1
    values = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    assert values["Dense accuracy"][0] == "93.2 %"
    assert values["Complete trials"] == ("59", "1 failed")
    assert values["Best at ≤ 50 % FLOPs"][1].endswith("points against dense")
    assert "an estimate on validation questions, not certified" in words(app)
    assert "weights 9f2c41d07be855aa" in words(app)
    assert {annotation["text"] for annotation in figure(app)["layout"]["annotations"]} == {
        "dense",
        "FastV",
        "HiMAP paper",
    }
    front, every, failures = (frame.value for frame in app.dataframe)
    assert (len(every), len(failures)) == (59, 1)
    assert 3 < len(front) < 30


def test_toggles_change_the_cost_and_the_axes(page: Any, searched_store: str) -> None:
    app = page("--storage", searched_store)
    assert "GFLOPs" in figure(app)["layout"]["xaxis"]["title"]["text"]
    checked(app.segmented_control(key="cost").set_value("paper_flops").run())
    axis = figure(app)["layout"]["xaxis"]
    assert "Eq. 10" in axis["title"]["text"]
    assert (axis["type"], len(axis["range"])) == ("linear", 2)  # the front fills the chart
    app.segmented_control(key="scale").set_value("log")
    axis = figure(checked(app.segmented_control(key="range").set_value("all").run()))["layout"]["xaxis"]
    assert (axis["type"], "range" in axis) == ("log", False)


def test_a_selected_trial_stays_selected_and_its_preset_is_offered(page: Any, searched_store: str) -> None:
    app = page("--storage", searched_store)
    name = study_key("aokvqa", seed=1).name
    app.session_state["chosen_trial"] = {name: 2}
    checked(app.run())
    assert "| Trial 2, HiMAP paper |" in words(app)
    document = yaml.safe_load(app.code[0].value)
    assert document["provenance"]["trial"] == 2
    assert document["provenance"]["study"] == name
    assert document["configuration"]["k2"] == 8
    assert app.get("download_button")[0].proto.label == "Download preset (YAML)"
    assert figure(app)["data"][-1]["name"] == "Selected"
    with open_store(searched_store) as store:
        fill(store, study_key("aokvqa", seed=1), [searched(14, seed=2)[13]])
    assert "| Trial 2, HiMAP paper |" in words(checked(app.run()))
    assert len(app.dataframe[1].value) == 13


def test_trials_are_read_again_only_when_they_changed(
    page: Any, searched_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    original = Store.trials

    def counted(self: Store, study_id: int, *, scores: bool = True) -> Any:
        assert not scores
        reads.append(study_id)
        return original(self, study_id, scores=scores)

    monkeypatch.setattr(Store, "trials", counted)
    app = page("--storage", searched_store)
    checked(app.run())
    assert len(reads) == 1
    with open_store(searched_store) as store:
        fill(store, study_key("pope"), [searched(61)[60]])  # another study
        checked(app.run())
        assert len(reads) == 1
        fill(store, study_key("aokvqa", seed=1), [searched(14, seed=2)[13]])
    checked(app.run())
    assert len(reads) == 2


@pytest.mark.parametrize("title", TITLES)
def test_text_of_the_store_is_never_markup(page: Any, nasty_store: str, title: str) -> None:
    app = page("--storage", nasty_store, title=title)
    for element in [*app.markdown, *app.caption]:
        assert not element.allow_html
        for markup in ("<img", "![a]", "[l]", "**b**", ":red[", "$x$"):
            assert not re.search(rf"(?<!\\){re.escape(markup)}", element.value)
    for chart in app.get("plotly_chart"):
        assert "<img" not in chart.proto.spec
    if title == "Fronts":
        assert app.dataframe[2].value["reason"].iloc[0].startswith("<img")  # cells show text as it is


@pytest.mark.parametrize("title", [*STUDY_PAGES, *STORE_PAGES])
def test_every_page_stands_in_every_state(page: Any, database: str, title: str) -> None:
    missing, empty = ("No jobs yet",) * 2 if title == "Jobs" else ("No store yet", "The store is empty")
    assert missing in words(page("--storage", database, title=title))
    with open_store(database) as store:
        assert empty in words(page("--storage", database, title=title))
        study = store.study(study_key())
        page("--storage", database, title=title)  # a study without trials
        store.add(study, failed(0))
        page("--storage", database, title=title)  # failures only
        store.add(study, searched(2)[1])
        page("--storage", database, title=title)  # one trial, and no dense
        store.add(study, pruned(2))
        store.add(study, measured(3, "dense", 1, 0.0, 2, 0.0, "instruction", "intra_column"))
        store.confirm(study, confirmation(searched(2)[1], searched(1)[0]))
        page("--storage", database, title=title)


def test_an_older_schema_and_a_locked_store_say_what_to_do(
    page: Any, searched_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = searched_store.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        (current,) = other.execute("SELECT version FROM himap_schema").fetchone()
        with monkeypatch.context() as later:
            later.setattr("storage.sql.connection.CURRENT", current + 1)
            assert "run the search on it once, which upgrades it" in words(page("--storage", searched_store))
        other.execute("UPDATE himap_schema SET version = 99")
        assert "update himap-search" in words(page("--storage", searched_store))
        other.execute("UPDATE himap_schema SET version = ?", (current,))
        other.execute("PRAGMA journal_mode=DELETE")
        monkeypatch.setattr("storage.sql.connection.BUSY_SECONDS", 0.1)
        other.execute("BEGIN EXCLUSIVE")
        cached_reads._open.clear()
        assert "locked" in words(page("--storage", searched_store))
        other.execute("ROLLBACK")
    assert "Dense accuracy" in [metric.label for metric in page("--storage", searched_store).metric]


def test_the_trial_page_compares_with_dense(page: Any, searched_store: str) -> None:
    app = page("--storage", searched_store, title="Trial")
    name = study_key("aokvqa", seed=1).name
    app.session_state["chosen_trial"] = {name: 2}
    values = {metric.label: metric.value for metric in checked(app.run()).metric}
    assert values["Difference to dense"].endswith("points")
    assert int(values["Lost"]) + int(values["Won"]) > 0
    app.session_state["chosen_trial"] = {name: 0}
    assert "This is dense itself" in words(checked(app.run()))


def test_the_trial_page_shows_all_that_was_timed(page: Any, searched_store: str) -> None:
    timings = tuple(
        Timing(figure=figure, batch=8, ms=8, dense_ms=10, speedup=1.25, speedup_low=1.2, speedup_high=1.3, repeats=20)
        for figure in get_args(Figure)
    )
    with open_store(searched_store) as store:
        trials = searched(12, seed=2)
        study = store.study(study_key("aokvqa", seed=1))
        store.confirm(study, replace(confirmation(trials[2], trials[0]), timings=timings))
    app = page("--storage", searched_store, title="Trial")
    assert not app.dataframe
    app.session_state["chosen_trial"] = {study_key("aokvqa", seed=1).name: 2}
    (table,) = checked(app.run()).dataframe
    assert list(table.value["figure"]) == ["First token", "First token with vision", "Output token"]
    assert list(table.value["speedup_low"]) == [1.2] * 3


def test_surviving_tokens_are_shown_after_a_click_and_errors_are_shown(
    page: Any, searched_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def survivors(
        key: StudyKey, source: QuestionSource | None, trial: Trial, number: int, weights: str
    ) -> commands.Survivors:
        if number == 1:
            raise commands.CommandError("python -m search.tokens failed: No module named 'torch'")
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "PNG")
        question = commands.StudyQuestion(number, "Is *it*?", (), ("no",), (file.getvalue(),))
        tokens = commands.ImageTokens(Image.open(file), (2, 2), frozenset({0, 3}), frozenset({3}))
        return commands.Survivors(question, (tokens,), "no", "yes")

    monkeypatch.setattr(commands, "survivors", survivors)
    app = page("--storage", searched_store, title="Trial")
    (question,) = [one for one in app.number_input if one.label == "Question"]
    checked(question.set_value(0).run())
    checked(app.button[0].click().run())
    assert "2 of 4" in words(app)
    assert "| Dense | yes |" in words(app)
    (question,) = [one for one in app.number_input if one.label == "Question"]
    checked(question.set_value(1).run())
    checked(app.button[0].click().run())
    assert "No module named 'torch'" in words(app)


def test_pages_stand_where_questions_are_not_embedded(page: Any, database: str) -> None:
    key = study_key("mine-anls", source="12345678")
    with open_store(database) as store:
        fill(store, key, searched(30))
        source = QuestionSource("mine.jsonl", data="mine.jsonl", metric="anls", skipped=((3, "lacks 'answer'"),))
        store.set_questions(store.study(key), source)
    app = page("--storage", database, title="Trial")
    checked(app.button[0].click().run())
    assert "cannot read mine.jsonl" in words(app)
    app = page("--storage", database, title="Export")
    assert "--data mine.jsonl --metric anls --out presets/" in words(checked(app))


def test_the_export_page_distinguishes_estimates_from_certified(page: Any, searched_store: str) -> None:
    app = page("--storage", searched_store, title="Export")
    assert "An estimate on validation questions" in app.warning[0].value
    assert "python -m search.export" in words(app)
    with open_store(searched_store) as store:
        key = study_key("aokvqa", seed=1)
        trials = store.trials(store.study(key))
        for trial in trials:
            if trial.complete:
                store.confirm(store.study(key), confirmation(trial, trials[0]))
    app = page("--storage", searched_store, title="Export")
    assert len(app.warning) == 0
    assert "ertified" in (app.success or app.error)[0].value
    document = yaml.safe_load(app.code[0].value)
    assert document["measured"][0]["split"] == "test"


def test_certified_points_are_offered_first_and_others_not(page: Any, searched_store: str) -> None:
    with open_store(searched_store) as store:
        key = study_key("aokvqa", seed=1)
        trials = [trial for trial in store.trials(store.study(key)) if trial.complete]
        results = {trial.number: confirmation(trial, trials[0]) for trial in trials[-3:]}
        kept = min(results)
        for number, result in results.items():
            store.confirm(store.study(key), replace(result, bound=0.01 if number == kept else 0.03))
    app = page("--storage", searched_store, title="Export")
    (setting,) = [one for one in app.radio if one.label == "Operating point"]
    assert setting.value == f"Trial {kept}, certified within 1 point"
    assert sum("certified within" in option for option in setting.options) == 1
    assert app.success[0].value.startswith("Certified within 1 point")


def test_the_dashboard_starts_without_torch_ray_or_optuna() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "sys.meta_path = [one for one in sys.meta_path if 'editable' not in repr(one).lower()]\n"
        "import app\n"
        "heavy = {'torch', 'transformers', 'ray', 'optuna', 'search', 'minis', 'scipy', 'sklearn'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(APP.parent)], capture_output=True, text=True, cwd=APP.parent, check=True
    )
    assert done.stdout.strip() == "[]"


def test_flows_are_shown_and_other_files_are_skipped(
    page: Any, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "No information flow measured yet" in words(page("--storage", database, title="Flow"))
    layers = [{"mean": 1.0, "low": 0.5, "high": 1.5}] * 3
    summary = {
        "saliency": {"visual_textual": layers, "intra_visual": layers},
        "bias_ratio": [None, *layers[1:]],
        "hypotheses": [{"claim": "S_vt is *above* <b>S_vv</b>", "verdict": "agrees"}],
    }
    key = {"model": "qwenvl", "benchmark": "scienceqa", "n": 40, "weights_digest": "0123456789"}
    whole = {"kind": "himap-flow", "schema": 1, "key": key, "complete": True, "summary": summary}
    folder = tmp_path / "flow"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(whole))
    (folder / "b.json").write_text(json.dumps({**whole, "complete": False}))
    (folder / "c.json").write_text("{")
    (tmp_path / "outside.json").write_text(json.dumps(whole))
    (folder / "d.json").symlink_to(tmp_path / "outside.json")
    app = page("--storage", database, title="Flow")
    assert len(app.selectbox[0].options) == 1
    assert "| S_vt is *above* <b>S_vv</b> | agrees |" in words(app)
    assert len(app.get("plotly_chart")) == 2


def test_it_binds_to_localhost_and_sends_no_statistics() -> None:
    import tomllib

    config = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "localhost"
    assert config["browser"]["gatherUsageStats"] is False


@pytest.mark.parametrize("title", [*STUDY_PAGES, *STORE_PAGES])
def test_a_changed_answer_is_named_on_every_page(page: Any, searched_store: str, title: str) -> None:
    with open_store(searched_store) as store:
        study = store.study(study_key("pope"))
        Ledger(store, study).add("validation", 500, {0: [1.0, 0.0]})
    with closing(sqlite3.connect(searched_store.removeprefix("sqlite:///"))) as other:
        other.execute("UPDATE himap_answers SET start = 501")
        other.commit()
    link = {"study": study_key("pope").name, "trial": "2"}
    app = page("--storage", searched_store, title=title, **link)
    shown = [error.value.replace("\\", "") for error in app.error]
    wrong = "Answers of trial 0 to validation questions"
    assert any(text.startswith(wrong) and "are not what was written; certify anew" in text for text in shown)
