"""One job on a page: what it does, how far it is, its log, and the buttons that change it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import streamlit as st

from dashboard.access import permission, queue
from dashboard.access.cached_reads import further_work
from dashboard.access.commands import CommandError
from dashboard.analysis.job_view import (
    PairProgress,
    job_commands,
    log_tail,
    newest,
    pair_line,
    studies_of,
    without_service,
)
from dashboard.views.widgets import command
from dashboard.wording.formatting import duration, plain, sentence
from storage import JobQueue, JobRecord, StorageError, Store
from storage.job_text import described, state_text
from storage.phase import phases
from storage.records import utc_now

SECONDS_BETWEEN_LOOKS = 2
LOG_LINES = 200
_PROBLEM = "problem with a job"
_ENDED = ("finished", "failed", "cancelled")


def live(draw: Callable[[], None]) -> None:
    """Draw a part of the page that follows the queue by itself."""
    every = SECONDS_BETWEEN_LOOKS if st.session_state.get("live", True) else None
    st.fragment(draw, run_every=every)()


def submit_button(label: str, url: str, kind: str, options: Sequence[str], *, busy: bool, icon: str) -> None:
    """Draw the button that queues a job; a session that may only read gets none.

    Args:
        busy: such a job is queued or runs already.
    """
    if permission.can_write() and st.button(label, key=f"submit {kind}", type="primary", icon=icon, disabled=busy):
        try:
            with st.spinner("Checking the request"):
                queue.submit(url, kind, options)
        except CommandError as error:
            st.error(sentence(str(error)), icon=":material/error:")
        else:
            st.rerun()


def latest(store: Store | None, kind: str, options: Sequence[str]) -> JobRecord | None:
    """Return the newest job of a kind with these options; None where there is none, or no store that can be read."""
    try:
        return newest(JobQueue(store).jobs(), kind, options) if store is not None else None
    except StorageError:
        return None


def follow(url: str, store: Store, job_id: int) -> None:
    """Draw one job until it has ended, and draw the page anew when it does."""

    def draw() -> None:
        try:
            jobs = JobQueue(store).jobs()
        except StorageError as error:
            st.error(sentence(str(error)))
            return
        job = next((one for one in jobs if one.id == job_id), None)
        if job is None:
            st.rerun()
        no_service(url, jobs)
        panel(url, store, job)
        seen = f"state of job {job_id}"
        if st.session_state.setdefault(seen, job.state) != job.state:
            st.session_state[seen] = job.state
            st.rerun()

    live(draw)


def no_service(url: str, jobs: Sequence[JobRecord]) -> None:
    """Say that jobs wait because no service works on the store, and how to start one."""
    if without_service(jobs, utc_now()):
        st.warning(
            "Jobs wait: no service works on this store. Start one, in another terminal:", icon=":material/hourglass:"
        )
        service_command(url)


def service_command(url: str) -> None:
    """Draw the command that carries out jobs."""
    command(("python", "-m", "search.service", "--no-dashboard", "--storage", url), url)


def panel(url: str, store: Store, job: JobRecord) -> None:
    """Draw one job."""
    now = utc_now()
    with st.container(border=True, key=f"job-{job.id}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**Job {job.id}: {plain(_title(job))}**", width="stretch")
            _buttons(url, job)
        if message := st.session_state.pop(f"{_PROBLEM} {job.id}", ""):
            st.error(sentence(message), icon=":material/error:")
        st.markdown(plain(_state(job, now)))
        if job.message:
            show = st.error if job.state == "failed" else st.info
            show(sentence(job.message))
        _pairs(url, store, job)
        _log(store, job)
        st.caption(plain(_origin(job, now)))
        with st.expander("The same from a shell"):
            st.code(job_commands(url, job), language="bash", wrap_lines=True)


def _title(job: JobRecord) -> str:
    return described(job) if job.kind == "search" else f"{job.kind} {described(job)}"


def _state(job: JobRecord, now: datetime) -> str:
    text = state_text(job, now)
    if job.state == "running" and job.started_at is not None:
        more = ", started again after a stop" if job.starts > 1 else ""
        return f"{text}: for {duration((now - job.started_at).total_seconds())}{more}"
    if job.state in _ENDED and job.ended_at is not None:
        took = f" after {duration((job.ended_at - job.started_at).total_seconds())}" if job.started_at else ""
        return f"{text}{took}, {duration((now - job.ended_at).total_seconds())} ago"
    return f"{text}: for {duration((now - job.submitted_at).total_seconds())}"


def _origin(job: JobRecord, now: datetime) -> str:
    age = duration((now - job.submitted_at).total_seconds())
    where = f", runs on {job.host}" if job.state == "running" else ""
    return f"Submitted by {job.submitted_by} {age} ago, priority {job.priority}, in {job.folder}{where}"


def _buttons(url: str, job: JobRecord) -> None:
    """Draw the button that the job's state allows."""
    if not permission.can_write():
        return
    acts: Mapping[str, tuple[str, str, Callable[[str, int], None]]] = {
        "queued": ("Cancel", ":material/stop_circle:", queue.cancel),
        "running": ("Cancel", ":material/stop_circle:", queue.cancel),
        "cancelled": ("Resume", ":material/play_circle:", queue.resume),
        "failed": ("Resume", ":material/play_circle:", queue.resume),
    }
    if job.state not in acts:
        return
    label, icon, act = acts[job.state]
    st.button(
        label, key=f"{label} {job.id}", icon=icon, disabled=job.cancelling, on_click=_change, args=(act, url, job.id)
    )


def _change(act: Callable[[str, int], None], url: str, job_id: int) -> None:
    """Change a job; the next drawing shows why it could not be done."""
    try:
        act(url, job_id)
    except CommandError as error:
        st.session_state[f"{_PROBLEM} {job_id}"] = str(error)


def _pairs(url: str, store: Store, job: JobRecord) -> None:
    """Draw how far each model is on each benchmark."""
    studies = store.studies() if job.kind in ("search", "export") else []
    running = job.state == "running"
    mine = studies_of(job, studies, {one.id: store.lease(one.id) for one in studies} if running else {})
    phase_of = phases(store) if mine else {}
    values = json.loads(job.request) if job.kind == "search" else {}
    for study in mine:
        answers, tested = further_work(url, study.id, store)
        phase = "done" if job.state == "finished" else phase_of.get(study.id, "waiting")
        progress = PairProgress(study, phase, answers, tested)
        text, share = pair_line(progress, values)
        line = plain(f"{study.key.model} · {study.key.questions}: {text}")
        if share is None:
            st.markdown(line)
        else:
            st.progress(share, line)
    if running and not mine and job.kind == "search":
        st.markdown("Loading the model and the questions.")


def _log(store: Store, job: JobRecord) -> None:
    text = log_tail(JobQueue(store).log(job.id), LOG_LINES)
    if not text:
        return
    with st.expander("Log", expanded=job.state in ("running", "failed"), key=f"log {job.id}"):
        st.code(text, language=None, wrap_lines=True, height=260 if text.count("\n") > 9 else "content")
