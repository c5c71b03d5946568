"""Fronts: cost against accuracy of one study, or of several side by side; a click chooses a trial."""

from __future__ import annotations

from typing import cast

import streamlit as st

from dashboard.analysis.filters import Filter
from dashboard.analysis.study_view import STATES, View, best_within_flops, preset, within_one_point
from dashboard.context import Context, choose, chosen_trial
from dashboard.figures.front import Coloring, Frame, facets_figure, front_figure
from dashboard.views import empty, zoom
from dashboard.views.widgets import COST_NAMES, metrics, preset_download, segments, table, trial_table
from dashboard.wording.columns import COLUMNS
from dashboard.wording.descriptions import pair_label, provenance
from dashboard.wording.formatting import percent, plain, points
from dashboard.wording.trial_tables import all_table, failure_table, front_table, pruned_table
from storage import StudySummary
from storage.presets import ESTIMATE
from storage.records import Trial

BOX = "front-box"
COLORINGS = {"role": "Role", "criterion": "Criterion", "depth": "Depth"}
RANGES = {"front": "Front", "all": "All trials"}
SCALES = {"linear": "Linear", "log": "Log"}


def show(context: Context, study: StudySummary) -> None:
    """Draw the page for one study."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = segments("Cost", COST_NAMES, "cost")
        coloring = cast(Coloring, segments("Color", COLORINGS, "coloring"))
        frame = Frame(segments("Cost axis", SCALES, "scale") == "log", segments("Range", RANGES, "range") == "front")
        chosen = _filter(context.trials(study))
        others = _others(context, study)
    whole = context.view(study, cost)
    view = chosen.apply(whole)
    headline(whole)
    if others:
        views = [view, *(chosen.apply(context.view(other, cost)) for other in others)]
        figure = facets_figure(views, dark=context.dark, coloring=coloring, frame=frame)
        st.plotly_chart(figure, key="facets", config={"displaylogo": False, "doubleClick": "autosize"})
        st.caption("All studies have the same axes. Show a single study to click its trials.")
    else:
        _front(view, coloring, frame, dark=context.dark)
    st.caption(plain(provenance(whole)))
    _tables(view)


def headline(view: View) -> None:
    """Draw the few numbers that people look for first."""
    dense, half = view.dense, best_within_flops(view.complete)
    near = within_one_point(view)

    def difference(trial: Trial | None) -> str | None:
        return f"{points(trial.accuracy - dense.accuracy)} against dense" if trial and dense else None

    counts = [(view.pruned, "pruned"), (view.failed, "failed"), (view.certified, "certified")]
    rest = ", ".join(f"{len(members)} {name}" for members, name in counts if members)
    metrics(
        ("Dense accuracy", percent(dense.accuracy) if dense else "not measured yet", None),
        ("Best at ≤ 50 % FLOPs", percent(half.accuracy) if half else "none yet", difference(half)),
        (
            "Cheapest within 1 point of dense",
            f"{percent(near.flops_ratio)} FLOPs" if near else "none yet",
            difference(near),
        ),
        ("Complete trials", len(view.complete), rest or None),
    )


def _front(view: View, coloring: Coloring, frame: Frame, *, dark: bool) -> None:
    chosen = chosen_trial(view)
    left, right = st.columns([2, 1], gap="medium")
    scope = f"{view.key.name} {view.cost.field} {frame}"
    if not view.front:
        empty.no_front(view)
    with left, st.container(key=BOX):
        st.plotly_chart(
            front_figure(view, chosen, dark=dark, coloring=coloring, frame=frame, zoom=zoom.ranges(scope)),
            key="front",
            selection_mode="points",
            on_select=lambda: _choose_point(view),
            config={"displaylogo": False, "scrollZoom": False, "doubleClick": "autosize"},
        )
        st.caption(
            "Each point is one trial: a pruning configuration, measured on the questions of the study. The line is the "
            "Pareto front: no other trial is both cheaper and at least as accurate. Click a point to see its trial, "
            "double-click for all trials."
        )
    zoom.listen(BOX, scope)
    with right:
        if chosen is not None:
            trial_panel(view, chosen)


def trial_panel(view: View, trial: Trial) -> None:
    """Draw one trial in words, and its preset."""
    trial_table(view, trial)
    if not trial.complete:
        st.caption("This trial was pruned. Its accuracy is an estimate, so it has no preset.")
        return
    content = preset(view, trial)
    preset_download(view, trial, content, key="download")
    if trial.number not in view.confirmations:
        st.caption(f"The accuracy is {ESTIMATE}. The page Export has the command that certifies.")


def _filter(trials: list[Trial]) -> Filter:
    """Draw the widgets of the filter, folded away."""
    measured = [trial for trial in trials if not trial.failed]
    names = sorted({name for t in measured for name in (t.config.phi_shallow, t.config.phi_deep)})
    counts, devices = sorted({t.n for t in measured}), sorted({t.device for t in measured if t.device})
    with st.popover("Filter", icon=":material/filter_alt:"):
        states = st.pills("State", list(STATES), format_func=STATES.__getitem__, selection_mode="multi", key="states")
        for key, known in (("criteria", names), ("devices", devices)):
            st.session_state[key] = [value for value in st.session_state.get(key, []) if value in known]
        if st.session_state.get("least_n") not in counts:
            st.session_state.pop("least_n", None)
        criteria = st.multiselect("Criterion (all if you choose none)", names, key="criteria")
        several = len(counts) > 1
        least = st.select_slider("Measured on at least so many questions", counts, key="least_n") if several else 0
        chosen = st.multiselect("Measured on", devices, key="devices") if len(devices) > 1 else []
        st.caption("Baselines stay. The front is that of the trials shown.")
    return Filter(frozenset(criteria), frozenset(chosen), frozenset(states), least)


def _others(context: Context, study: StudySummary) -> list[StudySummary]:
    """Draw the choice of studies to show beside this one."""
    others = context.latest_studies()
    others.pop((study.key.model, study.key.questions))
    if not others:
        return []
    st.session_state["beside"] = [pair for pair in st.session_state.get("beside", []) if pair in others]
    with st.popover("Side by side", icon=":material/grid_view:"):
        chosen = st.multiselect("Also show", list(others), format_func=pair_label, key="beside")
    return [others[pair] for pair in chosen]


def _tables(view: View) -> None:
    front, complete, pruned, failed = st.tabs(
        [
            f"Front ({len(view.front)})",
            f"All complete trials ({len(view.complete)})",
            f"Pruned ({len(view.pruned)})",
            f"Failed ({len(view.failed)})",
        ]
    )
    with front:
        _front_table(view)
    with complete:
        table(all_table(view))
    with pruned:
        table(pruned_table(view), "No trial was pruned.")
    with failed:
        table(failure_table(view), "No trial failed.")


def _front_table(view: View) -> None:
    chosen, numbers = chosen_trial(view), [trial.number for trial in view.front]
    rows = [numbers.index(chosen.number)] if chosen is not None and chosen.number in numbers else []
    # another key when rows move, or a row number goes stale
    key = f"front-table {view.key.name} {view.cost.field} {numbers} {rows}"
    st.dataframe(
        front_table(view),
        hide_index=True,
        column_config=COLUMNS,
        key=key,
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows}},
        on_select=lambda: _choose_row(view, numbers, key),
    )


def _choose_point(view: View) -> None:
    selected = st.session_state["front"]["selection"]["points"]
    if selected and selected[0].get("customdata") is not None:
        number = selected[0]["customdata"]
        choose(view.key, int(number[0] if isinstance(number, list | tuple) else number))


def _choose_row(view: View, numbers: list[int], key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        choose(view.key, numbers[rows[0]])
