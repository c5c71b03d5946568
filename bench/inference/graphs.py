"""Record a pruned prefill as CUDA graphs: K1, R1, K2 and R2 make every shape static.

The decoder is recorded in up to three segments, one a depth, and replayed without Python in between. Batch, length
and the image's position are fixed when recording; the embeddings may change between replays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from himap import PruningConfig
from himap.engine.attention import attend, replaced
from himap.engine.layout import layout
from himap.engine.passes import PromptPass
from himap.engine.plan import plan
from himap.families import find
from himap.families.grids import Grids
from himap.tokens import TokenSet


@dataclass
class KeyValues:
    """The cache that a recorded prefill fills: each layer's keys and values at fixed addresses."""

    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """As transformers' caches."""
        self.layers[layer] = key, value
        return key, value

    def get_seq_length(self, layer: int = 0) -> int:
        """As transformers' caches."""
        return self.layers[layer][0].shape[-2] if layer in self.layers else 0


class StaticPrefill:
    """Computes the prefill of prompts of one shape; without CUDA it runs the same segments unrecorded.

    Args:
        model: a LLaVA whose decoder is Llama's, on one device.
        ids: (batch, tokens) of a prompt without padding.
        embeds: (batch, tokens, channels), its embeddings with the image features merged in.
        config: the pruning; a dense one drops nothing.
    """

    def __init__(self, model: Any, ids: Tensor, embeds: Tensor, config: PruningConfig) -> None:
        self._family = find(model)
        self._decoder, self._head = model.model.language_model, model.lm_head
        self._embeds = embeds.clone()
        self._tokens = TokenSet.from_prompt(ids == self._family.image_token, None, ids)
        self._cuts = plan(config, self._family)
        bounds = [0, *self._cuts, len(self._decoder.layers)]
        self._segments = list(pairwise(bounds))
        slots = torch.arange(ids.shape[1], device=ids.device)[None]
        self._rope = self._decoder.rotary_emb(embeds, position_ids=slots)
        self._graphs: list[Any] = []
        with torch.no_grad(), replaced(self._family, attend):
            if ids.is_cuda:
                self._record()

    def __call__(self, embeds: Tensor) -> tuple[Tensor, KeyValues]:
        """Return the last token's logits (batch, 1, vocabulary) and the cache; the next call overwrites both."""
        self._embeds.copy_(embeds)
        if self._graphs:
            for graph in self._graphs:
                graph.replay()
        else:
            with torch.no_grad(), replaced(self._family, attend):
                for _ in self._run():
                    pass
        return self.logits, self.cache

    def _run(self) -> Iterator[None]:
        """Run the prefill and pause behind each segment."""
        # The counts are known from the shape, so that nothing waits for the device.
        prompt = PromptPass(
            lambda: self._tokens, self._cuts, self._family.attends, lambda tokens: layout(tokens, Grids())
        )
        hidden, self.cache = self._embeds, KeyValues()
        for first, end in self._segments:
            for number in range(first, end):
                kwargs = {
                    "attention_mask": None,
                    "position_embeddings": self._rope,
                    "position_ids": None,
                    "past_key_values": self.cache,
                    "use_cache": True,
                }
                hidden = prompt.enter(number, hidden, kwargs)
                hidden = self._decoder.layers[number](hidden, **kwargs)
            if end == len(self._decoder.layers):
                self.logits = self._head(self._decoder.norm(hidden)[:, -1:])
            yield

    def _record(self) -> None:
        """Record one graph a segment, in one memory pool, after a warm-up on a side stream."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                for _ in self._run():
                    pass
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        running = self._run()
        pool = torch.cuda.graph_pool_handle()
        for _ in self._segments:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                next(running)
            self._graphs.append(graph)
