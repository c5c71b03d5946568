"""A pruned model's record of its last prompt, and the hooks that cut it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from himap.config import PruningConfig
from himap.criteria import create
from himap.errors import InputError
from himap.families.base import Family
from himap.passes import ContinuationPass, Pass, PromptPass
from himap.tokens import PAD, TokenSet

_MARK = "himap_stages"


class Pruning:
    """A pruned model's record of its last prompt; made by `prune`.

    The counts are one entry a row of the batch; before any prompt they are empty.
    """

    def __init__(self, family: Family, config: PruningConfig) -> None:
        self.config = config
        self._family = family
        self._parameters = list(inspect.signature(family.backbone.forward).parameters)
        self._cuts = {cut.layer: (cut, create(cut.criterion, config.seed)) for cut in config.cuts}
        self._prompt: PromptPass | None = None
        self._pass: Pass | None = None
        self._ids: Tensor | None = None

    @property
    def image_tokens(self) -> list[int]:
        """Image tokens of the prompt."""
        return list(self._prompt.at(0).n_image) if self._prompt else []

    @property
    def text_tokens(self) -> list[int]:
        """All other tokens of the prompt, padding not counted."""
        if self._prompt is None:
            return []
        tokens = self._prompt.at(0)
        return [length - n for length, n in zip(tokens.lengths, tokens.n_image, strict=True)]

    @property
    def kept(self) -> list[tuple[int, int]]:
        """Image tokens left after k1 and after k2."""
        if self._prompt is None:
            return []
        after_k1, after_k2 = (self._prompt.at(k).n_image for k in (self.config.k1, self.config.k2))
        return list(zip(after_k1, after_k2, strict=True))

    @property
    def positions(self) -> Tensor:
        """(batch, m) prompt slots of the tokens that reach the last layer, padding counted; -1 where none.

        The prompt's logits stand for these slots. Shorter rows are filled on the left.
        """
        if self._prompt is None:
            return torch.empty(0, 0, dtype=torch.long)
        tokens = self._prompt.tokens
        return tokens.position.masked_fill(tokens.role == PAD, -1)

    def see_ids(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        """Only `generate` knows the ids of a prompt that comes as embeddings; `forward` is not told."""

        @functools.wraps(prepare)
        def wrapped(input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
            self._ids = input_ids
            return prepare(input_ids, *args, **kwargs)

        return wrapped

    def before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs = dict(zip(self._parameters, args, strict=False)) | kwargs
        ids, self._ids = self._ids, None
        cache = inputs.get("past_key_values")
        if cache is not None and cache.get_seq_length() > 0:
            self._pass = self._continue(cache, inputs)
        else:
            self._pass = self._begin(inputs, ids)

    def _begin(self, inputs: dict[str, Any], ids: Tensor | None) -> PromptPass | None:
        """Read a prompt."""
        mask, embeds, cache = (
            inputs.get(name) for name in ("attention_mask", "inputs_embeds", "past_key_values")
        )
        if self._cuts and mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
            raise InputError(
                "pruning needs a two-dimensional attention_mask (batch, tokens), got another form"
            )
        if self._cuts and getattr(cache, "is_compileable", False):
            raise InputError("a static cache has one length for all layers; use the default dynamic cache")
        if hasattr(cache, _MARK):  # it was reset, and is filled anew
            delattr(cache, _MARK)
        if embeds is not None and ids is not None and ids.shape[1] == embeds.shape[1]:
            inputs["input_ids"] = ids
        image = self._family.image_mask(inputs)
        if image is None and self._cuts:
            raise InputError(
                "cannot tell where the image tokens are: inputs_embeds came without input_ids; call "
                "generate(input_ids=..., inputs_embeds=...), or pass input_ids and the image"
            )
        if image is None:
            return None
        valid = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
        tokens = TokenSet.from_prompt(image, valid, inputs.get("input_ids"))
        self._prompt = PromptPass(tokens, self._cuts, self._family.grids(inputs))
        return self._prompt

    def _continue(self, cache: Any, inputs: Mapping[str, Any]) -> ContinuationPass | None:
        """Go on with a cache."""
        ids = inputs.get("input_ids")
        config, stages = getattr(cache, _MARK, (None, None))
        if self._cuts and ids is not None and ids.shape[1] > 1:
            image = self._family.image_mask(inputs)
            if image is not None and bool(image.any()):
                raise InputError("an image behind the start of a cached prompt is not pruned; pass it whole")
        if config is not None and config != self.config:
            raise InputError("this cache was filled with another pruning configuration; prefill it again")
        return ContinuationPass(stages) if stages else None

    def after_forward(self, module: nn.Module, args: Any, output: Any) -> None:
        self._pass = None

    def before_layer(
        self, layer: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        current = self._pass
        if current is None:
            return None
        hidden, rest = (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())
        hidden = current.enter(layer, hidden, kwargs)
        cache = kwargs.get("past_key_values")
        if isinstance(current, PromptPass) and cache is not None:
            setattr(cache, _MARK, (self.config, current.stages))
        return (hidden, *rest), kwargs
