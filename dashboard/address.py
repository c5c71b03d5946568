"""The address of a page: its query parameters hold the study, the trial and the settings that differ from the default.

A session reads them once, when it starts, and writes them after each drawing. A copied link or a reload therefore shows
the same view.
"""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from dashboard.analysis.study_view import COSTS, STATES, by_pair
from dashboard.context import DEFAULTS, Context, choose, chosen_number, chosen_study, preselect
from dashboard.views.export_page import FORMATS
from dashboard.views.fronts_page import COLORINGS, RANGES, SCALES
from dashboard.views.jobs_page import JOB
from dashboard.views.search_page import TARGETS, UNITS
from dashboard.wording.descriptions import pair_label
from dashboard.wording.formatting import plain
from storage import JobQueue, StudySummary

Address = dict[str, list[str]]
STUDY, TRIAL, BESIDE, LEAST = "study", "trial", "beside", "least_n"
ONE: dict[str, Collection[str]] = {  # by the key of the widget, which is the name in the address: its options
    "cost": COSTS,
    "coloring": COLORINGS,
    "range": RANGES,
    "scale": SCALES,
    "over": UNITS,
    "target": TARGETS,
    "picture_cost": COSTS,
    "picture_format": FORMATS,
}
SEVERAL: dict[str, Collection[str] | None] = {"states": STATES, "criteria": None, "devices": None}  # None: as measured
_LINK, _WRITTEN, _NOTES = "link", "written address", "notes on the link"


def read_settings() -> None:
    """Take the settings from the address, once a session; what does not exist stays at its default."""
    if _LINK in st.session_state:
        return
    link: Address = {name: st.query_params.get_all(name) for name in st.query_params}
    st.session_state[_LINK], st.session_state[_NOTES] = link, []
    for name, options in (ONE | SEVERAL).items():
        values = [value for value in link.get(name, []) if value]
        if unknown := [value for value in values if options is not None and value not in options]:
            _note(f"{name} {', '.join(unknown)}", "the dashboard does not know")
        elif name in link and (values or name in SEVERAL):
            st.session_state[name] = values if name in SEVERAL else values[0]
    for name in (LEAST, JOB):
        for value in filter(str.isdecimal, link.get(name, [])):
            st.session_state[name] = int(value)


def read_choices(context: Context) -> None:
    """Take the studies and the trial from the address, once a session, as soon as there are studies."""
    link: Address = st.session_state[_LINK]
    st.session_state[_LINK] = {}
    if BESIDE in link:
        pairs = {pair_label(pair): pair for pair in by_pair(context.studies)}
        st.session_state[BESIDE] = [pairs[label] for label in link[BESIDE] if label in pairs]
        for label in link[BESIDE]:
            if label not in pairs:
                _note(label, "is not in this store")
    for value in filter(str.isdecimal, link.get(JOB, [])):
        if int(value) not in [job.id for job in JobQueue(context.store).jobs()]:
            _note(f"job {value}", "is not in this store")
    for name in link.get(STUDY, []):
        study = next((one for one in context.studies if one.key.name == name), None)
        if study is None:
            _note(f"study {name}", "is not in this store")
            continue
        preselect(study)
        for value in link.get(TRIAL, []):
            _read_trial(context, study, value)


def write(studies: list[StudySummary]) -> None:
    """Put what is shown into the address."""
    address: Address = {}
    study = chosen_study(studies)
    if study is not None:
        address[STUDY] = [study.key.name]
        number = chosen_number(study.key)
        address |= {} if number is None else {TRIAL: [str(number)]}
    for name in (*ONE, *SEVERAL, LEAST, JOB):
        value = st.session_state.get(name)
        if value is not None and value != DEFAULTS.get(name, []):
            address[name] = (value or [""]) if isinstance(value, list) else [str(value)]
    if beside := st.session_state.get(BESIDE):
        address[BESIDE] = [pair_label(pair) for pair in beside]
    if st.session_state.setdefault(_WRITTEN, address) != address:
        st.session_state[_NOTES] = []  # something else was chosen since the link was opened
    st.session_state[_WRITTEN] = address
    keep()


def keep() -> None:
    """Put what was written last into the address again: Streamlit empties it when another page is opened."""
    address: Address = st.session_state.get(_WRITTEN, st.session_state[_LINK])
    if address != {name: st.query_params.get_all(name) for name in st.query_params}:
        st.query_params.from_dict(address)


def show_notes() -> None:
    """Say what of the link does not exist."""
    for note in st.session_state[_NOTES]:
        st.warning(plain(note), icon=":material/link_off:")


def _read_trial(context: Context, study: StudySummary, value: str) -> None:
    if value.isdecimal() and context.view(study).trial(int(value)) is not None:
        choose(study.key, int(value))
    else:
        _note(f"trial {value}", "is not among the measured trials of this study")


def _note(what: str, why: str) -> None:
    st.session_state[_NOTES].append(f"The link names {what}, which {why}; the default is shown instead.")
