"""Reuse the outputs of decoder layers that are the same under many configurations.

The layers in front of a configuration's first cut give the same hidden states, keys and values whatever the criteria
and percentages. They run once per batch of questions; later configurations take the recorded tensors in place of a
forward pass, so that results are equal to the last bit. The record holds the query too, so that a criterion can still
compute its scores.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from himap import PruningConfig, families
from himap.engine.attention import OBSERVER
from himap.engine.logits import LogitRule
from himap.engine.passes import kv_cache
from objectives.evaluation.memory import Key, Memory


@dataclass(frozen=True)
class LayerRecord:
    """A decoder layer's output for a batch of prompts, with the query, key, value and logit rule of its attention."""

    output: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    rule: LogitRule

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(t.nbytes for t in (self.output, self.query, self.key, self.value))


class PrefixCache:
    """Recorded layers of all batches that a process evaluates.

    Args:
        memory: holds them; one without a budget, `Memory(0)`, turns the cache off.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.reused = 0  # how many layers did not have to run

    @contextmanager
    def reusing(self, model: nn.Module, config: PruningConfig) -> Iterator[Callable[[Key | None], None]]:
        """Reuse the layers in front of the first cut inside the context, which must be inside of `himap.prune`.

        Yields:
            A function that announces the next batch by its key; the same key must mean the same prompts. After
            None every layer runs.
        """
        family = families.find(model)
        layers, reuse = family.layers, _Reuse(self)
        with ExitStack() as undo:
            for index in range(config.cuts[0].layer if config.cuts and self.memory.budget else 0):
                if not family.stores_keys(index):  # a record could not fill its cache, so it runs
                    continue
                wrapped = functools.partial(reuse.layer, index, layers[index].forward)
                undo.enter_context(_forward_set(layers[index], wrapped))
            yield reuse.begin


@contextmanager
def _forward_set(layer: Any, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Replace the layer's forward inside the context; an attribute of its own is restored."""
    own = vars(layer).get("forward")
    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward
        if own is not None:
            layer.forward = own


class _Reuse:
    """The forward passes of one model's layers while they are reused."""

    def __init__(self, cache: PrefixCache) -> None:
        self._cache = cache
        self._batch: Key | None = None

    def begin(self, batch: Key | None) -> None:
        self._batch = batch

    def layer(self, index: int, forward: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Return a layer's output: recorded for a prompt that was there before, else computed and then recorded."""
        cache = kv_cache(kwargs)
        if self._batch is None or cache is None or cache.get_seq_length(index):
            return forward(*args, **kwargs)
        memory, key = self._cache.memory, (*self._batch, index)
        record = memory.layers.get(key)
        if record is None:
            output, record = _recorded(forward, args, kwargs)
            if record is not None:
                memory.keep_layer(key, record)
            return output
        cache.update(record.key, record.value, index)
        if OBSERVER in kwargs:
            kwargs[OBSERVER](record.query, record.key, record.value, record.rule)
        self._cache.reused += 1
        return record.output


def _recorded(
    forward: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, LayerRecord | None]:
    """Run a layer and record it; None if its attention calls no observer."""
    seen: list[tuple[Tensor, Tensor, Tensor, LogitRule]] = []
    observer = kwargs.get(OBSERVER)

    def watch(query: Tensor, key: Tensor, value: Tensor, rule: LogitRule) -> None:
        seen.append((query, key, value, rule))
        if observer is not None:
            observer(query, key, value, rule)

    output = forward(*args, **{**kwargs, OBSERVER: watch})
    if not seen:
        return output, None
    return output, LayerRecord(output, *seen[0])
