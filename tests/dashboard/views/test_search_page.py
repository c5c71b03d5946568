"""The page of a search keeps nothing longer than it is true."""

from __future__ import annotations

import math
from dataclasses import replace

from dashboard.context import Context
from dashboard.views import search_page
from storage import Latency, open_store
from tests.dashboard.generated_store import fill, searched, study_key


def test_parameter_importance_follows_latencies_that_come_later(database: str) -> None:
    trials = [replace(trial, latency_ms=math.nan) for trial in searched(60)]
    with open_store(database) as store:
        study_id = fill(store, study_key(), trials)

        def importance() -> object:
            (study,) = store.studies()
            context = Context(database, store, [study], dark=False)
            stamp, trials = context.stamp(study), context.trials(study)
            return search_page._cached_importance(database, study.id, stamp, "latency_ms", trials)

        assert importance() is None
        for trial in trials:
            if trial.complete:
                store.set_latency(study_id, trial.number, Latency(10 * trial.flops_ratio, 1, 100, "cpu"))
        assert importance() is not None
