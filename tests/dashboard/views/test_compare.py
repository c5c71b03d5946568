"""Comparing pairs, filtering, several fronts on one scale, files to take along."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from dashboard.analysis import paper, transfer
from dashboard.analysis.filters import Filter, choices
from dashboard.analysis.study_view import build_view, promised, suggested
from dashboard.figures import transfer as transfer_figures
from dashboard.figures.facets import facets_figure
from dashboard.views import export, zoom
from dashboard.views.fronts import narrowed
from dashboard.wording.words import provenance
from storage import QuestionSource
from storage.presets import preset_yaml
from tests.dashboard.generated_store import confirmation, failed, searched, stopped, study_key


def test_a_borrowed_setting_is_looked_up_and_never_guessed() -> None:
    lender, borrower = build_view(study_key("a"), searched(60)), build_view(study_key("b"), searched(20, 1))
    setting = suggested(lender)
    assert setting is not None
    assert transfer.borrowed(setting, borrower) is None
    same = replace(setting, number=70, origin="warm_start", accuracy=0.5)
    measured = build_view(study_key("b"), [*searched(20, 1), same])
    cell = transfer.borrowed(setting, measured)
    assert cell is not None
    assert measured.dense is not None
    assert cell.to_dense == pytest.approx(100 * (0.5 - measured.dense.accuracy))
    found = transfer.transfers({("m", "a"): lender, ("m", "b"): measured})
    assert found["m", "a"]["m", "b"] == cell
    names = {("m", "a"): "a", ("m", "b"): "b"}
    empty = transfer_figures.transfer_figure({("m", "a"): {("m", "b"): None}}, names)
    assert [note.text for note in empty.layout.annotations] == ["not measured"] * 2


def test_an_estimate_of_a_stopped_trial_is_marked() -> None:
    setting = stopped(50)
    target = build_view(study_key("b"), [*searched(10), setting])
    cell = transfer.borrowed(replace(setting, state="complete", reason=""), target)
    assert cell is not None
    assert transfer_figures._written(cell).startswith("≈ ")


def test_the_papers_table_stands_beside_ours() -> None:
    view = build_view(study_key("pope", model="qwenvl"), searched(20))
    frame = paper.table({("qwenvl", "pope"): view, ("my-own", "pope"): view})
    (row,) = frame.to_dict("records")
    assert (row["paper_dense"], row["paper_fastv"], row["paper_himap"]) == (84.5, 82.7, 83.7)
    assert row["paper_change"] == pytest.approx(-0.8)
    assert row["paper_flops"] == pytest.approx(24.7, abs=0.05)
    assert row["our_dense"] == pytest.approx(100 * view.complete[0].accuracy)
    ratio = view.complete[2].paper_flops / view.complete[0].paper_flops
    assert row["our_flops"] == pytest.approx(100 * ratio)
    early = paper.table({("qwenvl", "pope"): build_view(study_key(), searched(1))})
    assert early["our_himap"].isna().all()
    assert set(paper.TFLOPS) == {model for model, _ in paper.ACCURACY} == set(paper.MODELS)


def test_a_filter_keeps_landmarks_and_has_a_front_of_its_own() -> None:
    trials = [*searched(60), stopped(70)]
    view = build_view(study_key(), trials)
    assert narrowed(view, Filter()) is view
    some = narrowed(view, Filter(criteria=frozenset({"last_token"}), states=frozenset({"complete"})))
    assert some.stopped == ()
    assert some.landmarks == view.landmarks
    assert some.failed == view.failed
    for trial in some.complete:
        if trial not in view.landmarks:
            assert "last_token" in (trial.config.phi_shallow, trial.config.phi_deep)
    assert {trial.number for trial in some.front} <= {trial.number for trial in some.complete}
    assert len(narrowed(view, Filter(least_n=501)).complete) == len(view.landmarks)
    assert len(narrowed(view, Filter(devices=frozenset({"else"}))).complete) == len(view.landmarks)
    there = choices(trials)
    assert there.counts == (96, 500)
    assert "instruction" in there.criteria
    assert len(there.devices) == 1


def test_several_pairs_share_their_axes() -> None:
    views = [build_view(study_key(name), searched(20), "flops_ratio") for name in "abcd"]
    figure = facets_figure(views)
    names = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert len(names) == len(set(names))  # each thing is named once
    assert len({axis.matches for axis in figure.select_xaxes()} - {None}) == 1
    assert len({axis.matches for axis in figure.select_yaxes()} - {None}) == 1
    assert facets_figure(views[:1], coloring="depth", dark=True).data
    assert facets_figure([build_view(study_key(), [], "latency_ms")]).layout.height


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"scope": "a", "ranges": {"xaxis": [1, 2.5]}}, {"a": {"xaxis": [1.0, 2.5]}}),
        ({"scope": "a", "ranges": {}}, {"a": {}}),
        ({"scope": "a", "ranges": {"xaxis": [1], "yaxis": ["<b>", 2], "zaxis": [1, 2]}}, {"a": {}}),
        ({"scope": "a", "ranges": {"xaxis": [1, float("inf")]}}, {"a": {}}),
        ({"scope": 3, "ranges": {}}, None),
        ({"scope": "a"}, None),
        (None, None),
    ],
)
def test_a_zoom_is_checked_before_it_is_used(told: object, expected: object) -> None:
    assert zoom.checked(told) == expected


def test_confirmed_presets_promise_and_estimates_do_not() -> None:
    trials = searched(30)
    told = confirmation(trials[2], trials[0])
    view = build_view(study_key(), trials, confirmations=[told])
    promise = promised(view, trials[2])
    assert promise is not None
    assert promise.results == {"pope": told}
    assert promised(view, trials[3]) is None
    assert "Confirmed on held-out data: 1." in provenance(view)
    assert "not confirmed on held-out data" in provenance(view)


def test_the_csv_holds_every_trial_and_field() -> None:
    frame = pd.read_csv(io.BytesIO(export.csv([*searched(41), failed(50)])))
    assert len(frame) == 42
    assert {"number", "state", "reason", "flops_ratio", "metric f1", "version torch"} <= set(frame)
    assert frame["accuracy"].iloc[0] == pytest.approx(searched(1)[0].accuracy)


def test_the_confirming_command_has_no_password_and_is_quoted() -> None:
    view = build_view(study_key("pope; rm -rf x"), searched(5))
    command = export.command("postgresql://u:secret@h/d", view)
    assert "secret" not in command
    assert "'pope; rm -rf x'" in command
    assert command.startswith("python -m search.export --storage postgresql://u:PASSWORD@h/d")


def test_questions_that_are_not_embedded_are_named_in_command_and_preset() -> None:
    asked = QuestionSource("my data.jsonl", "--data 'my data.jsonl' --metric anls")
    view = build_view(study_key("mine-anls@12345678"), searched(5), questions=asked)
    command = export.command("sqlite:///himap.db", view)
    assert "--data 'my data.jsonl' --metric anls --out presets/" in command
    assert "--benchmark" not in command
    preset = preset_yaml(view.key, view.complete[0], sources=view.sources)
    assert yaml.safe_load(preset)["measured"][0]["questions"] == asked.options
    nasty = build_view(study_key("m@1"), searched(5), questions=QuestionSource("x", "--data 'x; rm -rf y"))
    assert shlex.split(export.command("sqlite:///himap.db", nasty))[-3] == "--data 'x; rm -rf y"


def test_places_are_named_members_of_the_front() -> None:
    view = build_view(study_key(), searched(60))
    found = export.places(view)
    assert all(trial in view.front for trial in found.values())
    assert found["Most accurate"] == view.front[-1]
    assert export.places(build_view(study_key(), [failed(0)])) == {}
