"""The page of fronts: choose a pair, see its front, choose a member, take its preset along."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard import figures, queries, tables, text
from dashboard.columns import COLUMNS
from dashboard.queries import COSTS, View
from storage.pareto import cheapest_within
from storage.presets import ESTIMATE, preset_filename, preset_yaml
from storage.records import StudySummary, Trial

CHOSEN = "chosen_trial"


def choose(studies: list[StudySummary]) -> tuple[StudySummary, str]:
    """The selectors: the pair, where it has several studies also the study, and what counts as cost."""
    pairs = queries.pairs(studies)
    first, second, third = st.columns([3, 4, 4])
    pair = first.selectbox(
        "Model and benchmark", list(pairs), format_func=lambda pair: f"{pair[0]} · {pair[1]}", key="pair"
    )
    of_pair = {summary.id: summary for summary in pairs[pair]}
    chosen = next(iter(of_pair))
    if len(of_pair) > 1:
        chosen = third.selectbox(
            "Study",
            list(of_pair),
            format_func=lambda one: queries.study_label(of_pair[one]),
            key=f"study {pair}",
        )
    cost = second.segmented_control(
        "Cost", list(COSTS), format_func=lambda name: COSTS[name].label, default="flops", key="cost"
    )
    return of_pair[chosen], cost or "flops"


def headline(view: View) -> None:
    """The few numbers that people look for first."""
    dense = view.dense
    half, near = queries.best_within_flops(view.complete), cheapest_within(view.front, view.dense)

    def against_dense(trial: Trial | None) -> str | None:
        if trial is None or dense is None:
            return None
        return f"{text.points(trial.accuracy - dense.accuracy)} to dense"

    columns = st.columns(4)
    quiet: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
    columns[0].metric("Dense accuracy", text.percent(dense.accuracy) if dense else "not measured yet")
    columns[1].metric(
        "Best at ≤ 50 % FLOPs",
        text.percent(half.accuracy) if half else "none yet",
        against_dense(half),
        **quiet,
    )
    columns[2].metric(
        "Cheapest within 1 point of dense", f"{text.percent(near.flops_ratio)} FLOPs" if near else "none yet",
        against_dense(near), **quiet,
    )  # fmt: skip
    failed = f"{len(view.failed)} failed" if view.failed else None
    columns[3].metric("Trials", f"{len(view.complete)}", failed, **quiet)


def fronts(view: View, *, dark: bool) -> None:
    """The figure, the chosen trial beside it, the tables below."""
    scope = f"{view.key.name} {view.cost.field}"
    chosen = view.trial(st.session_state.get(CHOSEN, {}).get(view.key.name)) or queries.suggested(view)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        st.plotly_chart(
            figures.front_figure(view, chosen, dark=dark), key="front", selection_mode="points",
            on_select=lambda: _choose_point(view), config={"displaylogo": False, "scrollZoom": False},
        )  # fmt: skip
    with right:
        if chosen is not None:
            trial_panel(view, chosen)
    st.caption(text.plain(queries.provenance(view)))
    front, every, failed = st.tabs([
        f"Front ({len(view.front)})", f"All trials ({len(view.complete)})", f"Failures ({len(view.failed)})"
    ])  # fmt: skip
    with front:
        _front_table(view, chosen, scope)
    with every:
        _table(tables.all_table(view))
    with failed:
        if view.failed:
            _table(tables.failure_table(view))
        else:
            st.markdown("No trial failed.")


def trial_panel(view: View, trial: Trial) -> None:
    """One trial in words, and its preset."""
    member = any(trial.number == one.number for one in view.front)
    place = "on the Pareto front" if member else "not on the Pareto front"
    head = f"| {text.plain(queries.trial_title(trial))} | {place} |"
    lines = [f"| {name} | {text.plain(value)} |" for name, value in queries.details(trial)]
    st.markdown("\n".join([head, "|---|---|", *lines]))
    preset = preset_yaml(view.key, trial)
    st.download_button(
        "Download preset (YAML)", preset, file_name=preset_filename(view.key, trial), mime="application/yaml",
        type="primary", icon=":material/download:", on_click="ignore", key="download",
    )  # fmt: skip
    st.caption(f"The numbers are a {ESTIMATE}.")
    with st.expander("Preview"):
        st.code(preset, language="yaml")


def _front_table(view: View, chosen: Trial | None, scope: str) -> None:
    frame, numbers = tables.front_table(view), [trial.number for trial in view.front]
    rows = [numbers.index(chosen.number)] if chosen is not None and chosen.number in numbers else []
    key = f"front-table {scope} {numbers} {rows}"  # another key when rows move, or a row number goes stale
    st.dataframe(
        frame, hide_index=True, column_config=COLUMNS, height=_height(len(frame)), key=key,
        selection_mode="single-row", selection_default={"selection": {"rows": rows}},
        on_select=lambda: _choose_row(view, numbers, key),
    )  # fmt: skip


def _table(frame: pd.DataFrame) -> None:
    st.dataframe(frame, hide_index=True, column_config=COLUMNS, height=_height(len(frame)))


def _height(rows: int) -> int:
    """Pixels that show all of a short table, and a part of a long one."""
    return 35 * (min(rows, 20) + 1) + 3


def _choose_point(view: View) -> None:
    points = st.session_state["front"]["selection"]["points"]
    if points and points[0].get("customdata") is not None:
        number = points[0]["customdata"]
        _choose(view, int(number[0] if isinstance(number, list | tuple) else number))


def _choose_row(view: View, numbers: list[int], key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        _choose(view, numbers[rows[0]])


def _choose(view: View, number: int) -> None:
    st.session_state[CHOSEN] = {**st.session_state.get(CHOSEN, {}), view.key.name: number}
