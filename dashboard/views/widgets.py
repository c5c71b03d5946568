"""Pieces that several pages draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.analysis.study_view import COSTS, View
from dashboard.context import DEFAULTS
from dashboard.wording.columns import COLUMNS
from dashboard.wording.descriptions import details, held_out_text, trial_title
from dashboard.wording.formatting import plain, sentence
from himap.presets import Preset
from storage.commands import password_note, shell_command
from storage.presets import preset_filename
from storage.records import Trial

COST_NAMES = {name: cost.label for name, cost in COSTS.items()}


def table(frame: pd.DataFrame, otherwise: str = "") -> None:
    """Draw a table that shows all of a short frame, and a part of a long one; or a text if it has no rows."""
    if not len(frame) and otherwise:
        st.markdown(otherwise)
        return
    height = 35 * (min(len(frame), 20) + 1) + 3
    st.dataframe(frame, hide_index=True, column_config=COLUMNS, height=height)


def metrics(*numbers: tuple[str, object, str | None]) -> None:
    """Draw large numbers side by side, each with its name and a small note below."""
    for column, (name, value, note) in zip(st.columns(len(numbers)), numbers, strict=True):
        column.metric(name, str(value), note, delta_color="off", delta_arrow="off")


def segments(label: str, names: Mapping[str, str], key: str, *, hidden: bool = False) -> str:
    """Draw a choice of one by its name, and return its key; the default where none is chosen."""
    visibility: Literal["collapsed", "visible"] = "collapsed" if hidden else "visible"
    options = list(names)
    chosen = st.segmented_control(label, options, format_func=names.__getitem__, key=key, label_visibility=visibility)
    return chosen or DEFAULTS[key]


def trial_table(view: View, trial: Trial) -> None:
    """Draw one trial in words."""
    member = any(trial.number == one.number for one in view.front)
    role = "on the Pareto front" if member else "not on the Pareto front"
    role = role if trial.complete else "pruned (stopped early)"
    rows = details(trial)
    if trial.number in view.confirmations:
        rows.append(("Held-out", held_out_text(view.confirmations[trial.number])))
    if trial.parent:
        rows.append(("Taken from", trial.parent))
    head = f"| {plain(trial_title(trial))} | {role} |"
    st.markdown("\n".join([head, "|---|---|", *(f"| {name} | {plain(value)} |" for name, value in rows)]))


def preset_download(view: View, trial: Trial, preset: Preset, key: str) -> None:
    """Draw the button that saves a trial's preset, and the preset's text, folded away."""
    content = preset.yaml()
    st.download_button(
        "Download preset (YAML)",
        content,
        file_name=preset_filename(view.key.model, view.key.questions, f"trial-{trial.number}"),
        mime="application/yaml",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        key=key,
    )
    with st.expander("Preview"):
        st.code(content, language="yaml")


def command(words: Sequence[str], url: str) -> None:
    """Draw a command to paste, and what to do about a password that it leaves out."""
    command_line(shell_command(*words), url)


def command_line(text: str, url: str) -> None:
    """Draw a command that is ready for a shell, as `command` does."""
    st.code(text, language="bash", wrap_lines=True)
    if note := password_note(url):
        st.caption(sentence(note))


def picture(figure: go.Figure, key: str) -> None:
    """Draw a figure that is looked at, not clicked."""
    st.plotly_chart(figure, key=key, config={"displaylogo": False, "doubleClick": "autosize"})
