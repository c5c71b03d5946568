"""Comparing studies, filtering, several fronts on one scale, files to take along."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from dashboard.analysis import paper, study_view
from dashboard.analysis.cross_study import cross_result, cross_results
from dashboard.analysis.filters import Filter
from dashboard.analysis.study_view import build_view, preset, suggested
from dashboard.figures.front import facets_figure
from dashboard.figures.settings_matrix import cell_text, settings_figure
from dashboard.views import export_page, zoom
from dashboard.wording.descriptions import provenance
from dashboard.wording.trial_tables import csv
from storage import QuestionSource
from tests.dashboard.generated_store import confirmation, failed, pruned, searched, study_key


def test_a_borrowed_setting_is_looked_up_and_never_guessed() -> None:
    lender, borrower = build_view(study_key("a"), searched(60)), build_view(study_key("b"), searched(20, 1))
    setting = suggested(lender)
    assert setting is not None
    assert cross_result(setting, borrower) is None
    same = replace(setting, number=70, origin="warm_start", accuracy=0.5)
    measured = build_view(study_key("b"), [*searched(20, 1), same])
    cell = cross_result(setting, measured)
    assert cell is not None
    assert measured.dense is not None
    assert cell.points == pytest.approx(100 * (0.5 - measured.dense.accuracy))
    results = cross_results({("m", "a"): lender, ("m", "b"): measured})
    assert results["m", "a"]["m", "b"] == cell
    names = {("m", "a"): "a", ("m", "b"): "b"}
    empty = settings_figure({("m", "a"): {("m", "b"): None}}, names)
    assert [note.text for note in empty.layout.annotations] == ["not measured"] * 2


def test_an_estimate_of_a_pruned_trial_is_marked() -> None:
    setting = pruned(50)
    target = build_view(study_key("b"), [*searched(10), setting])
    cell = cross_result(replace(setting, state="complete", reason=""), target)
    assert cell is not None
    assert cell_text(cell).startswith("≈ ")


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


def test_a_filter_keeps_baselines_and_has_a_front_of_its_own() -> None:
    trials = [*searched(60), pruned(70)]
    view = build_view(study_key(), trials)
    assert Filter().apply(view) is view
    source = QuestionSource("mine.jsonl", data="mine.jsonl", metric="anls")
    own = replace(view, questions=source, family="F", layers=9)
    narrowed = Filter(criteria=frozenset({"last_token"})).apply(own)
    assert (narrowed.questions, narrowed.family, narrowed.layers) == (source, "F", 9)
    some = Filter(criteria=frozenset({"last_token"}), states=frozenset({"complete"})).apply(view)
    assert some.pruned == ()
    assert some.baselines == view.baselines
    assert some.failed == view.failed
    for trial in some.complete:
        if trial not in view.baselines:
            assert "last_token" in (trial.config.phi_shallow, trial.config.phi_deep)
    assert {trial.number for trial in some.front} <= {trial.number for trial in some.complete}
    assert len(Filter(least_n=501).apply(view).complete) == len(view.baselines)
    assert len(Filter(devices=frozenset({"else"})).apply(view).complete) == len(view.baselines)


def test_several_studies_share_their_axes() -> None:
    views = [build_view(study_key(name), searched(20), "flops_ratio") for name in "abcd"]
    figure = facets_figure(views)
    names = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert len(names) == len(set(names))  # everything is named once
    assert len({axis.matches for axis in figure.select_xaxes()} - {None}) == 1
    assert len({axis.matches for axis in figure.select_yaxes()} - {None}) == 1
    assert facets_figure(views[:1], coloring="depth", dark=True).data
    assert facets_figure([build_view(study_key(), [], "latency_ms")]).layout.height


@pytest.mark.parametrize(
    ("message", "expected"),
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
def test_a_zoom_is_checked_before_it_is_used(message: object, expected: object) -> None:
    assert zoom.checked(message) == expected


def test_measured_presets_have_a_certificate_and_others_say_that_they_are_estimates() -> None:
    trials = searched(30)
    result = confirmation(trials[2], trials[0])
    view = build_view(study_key(), trials, confirmations=[result], family="Qwen2VLForConditionalGeneration", layers=12)
    measured = preset(view, trials[2])
    assert measured.certificate.certified is result.certifies()
    assert (measured.measured[0].split, measured.measured[0].n) == ("test", 2000)
    estimate = preset(view, trials[3])
    assert not estimate.certificate.certified
    assert "an estimate on validation questions" in estimate.certificate.verdict
    assert estimate.measured[0].split == "validation"
    assert (estimate.model.family, estimate.model.layers) == ("Qwen2VLForConditionalGeneration", 12)
    assert "Measured on held-out questions: 1, certified: 0." in provenance(view)
    assert "an estimate on validation questions" in provenance(view)


def test_the_csv_holds_every_trial_and_field() -> None:
    frame = pd.read_csv(io.BytesIO(csv([*searched(41), failed(50)])))
    assert len(frame) == 42
    assert {"number", "state", "reason", "flops_ratio", "metric f1", "version torch"} <= set(frame)
    assert frame["accuracy"].iloc[0] == pytest.approx(searched(1)[0].accuracy)


def test_the_certifying_command_has_no_password_and_is_quoted() -> None:
    view = build_view(study_key("pope; rm -rf x"), searched(5))
    command = study_view.certify_command("postgresql://u:secret@h/d", view)
    assert "secret" not in command
    assert "'pope; rm -rf x'" in command
    assert command.startswith("python -m search.export --storage postgresql://u@h/d")


def test_questions_that_are_not_embedded_are_named_in_command_and_preset() -> None:
    source = QuestionSource("my data.jsonl", data="my data.jsonl", metric="anls")
    view = build_view(study_key("mine-anls", source="12345678"), searched(5), questions=source)
    command = study_view.certify_command("sqlite:///himap.db", view)
    assert "--data 'my data.jsonl' --metric anls --out presets/" in command
    assert "--benchmark" not in command
    document = yaml.safe_load(preset(view, view.complete[0]).yaml())
    assert document["measured"][0]["questions"] == source.options
    nasty = build_view(study_key("m", source="1"), searched(5), questions=QuestionSource("x", data="x'; rm -rf y"))
    assert shlex.split(study_view.certify_command("sqlite:///himap.db", nasty))[-3] == "x'; rm -rf y"


def test_operating_points_are_named_members_of_the_front() -> None:
    view = build_view(study_key(), searched(60))
    points = export_page.export_choices(view)
    assert all(trial in view.front for _, trial in points.values())
    assert points["Most accurate"][1] == view.front[-1]
    assert export_page.export_choices(build_view(study_key(), [failed(0)])) == {}
