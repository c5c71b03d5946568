"""What a KV cache remembers of the pruned prompt that filled it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from himap.config import PruningConfig
from himap.engine.passes import LayerSpan, span_at
from himap.errors import InputError


@dataclass
class CacheRecord:
    """What a cache remembers; it is copied with the cache, so it holds no module.

    Attributes:
        config: the configuration that filled the cache.
        spans: the spans of its prompt.
        key_layers: the layers that store keys, in order.
        keys: the keys of the deepest span with such a layer, as the last call left them.
    """

    config: PruningConfig
    spans: list[LayerSpan]
    key_layers: tuple[int, ...]
    keys: Tensor | None = None

    def layers(self) -> list[tuple[LayerSpan, int]]:
        """Return each span with its first layer that stores keys; a span of recurrent layers alone is left out."""
        first: dict[int, tuple[LayerSpan, int]] = {}
        for layer in self.key_layers:
            span = span_at(self.spans, layer)
            first.setdefault(span.layer, (span, layer))
        return list(first.values())

    def keep_keys(self, cache: Any) -> None:
        """Remember the keys after a call, so that `follow_rows` can tell whether anybody else changed them."""
        _, layer = self.layers()[-1]
        self.keys = cache.layers[layer].keys if layer < len(cache.layers) else None

    def follow_rows(self, cache: Any) -> None:
        """Reorder the spans as the rows of the cache were reordered, selected or repeated since the last call.

        Raises:
            InputError: a row of the cache is none that the last call left.
        """
        keys, known = cache.layers[self.layers()[-1][1]].keys, self.keys
        if keys is known or known is None or len(self.spans) == 1:
            return
        slot = min(keys.shape[-2], known.shape[-2]) - 1  # its key depends on the whole row so far
        now, before = keys[:, :, slot].flatten(1), known[:, :, slot].to(keys.device).flatten(1)
        same = (now[:, None] == before).all(-1)
        if not same.any(1).all():
            raise InputError("the content of this cache was changed; prefill it again")
        rows = same.int().argmax(1).tolist()
        self.spans = [LayerSpan(span.layer, span.tokens.rows(rows)) for span in self.spans]
