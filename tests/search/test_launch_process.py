"""A launch on a PostgreSQL with a password, with odd paths and no TMPDIR; SIGTERM, SIGHUP and pasted commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from dashboard.app import TITLES
from himap import read_preset
from himap.urls import without_password
from objectives.evaluation.checkpoints import resolve
from search import export
from search.workers.ray_session import temporary_folder
from storage import StorageError, Store, open_store
from tests.search.search_helpers import EVEN, PARTS, PASSWORD, ROOT, descendants, start, titles, wait_for


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder for Ray alone, with a path short enough."""
    with TemporaryDirectory(dir="/tmp", prefix="ray") as made:
        yield Path(made)


def stored(store: Store) -> int:
    studies = store.studies()
    return studies[0].trials if studies else 0


def ended(process: subprocess.Popen[str], code: int) -> str:
    """Everything it printed, without passwords and stack traces; nothing of it is left."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    assert not PARTS.search(out + err)
    assert "Traceback" not in out + err and "***" not in err
    assert "SIGTERM" not in err and len(err.splitlines()) <= 1
    return out + err


def test_a_search_on_a_server_with_a_password(
    tiny: Path, password_server: Any, password_url: str, sockets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url = password_server, password_url
    folder = tmp_path / "a søk folder"
    (folder / "my models").mkdir(parents=True)
    (folder / "my models" / "tiny é").symlink_to(tiny)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "no" / "such folder" / ("x" * 100)))
    monkeypatch.setenv("RAY_TMPDIR", str(sockets))
    words = ["-m", "search", "launch", "--model", "my models/tiny é", "--benchmark", "pope", "--questions", "20"]
    words += ["--workers", "1", "--storage", url, "--presets", "the presets"]

    with open_store(url) as store:
        for signum, trials, code in ((signal.SIGTERM, 0, 143), (signal.SIGHUP, 2, 129)):
            process = start(folder, *words, "--budget", "400")
            if trials:
                wait_for(lambda: stored(store) >= trials)  # noqa: B023
                assert not PARTS.search(titles())
                assert not PARTS.search(logs(sockets, server))
            else:
                wait_for(lambda: any("raylet" in title for title in descendants(process.pid).values()))  # noqa: B023
            process.send_signal(signum)
            message = ended(process, code)
            assert "run the same command again to resume" in message
            wait_for(lambda: not list(sockets.iterdir()), 60)
            assert "gcs_server" not in "\n".join(descendants(process.pid).values())
        numbers = [trial.number for trial in store.trials(store.studies()[0].id)]
        assert numbers == list(range(len(numbers)))

    assert "store      postgresql://himap:***@" in message
    assert "the password is left out of commands: set PGPASSWORD first" in message
    (preset,) = (folder / "the presets").iterdir()
    assert not PARTS.search(preset.read_text())
    printed = dict(re.findall(r"^(certify them|dashboard): (.*)$", message, re.MULTILINE))
    verdict = re.search(r"(python -m search.export .*) certifies it", read_preset(preset).certificate.verdict)
    assert verdict is not None
    on_page = shown_by_pages(url, monkeypatch)
    monkeypatch.chdir(folder)
    lines = printed["certify them"], verdict[1], on_page
    exports = [export.parser().parse_args(shlex.split(line)[3:]) for line in lines]
    assert len({(one.storage, resolve(one.model, one.weights).digest) for one in exports}) == 1
    pasted_export(folder, on_page)
    pasted_server(folder, printed["dashboard"], "http://127.0.0.1:8791/_stcore/health")
    pasted_server(folder, copied_to_optuna(folder, url), "http://127.0.0.1:8080/dashboard")


def logs(sockets: Path, server: Any) -> str:
    """What Ray and PostgreSQL have written to their logs."""
    files = [path for path in [*sockets.rglob("*"), Path(server.pgdata) / "log"] if path.is_file()]
    assert len(files) > 5
    return "\n".join(path.read_text(errors="replace") for path in files)


def shown_by_pages(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command on the Export page; no page shows a password, and the dashboard refuses one in its arguments."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    commands = []
    for storage, title in [(url, ""), *((without_password(url), title) for title in TITLES)]:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "dashboard" / "app.py"), "--storage", storage])
        app = AppTest.from_file(sys.argv[0], default_timeout=120)
        app._page_hash = calc_hash(title.lower())
        app.run()
        assert not app.exception
        assert not PARTS.search(str(app.main) + str(app.sidebar))
        if storage == url:
            assert "set PGPASSWORD" in app.error[0].value
        commands += [code.value for code in app.code if code.value.startswith("python -m search.export")]
    (command,) = set(commands)
    return str(command)


def copied_to_optuna(folder: Path, url: str) -> str:
    """The line that `search.to_optuna` prints."""
    copying = start(folder, "-m", "search.to_optuna", "--storage", url, "--to", "sqlite:///the copy.db")
    out, err = copying.communicate(timeout=120)
    assert not PARTS.search(out + err)
    return out.partition("look at them: ")[2].splitlines()[0]


def pasted(folder: Path, line: str, **more: str) -> subprocess.Popen[str]:
    """A line as someone pastes it, with PGPASSWORD set."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PGPASSWORD": PASSWORD, **EVEN, **more}
    return subprocess.Popen(
        ["bash", "-c", f"exec {line}"], cwd=folder, env=environment, stdout=-1, stderr=-1, text=True
    )


def pasted_export(folder: Path, line: str) -> None:
    out, err = pasted(folder, f"{line} --pool 300 --margins 40 --workers 1").communicate(timeout=300)
    assert "weights    full weights: " in out, out + err
    assert not PARTS.search(out + err)
    assert "  within 40 points: " in out, out + err


def pasted_server(folder: Path, line: str, page: str) -> None:
    process = pasted(folder, line, STREAMLIT_SERVER_HEADLESS="true", STREAMLIT_SERVER_PORT="8791")

    def healthy() -> bool:
        assert process.poll() is None, process.communicate()
        with suppress(OSError), urllib.request.urlopen(page, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    try:
        wait_for(healthy, 60)
        assert not PARTS.search(titles())
    finally:
        process.terminate()
    out, err = process.communicate(timeout=60)
    assert not PARTS.search(out + err)


@pytest.mark.parametrize(
    "address",
    [
        "himap:p@ss@127.0.0.1/db",
        "himap:p@ss:w0rd/s3cret@127.0.0.1/db",
        "127.0.0.1:9/db?user=u&password=s3cret",
        "127.0.0.1:9/db?sslpassword=s3cret",
        "himap:s3cret",
    ],
)
def test_a_url_that_does_not_work_shows_no_part_of_its_password(address: str) -> None:
    with pytest.raises(StorageError) as caught:
        open_store(f"postgresql://{address}")
    assert not PARTS.search(str(caught.value))
    assert ("%40 %3A %2F" in str(caught.value)) == ("p@ss" in address)


def test_a_folder_for_rays_sockets(tmp_path: Path) -> None:
    long, missing = str(tmp_path / ("x" * 60)), "/no/such"
    Path(long).mkdir()
    made = temporary_folder([long, missing, "/tmp/é", "/tmp"])
    assert made.parent == Path("/tmp")
    shutil.rmtree(made)
    with pytest.raises(Exception, match=r"expected one to write to .* at most \d+ characters: set RAY_TMPDIR"):
        temporary_folder([long, missing])
