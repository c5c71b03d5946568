"""The page of a search keeps nothing longer than it is true."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from streamlit.testing.v1 import AppTest

from dashboard.access import cached_reads
from dashboard.context import Context
from dashboard.views import search_page
from storage import Latency, Lease, open_store
from tests.dashboard.app_pages import checked, words
from tests.dashboard.generated_store import fill, searched, study_key


def test_the_phase_is_shown_and_changes_when_a_process_ends(page: Callable[..., AppTest], searched_store: str) -> None:
    app = page("--storage", searched_store, title="Search")
    assert app.metric[0].value == "Waiting"
    assert "run its search again to resume it" in words(app)
    with open_store(searched_store) as store:
        study = store.study(study_key("aokvqa", seed=1))
        store.take(study, Lease("me", "here", 7, ""), 60)
        before = cached_reads.store_state(searched_store)
        assert checked(app.run()).metric[0].value == "Exploring"
        table = page("--storage", searched_store, title="Compare").dataframe[0].value
        assert sorted(table["phase"]) == ["exploring", "waiting", "waiting"]
        store.take(study, Lease("me", "here", 7, ""), -1)  # expired, as after a kill: nothing is written
    after = cached_reads.store_state(searched_store)
    assert (after.stamp, after == before) == (before.stamp, False)  # so that the page is redrawn


def test_parameter_importance_follows_latencies_that_come_later(database: str) -> None:
    trials = [replace(trial, latency_ms=math.nan) for trial in searched(60)]
    with open_store(database) as store:
        study_id = fill(store, study_key(), trials)

        def importance() -> object:
            (study,) = store.studies()
            context = Context(database, store, [study], dark=False, phases={})
            stamp, trials = context.stamp(study), context.trials(study)
            return search_page._cached_importance(database, study.id, stamp, "latency_ms", trials)

        assert importance() is None
        for trial in trials:
            if trial.complete:
                store.set_latency(study_id, trial.number, Latency(10 * trial.flops_ratio, 1, 100, "cpu"))
        assert importance() is not None
