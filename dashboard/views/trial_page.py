"""Trial: everything about one configuration, down to its questions and the image tokens that survive."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.access import commands, permission
from dashboard.analysis.paired import PairedScores, compare
from dashboard.analysis.study_view import BASELINE_NAMES, View
from dashboard.context import Context, choose, chosen_trial
from dashboard.figures.token_charts import survivors, tokens_figure
from dashboard.views.widgets import metrics, picture, table, trial_table
from dashboard.wording.descriptions import configuration_text
from dashboard.wording.formatting import percent, plain, points, sentence
from dashboard.wording.trial_tables import timing_table
from storage import QuestionSource, StudyKey, StudySummary
from storage.records import Measurement, Trial

QUESTIONS_AT_ONCE = 6


def show(context: Context, study: StudySummary) -> None:
    """Draw the page for one study."""
    view = context.view(study)
    trial = _choose(view)
    if trial is None:
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        trial_table(view, trial)
    with right:
        st.markdown("**Tokens left by layer**")
        picture(tokens_figure(trial, view.layers or trial.config.k2 + 1, dark=context.dark), "tokens-by-layer")
    _speed(view.confirmations.get(trial.number, trial))
    st.subheader("Against dense, question by question", anchor=False)
    dense = view.dense
    comparison = _comparison(context, study, dense, trial)
    if dense is None:
        st.markdown("Dense is not measured yet; `python -m search.launch` measures it first.")
    elif dense.number == trial.number:
        st.markdown("This is dense itself.")
    elif comparison is None:
        st.markdown("The store lacks the scores of one of both; `python -m search.launch` in a new store records them.")
    else:
        _differences(view, comparison)
    st.subheader("Which image tokens survive", anchor=False)
    _tokens(view, trial, comparison)


def _speed(measured: Measurement) -> None:
    """Draw what was timed."""
    st.subheader("Speed against dense, timed in turns", anchor=False)
    if measured.timings:
        table(timing_table(measured.timings))
        st.caption(plain(f"Medians and 95 % intervals over repeats, on {measured.device}."))
    else:
        st.markdown("This trial is not timed; `python -m search.launch` times the front and the baselines of a search.")


def _choose(view: View) -> Trial | None:
    """Draw the selectors of the trial: baselines and the front by name, any other by number."""
    chosen = chosen_trial(view)
    if chosen is None:
        return None
    by_number = {trial.number: trial for trial in (*view.baselines, *view.front, chosen)}
    numbers = sorted(by_number)
    left, right = st.columns([3, 1])
    number = left.selectbox(
        "Trial",
        numbers,
        index=numbers.index(chosen.number),
        key=f"trial {view.key.name} {chosen.number}",
        format_func=lambda n: _label(by_number[n], view),
    )
    last = max(trial.number for trial in (*view.complete, *view.pruned))
    typed = right.number_input(
        "Any number", 0, last, value=number, key=f"any {view.key.name} {number}", help="Of a trial of this study"
    )
    if view.trial(typed) is None:
        st.warning(f"Trial {typed} failed or is not finished; this page still shows trial {chosen.number}.")
    elif typed != chosen.number:
        choose(view.key, typed)
        st.rerun()
    choose(view.key, chosen.number)  # so that the address names it, and a search that goes on does not swap it
    return chosen


def _label(trial: Trial, view: View) -> str:
    role = BASELINE_NAMES.get(trial.origin) or ("front" if trial in view.front else "")
    cost, accuracy = f"{percent(trial.flops_ratio)} of dense", percent(trial.accuracy)
    return " · ".join(filter(None, (f"{trial.number}", role, cost, accuracy, configuration_text(trial))))


def _comparison(context: Context, study: StudySummary, dense: Trial | None, trial: Trial) -> PairedScores | None:
    if dense is None or dense.number == trial.number:
        return None
    scores = context.scores(study, [dense.number, trial.number])
    return compare(scores.get(trial.number, ()), scores.get(dense.number, ()))


def _differences(view: View, comparison: PairedScores) -> None:
    difference, p = comparison.difference, comparison.p
    interval = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}, n = {comparison.n}"
    metrics(
        ("Difference to dense", points(difference.mean), interval),
        ("Lost", len(comparison.lost), None),
        ("Won", len(comparison.won), None),
        ("McNemar's p", "–" if p is None else f"{p:.2g}", None),
    )
    st.caption(
        "Lost are the questions on which this configuration scores lower than dense, won those on which it scores "
        "higher. A small p-value means that such a difference is unlikely between equally good configurations."
    )
    for name, numbers in (("Lost", comparison.lost), ("Won", comparison.won)):
        with st.expander(f"{name} questions ({len(numbers)})", key=f"open {name}", on_change="rerun") as folded:
            if folded.open and numbers:
                _gallery(view, name, numbers)
            elif not numbers:
                st.markdown("None.")


def _gallery(view: View, name: str, numbers: Sequence[int]) -> None:
    """Draw some of the questions with their images, a page at a time."""
    pages = -(-len(numbers) // QUESTIONS_AT_ONCE)
    page = st.number_input("Page", 1, pages, key=f"page {name}", width=160) if pages > 1 else 1
    chosen = tuple(numbers[(page - 1) * QUESTIONS_AT_ONCE : page * QUESTIONS_AT_ONCE])
    try:
        questions = _cached_questions(view.key, view.questions, chosen)
    except commands.CommandError as error:
        st.warning(sentence(str(error)))
        return
    for column, question in zip(st.columns(QUESTIONS_AT_ONCE), questions, strict=False):
        with column:
            for png in question.pngs:
                st.image(png, width="stretch")
            _question(question)


def _question(question: commands.StudyQuestion) -> None:
    answers = ", ".join(dict.fromkeys(question.answers))
    choices = f" (of {', '.join(question.choices)})" if question.choices else ""
    st.markdown(f"{plain(f'{question.number}: {question.text}')}  \n**{plain(answers + choices)}**")


def _tokens(view: View, trial: Trial, comparison: PairedScores | None) -> None:
    key = view.key
    if not permission.can_write():
        st.caption("This dashboard is read-only and runs no model.")
        return
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    differing = (*comparison.lost, *comparison.won) if comparison else ()
    last = key.n_questions - 1
    first = min(differing[0] if differing else 0, last)
    number = left.number_input("Question", 0, last, value=first, key=f"question {trial.number}")
    if right.button("Show surviving tokens", icon=":material/grid_on:", help="Runs the model once"):
        st.session_state["tokens"] = (key, trial.number, number)
    if st.session_state.get("tokens") != (key, trial.number, number):
        st.caption("This runs the model on the question, in a process of its own: a few seconds for a mini model.")
        return
    try:
        result = _cached_survivors(key, view.questions, trial, number, view.weights)
    except commands.CommandError as error:
        st.error(sentence(str(error)), icon=":material/error:")
        return
    overlays, text = st.columns([3, 1])
    for _, images in itertools.groupby(result.images, key=lambda tokens: tokens.image.size):
        _overlay(overlays, trial, list(images))
    with text:
        _question(result.question)
        rows = f"| Dense | {plain(result.dense_answer)} |\n| This trial | {plain(result.answer)} |"
        st.markdown(f"| | Answer |\n|---|---|\n{rows}")


def _overlay(container: DeltaGenerator, trial: Trial, images: list[commands.ImageTokens]) -> None:
    """Draw an image after each cut, or images of one size, such as the frames of a video, side by side."""
    total, config = sum(one.grid[0] * one.grid[1] for one in images), trial.config
    steps: list[tuple[str, list[frozenset[int] | None], int]] = [
        ("All image tokens", [None for _ in images], total),
        (f"After K1 = {config.k1} by {config.phi_shallow}", *_left(one.after_k1 for one in images)),
        (f"After K2 = {config.k2} by {config.phi_deep}", *_left(one.after_k2 for one in images)),
    ]
    places = container.columns(3) if len(images) == 1 else [container] * 3
    for place, (name, kept, left) in zip(places, steps, strict=True):
        pictures = [(one.image, one.grid, tokens) for one, tokens in zip(images, kept, strict=True)]
        place.image(survivors(pictures), width="stretch")
        place.caption(plain(f"{name}: {left} of {total}"))


def _left(kept: Iterable[frozenset[int]]) -> tuple[list[frozenset[int] | None], int]:
    tokens = list(kept)
    return [*tokens], sum(map(len, tokens))


@st.cache_resource(show_spinner="Drawing questions", max_entries=64)
def _cached_questions(
    key: StudyKey, source: QuestionSource | None, numbers: tuple[int, ...]
) -> list[commands.StudyQuestion]:
    return commands.questions(key, source, numbers)


@st.cache_resource(show_spinner="Running the model on this question", max_entries=64)
def _cached_survivors(
    key: StudyKey, source: QuestionSource | None, trial: Trial, number: int, weights: str
) -> commands.Survivors:
    return commands.survivors(key, source, trial, number, weights)
