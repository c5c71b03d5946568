"""Cores: the affinity, or a container's quota where that is less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from objectives.evaluation.cores import available_cores


@pytest.fixture(autouse=True)
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))


def cores(tmp_path: Path, membership: str, files: dict[str, str]) -> int:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text)
    return available_cores(tmp_path / "cgroup", tmp_path / "membership")


def v1(folder: str, quota: int) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # 1.5 cores
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/not/seen/here\n", {"cpu.max": "400000 100000\n"}, 4),
        ("3:cpuset:/x\n2:cpu,cpuacct:/docker/1\n", v1("cpu,cpuacct/docker/1", 250000), 3),
        ("2:cpu,cpuacct:/docker/1\n", v1("cpu", 500000), 5),
        ("1:cpu:/\n0::/\n", v1("cpu", -1), 16),
        ("1:name=systemd:/a:b\n0::/\n", {"unified/cpu.max": "200000 100000\n"}, 2),
        ("", {}, 16),
    ],
)
def test_the_least_of_affinity_and_quotas(
    tmp_path: Path, membership: str, files: dict[str, str], expected: int
) -> None:
    assert cores(tmp_path, membership, files) == expected


def test_an_affinity_of_one_core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert cores(tmp_path, "0::/\n", {"cpu.max": "800000 100000\n"}) == 1
    assert available_cores(tmp_path, tmp_path / "no file") == 1
