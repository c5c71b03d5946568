"""What happens to one forward call of a pruned model: a prompt is cut, a continuation is masked to match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from himap.attention import OBSERVER, observed
from himap.config import Cut
from himap.criteria.base import Criterion, Observed
from himap.layout import layout
from himap.tokens import TokenSet, causal_mask, gather_slots


@dataclass(frozen=True)
class Stage:
    """From decoder layer `layer` on, a prompt's cache holds `tokens`."""

    layer: int
    tokens: TokenSet


class Pass(Protocol):
    """One forward call, seen from the decoder layers."""

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        """Runs in front of a decoder layer; returns its input and may change its keyword arguments."""
        ...


class PromptPass:
    """The first pass over a prompt: ranks tokens in front of each cut and drops them there.

    Args:
        tokens: the full set.
        cuts: the cuts that are switched on, by layer, each with its criterion.
        grids: (images, 2) sizes of the images in tokens, None if unknown; see `himap.layout`.
    """

    def __init__(
        self, tokens: TokenSet, cuts: Mapping[int, tuple[Cut, Criterion]], grids: Tensor | None
    ) -> None:
        self.stages = [Stage(0, tokens)]
        self._cuts = cuts
        self._grids = grids
        self._seen: dict[str, Tensor] = {}
        self._mask: Tensor | None = None
        self._rope: tuple[Tensor, Tensor] | None = None

    @property
    def tokens(self) -> TokenSet:
        """The tokens in front of the layer that is about to run."""
        return self.stages[-1].tokens

    def at(self, layer: int) -> TokenSet:
        """The tokens that a layer, once run, has in its cache."""
        return stage_at(self.stages, layer).tokens

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        if layer in self._cuts:
            hidden = self._cut(layer, hidden, kwargs["position_embeddings"])
        if self._rope is not None:
            # Gapped position ids would be taken for several packed sequences.
            kwargs.update(attention_mask=self._mask, position_embeddings=self._rope, position_ids=None)
        if layer + 1 in self._cuts:
            self._watch(layer + 1, kwargs)
        return hidden

    def _dropped(self, cut: Cut) -> tuple[int, ...]:
        return tuple(cut.dropped(n) for n in self.tokens.n_image)

    def _watch(self, layer: int, kwargs: dict[str, Any]) -> None:
        """Ask the layer in front of a cut for what the criterion needs of its attention."""
        cut, criterion = self._cuts[layer]
        asks = criterion.rows != "none" or criterion.needs & {"keys", "values"}
        if not asks or not any(self._dropped(cut)):
            return
        tokens = self.tokens

        def observe(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> None:
            with torch.no_grad():
                self._seen = observed(criterion, tokens, query, key, value, scaling)

        kwargs[OBSERVER] = observe

    def _cut(self, layer: int, hidden: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        cut, criterion = self._cuts[layer]
        dropped = self._dropped(cut)
        if not any(dropped):
            return hidden
        scores = self._score(criterion, dropped, hidden)
        index, left = self.tokens.drop(scores, dropped)
        cos, sin = self._rope or rope
        self._rope = gather_slots(cos, index), gather_slots(sin, index)
        self._mask = causal_mask(left, left.slots, left.slots)
        self.stages.append(Stage(layer, left))
        return gather_slots(hidden, index)

    @torch.no_grad()
    def _score(self, criterion: Criterion, dropped: tuple[int, ...], hidden: Tensor) -> Tensor:
        seen, self._seen = self._seen, {}
        if "hidden" in criterion.needs:
            seen["hidden"] = hidden
        if "layout" in criterion.needs:
            full = layout(self.stages[0].tokens, self._grids)
            seen["layout"] = gather_slots(full, self.tokens.position)
        keep = tuple(n - d for n, d in zip(self.tokens.n_image, dropped, strict=True))
        return criterion.score(self.tokens, Observed(keep, seen))


class ContinuationPass:
    """A later pass on the cache of a pruned prompt: each layer's mask must match what its cache holds.

    Args:
        stages: of the prompt that filled the cache.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._masks: dict[int, Tensor | None] = {}

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        stage = stage_at(self._stages, layer)
        if stage.layer == 0:
            return hidden
        if stage.layer not in self._masks:
            queries = hidden.shape[1]
            keys = kwargs["past_key_values"].get_seq_length(layer) + queries
            self._masks[stage.layer] = causal_mask(stage.tokens, queries, keys)
        kwargs.update(attention_mask=self._masks[stage.layer], position_ids=None)
        return hidden


def stage_at(stages: Sequence[Stage], layer: int) -> Stage:
    """The stage that a layer belongs to."""
    return next(stage for stage in reversed(stages) if stage.layer <= layer)
