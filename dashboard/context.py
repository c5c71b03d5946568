"""What every page is given: the store as it is now, its studies, the theme, and what is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.access import store as source
from dashboard.analysis import study_view
from dashboard.analysis.study_view import View
from dashboard.wording import words
from storage import Store, StudySummary, Trial

PAIR, STUDY, CHOSEN = "pair", "study ", "chosen_trial"
FIRST: dict[str, Any] = {
    "cost": "flops",
    "coloring": "role",
    "states": list(study_view.STATES),
    "live": True,
    "over": "Trials",
    "target": "accuracy",
    "picture cost": "flops_ratio",
    "picture format": "png",
}
KEPT = (*FIRST, "criteria", "devices", "least n", "beside", PAIR)


@dataclass(frozen=True)
class Context:
    """One look at the store, for one page."""

    url: str
    store: Store
    studies: list[StudySummary]
    dark: bool

    def trials(self, study: StudySummary) -> list[Trial]:
        """The trials of a study without scores."""
        return source.trials(self.url, study.id, self.store)

    def view(self, study: StudySummary, cost: str = "flops") -> View:
        """One study under one cost, with its confirmations."""
        confirmations = source.confirmations(self.url, study.id, self.store)
        questions = source.questions(self.url, study.id, self.store)
        return study_view.build_view(
            study.key, self.trials(study), cost, confirmations, questions, study.family, study.layers
        )

    def scores(self, study: StudySummary, numbers: Iterable[int]) -> dict[int, tuple[float, ...]]:
        """Per-question scores of some trials, by number."""
        return source.scores(self.url, study.id, tuple(sorted(set(numbers))), self.store)


def keep_choices() -> None:
    """Streamlit forgets a widget's value when the page changes; what is chosen stays chosen."""
    kept: dict[str, Any] = st.session_state.setdefault("kept", dict(FIRST))
    for key in [*st.session_state]:
        if isinstance(key, str) and (key in KEPT or key.startswith(f"{STUDY}(")):
            kept[key] = st.session_state[key]
    for key, value in kept.items():
        if key not in st.session_state:
            st.session_state[key] = value


def choose_study(studies: list[StudySummary]) -> StudySummary:
    """The selectors of the pair and, where it has several, of its study."""
    pairs = study_view.pairs(studies)
    first, second = st.columns([2, 3])
    if st.session_state.get(PAIR) not in pairs:
        st.session_state.pop(PAIR, None)
    pair = first.selectbox("Model and benchmark", list(pairs), format_func=words.pair_label, key=PAIR)
    of_pair = {summary.id: summary for summary in pairs[pair]}
    if len(of_pair) == 1:
        return next(iter(of_pair.values()))
    chosen = second.selectbox(
        "Study", list(of_pair), format_func=lambda one: words.study_label(of_pair[one]), key=f"{STUDY}{pair}"
    )
    return of_pair[chosen]


def chosen_number(view: View) -> int | None:
    """The trial that was chosen last in this study."""
    return st.session_state.get(CHOSEN, {}).get(view.key.name)


def chosen_trial(view: View) -> Trial | None:
    """The chosen trial, else the one to suggest; None in a study without trials."""
    return view.trial(chosen_number(view)) or study_view.suggested(view)


def choose(view: View, number: int) -> None:
    """Remember a choice for all pages."""
    st.session_state[CHOSEN] = {**st.session_state.get(CHOSEN, {}), view.key.name: number}
