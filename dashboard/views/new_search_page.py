"""New search: choose a model, questions and a budget, see what it will cost, and queue it as a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from dashboard.access import permission, queue
from dashboard.access.commands import CommandError
from dashboard.access.options import DashboardOptions
from dashboard.access.plans import PlannedSearch, PlannedStudy, plan
from dashboard.analysis.new_search import HUB_ID, MARGINS, USUAL_COSTS, USUAL_MARGINS, NewSearch, known_models
from dashboard.context import JOBS, PAGES
from dashboard.wording.formatting import duration, number, plain, sentence
from objectives.benchmarks import EVERY_BENCHMARK
from storage.commands import shell_command
from storage.uploads import IMAGES, TABLES, Upload, UploadError, UploadLimits, keep_upload

BENCHMARKS, OWN = "Benchmarks", "My own questions"
METRICS = {
    "exact_match": "exact match",
    "vqa_accuracy": "VQA accuracy (several annotators)",
    "yes_no": "yes or no",
    "multiple_choice": "multiple choice",
    "number": "a number, within 5 %",
    "anls": "ANLS (texts in images)",
    "cider": "CIDEr (captions)",
}
COSTS = {"flops": "FLOPs", "paper_flops": "the paper's FLOPs", "latency": "latency"}
EXAMPLE = '{"id": "1", "image": "cat.png", "question": "What is it?", "answer": "cat"}'
_BUDGET, _BENCHMARK = 60, "pope"
_SHOWN = 50  # rows that cannot be used
_KEPT, _QUEUED = "kept upload", "queued job"


def show(options: DashboardOptions) -> None:
    """Draw the page, with or without a store."""
    st.subheader("New search", anchor=False)
    if not permission.can_write():
        st.info("This dashboard only shows searches; sign in, or use a terminal, to start one.")
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        wanted = _chosen(options)
    with right:
        _review(options, wanted)


def _chosen(options: DashboardOptions) -> NewSearch | None:
    """Draw the form; return None while something is missing."""
    model = _model(options)
    source = st.segmented_control("Questions", [BENCHMARKS, OWN], default=BENCHMARKS, key="new_source") or BENCHMARKS
    if source == OWN:
        upload, metric = _upload(options)
        wanted = NewSearch(model, 1, data=upload.data, metric=metric) if upload else None
    else:
        names = {name: one.title for name, one in EVERY_BENCHMARK.items()}
        chosen = st.multiselect(
            "Benchmarks", list(names), [_BENCHMARK], format_func=names.__getitem__, key="new_benchmarks"
        )
        st.caption("Their questions are about scenes that are drawn on demand, so that nothing is downloaded.")
        wanted = NewSearch(model, 1, tuple(chosen)) if chosen else None
    budget = st.number_input(
        "Budget: trials a study",
        *(1, 100_000, _BUDGET, 20),
        help="A trial measures one pruning configuration. 30 % explore; the rest refines the best.",
        key="new_budget",
    )
    goals = _goals()
    if wanted is None or not model:
        return None
    return replace(wanted, budget=int(budget), **goals)


def _model(options: DashboardOptions) -> str:
    models = known_models(options.models)
    model = st.selectbox("Model", list(models), format_func=models.__getitem__, key="new_model")
    if options.allow_hub:
        hub = st.text_input("Or a model of the Hugging Face hub", placeholder="owner/name", key="new_hub").strip()
        if hub and not HUB_ID.fullmatch(hub):
            st.error(f"Got {plain(repr(hub[:80]))}; expected owner/name, as the hub's address ends.")
            return ""
        model = hub or model
    return str(model)


def _upload(options: DashboardOptions) -> tuple[Upload | None, str]:
    """Draw the upload, and keep its files; the metric is empty without one."""
    limits = UploadLimits()
    files = st.file_uploader(
        "Questions and images: one zip, or single files",
        type=[ending[1:] for ending in (".zip", *TABLES, *IMAGES)],
        accept_multiple_files=True,
        max_upload_size=limits.size // 10**6,
        key="new_files",
    )
    st.caption(f"One line a question, and images by their file names. At most {limits.size // 10**6} MB unpacked.")
    st.code(EXAMPLE, language="json", wrap_lines=True)
    metric = st.selectbox("Scored by", list(METRICS), format_func=METRICS.__getitem__, key="new_metric")
    if not files:
        return None, metric
    ids = tuple(file.file_id for file in files)
    known, upload = st.session_state.get(_KEPT, ((), None))
    if known != ids or upload is None or not upload.data.is_file():
        try:
            upload = keep_upload(options.uploads, [(file.name, file.getvalue()) for file in files], limits)
        except UploadError as error:
            st.error(sentence(str(error)), icon=":material/error:")
            return None, metric
        st.session_state[_KEPT] = ids, upload
    others = f"; {len(upload.left_out)} files of other kinds are left out" if upload.left_out else ""
    st.markdown(f"Uploaded **{plain(upload.data.name)}** and {upload.images} images{others}.")
    return upload, metric


def _goals() -> dict[str, Any]:
    """Draw margins, objectives and limits, folded away; return the fields of a `NewSearch`."""
    with st.expander("Margins, objectives and limits"):
        certify = st.toggle(
            "Certify presets", value=True, help="Test the best settings on questions that the search never saw."
        )
        margins = st.pills(
            "Accuracy that a certified preset may lose, in points",
            MARGINS,
            selection_mode="multi",
            default=USUAL_MARGINS,
            format_func=number,
            disabled=not certify,
        )
        costs = st.pills(
            "Search for low (at most two)",
            list(COSTS),
            selection_mode="multi",
            default=USUAL_COSTS,
            format_func=COSTS.__getitem__,
        )
        first, second, third = st.columns(3)
        drop = first.number_input("Most points lost", 0.0, 100.0, None)
        flops = second.number_input("Most FLOPs, % of dense", 1.0, 100.0, None)
        latency = third.number_input("Most ms to the first token", 0.1, None, None)
    chosen = tuple(sorted(margins)) or USUAL_MARGINS
    order = tuple(name for name in COSTS if name in costs)[:2] or USUAL_COSTS
    return {
        "certify": certify,
        "margins": chosen,
        "costs": order,
        "max_drop": drop,
        "max_flops": flops,
        "max_latency": latency,
    }


def _review(options: DashboardOptions, wanted: NewSearch | None) -> None:
    """Draw the button, and what the search will do; own questions are checked before the button works."""
    place = st.container()
    if wanted is None:
        with place:
            st.button("Start search", type="primary", disabled=True, width="stretch")
        st.caption("Choose questions first.")
        return
    if wanted.data is None:
        with place:
            _start(options, wanted)
        _plan(plan(_words(options, wanted)))
        _command(options, wanted)
        return
    checked = plan(_words(options, wanted))
    if checked.bad:
        wanted = _bad_rows(checked, wanted)
    with place:
        _start(options, wanted, ready=bool(checked.studies) and (wanted.skip_bad or not checked.bad))
    _plan(checked)
    _command(options, wanted)


def _words(options: DashboardOptions, wanted: NewSearch) -> list[str]:
    cluster = ["--address", options.address] if options.address else []
    return [*wanted.options(), *cluster, "--storage", options.storage]


def _command(options: DashboardOptions, wanted: NewSearch) -> None:
    with st.expander("The same in a terminal"):
        words = ["python", "-m", "search.submit", *wanted.options(), "--storage", options.storage]
        st.code(shell_command(*words), language="bash", wrap_lines=True)


def _start(options: DashboardOptions, wanted: NewSearch, *, ready: bool = True) -> None:
    if st.button("Start search", type="primary", icon=":material/play_arrow:", disabled=not ready, width="stretch"):
        try:
            st.session_state[_QUEUED] = queue.submit(options.storage, "search", wanted.options())
        except CommandError as error:
            st.error(sentence(str(error)), icon=":material/error:")
            return
    if _QUEUED in st.session_state:
        st.success(f"Job {st.session_state[_QUEUED]} is queued; a service on this store carries it out.")
        st.page_link(st.session_state[PAGES][JOBS], icon=":material/list:")


def _bad_rows(checked: PlannedSearch, wanted: NewSearch) -> NewSearch:
    """Draw the rows that cannot be used, and the choice to leave them out."""
    st.error(f"{len(checked.bad)} row(s) cannot be used.", icon=":material/error:")
    folder = f"{wanted.data.parent}/" if wanted.data else ""
    rows = [f"| {word} {row} | {plain(why.replace(folder, ''))} |" for word, row, why in checked.bad[:_SHOWN]]
    st.markdown("\n".join(["| Row | Reason |", "|---|---|", *rows]))
    if len(checked.bad) > _SHOWN:
        st.caption(f"and {len(checked.bad) - _SHOWN} more")
    if not checked.studies:
        return wanted
    return replace(wanted, skip_bad=st.checkbox("Leave these rows out", key="new_skip"))


def _plan(checked: PlannedSearch) -> None:
    if checked.problem:
        st.error(sentence(checked.problem), icon=":material/error:")
        return
    rows = [("Weights", checked.weights), *map(_study_row, checked.studies)]
    certify = f", and about {checked.test_answers:,} to certify" if checked.test_answers else ""
    rows.append(("Answers", f"{checked.answers:,}{certify}"))
    rows.append(("Time", _time(checked)))
    if checked.memory_gb is not None:
        rows.append(("Memory", f"about {checked.memory_gb:.2g} GB for weights and caches of all workers"))
    rows.append(("Runs on", f"{checked.where}; {checked.workers or 'as many as fit'} worker(s)"))
    st.markdown(
        "\n".join(["| Before it starts | |", "|---|---|", *(f"| {name} | {plain(text)} |" for name, text in rows)])
    )


def _study_row(study: PlannedStudy) -> tuple[str, str]:
    best = (
        f"not certified, {study.reason}"
        if study.margin is None
        else f"at best certified within {study.margin:.2g} points, by {study.tested:,} test questions"
    )
    return plain(study.name), f"{study.questions} questions a trial; {best}"


def _time(checked: PlannedSearch) -> str:
    if checked.hours is None:
        return "unknown: this device has not measured this model yet"
    return f"about {duration(3600 * checked.hours)}"
