"""How fast a device multiplies and reads its memory: by its data sheet, or measured here in a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from objectives.errors import ObjectiveError

_REPEATS, _COPIED = 4, 2**26  # products and copies of a measurement, bytes of a copy


@dataclass(frozen=True)
class Device:
    """A device that runs a worker.

    Attributes:
        name: for people.
        flops: of 16-bit matrix products a second at its peak, without sparsity; where measured, in the model's dtype.
        bandwidth: bytes of its memory a second.
        memory: bytes.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float


DEVICES = {  # by the vendors' data sheets
    name: Device(name, teraflops * 1e12, gigabytes_a_second * 1e9, gigabytes * 1e9)
    for name, teraflops, gigabytes_a_second, gigabytes in (
        ("b200", 2250, 8000, 180),
        ("h200", 989, 4800, 141),
        ("h100", 989, 3350, 80),
        ("a100-80", 312, 2039, 80),
        ("a100-40", 312, 1555, 40),
        ("l40s", 362, 864, 48),
        ("a10", 125, 600, 24),
        ("l4", 121, 300, 24),
        ("rtx4090", 165, 1008, 24),
        ("rtx3090", 71, 936, 24),
        ("v100", 125, 900, 32),
        ("t4", 65, 320, 16),
    )
}


def device(name: str, dtype: torch.dtype) -> Device:
    """Return a device of the table, or "here" for that of this machine, whose speed is measured.

    Raises:
        ObjectiveError: no such device.
    """
    if name == "here":
        return _here(torch.device("cuda" if torch.cuda.is_available() else "cpu"), dtype)
    if name not in DEVICES:
        raise ObjectiveError(f"got device {name!r}; expected here or one of {', '.join(DEVICES)}")
    return DEVICES[name]


def measured_flops(on: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOPs a second of a large square matrix product."""
    side = 8192 if on.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=on).to(dtype) for _ in range(2))
    return 2.0 * side**3 / _seconds(on, lambda: left @ right)


def _here(on: torch.device, dtype: torch.dtype) -> Device:
    numbers = torch.zeros(_COPIED, dtype=torch.uint8, device=on)
    copy = torch.empty_like(numbers)
    bandwidth = 2.0 * _COPIED / _seconds(on, lambda: copy.copy_(numbers))
    if on.type == "cuda":
        name, memory = torch.cuda.get_device_name(on), float(torch.cuda.get_device_properties(on).total_memory)
    else:
        name, memory = "CPU", float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return Device(name, measured_flops(on, dtype), bandwidth, memory)


def _seconds(on: torch.device, run: Callable[[], object]) -> float:
    """Return the seconds of the quickest of some runs, after one that warms up."""
    times = []
    for _ in range(1 + _REPEATS):
        start = time.perf_counter()
        run()
        if on.type == "cuda":
            torch.cuda.synchronize(on)
        times.append(time.perf_counter() - start)
    return min(times[1:])
