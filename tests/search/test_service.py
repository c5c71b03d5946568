"""The service with a real search on a PostgreSQL with a password: killed in the middle it resumes; its commands."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from search import SearchConfig, jobs, submit
from search.serving.requests import search_request
from storage import JobQueue, StorageError, open_store
from tests.search.search_helpers import PARTS, start, titles, wait_for


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trials(url: str) -> int:
    with open_store(url, readonly=True) as store:
        try:
            return sum(study.trials for study in store.studies())
        except StorageError:
            return 0


def test_a_search_survives_a_kill_of_its_service_and_shows_no_password(
    tiny: Path, password_url: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = password_url
    options = ["--model", str(tiny), "--benchmark", "pope", "--questions", "20", "--workers", "1", "--no-certify"]
    assert submit.main([*options, "--budget", "400", "--storage", url]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("job 1 is queued\npython -m search.service --storage 'postgresql://himap@/himap?host=")
    assert "set PGPASSWORD" in shown and not PARTS.search(shown)
    command = ["-m", "search.service", "--storage", url]

    service = start(here, *command)
    assert service.stdout is not None
    first = [service.stdout.readline() for _ in range(2)]
    assert first[0].startswith("store: postgresql://himap:***@")
    address = re.fullmatch(r"dashboard: (http://localhost:\d+)\n", first[1])
    assert address is not None
    assert urllib.request.urlopen(f"{address[1]}/_stcore/health", timeout=10).status == 200
    with pytest.raises(ConnectionRefusedError):  # it is not on every network
        socket.create_connection(("127.0.0.2", int(address[1].rpartition(":")[2])), timeout=10).close()
    wait_for(lambda: trials(url) >= 3)
    assert not PARTS.search(titles())
    os.kill(service.pid, signal.SIGKILL)
    service.communicate(timeout=60)
    wait_for(lambda: "search.serving" not in titles(), 30)  # the job and the dashboard end with it

    with open_store(url) as store:
        queue, (study,) = JobQueue(store), store.studies()
        before = store.trials(study.id)
        assert queue.job(1).state == "running"
        assert not PARTS.search("".join(f"{job}" for job in queue.jobs()))
        service = start(here, *command, "--no-dashboard")
        wait_for(lambda: trials(url) > len(before) + 2)
        assert jobs.main(["cancel", "1", "--storage", url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["jobs"][0]["cancelling"] is True
        wait_for(lambda: queue.job(1).state == "cancelled", 120)
        assert queue.job(1).starts == 2 and store.lease(study.id) is None
        kept = store.trials(study.id)
        assert kept[: len(before)] == before
        assert [trial.number for trial in kept] == list(range(len(kept)))
    service.send_signal(signal.SIGINT)
    out, err = service.communicate(timeout=60)
    assert service.returncode == 130 and out.endswith("stopped; the next start resumes\n"), out + err
    capsys.readouterr()
    assert jobs.main(["logs", "1", "--storage", url]) == 0
    log = capsys.readouterr().out
    assert "stopped early; everything measured is stored" in log
    assert not PARTS.search(out + err + log)
    assert list((here / "presets").iterdir())


def test_a_request_is_the_configuration_without_its_store() -> None:
    config = SearchConfig("qwenvl", 30, benchmarks=["pope"], margins=[3.0], storage="postgresql://u:secret@h/d")
    request = search_request({"model": "qwenvl", "budget": 30, "benchmarks": ["pope"], "margins": [3.0]})
    assert "storage" not in json.loads(request)
    again = SearchConfig.from_json(request)
    assert (again.margins, again.benchmarks, again.storage) == (config.margins, config.benchmarks, "sqlite:///himap.db")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "qwenvl", "--budget", "0"], "got --budget 0; expected a whole number from 1"),
        (["--model", "qwenvl", "--budget", "3", "--benchmark", "pop"], "pop"),
        (["--model", "qwenvl", "--budget", "3", "--priority", "9999999999"], "got --priority 9999999999"),
    ],
)
def test_a_job_that_cannot_run_is_refused_at_once(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit.main(words) == 2
    assert message in capsys.readouterr().err
    assert list(here.iterdir()) == []
    with pytest.raises(SystemExit):
        submit.main(["export", "--model", "qwenvl", "--margin-s", "3"])
    assert list(here.iterdir()) == []


def test_jobs_are_listed_and_wrong_ones_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs.main([]) == 2  # nothing is created by looking
    assert "there is no file" in capsys.readouterr().err and list(here.iterdir()) == []
    assert submit.main(["export", "--model", "a b", "--margins", "3", "5", "--priority", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["job"]["request"] == {
        "options": ["--model", "a b", "--margins", "3", "5"]
    }
    assert jobs.main([]) == 0
    assert "export --model 'a b' --margins 3 5" in capsys.readouterr().out
    assert jobs.main(["cancel"]) == 2
    assert jobs.main(["cancel", "8"]) == 2
    assert "has no job 8; python -m search.jobs lists them" in capsys.readouterr().err
    assert jobs.main(["cancel", "1"]) == 0
    capsys.readouterr()
    assert jobs.main(["list", "--json"]) == 0
    assert [job["state"] for job in json.loads(capsys.readouterr().out)["jobs"]] == ["cancelled"]
