"""`search.status` on real stores: what it counts, that it only reads while a search writes, its errors."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from himap import PruningConfig
from search.status import ago, main, store_status
from storage import Lease, RunningTrial, open_store
from storage.records import utc_now
from tests.search.reporting.test_report import DENSE, FAILED, at
from tests.search.search_helpers import KEY, ROOT

STOPPED = at(3, 0.2, 0.1, state="pruned", reason="less accurate than trial 1")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store of two studies: one with trials of every state, the newest 10 minutes old, and an empty one."""
    url = f"sqlite:///{tmp_path / 'himap.db'}"
    now = utc_now()
    with open_store(url) as store:
        study = store.study(KEY)
        store.study(replace(KEY, benchmark="vqav2"))
        trials = [DENSE, at(1, 0.25, 0.5), at(2, 0.5, 0.8), STOPPED, FAILED]
        old = [replace(t, created_at=now - timedelta(hours=2)) for t in trials[:-1]]
        store.add_all(study, [*old, replace(FAILED, created_at=now - timedelta(seconds=600))])
    return url


def test_every_study_is_counted(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--storage", url, "--json"]) == 0
    pope, empty = json.loads(capsys.readouterr().out)["studies"]
    states = ("trials", "complete", "pruned", "failed")
    assert [pope[name] for name in states] == [5, 3, 1, 1]
    assert pope["front"] == 3
    assert pope["hypervolume"] == pytest.approx(0.525)
    assert pope["best_at_half_flops"] == 0.8
    assert 600 <= pope["seconds_since_last_trial"] < 720
    assert pope["last_failure"] == "out of memory"
    assert (pope["phase"], pope["process"], pope["running"]) == ("waiting", None, [])
    assert (empty["benchmark"], empty["trials"], empty["last_trial_at"]) == ("vqav2", 0, None)


def test_what_runs_is_shown_while_its_process_lives(url: str) -> None:
    lease = Lease("me", "here", 7, "")
    with open_store(url) as store:
        study = store.study(KEY)
        store.take(study, lease, 60)
        for number in (5, 6):
            store.begin(study, RunningTrial(number, "sampler", PruningConfig.paper()), "me")
        pope, vqav2 = store_status(store)
        assert (pope["phase"], pope["process"]) == ("exploring", {"host": "here", "pid": 7})
        assert [one["number"] for one in pope["running"]] == [5, 6]
        assert 0 <= pope["running"][0]["seconds"] < 60
        assert (vqav2["process"], vqav2["running"]) == (None, [])
        store.take(study, lease, -1)  # expired
        assert (store_status(store)[0]["process"], store_status(store)[0]["running"]) == (None, [])


def test_people_read_a_line_a_study(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--storage", url]) == 0
    message = capsys.readouterr().out
    (line,) = [line for line in message.splitlines() if "tiny/pope/validation-20/seed-0" in line]
    assert line.split()[1:] == ["waiting", "5", "3", "1", "1", "-", "3", "0.525", "80.0", "10", "min", "ago"]
    assert "tiny/pope failed last with: out of memory" in message
    assert max(map(len, message.splitlines())) <= 160


def test_it_works_while_trials_are_written_and_changes_nothing(url: str) -> None:
    with open_store(url) as writer, open_store(url, readonly=True) as reader:
        study = writer.study(KEY)

        def write() -> None:
            for number in range(10, 60):
                writer.add(study, at(number, 0.5, 0.6))

        wrote = threading.Thread(target=write, daemon=True)
        before = reader.version_stamp()
        counts = [store_status(reader)[0]["trials"] for _ in range(3)]
        assert reader.version_stamp() == before
        wrote.start()
        while wrote.is_alive():
            counts.append(store_status(reader)[0]["trials"])
        wrote.join()
        counts.append(store_status(reader)[0]["trials"])
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (5, 55)


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("sqlite:///missing.db", "start a search"),
        ("himap.db", "expected sqlite:///FILE or postgresql://"),
        ("postgresql://me:secret@127.0.0.1:9/himap", "check that the server runs"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    storage: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--storage", storage]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err.startswith("error: ")) == ("", 1, True)
    assert message in err
    assert "secret" not in err
    assert not list(tmp_path.iterdir())


def test_a_store_without_studies_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    open_store(url).close()
    assert main(["--storage", url]) == 0
    assert capsys.readouterr().out == "no studies yet\n"


def test_it_starts_without_torch_ray_and_optuna(url: str) -> None:
    code = (
        "import sys\nfrom search.status import main\nmain(sys.argv[1:])\n"
        "sys.exit(' '.join(m for m in ('torch', 'ray', 'optuna') if m in sys.modules))"
    )
    command = [sys.executable, "-c", code, "--storage", url]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == "\n"  # nothing of that list
    assert "tiny/pope" in ran.stdout


@pytest.mark.parametrize(
    ("seconds", "message"),
    [(None, "-"), (-1, "0 s ago"), (119, "119 s ago"), (600, "10 min ago"), (7200, "2 h ago"), (9e5, "10 days ago")],
)
def test_durations_for_people(seconds: float | None, message: str) -> None:
    assert ago(seconds) == message
