"""Fronts: what each accuracy costs, for one pair or several side by side; a click chooses a trial."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import context
from dashboard.analysis import study_view
from dashboard.analysis.filters import Filter, choices
from dashboard.analysis.study_view import COSTS, STATES, View
from dashboard.context import Context
from dashboard.figures import facets
from dashboard.figures import front as figures
from dashboard.figures.front import Coloring
from dashboard.views import zoom
from dashboard.views.widgets import table, trial_table
from dashboard.wording import tables, text, words
from dashboard.wording.columns import COLUMNS
from storage import StudySummary
from storage.pareto import cheapest_within
from storage.presets import ESTIMATE, preset_filename
from storage.records import Trial

BOX = "front-box"
COLORINGS: dict[Coloring, str] = {"role": "Role", "criterion": "Criterion", "depth": "Depth"}


def show(here: Context, study: StudySummary) -> None:
    """The page for one study."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = st.segmented_control("Cost", list(COSTS), format_func=lambda name: COSTS[name].label, key="cost")
        coloring = st.segmented_control("Color", list(COLORINGS), format_func=COLORINGS.__getitem__, key="coloring")
        chosen = _filter(here.trials(study))
        beside = _beside(here, study)
    whole = here.view(study, cost or "flops")
    view = narrowed(whole, chosen)
    headline(whole)
    if beside:
        views = [view, *(narrowed(here.view(one, cost or "flops"), chosen) for one in beside)]
        figure = facets.facets_figure(views, dark=here.dark, coloring=coloring or "role")
        st.plotly_chart(figure, key="facets", config={"displaylogo": False, "doubleClick": "autosize"})
        st.caption("All on one scale. Choose a single pair to click its trials.")
    else:
        _front(view, coloring or "role", dark=here.dark)
    st.caption(text.plain(words.provenance(whole)))
    _tables(view)


def narrowed(view: View, chosen: Filter) -> View:
    """The view of what the filter takes; its front is that of the trials shown."""
    if not chosen.narrow:
        return view
    trials = chosen.apply([*view.complete, *view.stopped, *view.failed])
    return study_view.build_view(
        view.key, trials, view.cost.field, view.confirmed.values(), view.questions, view.family, view.layers
    )


def headline(view: View) -> None:
    """The few numbers that people look for first."""
    dense = view.dense
    half, near = study_view.best_within_flops(view.complete), cheapest_within(view.front, view.dense)

    def against_dense(trial: Trial | None) -> str | None:
        if trial is None or dense is None:
            return None
        return f"{text.points(trial.accuracy - dense.accuracy)} to dense"

    columns = st.columns(4)
    quiet: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
    columns[0].metric("Dense accuracy", text.percent(dense.accuracy) if dense else "not measured yet")
    columns[1].metric(
        "Best at ≤ 50 % FLOPs", text.percent(half.accuracy) if half else "none yet", against_dense(half), **quiet
    )
    columns[2].metric(
        "Cheapest within 1 point of dense",
        f"{text.percent(near.flops_ratio)} FLOPs" if near else "none yet",
        against_dense(near),
        **quiet,
    )
    others = [(len(view.stopped), "stopped early"), (len(view.failed), "failed"), (len(view.confirmed), "confirmed")]
    rest = ", ".join(f"{count} {name}" for count, name in others if count)
    columns[3].metric("Trials", f"{len(view.complete)}", rest or None, **quiet)


def trial_panel(view: View, trial: Trial) -> None:
    """One trial in words, and its preset."""
    trial_table(view, trial)
    if not trial.complete:
        st.caption("Stopped early: there is no preset of an estimate.")
        return
    preset = study_view.preset(view, trial).yaml()
    st.download_button(
        "Download preset (YAML)",
        preset,
        file_name=preset_filename(view.key.model, view.key.questions, f"trial-{trial.number}"),
        mime="application/yaml",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        key="download",
    )
    if trial.number not in view.confirmed:
        st.caption(f"The numbers are a {ESTIMATE}.")
    with st.expander("Preview"):
        st.code(preset, language="yaml")


