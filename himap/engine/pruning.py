"""A pruned model's record of its last prompt, and the hooks that cut it."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from himap.config import PruningConfig
from himap.criteria import create
from himap.engine import refusals
from himap.engine.passes import ContinuationPass, Pass, PromptPass, kv_cache
from himap.errors import InputError
from himap.families.base import Family
from himap.tokens import PAD, TokenSet

_MARK = "himap_stages"


class _Call(threading.local):
    """The forward call that is running; one a thread."""

    current: Pass | None = None
    ids: Tensor | None = None


class Pruning:
    """A pruned model's record of its last prompt; made by `prune`.

    The counts are one entry a row of the batch; before any prompt they are empty.
    """

    def __init__(self, family: Family, config: PruningConfig) -> None:
        self.config = config
        self._family = family
        self._arguments = {
            module: list(inspect.signature(module.forward).parameters) for module in (family.model, family.backbone)
        }
        self._cuts = {cut.layer: (cut, create(cut.criterion, config.seed)) for cut in config.cuts}
        self._prompt: PromptPass | None = None
        self._call = _Call()

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
            self._call.ids = input_ids
            return prepare(input_ids, *args, **kwargs)

        return wrapped

    def guard_generate(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        """`generate` that refuses what it cannot do while the model is pruned."""

        @functools.wraps(generate)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            refusals.check_generate(self._family.model, args, kwargs)
            return generate(*args, **kwargs)

        return wrapped

    def add_features(self, add: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """DeepStack's addition, behind a cut to the image tokens that are left."""

        @functools.wraps(add)
        def wrapped(hidden: Tensor, image: Tensor, features: Tensor) -> Tensor:
            current = self._call.current
            if isinstance(current, PromptPass) and len(current.stages) > 1:
                return current.add_features(hidden, image, features)
            return add(hidden, image, features)

        return wrapped

    def _named(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """All arguments of a call by name; signatures are read once, since reading one takes long."""
        return dict(zip(self._arguments[module], args, strict=False)) | kwargs

    def before_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """In front of the whole model, which alone sees labels and the like."""
        refusals.check_call(self._named(module, args, kwargs))

    def before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """In front of the backbone."""
        inputs = self._named(module, args, kwargs)
        ids, self._call.ids = self._call.ids, None
        cache = kv_cache(inputs)
        if cache is not None and cache.get_seq_length() > 0:
            self._call.current = self._continue(cache, inputs)
        else:
            self._call.current = self._begin(inputs, ids)

    def _begin(self, inputs: dict[str, Any], ids: Tensor | None) -> PromptPass | None:
        """Read a prompt."""
        mask, embeds, cache = inputs.get("attention_mask"), inputs.get("inputs_embeds"), kv_cache(inputs)
        if self._cuts:
            refusals.check_prompt(inputs, list(self._family.layers))
            self._family.check_prompt(inputs)
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
        read = TokenSet.read(image, valid, inputs.get("input_ids"))
        prompt = PromptPass(read, self._cuts, self._family.grids(inputs))
        self._prompt = prompt  # the record; another thread may put its own here at once
        return prompt

    def _continue(self, cache: Any, inputs: Mapping[str, Any]) -> ContinuationPass | None:
        """Go on with a cache."""
        config, stages = getattr(cache, _MARK, (None, None))
        if self._cuts and self._brings_image(inputs):
            raise InputError(
                "an image behind the start of a cached prompt is not pruned; pass the whole conversation "
                "without a cache, or, if the turn has no image of its own, without pixel_values"
            )
        if config is not None and config != self.config:
            raise InputError("this cache was filled with another pruning configuration; prefill it again")
        if not stages:
            return None
        added = {cache.get_seq_length(stage.layer) - stage.tokens.slots for stage in stages}
        if len(added) > 1 or min(added) < 0:
            raise InputError("this cache was cut to another length; drop whole turns by prefilling again")
        return ContinuationPass(stages, self._family.window)

    def _brings_image(self, inputs: Mapping[str, Any]) -> bool:
        """Whether a call on a filled cache has image tokens; asks the device only if it may have."""
        if inputs.get("pixel_values") is not None or inputs.get("mm_encoder_outputs"):
            return True
        ids = inputs.get("input_ids")
        if ids is None or ids.shape[1] == 1:
            return False
        image = self._family.image_mask(inputs)
        return image is not None and bool(image.any())

    def after_forward(self, module: nn.Module, args: Any, output: Any) -> None:
        """Behind the backbone, also after an exception."""
        self._call.current = None

    def before_layer(
        self, layer: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """In front of a decoder layer."""
        current = self._call.current
        if current is None:
            return None
        hidden, rest = (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())
        hidden = current.enter(layer, hidden, kwargs)
        cache = kv_cache(kwargs)
        if isinstance(current, PromptPass) and cache is not None:
            setattr(cache, _MARK, (self.config, current.stages))
        return (hidden, *rest), kwargs
