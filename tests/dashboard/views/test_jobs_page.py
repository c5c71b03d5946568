"""Jobs on the pages: shown, followed, cancelled, resumed, and submitted by a button."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.access import permission
from storage import JobQueue, JobRecord, Lease, Store, open_store
from storage.records import StudyKey
from tests.dashboard.app_pages import checked, words
from tests.dashboard.generated_store import fill, searched, study_key

Page = Callable[..., AppTest]
SEARCH = {"model": "qwenvl-mini", "budget": 40, "benchmarks": ["pope"], "seed": 0, "data": None, "certify": True}
RUNNER, PROCESS = Lease("me", "here", 7, "then"), Lease("driver", "here", 8, "later")


def queued(store: Store, priority: int = 0) -> JobRecord:
    return JobQueue(store).submit(JobRecord("search", json.dumps(SEARCH), "/there", "ann@here", priority))


def run(store: Store, key: StudyKey, trials: int) -> JobRecord:
    """Let a job run that holds a study with so many trials."""
    queue = JobQueue(store)
    job = queue.take(RUNNER, 60)
    assert job is not None
    queue.started(job.id, "me", PROCESS.pid, PROCESS.birth)
    store.take(fill(store, key, searched(trials)), PROCESS, 60)
    return job


def test_without_a_job_the_page_teaches(page: Page, database: str) -> None:
    for made in (False, True):
        if made:
            open_store(database).close()
        app = page("--storage", database, title="Jobs")
        assert "No jobs yet" in words(app)
        submit, serve = (code.value for code in app.code)
        assert submit.startswith("python -m search.submit --model qwenvl") and database in submit
        assert serve.startswith("python -m search.service --no-dashboard --storage ")


def test_a_running_job_shows_each_pair_its_log_and_cancel(page: Page, database: str) -> None:
    with open_store(database) as store:
        queued(store)
        fill(store, study_key("aokvqa"), searched(5))  # of another process
        job = run(store, study_key("pope"), 12)
        JobQueue(store).write_log(job.id, "me", "loading\n 10%\r 90%\rloaded <b>\n")
        app = page("--storage", database, title="Jobs")
        text = words(app)
        assert "Job 1: qwenvl-mini on pope, budget 40" in text and "running: for" in text and "ann@here" in text
        assert "no service works on this store" not in text
        (bar,) = app.get("progress")
        assert (bar.proto.text.replace("\\", ""), bar.proto.value) == (
            "qwenvl-mini · pope: exploring: 12 of 40 trials",
            30,
        )
        assert "loading\nloaded <b>" in [code.value for code in app.code]
        checked(app.button(key="Cancel 1").click().run())
        assert JobQueue(store).job(1).cancelling
        assert "running, being cancelled" in words(app) and app.button(key="Cancel 1").disabled
        JobQueue(store).end(1, "me", "cancelled", "what it measured is kept")
        checked(app.run())
        assert "cancelled after" in words(app) and "What it measured is kept" in app.info[0].value.replace("\\", "")
        checked(app.button(key="Resume 1").click().run())
        assert JobQueue(store).job(1).state == "queued"


def test_jobs_that_no_service_takes_say_so(page: Page, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(database) as store:
        queued(store)
        assert "no service works" not in words(page("--storage", database, title="Jobs"))  # one may just be coming
        monkeypatch.setattr("dashboard.views.job_panel.utc_now", lambda: later)
        later = JobQueue(store).job(1).submitted_at.replace(year=2100)
        app = page("--storage", database, title="Jobs")
        assert "no service works on this store" in words(app)
        assert any(code.value.startswith("python -m search.service") for code in app.code)


def test_a_link_names_the_job_and_the_queue_is_in_order(page: Page, database: str) -> None:
    with open_store(database) as store:
        for priority in (0, 5, 0):
            queued(store, priority)
        run(store, study_key(), 3)
    app = page("--storage", database, title="Jobs", job="3")
    assert "Job 3: " in words(app) and app.query_params["job"] == "3"
    assert list(app.dataframe[0].value["job"]) == [2, 1, 3]
    assert "Job 2: " in words(page("--storage", database, title="Jobs"))  # the one that runs
    assert "job 9, which is not in this store" in words(page("--storage", database, title="Jobs", job="9"))


def test_who_may_only_read_sees_no_button(page: Page, searched_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "can_write", lambda: False)
    with open_store(searched_store) as store:
        queued(store)
    for title in ("Jobs", "Export", "Flow"):
        app = page("--storage", searched_store, title=title)
        assert not app.button and app.code, title


@pytest.mark.parametrize(("title", "kind"), [("Export", "export"), ("Flow", "flow")])
def test_a_button_queues_the_command_that_stands_below_it(
    page: Page, searched_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    app = page("--storage", searched_store, title=title)
    if title == "Export":
        checked(app.multiselect(key="margins").set_value([3.0]).run())
    code = app.code[-1].value
    app.default_timeout = 180
    checked(app.button(key=f"submit {kind}").click().run())
    with open_store(searched_store) as store:
        (job,) = JobQueue(store).jobs()
        assert (job.kind, job.folder) == (kind, str(tmp_path))
        options = json.loads(job.request)["options"]
        assert code.endswith(" ".join(options))
        assert app.button(key=f"submit {kind}").disabled and f"Job {job.id}: {kind} --model" in words(app)
        JobQueue(store).cancel(job.id)
        assert not checked(app.run()).button(key=f"submit {kind}").disabled


def test_a_refused_job_says_why(page: Page, searched_store: str, tmp_path: Path) -> None:
    with open_store(searched_store) as store:
        fill(store, replace(study_key("pope"), model="--weird"), searched(8))
    app = page("--storage", searched_store, title="Export")
    checked(app.button(key="submit export").click().run())
    assert "search.submit failed" in app.error[0].value.replace("\\", "")
