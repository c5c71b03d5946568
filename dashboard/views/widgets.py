"""Pieces that several pages draw."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.analysis.study_view import View
from dashboard.wording import text, words
from dashboard.wording.columns import COLUMNS
from storage.records import Trial


def table(frame: pd.DataFrame) -> None:
    """A table that shows all of a short frame, and a part of a long one."""
    height = 35 * (min(len(frame), 20) + 1) + 3
    st.dataframe(frame, hide_index=True, column_config=COLUMNS, height=height)


def trial_table(view: View, trial: Trial) -> None:
    """One trial in words."""
    member = any(trial.number == one.number for one in view.front)
    place = "on the Pareto front" if member else "not on the Pareto front"
    place = place if trial.complete else "stopped early"
    rows = list(words.details(trial))
    if trial.number in view.confirmed:
        rows.append(("Confirmed", words.confirmation_text(view.confirmed[trial.number])))
    if trial.parent:
        rows.append(("Taken from", trial.parent))
    head = f"| {text.plain(words.trial_title(trial))} | {place} |"
    lines = [f"| {name} | {text.plain(value)} |" for name, value in rows]
    st.markdown("\n".join([head, "|---|---|", *lines]))


def picture(figure: go.Figure, key: str) -> None:
    """A figure that is looked at, not clicked."""
    st.plotly_chart(figure, key=key, config={"displaylogo": False, "doubleClick": "autosize"})
