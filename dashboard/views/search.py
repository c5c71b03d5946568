"""Search: how it goes and went, what matters, what was stopped and why, what failed, who was busy."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard.analysis import history, study_view
from dashboard.analysis.importance import FEWEST, Importance, importance
from dashboard.analysis.study_view import View
from dashboard.context import Context
from dashboard.figures import history as history_figures
from dashboard.views.widgets import picture, table
from dashboard.wording import tables, text, words
from storage import StudySummary
from storage.records import Trial

TARGETS = {"accuracy": "Accuracy", "flops_ratio": "FLOPs", "latency_ms": "Latency"}


def show(here: Context, study: StudySummary) -> None:
    """The page for one study."""
    view, trials = here.view(study), here.trials(study)
    _numbers(view, trials)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _growth(here, study, view)
    with right:
        _importance(here, study)
    st.subheader("Workers", anchor=False)
    every = [trial for one in _sisters(here, study) for trial in here.trials(one)]
    found = history.busy(every)
    if found.times:
        st.caption(
            f"All pairs of this model and seed: {found.mean:.1f} trials ran at a time while any ran. "
            "Drawn from when each finished and how long it took."
        )
        picture(history_figures.busy_figure(found, dark=here.dark), "busy")
    left, right = st.columns(2, gap="medium")
    with left:
        _stopped(view, dark=here.dark)
    with right:
        _failed(view)


def _numbers(view: View, trials: list[Trial]) -> None:
    columns = st.columns(5)
    quiet: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
    last = max((trial.created_at for trial in trials), default=None)
    columns[0].metric("Trials", len(trials), f"{len(view.complete)} measured to the end", **quiet)
    columns[1].metric(
        "Hypervolume", f"{history.hypervolume(view.complete):.3f}", f"{len(view.front)} on the front", **quiet
    )
    columns[2].metric("Stopped early", len(view.stopped), _share(len(view.stopped), len(trials)), **quiet)
    columns[3].metric("Failed", len(view.failed), _share(len(view.failed), len(trials)), **quiet)
    columns[4].metric(
        "Trials a minute", f"{history.rate(trials):.1f}", f"last at {last:%H:%M:%S} UTC" if last else None, **quiet
    )


def _share(part: int, whole: int) -> str | None:
    return f"{text.percent(part / whole, 0)} of all" if part and whole else None


def _growth(here: Context, study: StudySummary, view: View) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Hypervolume", anchor=False, width="content")
        unit = st.segmented_control("Over", ["Trials", "Seconds"], key="over", label_visibility="collapsed")
    pair = (study.key.model, study.key.questions)
    others = [one for one in study_view.pairs(here.studies)[pair] if one.id != study.id]
    lines = {"this study": history.growth(view.complete)}
    lines |= {words.short_study_label(one): history.growth(here.trials(one)) for one in others}
    control = history.control_volume(view.complete)
    picture(history_figures.growth_figure(lines, control, seconds=unit == "Seconds", dark=here.dark), "growth")
    st.caption(
        "Area below the front, against dense's FLOPs and accuracy 0. To compare with random search, run one "
        "of the same pair beside it: `--sampler random --seed 1`."
    )


def _importance(here: Context, study: StudySummary) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("What matters", anchor=False, width="content")
        target = st.segmented_control(
            "For", list(TARGETS), format_func=TARGETS.__getitem__, key="target", label_visibility="collapsed"
        )
    found = _weighed(study.id, study.complete, target or "accuracy", here)
    if found is None:
        st.markdown(f"Needs {FEWEST} trials that differ in it.")
        return
    picture(history_figures.importance_figure(found, dark=here.dark), "importance")
    trust = "" if found.explained > 0.3 else " **That is little: read nothing into the shares.**"
    st.caption(
        f"What a random forest loses when one parameter is shuffled, over {found.trials} trials. It explains "
        f"{text.percent(max(0.0, found.explained), 0)} of the variance on trials it did not see.{trust}"
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _weighed(study_id: int, complete: int, target: str, _here: Context) -> Importance | None:
    study = next(one for one in _here.studies if one.id == study_id)
    return importance(_here.trials(study), target)


def _sisters(here: Context, study: StudySummary) -> list[StudySummary]:
    """The studies that share workers with this one, as far as one can tell."""

    def run(one: StudySummary) -> tuple[str, str, int]:
        return one.key.model, one.key.weights_digest, one.key.seed

    return [one for one in here.studies if run(one) == run(study)]


def _stopped(view: View, *, dark: bool) -> None:
    st.subheader("Stopped early", anchor=False)
    if not view.stopped:
        st.markdown("No trial was stopped early.")
        return
    spared = history.saved(view.stopped, view.key.n_questions)
    st.caption(
        f"{len(view.stopped)} trials were given up as surely less accurate than one that costs no more, and "
        f"spared {text.percent(spared, 0)} of their questions. Their accuracies are estimates."
    )
    picture(history_figures.stops_figure(view.stopped, view.key.n_questions, dark=dark), "stops")
    table(tables.stopped_table(view))


def _failed(view: View) -> None:
    st.subheader("Failures", anchor=False)
    if not view.failed:
        st.markdown("No trial failed.")
        return
    counted = pd.DataFrame(history.reasons(view.failed), columns=["reason", "count"])
    table(counted)
    with st.expander(f"All failed trials ({len(view.failed)})"):
        table(tables.failure_table(view))
