"""Keep what can be computed again within one budget: on the device, then in pinned CPU memory, then not at all."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any, Protocol

import torch
from cachetools import LRUCache
from torch import Tensor

Key = tuple[Hashable, ...]


class Sized(Protocol):
    """Anything that knows its size in bytes."""

    @property
    def nbytes(self) -> int: ...


def _nbytes(kept: Sized) -> int:
    return kept.nbytes


class Memory:
    """Images (their features or pixels) and outputs of decoder layers, the least recently used dropped first.

    Layers make room for images: a layer is as quick to run as to fetch, an image is read, resized and encoded. Images
    without room move to the CPU's memory; those that have none there either are made again.

    Args:
        budget: bytes on the device; without one nothing is ever dropped.
        spill: bytes in the CPU's memory, page-locked so that a GPU fetches them quickly; 0 on a CPU.
    """

    def __init__(self, budget: int = sys.maxsize, spill: int = 0) -> None:
        self.budget = budget
        self.layers: LRUCache[Key, Any] = LRUCache(budget, _nbytes)
        self._images: LRUCache[Key, Tensor] = LRUCache(budget, _nbytes)
        self._spilled: LRUCache[Key, Tensor] = LRUCache(spill, _nbytes)

    @property
    def nbytes(self) -> int:
        """Used bytes on the device."""
        return int(self.layers.currsize + self._images.currsize)

    def image(self, key: Key, device: torch.device) -> Tensor | None:
        """Return what was kept of an image, on the device; None where it must be made again."""
        if (near := self._images.get(key)) is not None:
            return near
        far = self._spilled.get(key)
        if far is None:
            return None
        fetched = far.to(device, non_blocking=True)
        self.keep_image(key, fetched)
        return fetched

    def keep_image(self, key: Key, tensor: Tensor) -> None:
        """Keep features or pixels where there is room."""
        if tensor.nbytes > self.budget:
            self._spill(key, tensor)
            return
        while self.nbytes + tensor.nbytes > self.budget:
            if self.layers:
                self.layers.popitem()
            else:
                self._spill(*self._images.popitem())
        self._images[key] = tensor

    def keep_layer(self, key: Key, record: Sized) -> None:
        """Keep a layer's output in place of others, where images leave room for it."""
        if record.nbytes > self.budget - self._images.currsize:
            return
        while self.nbytes + record.nbytes > self.budget:
            self.layers.popitem()
        self.layers[key] = record

    def release(self) -> None:
        """Free the device: drop the layers, and move the images to the CPU."""
        self.layers.clear()
        while self._images:
            self._spill(*self._images.popitem())

    def _spill(self, key: Key, tensor: Tensor) -> None:
        if key not in self._spilled and tensor.nbytes <= self._spilled.maxsize:
            far = tensor.cpu()
            self._spilled[key] = far.pin_memory() if tensor.is_cuda else far
