"""Folders of Ray: whose process is gone are removed by the next search, others stay."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from search.workers import ray_session

WAIT = "from search.workers import ray_session; print(ray_session.temporary_folder(), flush=True); input()"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with TemporaryDirectory(dir="/tmp", prefix="ray") as made:
        monkeypatch.setenv("RAY_TMPDIR", made)
        yield Path(made)


def another_search() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", WAIT], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_killed_search_leaves_its_folder_to_the_next(place: Path) -> None:
    (killed, left), (alive, used) = another_search(), another_search()
    (left / "session").mkdir()
    (place / "himap-unknown").mkdir()  # no lock, so it is nobody's to remove
    killed.kill()
    killed.communicate()
    assert left.exists()
    own = ray_session.temporary_folder()
    assert sorted(place.iterdir()) == sorted([own, used, place / "himap-unknown"])
    alive.communicate("\n")
    ray_session.remove(own)
    assert not own.exists()


def test_a_folder_that_is_kept_for_its_logs_stays(place: Path) -> None:
    kept = ray_session.temporary_folder()
    ray_session.keep(kept)
    os.close(ray_session._locks.pop(kept))
    other = ray_session.temporary_folder()
    assert kept.exists()
    ray_session.remove(other)
