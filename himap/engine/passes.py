"""One forward call of a pruned model: a prompt is cut, a continuation gets matching masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from himap.config import Cut
from himap.criteria.base import Criterion, CriterionInputs
from himap.engine.attention import OBSERVER, attention_inputs
from himap.engine.layout import Layout, by_frame
from himap.engine.logits import LogitRule
from himap.engine.masks import continuation_mask, padding_mask, prompt_mask
from himap.engine.plan import PlannedCut
from himap.errors import InputError, UnsupportedModelError
from himap.families.family import Family
from himap.tokens import PAD, TokenSet, gather_slots


@dataclass(frozen=True)
class LayerSpan:
    """The decoder layers from `layer` to the next cut, and the prompt's tokens in their caches."""

    layer: int
    tokens: TokenSet


class Pass(Protocol):
    """One forward call, as the decoder layers run it."""

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        """Return the hidden states that a layer gets, and change its keyword arguments in place."""
        ...


class PromptPass:
    """The first pass over a prompt, which ranks the tokens in front of each cut and drops them there.

    Args:
        read: returns the full set, see `TokenSet.read`.
        cuts: the cuts that drop something, by layer.
        attends: returns whether a layer computes attention.
        place: returns the layout of the full set.
        per_frame: drop the same share of every image and frame.
    """

    def __init__(
        self,
        read: Callable[[], TokenSet],
        cuts: Mapping[int, PlannedCut],
        attends: Callable[[int], bool],
        place: Callable[[TokenSet], Layout],
        per_frame: bool = False,
    ) -> None:
        self._read = read
        self._cuts = cuts
        self._observed = {cut.source: cut for cut in cuts.values() if cut.source is not None}
        self._attends = attends
        self._place = place
        self._per_frame = per_frame
        self._attention_inputs: dict[str, Tensor] = {}
        self._gathered: dict[tuple[int, Callable[[Any], Any]], tuple[Any, Any]] = {}
        self._per_token: dict[str, Callable[[Any], Any]] = {
            "position_embeddings": self._gather_rope,
            "position_ids": self._gather_ids,
            "per_layer_input": self._gather_rope,
            "moe_mm_token_type_ids": self._gather_ids,
        }

    @cached_property
    def spans(self) -> list[LayerSpan]:
        """The spans so far; the first access waits for the prompt's token counts.

        Raises:
            InputError: a row could lose its last token, whose logits predict the next token.
        """
        tokens = self._read()
        if self._cuts and any(n and not text for n, text in zip(tokens.n_image, tokens.n_instruction, strict=True)):
            raise InputError("a prompt ends with an image token, which may be dropped; put text after it")
        return [LayerSpan(0, tokens)]

    @property
    def tokens(self) -> TokenSet:
        """The tokens in front of the next layer."""
        return self.spans[-1].tokens

    def tokens_at(self, layer: int) -> TokenSet:
        """Return the tokens in the cache of a layer that has run."""
        return span_at(self.spans, layer).tokens

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        self._check_width(layer, hidden)
        if layer in self._cuts:
            hidden = self._cut(layer, hidden)
        if len(self.spans) > 1:
            mask = self._gather_attention_mask if self._attends(layer) else self._gather_padding_mask
            kwargs["attention_mask"] = self._gather_once(kwargs.get("attention_mask"), mask)
            for name, gather in self._per_token.items():
                if kwargs.get(name) is not None:
                    kwargs[name] = self._gather_once(kwargs[name], gather)
        if layer in self._observed:
            self._add_observer(self._observed[layer], kwargs)
        return hidden

    def _check_width(self, layer: int, hidden: Tensor) -> None:
        """Refuse hidden states that hold other tokens than the layers in front left."""
        if hidden.shape[-2] != self.tokens.slots:
            raise UnsupportedModelError(
                f"got {hidden.shape[-2]} tokens in front of layer {layer}; expected {self.tokens.slots}; the decoder "
                "changes its tokens itself"
            )

    def _gather_once(self, full: Any, gather: Callable[[Any], Any]) -> Any:
        """Gather once a span, not once a layer; layers of different kinds pass different tensors, or None both."""
        key = id(full), gather
        if key not in self._gathered:
            self._gathered[key] = full, gather(full)
        return self._gathered[key][1]

    def _gather_attention_mask(self, full: Tensor | None) -> Tensor | None:
        return prompt_mask(full, self.tokens)

    def _gather_padding_mask(self, full: Tensor | None) -> Tensor | None:
        return padding_mask(full, self.tokens)

    def _gather_rope(self, full: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Gather a vector a token, `(..., batch or 1, slots, d)`, or a pair of them."""
        if isinstance(full, Tensor):
            return gather_slots(full, self.tokens.position)
        return tuple(gather_slots(part, self.tokens.position) for part in full)

    def _gather_ids(self, full: Tensor) -> Tensor:
        """Gather one number a token, `(..., batch or 1, slots)`."""
        return gather_slots(full[..., None], self.tokens.position)[..., 0]

    def add_features(self, hidden: Tensor, image: Tensor, features: Tensor) -> Tensor:
        """Add image features to the remaining image tokens, for DeepStack after a cut.

        Args:
            hidden: `(batch, m, channels)` hidden states of the remaining tokens.
            image: `(batch, slots)` bool, the image tokens of the whole prompt.
            features: `(image tokens of all rows, channels)`.

        Returns:
            `(batch, m, channels)`.
        """
        position = self.tokens.position.to(hidden.device)
        remaining = (self.tokens.role > PAD).to(hidden.device) & image.to(hidden.device).gather(1, position)
        number = image.to(hidden.device).flatten().cumsum(0).view_as(image).gather(1, position)
        gathered = features.to(hidden.device, hidden.dtype)[(number - 1).clamp(min=0)]
        return hidden + gathered.masked_fill(~remaining[..., None], 0)

    def _dropped(self, cut: Cut) -> tuple[int, ...]:
        return tuple(cut.dropped(n) for n in self.tokens.n_image)

    def _add_observer(self, planned: PlannedCut, kwargs: dict[str, Any]) -> None:
        """Pass an observer to the layer whose attention the criterion of a cut reads."""
        if not any(self._dropped(planned.cut)):
            return
        criterion, mask = planned.criterion, kwargs.get("attention_mask")

        def observe(query: Tensor, key: Tensor, value: Tensor, rule: LogitRule) -> None:
            with torch.no_grad():
                tokens = self.tokens.to(query.device)
                local = mask if mask is None else mask.to(query.device)
                self._attention_inputs = attention_inputs(criterion, tokens, query, key, value, rule, local)

        kwargs[OBSERVER] = observe

    def _cut(self, layer: int, hidden: Tensor) -> Tensor:
        planned = self._cuts[layer]
        dropped = self._dropped(planned.cut)
        if not any(dropped):
            return hidden
        scores = self._score(planned.criterion, dropped, hidden)
        index, remaining = self.tokens.to(hidden.device).drop(scores, dropped)
        self._gathered.clear()
        self.spans.append(LayerSpan(layer, remaining))
        return gather_slots(hidden, index)

    @torch.no_grad()
    def _score(self, criterion: Criterion, dropped: tuple[int, ...], hidden: Tensor) -> Tensor:
        tensors, self._attention_inputs = self._attention_inputs, {}
        if "hidden" in criterion.needs:
            tensors["hidden"] = hidden
        if "layout" in criterion.needs:
            tensors["layout"] = self._layout(hidden.device).cell
        keep = tuple(n - d for n, d in zip(self.tokens.n_image, dropped, strict=True))
        tokens = self.tokens.to(hidden.device)
        scores = criterion.score(tokens, CriterionInputs(keep, tensors))
        return by_frame(scores, tokens, self._layout(hidden.device).frame) if self._per_frame else scores

    def _layout(self, device: torch.device) -> Layout:
        return self._place(self.spans[0].tokens.to(device)).at(self.tokens.position)


class ContinuationPass:
    """A later pass on the cache of a pruned prompt, in which each layer's mask matches its cache.

    Args:
        spans: the spans of the prompt that filled the cache.
        family: the model, for the kind and the sliding window of each layer.
    """

    def __init__(self, spans: Sequence[LayerSpan], family: Family) -> None:
        self._spans = spans
        self._family = family
        self._masks: dict[tuple[int, int | None], Tensor | None] = {}

    def enter(self, layer: int, hidden: Tensor, kwargs: dict[str, Any]) -> Tensor:
        span = span_at(self._spans, layer)
        if span.layer == 0 or not self._family.attends(layer):  # a recurrent state has no slots
            return hidden
        key = span.layer, self._family.window(layer)
        if key not in self._masks:
            self._masks[key] = self._mask(layer, span, hidden.shape[1], kv_cache(kwargs))
        kwargs["attention_mask"] = self._masks[key]
        return hidden

    def _mask(self, layer: int, span: LayerSpan, queries: int, cache: Any) -> Tensor | None:
        window, length = self._family.window(layer), cache.get_seq_length(layer)
        added = length + queries - span.tokens.slots
        stored = length if window is None else cache.layers[layer].keys.shape[-2]
        prompt_slots = self._spans[0].tokens.slots
        return continuation_mask(span.tokens, prompt_slots, queries, added, window, stored + queries)


def span_at(spans: Sequence[LayerSpan], layer: int) -> LayerSpan:
    """Return the span that a layer belongs to."""
    return next(span for span in reversed(spans) if span.layer <= layer)


def kv_cache(arguments: Mapping[str, Any]) -> Any:
    """Return the KV cache among the named arguments of a backbone or a decoder layer; None without one."""
    cache = arguments.get("cache")  # `past_key_values` in older versions of transformers
    return arguments.get("past_key_values") if cache is None else cache
