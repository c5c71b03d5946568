"""What every page is given: the store and its studies, the theme, and what the user has chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard.access import cached_reads
from dashboard.analysis import study_view
from dashboard.analysis.study_view import View
from dashboard.wording.descriptions import pair_label, study_label
from storage import Store, StudyKey, StudySummary, Trial
from storage.phase import Phase

PAIR, STUDY, CHOSEN, PAGE = "pair", "study ", "chosen_trial", "page"
PAGES, NEW_SEARCH, JOBS = "pages", "New search", "Jobs"
DEFAULTS: dict[str, Any] = {
    "cost": "flops",
    "coloring": "role",
    "range": "front",
    "scale": "linear",
    "states": list(study_view.STATES),
    "live": True,
    "over": "Trials",
    "target": "accuracy",
    "picture_cost": "flops_ratio",
    "picture_format": "png",
}
KEPT = (*DEFAULTS, "criteria", "devices", "least_n", "beside", "job", PAIR)


@dataclass(frozen=True)
class Context:
    """The store as one page sees it."""

    url: str
    store: Store
    studies: list[StudySummary]
    dark: bool
    phases: Mapping[int, Phase]

    def stamp(self, study: StudySummary) -> str:
        """Return a text that changes whenever the study does."""
        return self.store.version_stamp(study.id)

    def trials(self, study: StudySummary) -> list[Trial]:
        """Return the trials of a study as the search measured them, without scores."""
        return cached_reads.study_records(self.url, study.id, self.store).searched

    def phase(self, study: StudySummary) -> Phase:
        """Return what the search of a study does; a study that has just been created waits."""
        return self.phases.get(study.id, "waiting")

    def view(self, study: StudySummary, cost: str = "flops") -> View:
        """Return one study under one cost."""
        records = cached_reads.study_records(self.url, study.id, self.store)
        return study_view.build_view(
            study.key,
            records.trials,
            cost,
            records.confirmations,
            records.questions,
            {} if records.trials is records.searched else {trial.number: trial.accuracy for trial in records.searched},
            study.family,
            study.layers,
            study.weights,
            self.url,
        )

    def latest_studies(self) -> dict[study_view.Pair, StudySummary]:
        """Return the study of each model and benchmark that was written last."""
        return {pair: studies[0] for pair, studies in study_view.by_pair(self.studies).items()}

    def scores(self, study: StudySummary, numbers: Iterable[int]) -> dict[int, tuple[float, ...]]:
        """Return the per-question scores of some trials, by number."""
        return cached_reads.scores(self.url, study.id, sorted(set(numbers)), self.store)


def keep_choices(page: str) -> None:
    """Keep the values of widgets from page to page.

    Streamlit forgets those that a page does not draw, and starts those of another page at their defaults even where it
    still knows the value under the same key. So they are all set when the page has changed.
    """
    kept: dict[str, Any] = st.session_state.setdefault("kept", dict(DEFAULTS))
    for key, value in st.session_state.items():
        if isinstance(key, str) and (key in KEPT or key.startswith(f"{STUDY}(")):
            kept[key] = value
    changed = st.session_state.get(PAGE) != page
    st.session_state[PAGE] = page
    for key, value in kept.items():
        if changed or key not in st.session_state:
            st.session_state[key] = value


def choose_study(studies: list[StudySummary]) -> StudySummary:
    """Draw the selectors of model and benchmark and, where these have several studies, of the study."""
    groups = study_view.by_pair(studies)
    left, right = st.columns([2, 3])
    if st.session_state.get(PAIR) not in groups:
        st.session_state.pop(PAIR, None)
    pair = left.selectbox("Model and benchmark", list(groups), format_func=pair_label, key=PAIR)
    by_id = {study.id: study for study in groups[pair]}
    if len(by_id) == 1:
        return groups[pair][0]
    chosen = right.selectbox("Study", list(by_id), format_func=lambda i: study_label(by_id[i]), key=f"{STUDY}{pair}")
    return by_id[chosen]


def preselect(study: StudySummary) -> None:
    """Choose a study before the selectors are drawn."""
    pair = study.key.model, study.key.questions
    st.session_state[PAIR], st.session_state[f"{STUDY}{pair}"] = pair, study.id


def chosen_study(studies: list[StudySummary]) -> StudySummary | None:
    """Return the study that was chosen last; None before one was."""
    pair = st.session_state.get(PAIR)
    group = study_view.by_pair(studies).get(pair, []) if pair else []
    chosen = st.session_state.get(f"{STUDY}{pair}")
    return next((study for study in group if study.id == chosen), group[0] if group else None)


def chosen_number(key: StudyKey) -> int | None:
    """Return the number of the trial that was chosen last in this study."""
    return st.session_state.get(CHOSEN, {}).get(key.name)


def chosen_trial(view: View) -> Trial | None:
    """Return the chosen trial, else the one to suggest; None in a study without trials."""
    return view.trial(chosen_number(view.key)) or study_view.suggested(view)


def choose(key: StudyKey, number: int) -> None:
    """Remember the choice of a study's trial for all pages."""
    st.session_state[CHOSEN] = {**st.session_state.get(CHOSEN, {}), key.name: number}
