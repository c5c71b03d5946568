"""Trial: everything about one configuration, down to its questions and the tokens that survive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from dashboard import context
from dashboard.access import commands
from dashboard.analysis.paired import Paired, compare
from dashboard.analysis.study_view import LANDMARKS, View
from dashboard.context import Context
from dashboard.figures import trial as trial_figures
from dashboard.views.widgets import picture, trial_table
from dashboard.wording import text, words
from storage import QuestionSource, StudyKey, StudySummary
from storage.records import Trial

SHOWN = 6  # questions at once


def show(here: Context, study: StudySummary) -> None:
    """The page for one study."""
    view = here.view(study)
    trial = _choose(view)
    if trial is None:
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        trial_table(view, trial)
    with right:
        st.markdown("**Tokens left by layer**")
        picture(
            trial_figures.tokens_figure(trial, view.layers or trial.config.k2 + 1, dark=here.dark), "tokens-by-layer"
        )
    dense = view.dense
    st.subheader("Against dense, question by question", anchor=False)
    compared = _compared(here, study, dense, trial)
    if dense is None or compared is None:
        st.markdown(_why_not(dense, trial))
    else:
        _differences(view, compared)
    st.subheader("Which image tokens survive", anchor=False)
    _tokens(view, trial, compared)


def _choose(view: View) -> Trial | None:
    """The selector of the trial: what stands out by name, any other by number."""
    notable = {t.number: t for t in (*view.landmarks, *view.front)}
    chosen = context.chosen_trial(view)
    if chosen is None:
        return None
    notable.setdefault(chosen.number, chosen)
    options = sorted(notable)
    first, second = st.columns([3, 1])
    number = first.selectbox(
        "Trial",
        options,
        index=options.index(chosen.number),
        key=f"trial {view.key.name} {chosen.number}",
        format_func=lambda n: _label(notable[n], view),
    )
    last = max(t.number for t in (*view.complete, *view.stopped))
    typed = second.number_input(
        "Any number", 0, last, value=number, key=f"any {view.key.name} {number}", help="Of this study"
    )
    wanted = typed if typed != number else number
    if view.trial(wanted) is None:
        st.warning(f"Trial {wanted} failed or is not finished; the one before it is shown.")
    elif wanted != chosen.number:
        context.choose(view, wanted)
        st.rerun()
    return chosen


def _label(trial: Trial, view: View) -> str:
    role = LANDMARKS.get(trial.origin) or ("front" if trial in view.front else "")
    parts = [
        f"{trial.number}",
        role,
        text.percent(trial.flops_ratio) + " of dense",
        text.percent(trial.accuracy),
        words.configuration_text(trial),
    ]
    return " · ".join(part for part in parts if part)


def _compared(here: Context, study: StudySummary, dense: Trial | None, trial: Trial) -> Paired | None:
    if dense is None or dense.number == trial.number:
        return None
    scores = here.scores(study, [dense.number, trial.number])
    return compare(scores.get(trial.number, ()), scores.get(dense.number, ()))


def _why_not(dense: Trial | None, trial: Trial) -> str:
    if dense is None:
        return "Dense is not measured yet."
    if dense.number == trial.number:
        return "This is dense itself."
    return "No per-question scores are stored for both."


def _differences(view: View, found: Paired) -> None:
    columns = st.columns(4)
    quiet: dict[str, Any] = {"delta_color": "off", "delta_arrow": "off"}
    interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}, n = {found.asked}"
    columns[0].metric("Difference to dense", text.points(found.difference), interval, **quiet)
    columns[1].metric("Lost", len(found.lost))
    columns[2].metric("Won", len(found.won))
    columns[3].metric("McNemar's p", "–" if found.p is None else f"{found.p:.2g}")
    for name, numbers in (("Lost", found.lost), ("Won", found.won)):
        title = f"{name} questions ({len(numbers)})"
        with st.expander(title, key=f"open {name}", on_change="rerun") as folded:
            if folded.open and numbers:
                _gallery(view, name, numbers)
            elif not numbers:
                st.markdown("None.")


def _gallery(view: View, name: str, numbers: Sequence[int]) -> None:
    """Some of the questions with their images, a page at a time."""
    pages = -(-len(numbers) // SHOWN)
    page = st.number_input("Page", 1, pages, key=f"page {name}", width=160) if pages > 1 else 1
    part = tuple(numbers[(page - 1) * SHOWN : page * SHOWN])
    try:
        shown = _questions(view.key, view.questions, part)
    except commands.OutsideError as error:
        st.warning(text.plain(text.sentence(str(error))))
        return
    for column, one in zip(st.columns(SHOWN), shown, strict=False):
        with column:
            for png in one.pngs:
                st.image(png, width="stretch")
            _asked(one)


def _asked(one: commands.Shown) -> None:
    st.markdown(f"{text.plain(f'{one.number}: {one.text}')}  \n**{text.plain(_right(one))}**")


def _right(one: commands.Shown) -> str:
    answers = ", ".join(dict.fromkeys(one.answers))
    return f"{answers} (of {', '.join(one.choices)})" if one.choices else answers


def _tokens(view: View, trial: Trial, compared: Paired | None) -> None:
    key = view.key
    first, second = st.columns([1, 3], vertical_alignment="bottom")
    usual = next(iter((*compared.lost, *compared.won)), 0) if compared else 0
    last = key.n_questions - 1
    number = first.number_input("Question", 0, last, value=min(usual, last), key=f"question {trial.number}")
    if second.button("Show surviving tokens", icon=":material/grid_on:", help="Runs the model once"):
        st.session_state["tokens"] = (key, trial.number, number)
    if st.session_state.get("tokens") != (key, trial.number, number):
        st.caption("Runs the model on this question in a process of its own; a few seconds for a mini.")
        return
    try:
        found = _survivors(key, view.questions, trial, number)
    except commands.OutsideError as error:
        st.error(text.plain(text.sentence(str(error))), icon=":material/error:")
        return
    _overlays(trial, found)


def _overlays(trial: Trial, found: commands.Survivors) -> None:
    pictures, words_beside = st.columns([3, 1])
    for one in found.seen:
        _overlay(pictures, trial, one)
    with words_beside:
        _asked(found.question)
        st.markdown(
            f"| | Answer |\n|---|---|\n| Dense | {text.plain(found.dense_answer)} |\n"
            f"| Pruned | {text.plain(found.answer)} |"
        )


def _overlay(place: Any, trial: Trial, seen: commands.Seen) -> None:
    total = seen.grid[0] * seen.grid[1]
    steps = [
        ("All image tokens", None, total),
        (f"After K1 = {trial.config.k1} by {trial.config.phi_shallow}", seen.after_k1, len(seen.after_k1)),
        (f"After K2 = {trial.config.k2} by {trial.config.phi_deep}", seen.after_k2, len(seen.after_k2)),
    ]
    for column, (name, kept, left) in zip(place.columns(3), steps, strict=True):
        column.image(trial_figures.survivors(seen.image, seen.grid, kept), width="stretch")
        column.caption(text.plain(f"{name}: {left} of {total}"))


@st.cache_data(show_spinner="Drawing questions", max_entries=64)
def _questions(key: StudyKey, source: QuestionSource | None, numbers: tuple[int, ...]) -> list[commands.Shown]:
    return commands.questions(key, source, numbers)


@st.cache_data(show_spinner="Running the model on this question", max_entries=64)
def _survivors(key: StudyKey, source: QuestionSource | None, trial: Trial, number: int) -> commands.Survivors:
    return commands.survivors(key, source, trial, number)