def _front(view: View, coloring: Coloring, *, dark: bool) -> None:
    chosen = context.chosen_trial(view)
    left, right = st.columns([2, 1], gap="medium")
    scope = f"{view.key.name} {view.cost.field}"
    with left, st.container(key=BOX):
        figure = figures.front_figure(view, chosen, dark=dark, coloring=coloring, zoom=zoom.ranges(scope))
        st.plotly_chart(
            figure,
            key="front",
            selection_mode="points",
            on_select=lambda: _choose_point(view),
            config={"displaylogo": False, "scrollZoom": False, "doubleClick": "autosize"},
        )
    zoom.listen(BOX, scope)
    with right:
        if chosen is not None:
            trial_panel(view, chosen)


def _filter(trials: list[Trial]) -> Filter:
    """The filter's widgets, folded away."""
    there = choices(trials)
    with st.popover("Filter", icon=":material/filter_alt:"):
        states = st.pills("State", list(STATES), format_func=STATES.__getitem__, selection_mode="multi", key="states")
        known = [name for name in st.session_state.get("criteria", []) if name in there.criteria]
        st.session_state["criteria"] = known
        criteria = st.multiselect("Criterion, all if none is chosen", there.criteria, key="criteria")
        least = 0
        if len(there.counts) > 1:
            least = st.select_slider("At least so many questions", there.counts, key="least n")
        devices: list[str] = []
        if len(there.devices) > 1:
            devices = st.multiselect("Measured on", there.devices, key="devices")
        st.caption("Landmarks stay. The front is that of the trials shown.")
    return Filter(frozenset(criteria), frozenset(devices), frozenset(states), least)


def _beside(here: Context, study: StudySummary) -> list[StudySummary]:
    """The studies to draw beside this one."""
    latest = {pair: of_pair[0] for pair, of_pair in study_view.pairs(here.studies).items()}
    own = (study.key.model, study.key.questions)
    others = [pair for pair in latest if pair != own]
    if not others:
        return []
    known = [pair for pair in st.session_state.get("beside", []) if pair in others]
    st.session_state["beside"] = known
    with st.popover("Side by side", icon=":material/grid_view:"):
        chosen = st.multiselect("Also show", others, format_func=words.pair_label, key="beside")
    return [latest[pair] for pair in chosen]


def _tables(view: View) -> None:
    chosen = context.chosen_trial(view)
    front, every, stopped, failed = st.tabs(
        [
            f"Front ({len(view.front)})",
            f"All trials ({len(view.complete)})",
            f"Stopped early ({len(view.stopped)})",
            f"Failures ({len(view.failed)})",
        ]
    )
    with front:
        _front_table(view, chosen)
    with every:
        table(tables.all_table(view))
    with stopped:
        _or_nothing(tables.stopped_table(view), "No trial was stopped early.")
    with failed:
        _or_nothing(tables.failure_table(view), "No trial failed.")


def _or_nothing(frame: Any, otherwise: str) -> None:
    if len(frame):
        table(frame)
    else:
        st.markdown(otherwise)


def _front_table(view: View, chosen: Trial | None) -> None:
    frame, numbers = tables.front_table(view), [trial.number for trial in view.front]
    rows = [numbers.index(chosen.number)] if chosen is not None and chosen.number in numbers else []
    # another key when rows move, or a row number goes stale
    key = f"front-table {view.key.name} {view.cost.field} {numbers} {rows}"
    st.dataframe(
        frame,
        hide_index=True,
        column_config=COLUMNS,
        key=key,
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows}},
        on_select=lambda: _choose_row(view, numbers, key),
    )


def _choose_point(view: View) -> None:
    points = st.session_state["front"]["selection"]["points"]
    if points and points[0].get("customdata") is not None:
        number = points[0]["customdata"]
        context.choose(view, int(number[0] if isinstance(number, list | tuple) else number))


def _choose_row(view: View, numbers: list[int], key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        context.choose(view, numbers[rows[0]])
