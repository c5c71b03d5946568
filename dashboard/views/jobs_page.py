"""Jobs: the queue, and one of its jobs: how far it is, its log, cancel and resume."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from dashboard.context import Context
from dashboard.views.job_panel import live, no_service, panel, service_command
from dashboard.views.widgets import command, table
from dashboard.wording.formatting import plain, sentence
from dashboard.wording.job_tables import jobs_table
from storage import JobQueue, JobRecord, StorageError, Store
from storage.job_text import described
from storage.records import utc_now

JOB = "job"
_STATES = ("running", "queued", "finished", "failed", "cancelled")
_DRAWN = "drawn job"


def show(context: Context) -> None:
    """Draw the page; it follows the queue by itself."""
    live(lambda: _draw(context.url, context.store))


def no_jobs(url: str) -> None:
    """Say what a job is, and how to submit the first one."""
    st.subheader("No jobs yet", anchor=False)
    st.markdown(
        "A job is a search, a certification, a verification or a flow study. A service carries jobs out one after "
        "another, each in a process of its own; you can cancel a job and resume it, and nothing that it measured is "
        "lost. The pages New search, Export and Flow submit jobs, and so does a shell:"
    )
    command(("python", "-m", "search.submit", "--model", "qwenvl", "--budget", "200", "--storage", url), url)
    st.markdown("Jobs run while a service works on this store:")
    service_command(url)


def _draw(url: str, store: Store) -> None:
    try:
        jobs = JobQueue(store).jobs()
        if jobs:
            _queue(url, store, jobs)
        else:
            no_jobs(url)
    except StorageError as error:
        st.error(sentence(str(error)), icon=":material/error:")


def _queue(url: str, store: Store, jobs: list[JobRecord]) -> None:
    counts: Counter[str] = Counter(job.state for job in jobs)
    st.subheader(", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state]), anchor=False)
    no_service(url, jobs)
    panel(url, store, _choose(jobs))
    table(jobs_table(sorted(jobs, key=_place), utc_now()))


def _place(job: JobRecord) -> tuple[int, int, int]:
    """Sort running jobs first, then queued ones as they come, then the others, the newest first."""
    if job.state == "queued":
        return 1, -job.priority, job.id
    return (0 if job.state == "running" else 2), 0, -job.id


def _choose(jobs: list[JobRecord]) -> JobRecord:
    """Draw the selector of the job: the first running one, else the newest, until one is chosen."""
    by_id = {job.id: job for job in sorted(jobs, key=lambda job: -job.id)}
    if st.session_state.get(JOB) not in by_id:
        running = [job.id for job in jobs if job.state == "running"]
        st.session_state[JOB] = running[0] if running else max(by_id)
    number = st.selectbox("Job", list(by_id), format_func=lambda i: _label(by_id[i]), key=JOB)
    if st.session_state.setdefault(_DRAWN, number) != number:
        st.session_state[_DRAWN] = number
        st.rerun()  # the whole page, whose address names the job
    return by_id[number]


def _label(job: JobRecord) -> str:
    return plain(f"{job.id} · {job.state} · {job.kind} {described(job)}").replace("\\", "")
