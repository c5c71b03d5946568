"""What happens to one forward call of a pruned model: a prompt is cut, a continuation is masked to match."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from himap.config import Cut
from himap.criteria.base import Criterion, Observed
from himap.engine.attention import OBSERVER, observed
from himap.engine.layout import layout
from himap.engine.masks import continuation_mask, prompt_mask
from himap.errors import InputError
from himap.tokens import PAD, TokenSet, gather_slots


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
        read: gives the full set, see `TokenSet.read`.
        cuts: the cuts that are switched on, by layer, each with its criterion.
        grids: (images, 2) sizes of the images in tokens, None if unknown; see `himap.engine.layout`.
    """

    def __init__(
        self, read: Callable[[], TokenSet], cuts: Mapping[int, tuple[Cut, Criterion]], grids: Tensor | None
    ) -> None:
        self._read = read
        self._cuts = cuts
        self._grids = grids
        self._seen: dict[str, Tensor] = {}
        self._picked: dict[int, tuple[Any, Any]] = {}

    @cached_property
    def stages(self) -> list[Stage]:
        """What each depth holds so far; read off the prompt when first asked for.

        Raises:
            InputError: a row that could lose its last token, whose logits are the next token's.
        """
        tokens = self._read()
        if self._cuts and any(n and not text for n, text in zip(tokens.n_image, tokens.n_instruction, strict=True)):
            raise InputError("a prompt ends with an image token, which may be dropped; put text behind it")
        return [Stage(0, tokens)]

    @property
    def tokens(self) -> TokenSet:
        """The tokens in front of the layer that is about to run."""
        return self.stages[-1].tokens

    def at(self, layer: int) -> TokenSet:
        """The tokens that a layer, once run, has in its cache."""
        return stage_at(self.stages, layer).tokens

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        if layer in self._cuts:
            hidden = self._cut(layer, hidden)
        if len(self.stages) > 1:
            # Gapped position ids would be taken for several packed sequences.
            kwargs.update(
                attention_mask=self._pick(kwargs.get("attention_mask"), self._pick_mask),
                position_embeddings=self._pick(kwargs["position_embeddings"], self._pick_rope),
                position_ids=None,
            )
        if layer + 1 in self._cuts:
            self._watch(layer + 1, kwargs)
        return hidden

    def _pick(self, full: Any, pick: Callable[[Any], Any]) -> Any:
        """Pick once a stage, not once a layer; layers of different kinds bring different tensors."""
        if id(full) not in self._picked:
            self._picked[id(full)] = full, pick(full)
        return self._picked[id(full)][1]

    def _pick_mask(self, full: Tensor | None) -> Tensor | None:
        return prompt_mask(full, self.tokens)

    def _pick_rope(self, full: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        cos, sin = full
        return gather_slots(cos, self.tokens.position), gather_slots(sin, self.tokens.position)

    def add_features(self, hidden: Tensor, image: Tensor, features: Tensor) -> Tensor:
        """DeepStack behind a cut: add image features to the image tokens that are left.

        Args:
            hidden: (batch, m, channels) of the tokens that are left.
            image: (batch, slots) bool, the image tokens of the whole prompt.
            features: (image tokens of all rows, channels) one after another.
        """
        position = self.tokens.position.to(hidden.device)
        left = (self.tokens.role > PAD).to(hidden.device) & image.to(hidden.device).gather(1, position)
        number = image.to(hidden.device).flatten().cumsum(0).view_as(image).gather(1, position)
        picked = features.to(hidden.device, hidden.dtype)[(number - 1).clamp(min=0)]
        return hidden + picked.masked_fill(~left[..., None], 0)

    def _dropped(self, cut: Cut) -> tuple[int, ...]:
        return tuple(cut.dropped(n) for n in self.tokens.n_image)

    def _watch(self, layer: int, kwargs: dict[str, Any]) -> None:
        """Ask the layer in front of a cut for what the criterion needs of its attention."""
        cut, criterion = self._cuts[layer]
        asks = criterion.rows != "none" or criterion.needs & {"keys", "values"}
        if not asks or not any(self._dropped(cut)):
            return
        mask = kwargs.get("attention_mask")

        def observe(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> None:
            with torch.no_grad():
                tokens = self.tokens.to(query.device)
                self._seen = observed(criterion, tokens, query, key, value, scaling, mask)

        kwargs[OBSERVER] = observe

    def _cut(self, layer: int, hidden: Tensor) -> Tensor:
        cut, criterion = self._cuts[layer]
        dropped = self._dropped(cut)
        if not any(dropped):
            return hidden
        scores = self._score(criterion, dropped, hidden)
        index, left = self.tokens.to(hidden.device).drop(scores, dropped)
        self._picked.clear()
        self.stages.append(Stage(layer, left))
        return gather_slots(hidden, index)

    @torch.no_grad()
    def _score(self, criterion: Criterion, dropped: tuple[int, ...], hidden: Tensor) -> Tensor:
        seen, self._seen = self._seen, {}
        if "hidden" in criterion.needs:
            seen["hidden"] = hidden
        if "layout" in criterion.needs:
            full = layout(self.stages[0].tokens.to(hidden.device), self._grids)
            seen["layout"] = gather_slots(full, self.tokens.position)
        keep = tuple(n - d for n, d in zip(self.tokens.n_image, dropped, strict=True))
        return criterion.score(self.tokens.to(hidden.device), Observed(keep, seen))


class ContinuationPass:
    """A later pass on the cache of a pruned prompt: each layer's mask must match what its cache holds.

    Args:
        stages: of the prompt that filled the cache.
        window: how far back a layer can look, by layer; None for all the way.
    """

    def __init__(self, stages: Sequence[Stage], window: Callable[[int], int | None]) -> None:
        self._stages = stages
        self._window = window
        self._masks: dict[tuple[int, int | None], Tensor | None] = {}

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        stage = stage_at(self._stages, layer)
        if stage.layer == 0:
            return hidden
        key = stage.layer, self._window(layer)
        if key not in self._masks:
            self._masks[key] = self._mask(layer, stage, hidden.shape[1], kv_cache(kwargs))
        kwargs.update(attention_mask=self._masks[key], position_ids=None)
        return hidden

    def _mask(self, layer: int, stage: Stage, queries: int, cache: Any) -> Tensor | None:
        window = self._window(layer)
        added = cache.get_seq_length(layer) + queries - stage.tokens.slots
        stored = cache.get_seq_length(layer) if window is None else cache.layers[layer].keys.shape[-2]
        prompt = self._stages[0].tokens.slots
        return continuation_mask(stage.tokens, prompt, queries, added, window, stored + queries)


def stage_at(stages: Sequence[Stage], layer: int) -> Stage:
    """The stage that a layer belongs to."""
    return next(stage for stage in reversed(stages) if stage.layer <= layer)


def kv_cache(arguments: Mapping[str, Any]) -> Any:
    """The cache among a call's arguments by name, of a backbone or of a decoder layer; None without one."""
    found = arguments.get("cache")
    return arguments.get("past_key_values") if found is None else found
