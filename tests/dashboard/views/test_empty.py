"""What is missing on a page is said in a sentence, with the command or the page that makes it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.analysis.study_view import build_view, resume_command
from search.launch import parser
from storage import Lease, QuestionSource, open_store
from tests.dashboard.app_pages import checked, words
from tests.dashboard.generated_store import confirmation, failed, fill, searched, study_key

Page = Callable[..., AppTest]


@pytest.mark.parametrize("title", ["Fronts", "Trial", "Search", "Export"])
def test_without_a_complete_trial_the_command_or_the_process_is_named(page: Page, database: str, title: str) -> None:
    with open_store(database) as store:
        study = fill(store, study_key("pope"), [failed(0)])
        app = page("--storage", database, title=title)
        assert "no process works on this study" in words(app)
        assert "search.launch --model qwenvl-mini --benchmark pope --questions 500 --seed 0" in words(app)
        store.take(study, Lease("me", "here", 7, ""), 60)
        assert "the front appears here" in words(checked(app.run()))
        assert not app.code


def test_the_command_searches_the_same_study_on() -> None:
    source = QuestionSource("my data.jsonl", data="my data.jsonl", metric="anls")
    view = build_view(study_key("mine", seed=3), [], questions=source, weights="/my weights")
    options = parser().parse_args(shlex.split(resume_command("postgresql://u:secret@h/d", view))[3:])
    assert (str(options.data), options.metric, options.weights) == ("my data.jsonl", "anls", "/my weights")
    assert (options.seed, options.questions, options.storage) == (3, 500, "postgresql://u@h/d")


def test_a_cost_that_no_trial_has_and_a_narrow_filter_have_no_front(page: Page, database: str) -> None:
    with open_store(database) as store:
        untimed = [replace(t, latency_ms=math.nan) for t in searched(20)[6:]]  # no baseline
        fill(store, study_key(), untimed)
    assert "no trial is timed yet" in page("--storage", database, cost="latency_ms").info[0].value
    assert "passes the filter" in page("--storage", database, states="pruned").info[0].value
    assert (
        "no trial is timed yet" in page("--storage", database, title="Export", picture_cost="latency_ms").info[0].value
    )
    assert not page("--storage", database).info


def test_without_a_certificate_the_page_that_makes_it_is_named(page: Page, database: str) -> None:
    with open_store(database) as store:
        trials = searched(8)
        study = fill(store, study_key(), trials)
        assert "The page Export has the command" in words(page("--storage", database))
        assert "No setting of this study has a certificate" in words(page("--storage", database, title="Export"))
        app = page("--storage", database, title="Compare")
        assert "Nothing is certified within 1 point yet" in words(app)
        assert "search.launch` makes them" in words(app)  # trials of a second benchmark, and of the paper's
        store.confirm(study, replace(confirmation(trials[2], trials[0]), bound=0.01))
        assert "Nothing is certified" not in words(checked(app.run()))


def test_a_trial_that_is_not_timed_and_has_no_dense_says_so(page: Page, database: str) -> None:
    with open_store(database) as store:
        fill(store, study_key(), searched(2)[1:])
    app = page("--storage", database, title="Trial")
    assert "`python -m search.launch` times the front" in words(app)
    assert "Dense is not measured yet; `python -m search.launch`" in words(app)
