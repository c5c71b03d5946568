"""Search: how a search goes and went, which parameters matter, what was pruned, what failed and why."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.analysis.importance import MIN_TRIALS, Importance, importance
from dashboard.analysis.search_history import (
    control_volume,
    growth,
    reason_counts,
    running_trials,
    saved_share,
    trials_per_minute,
)
from dashboard.analysis.study_view import View, by_pair
from dashboard.context import Context
from dashboard.figures.search_charts import growth_figure, importance_figure, pruned_figure, running_figure
from dashboard.views.widgets import metrics, picture, segments, table
from dashboard.wording.descriptions import PHASES, short_study_label
from dashboard.wording.formatting import capitalized, percent, plain
from dashboard.wording.trial_tables import failure_table, pruned_table
from storage import StudySummary
from storage.pareto import hypervolume
from storage.phase import Phase
from storage.records import Trial

TARGETS = {"accuracy": "Accuracy", "flops_ratio": "FLOPs", "latency_ms": "Latency"}
UNITS = {"Trials": "Trials", "Seconds": "Seconds"}


def show(context: Context, study: StudySummary) -> None:
    """Draw the page for one study."""
    view = context.view(study)
    phase = context.phase(study)
    _numbers(view, context.trials(study), phase)
    st.caption(plain(PHASES[phase]))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _growth(context, study, view)
    with right:
        _importance(context, study)
    _running(context, study)
    left, right = st.columns(2, gap="medium")
    with left:
        _pruned(view, dark=context.dark)
    with right:
        _failed(view)


def _numbers(view: View, trials: list[Trial], phase: Phase) -> None:
    def share(part: int) -> str | None:
        return f"{percent(part / len(trials), 0)} of all" if part else None

    last = max((trial.created_at for trial in trials), default=None)
    metrics(
        ("Phase", capitalized(phase), None),
        ("Trials", len(trials), f"{len(view.complete)} complete"),
        ("Hypervolume", f"{hypervolume(view.complete):.3f}", f"{len(view.front)} on the front"),
        ("Pruned (stopped early)", len(view.pruned), share(len(view.pruned))),
        ("Failed", len(view.failed), share(len(view.failed))),
        ("Trials a minute", f"{trials_per_minute(trials):.1f}", f"last at {last:%H:%M:%S} UTC" if last else None),
    )


def _growth(context: Context, study: StudySummary, view: View) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Hypervolume", anchor=False, width="content")
        unit = segments("Over", UNITS, "over", hidden=True)
    siblings = by_pair(context.studies)[study.key.model, study.key.questions]
    lines = {"this study": growth(view.complete)}
    lines |= {short_study_label(one): growth(context.trials(one)) for one in siblings if one.id != study.id}
    control = control_volume(view.complete)
    picture(growth_figure(lines, control, seconds=unit == "Seconds", dark=context.dark), "growth")
    st.caption(
        "The area between the front and the point at dense's FLOPs and accuracy 0: the larger, the better the front. "
        "To compare with random search, run one on the same model and benchmark: `--sampler random --seed 1`."
    )


def _importance(context: Context, study: StudySummary) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Parameter importance", anchor=False, width="content")
        target = segments("For", TARGETS, "target", hidden=True)
    result = _cached_importance(context.url, study.id, context.stamp(study), target, context.trials(study))
    if result is None:
        st.markdown(f"This needs {MIN_TRIALS} complete trials that differ in it; a larger `--budget` measures more.")
        return
    picture(importance_figure(result, dark=context.dark), "importance")
    warning = "" if result.explained > 0.3 else " **That is little: do not rely on the shares.**"
    st.caption(
        f"How much worse a random forest predicts when the values of one parameter are shuffled, over {result.trials} "
        f"trials. The forest explains {percent(max(0.0, result.explained), 0)} of the variance on trials that its "
        f"trees did not see.{warning}"
    )


@st.cache_resource(show_spinner="Computing parameter importance", max_entries=64)
def _cached_importance(url: str, study_id: int, stamp: str, target: str, _trials: list[Trial]) -> Importance | None:
    return importance(_trials, target)


def _running(context: Context, study: StudySummary) -> None:
    """Draw the trials running at a time in the studies that share workers with this one, as far as one can tell."""

    def search(one: StudySummary) -> tuple[str, str, str, int]:
        return one.key.model, one.key.weights_digest, one.key.dtype, one.key.seed

    st.subheader("Workers", anchor=False)
    together = [one for one in context.studies if search(one) == search(study)]
    running = running_trials(trial for one in together for trial in context.trials(one))
    if not running.times:
        st.markdown("No worker has measured a trial of this study yet; `python -m search.launch` starts workers.")
    else:
        picture(running_figure(running, dark=context.dark), "running")
        st.caption(
            f"All studies of this model and seed: {running.mean:.1f} trials ran at a time on average while any ran. "
            "Computed from when each trial finished and how long it took."
        )


def _pruned(view: View, *, dark: bool) -> None:
    st.subheader("Pruned trials", anchor=False)
    if not view.pruned:
        st.markdown("No trial was pruned.")
        return
    saved = saved_share(view.pruned, view.key.n_questions)
    st.caption(
        f"{len(view.pruned)} trials were stopped early: each was less accurate, with 95 % confidence, than a trial "
        f"that costs no more. That saved {percent(saved, 0)} of their questions. Their accuracies are estimates."
    )
    picture(pruned_figure(view.pruned, view.key.n_questions, dark=dark), "pruned")
    table(pruned_table(view))


def _failed(view: View) -> None:
    st.subheader("Failed trials", anchor=False)
    if not view.failed:
        st.markdown("No trial failed.")
        return
    table(pd.DataFrame(reason_counts(view.failed), columns=["reason", "count"]))
    with st.expander(f"All failed trials ({len(view.failed)})"):
        table(failure_table(view))
