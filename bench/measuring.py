"""Time one call, and state what a figure was measured on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import torch

from objectives.evaluation.cores import available_cores
from objectives.evaluation.latency import device_name
from objectives.provenance import commit, versions

T = TypeVar("T")


def timed(run: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    """Return what `run` returns and the wall time it took in seconds."""
    start = time.perf_counter()
    result = run(*arguments)
    return result, time.perf_counter() - start


def provenance(device: torch.device | None = None) -> dict[str, Any]:
    """Return the device (by default the CPU), load, commit, versions and date of a measurement."""
    return {
        "device": device_name(device or torch.device("cpu")),
        "cores": available_cores(),
        "load": os.getloadavg()[0],
        "commit": commit(),
        "versions": versions() | {"python": platform.python_version()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
