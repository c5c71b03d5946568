"""The hooks of one pruned model, and the record of its last prompt."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from himap.config import PruningConfig
from himap.engine import refusals
from himap.engine.cache_record import CacheRecord
from himap.engine.layout import Layout, layout
from himap.engine.passes import ContinuationPass, Pass, PromptPass, kv_cache
from himap.engine.plan import plan
from himap.errors import InputError
from himap.families.family import PIXELS, Family
from himap.tokens import PAD, TokenSet

_RECORD = "himap_record"  # the attribute of a cache that holds its `CacheRecord`


class _Call(threading.local):
    """The forward call that is running, one a thread."""

    current: Pass | None = None
    cache: Any = None
    ids: Tensor | None = None
    generating: Mapping[str, Any] | None = None


class Pruning:
    """A pruned model's record of its last prompt, as `himap.prune` yields it.

    Each list has one entry a row of the batch; before the first prompt the lists are empty.
    """

    def __init__(self, family: Family, config: PruningConfig, *, per_frame: bool = False) -> None:
        self.config = config
        self._per_frame = per_frame
        self._family = family
        # Reading a signature is slow, so it is done once.
        self._parameters = {
            module: list(inspect.signature(module.forward).parameters) for module in (family.model, family.backbone)
        }
        self._layer_parameters = {
            type(layer): list(inspect.signature(layer.forward).parameters) for layer in family.layers
        }
        self._cuts = plan(config, family)
        self._key_layers = tuple(filter(family.attends, range(len(family.layers))))
        self._prompt: PromptPass | None = None
        self._call = _Call()

    @property
    def image_tokens(self) -> list[int]:
        """Number of image tokens in the prompt, with those of videos unless they count as text."""
        return list(self._prompt.tokens_at(0).n_image) if self._prompt else []

    @property
    def text_tokens(self) -> list[int]:
        """Number of text tokens in the prompt, padding not counted."""
        if self._prompt is None:
            return []
        tokens = self._prompt.tokens_at(0)
        return [length - n for length, n in zip(tokens.lengths, tokens.n_image, strict=True)]

    @property
    def kept(self) -> list[tuple[int, int]]:
        """Number of image tokens left after k1 and after k2."""
        if self._prompt is None:
            return []
        after_k1, after_k2 = (self._prompt.tokens_at(k).n_image for k in (self.config.k1, self.config.k2))
        return list(zip(after_k1, after_k2, strict=True))

    @property
    def positions(self) -> Tensor:
        """Prompt slots of the tokens that reach the last layer: `(batch, m)`, in the order of the logits.

        Padding of the prompt is counted. Shorter rows are filled on the left with -1.
        """
        if self._prompt is None:
            return torch.empty(0, 0, dtype=torch.long)
        tokens = self._prompt.tokens
        return tokens.position.masked_fill(tokens.role == PAD, -1)

    @property
    def first_layer(self) -> int:
        """The first layer whose input or attention a cut concerns."""
        return min(layer if cut.source is None else cut.source for layer, cut in self._cuts.items())

    def record_ids(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `prepare_inputs_for_generation` to record the ids of a prompt that comes as embeddings.

        `generate` does not pass these ids on to `forward`.
        """

        @functools.wraps(prepare)
        def wrapped(input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
            self._call.ids = input_ids
            return prepare(input_ids, *args, **kwargs)

        return wrapped

    def guard_generate(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `generate` to refuse the options that pruning does not support."""

        @functools.wraps(generate)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            refusals.check_generate(self._family.model, args, kwargs)
            # transformers encodes the images before the prompt runs, and keeps their grids to itself.
            self._call.generating = kwargs if not args else {**kwargs, "input_ids": args[0]}
            try:
                return generate(*args, **kwargs)
            finally:
                self._call.generating = None

        return wrapped

    def add_features(self, add: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Wrap DeepStack's addition of image features; after a cut it adds to the remaining image tokens."""

        @functools.wraps(add)
        def wrapped(hidden: Tensor, image: Tensor, features: Tensor) -> Tensor:
            current = self._call.current
            if isinstance(current, PromptPass) and len(current.spans) > 1:
                return current.add_features(hidden, image, features)
            return add(hidden, image, features)

        return wrapped

    def _named(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return all arguments of a call by name."""
        return dict(zip(self._parameters[module], args, strict=False)) | kwargs

    def before_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check the arguments of the whole model; the backbone does not get the labels, for example."""
        refusals.check_call(self._named(module, args, kwargs))

    def before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Begin a prompt or a continuation in front of the backbone."""
        inputs = self._named(module, args, kwargs)
        ids, self._call.ids = self._call.ids, None
        cache = kv_cache(inputs)
        if cache is not None and cache.get_seq_length() > 0:
            self._call.current = self._begin_continuation(cache, inputs)
        else:
            self._call.current = self._begin_prompt(inputs, ids)

    def _begin_prompt(self, inputs: dict[str, Any], ids: Tensor | None) -> PromptPass | None:
        mask, embeds, cache = inputs.get("attention_mask"), inputs.get("inputs_embeds"), kv_cache(inputs)
        refusals.check_uncompiled(self._family)
        if self._cuts:
            refusals.check_prompt(inputs, self._family.layers)
            self._family.check_prompt(inputs)
        if hasattr(cache, _RECORD):  # an empty cache with a record has been reset
            delattr(cache, _RECORD)
        if embeds is not None and ids is not None and ids.shape[1] == embeds.shape[1]:
            inputs["input_ids"] = ids
        image = self._family.image_mask(inputs)
        if image is None:
            if not self._cuts:
                return None
            raise InputError(
                "cannot tell where the image tokens are: inputs_embeds came without input_ids; call "
                "generate(input_ids=..., inputs_embeds=...), or pass input_ids and the image"
            )
        valid = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
        read = TokenSet.read(image, valid, inputs.get("input_ids"))
        place = self._layout(inputs, image)
        prompt = PromptPass(read, self._cuts, self._family.attends, place, self._per_frame)
        self._prompt = prompt  # another thread may overwrite it at any time, so `prompt` is returned
        return prompt

    def _layout(self, inputs: Mapping[str, Any], visual: Tensor) -> Callable[[TokenSet], Layout]:
        """Return what places the tokens of a prompt, with the sizes of the call of `generate` around it if need be."""
        video, grids = self._family.video_mask(inputs, visual), self._family.grids(inputs)
        generating = self._call.generating or {}
        if isinstance(ids := generating.get("input_ids"), Tensor):
            around = self._family.grids(generating)
            grids = grids.or_else(around, visual & ~video, video, len(visual) // len(ids))
        return functools.partial(layout, grids=grids, video=video)

    def _begin_continuation(self, cache: Any, inputs: Mapping[str, Any]) -> ContinuationPass | None:
        record: CacheRecord | None = getattr(cache, _RECORD, None)
        if self._cuts and self._has_image(inputs):
            raise InputError(
                "an image on a filled cache cannot be pruned; pass the whole conversation "
                "without a cache, or, if the turn has no image of its own, without pixel_values"
            )
        if record is None:
            return None
        if record.config != self.config:
            raise InputError("this cache was filled with another pruning configuration; prefill it again")
        added = {cache.get_seq_length(layer) - span.tokens.slots for span, layer in record.layers()}
        if len(added) > 1 or min(added) < 0:
            raise InputError("this cache was cut to another length; drop whole turns by prefilling again")
        record.follow_rows(cache)
        return ContinuationPass(record.spans, self._family)

    def _has_image(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether a continuation has image tokens; wait for the device only if it may have some."""
        if any(inputs.get(name) is not None for name in PIXELS) or inputs.get("mm_encoder_outputs"):
            return True
        ids = inputs.get("input_ids")
        if ids is None or ids.shape[1] == 1:
            return False
        image = self._family.image_mask(inputs)
        return image is not None and bool(image.any())

    def after_forward(self, module: nn.Module, args: Any, output: Any) -> None:
        """End the call after the backbone, also after an exception."""
        cache, self._call.cache, self._call.current = self._call.cache, None, None
        if hasattr(cache, _RECORD):
            getattr(cache, _RECORD).keep_keys(cache)

    def before_layer(
        self, layer: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Change the input of a decoder layer, and record the spans in its cache."""
        current = self._call.current
        if current is None:
            return None
        kwargs = dict(zip(self._layer_parameters[type(module)], args, strict=False)) | kwargs
        hidden = current.enter(layer, kwargs.pop("hidden_states"), kwargs)
        cache = self._call.cache = kv_cache(kwargs)
        if isinstance(current, PromptPass) and cache is not None:
            setattr(cache, _RECORD, CacheRecord(self.config, current.spans, self._key_layers))
        return (hidden,), kwargs
