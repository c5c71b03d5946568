"""Commands that are printed for people to paste: quoted for a shell, and without passwords."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from himap.urls import without_password

DEFAULT_STORAGE = "sqlite:///himap.db"
PASSWORD_NOTE = "the password is left out of commands: set PGPASSWORD first, or keep it in ~/.pgpass"


def shell_command(*words: str) -> str:
    """Return the words as a shell takes them; URLs lose their passwords."""
    return shlex.join(without_password(word) if "://" in word else word for word in words)


def model_options(model: str, weights: str = "", dtype: str = "auto") -> list[str]:
    """Return the options that name a model; "" for weights that its name implies."""
    options = ["--model", model, *(["--weights", weights] if weights else [])]
    return [*options, *(["--dtype", dtype] if dtype != "auto" else [])]


def export_command(url: str, model: Sequence[str], questions: Sequence[str] = (), out: str = "presets/") -> str:
    """Return the command that certifies the studies of a model.

    Args:
        url: of the store.
        model: see `model_options`.
        questions: options that name the questions; none for all embedded ones.
        out: the folder of the presets.
    """
    return shell_command("python", "-m", "search.export", "--storage", url, *model, *questions, "--out", out)


def password_note(url: str) -> str:
    """Return what to do about a password that commands leave out; "" where the URL has none."""
    return PASSWORD_NOTE if without_password(url) != url else ""


def password_variables(url: str) -> dict[str, str]:
    """Return the environment that gives a command the password which `shell_command` leaves out of its URL."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return {}
    password = parsed.password or parsed.query.get("password")
    return {"PGPASSWORD": password} if isinstance(password, str) else {}


def absolute_url(url: str) -> str:
    """Return the URL of the same store for a process in another folder."""
    scheme, _, path = url.partition(":///")
    return f"{scheme}:///{Path(path).absolute()}" if scheme.startswith("sqlite") and path else url
