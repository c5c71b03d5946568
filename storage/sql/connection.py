"""Connections: SQLite in WAL mode and PostgreSQL through psycopg 3, and one-line messages for their errors."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from himap.urls import masked
from storage.errors import SchemaError, StorageError, StoreMissingError, StoreUnavailableError
from storage.sql.schema import CURRENT, stored_version, upgrade

BUSY_SECONDS = 30
CONNECT_SECONDS = 10
_ADVISORY_LOCK = 0x48694D4150  # "HiMAP": one process at a time creates or upgrades a PostgreSQL schema
_TEMPORARY_SQLITE = ("locked", "is full", "disk I/O", "unable to open")
_TEMPORARY_POSTGRESQL = ("08", "40", "53", "55P03", "57P", "58030")  # connection, conflict, room, lock, restart
_EXPECTED = "expected sqlite:///FILE or postgresql://USER@HOST/DATABASE"
_ENCODE = "in a user's name, a password or an option percent-encode @ : / ? & as %40 %3A %2F %3F %26"


def build_engine(url: str, *, readonly: bool) -> tuple[Engine, str]:
    """Return an engine for the URL, and the URL for messages. Check where a file lies; connect to nothing yet.

    Raises:
        StorageError: a URL, folder or driver that cannot work.
        StoreMissingError: a readonly store that is not there.
    """
    location = masked(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        encode = f"; {_ENCODE}" if "@" in url else ""
        raise StorageError(f"got storage {location!r}; {_EXPECTED}{encode}") from error
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        _check_file(parsed, location, readonly=readonly)
        return _sqlite(parsed, readonly=readonly), location
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        if url.count("@") > 1:
            raise StorageError(f"got storage {location!r} with more than one @; {_ENCODE}")
        return _postgresql(parsed, location, readonly=readonly), location
    raise StorageError(f"got storage {location!r}; {_EXPECTED}")


@contextmanager
def transaction(engine: Engine, *, write: bool = False) -> Iterator[Connection]:
    """Run a transaction that commits at the end. For writing, SQLite takes its lock at the start, not halfway."""
    with engine.connect() as connection:
        connection = connection.execution_options(himap_write=write)
        with connection.begin():
            yield connection


def prepare(engine: Engine, location: str, *, readonly: bool) -> None:
    """Create or upgrade the schema where needed and allowed; several processes may call this at once."""
    if engine.dialect.name == "sqlite" and not readonly:
        _switch_to_wal(engine)
    with transaction(engine) as connection:
        version = stored_version(connection)
    check_version(version, location, readonly=readonly)
    if version == CURRENT:
        return
    with transaction(engine, write=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        version = stored_version(connection)  # again: another process may have been first
        check_version(version, location, readonly=readonly)
        if version < CURRENT:
            upgrade(connection, version)


def failure(location: str, doing: str, error: SQLAlchemyError) -> StorageError:
    """Return the error to raise for an error of the database: a StoreUnavailableError where waiting may help."""
    kind = StoreUnavailableError if _is_temporary(error) else StorageError
    return kind(one_line(location, doing, error))


def _is_temporary(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if not isinstance(error, OperationalError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return any(words in str(error.orig) for words in _TEMPORARY_SQLITE)
    state = getattr(error.orig, "sqlstate", None)  # none: there was no connection
    return state is None or state.startswith(_TEMPORARY_POSTGRESQL)


def one_line(location: str, doing: str, error: SQLAlchemyError) -> str:
    """Return the database's message in one line, with what to do about the usual causes."""
    original = getattr(error, "orig", None) or error
    message = " ".join(str(original).split()) or type(original).__name__
    hint = "check that the store exists and that you may write to it"
    if "not a database" in message:
        hint = "expected a SQLite file: choose another --storage, or move that file away"
    elif "no such column" in message or "no such table" in message:
        hint = "an unreleased version of this program wrote it: choose another --storage"
    elif "locked" in message:
        hint = f"another program held it for more than {BUSY_SECONDS} s: stop that one, or try again"
    elif "readonly" in message or "read-only" in message:
        hint = "make the file and its folder writable, or choose another --storage"
    elif location.startswith("postgresql") and "password" in message:
        hint = f"give it in the URL ({_ENCODE}), in PGPASSWORD or in ~/.pgpass"
    elif location.startswith("postgresql"):
        hint = "check that the server runs and that host, port, user and database are right"
    elif "full" in message:
        hint = "free some disk space, then run the same command again"
    return f"cannot {doing} {location}: {message}; {hint}"


def check_version(version: int, location: str, *, readonly: bool) -> None:
    """Raise SchemaError or StoreMissingError unless a store of this schema version can be used."""
    if version > CURRENT:
        raise SchemaError(
            f"{location} has schema {version}, this program knows up to {CURRENT}; "
            "update himap-search, or choose another --storage"
        )
    if readonly and version == 0:
        raise StoreMissingError(f"{location} holds no studies yet; start a search, which creates the tables")
    if readonly and version < CURRENT:
        raise SchemaError(
            f"{location} has schema {version}, this program reads {CURRENT}; "
            "run the search on it once, which upgrades it"
        )


def _check_file(url: URL, location: str, *, readonly: bool) -> None:
    if not url.database or url.database == ":memory:":
        raise StorageError(f"got storage {location!r}, which names no file; expected sqlite:///FILE")
    if "?" in location:
        raise StorageError(f"got storage {location!r} with a ?; expected sqlite:///FILE, a file without ? in its path")
    path = Path(url.database)
    if path.is_dir():
        raise StorageError(f"got the directory {path} as storage; expected a file, as in {path / 'himap.db'}")
    if not path.parent.is_dir():
        raise StorageError(f"the folder {path.parent} of the storage {path} does not exist; create it first")
    if readonly and not path.exists():
        raise StoreMissingError(f"there is no file {path.absolute()} yet; start a search, or choose another --storage")


def _sqlite(url: URL, *, readonly: bool) -> Engine:
    if readonly:  # each query opens the file anew, so it may be replaced, and is never created by looking
        file = f"{Path(url.database or '').absolute().as_uri()}?mode=rw"
        options: dict[str, Any] = {"uri": True, "timeout": BUSY_SECONDS, "check_same_thread": False}
        engine = create_engine(url, poolclass=NullPool, creator=lambda: sqlite3.connect(file, **options))
    else:
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not where Python guesses
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA synchronous=FULL")  # a commit survives a power cut too
        if readonly:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("himap_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)
    return engine


def _postgresql(url: URL, location: str, *, readonly: bool) -> Engine:
    query = {"connect_timeout": str(CONNECT_SECONDS), "application_name": "himap-search", **url.query}
    full = url.set(drivername="postgresql+psycopg", query=query)
    try:
        engine = create_engine(full, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise StorageError(
            f"got storage {location!r}, which needs psycopg; pip install 'himap-search[postgres]'"
        ) from error
    if readonly:
        return engine.execution_options(postgresql_readonly=True)
    return engine


def _switch_to_wal(engine: Engine) -> None:
    """Set WAL mode, which stays in the file. The switch does not wait for other connections by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    path = engine.url.database or ""
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
            time.sleep(0.02)
        except sqlite3.DatabaseError as error:
            raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
