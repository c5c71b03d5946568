"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return the cores of the process's affinity (taskset, SLURM), or of a smaller CPU quota (containers), rounded up.

    Args:
        groups: where cgroups are mounted.
        membership: the file that names the cgroups of this process.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *(math.ceil(quota) for quota in _quotas(groups, membership))]))


def _quotas(groups: Path, membership: Path) -> Iterator[float]:
    """Yield the CPU quotas, in cores, of the process's cgroups (versions 1 and 2) and of all above them."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            roots = [groups, groups / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [groups / "cpu", groups / controllers]
        else:
            continue
        inside = Path(path.lstrip("/"))
        for folder in (root / part for root in roots for part in (inside, *inside.parents)):
            quota, period = _numbers(folder, legacy=number != "0")
            if quota > 0 and period > 0:
                yield quota / period


def _numbers(folder: Path, *, legacy: bool) -> tuple[int, int]:
    """Return quota and period of a cgroup in microseconds; 0 or less where there is no limit."""
    try:
        if legacy:
            return int((folder / "cpu.cfs_quota_us").read_text()), int((folder / "cpu.cfs_period_us").read_text())
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota), int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return 0, 0
