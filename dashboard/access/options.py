"""The options of the dashboard, behind `--` on Streamlit's command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from dashboard.access import permission
from himap.urls import mask_words, masked, without_password
from storage.commands import DEFAULT_STORAGE, absolute_url, password_note


@dataclass(frozen=True)
class DashboardOptions:
    """What the dashboard shows and lets people search.

    Attributes:
        storage: URL of the store, without a password.
        models: the folder whose subfolders are checkpoints to choose from; None for known models alone.
        allow_hub: whether people may name a model of the Hugging Face hub.
        uploads: the folder of uploaded questions.
        address: of the Ray cluster that jobs run on; "" for the service's machine.
    """

    storage: str
    models: Path | None
    allow_hub: bool
    uploads: Path
    address: str


def read_options(arguments: list[str]) -> DashboardOptions:
    """Return the options on the command line.

    Raises:
        ValueError: unknown arguments, or a password, which every user of the machine sees in its list of processes.
    """
    parser = argparse.ArgumentParser(prog="dashboard/app.py", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--storage", default=DEFAULT_STORAGE)
    parser.add_argument(permission.READ_ONLY, action="store_true")  # `permission` reads it
    parser.add_argument("--models", type=Path)
    parser.add_argument("--allow-hub", action="store_true")
    parser.add_argument("--uploads", type=Path)
    parser.add_argument("--address", default="")
    expected = f"expected -- --storage URL, as in {DEFAULT_STORAGE}"
    try:
        known, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(f"{mask_words(str(error), arguments)}; {expected}") from error
    if unknown:
        raise ValueError(f"got {mask_words(' '.join(unknown), unknown)}; {expected}")
    if password_note(known.storage):
        raise ValueError(
            f"got --storage {masked(known.storage)}, whose password the machine's list of processes shows; stop this "
            f"server, set PGPASSWORD or ~/.pgpass, and leave it out: --storage {without_password(known.storage)}"
        )
    uploads = known.uploads or uploads_beside(known.storage)
    return DashboardOptions(known.storage, known.models, known.allow_hub, uploads.absolute(), known.address)


def uploads_beside(url: str) -> Path:
    """Return the folder `uploads` beside a SQLite file, or in this folder for another store."""
    scheme, _, path = absolute_url(url).partition(":///")
    return Path(path).parent / "uploads" if scheme.startswith("sqlite") and path else Path("uploads")
