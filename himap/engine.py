"""The context manager that prunes a model in place and puts it back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from himap import attention, families
from himap.config import PruningConfig
from himap.errors import ConfigError, HimapError, InputError, UnsupportedModelError
from himap.families.base import Family
from himap.passes import ContinuationPass, Pass, PromptPass, Stage
from himap.tokens import PAD, TokenSet


class Pruning:
    """A pruned model's record of its last prompt; made by `prune`.

    The counts are of the last prefill, one entry a row of the batch; before any prefill they are empty.
    """

    def __init__(self, family: Family, config: PruningConfig) -> None:
        self.config = config
        self._family = family
        self._parameters = list(inspect.signature(family.backbone.forward).parameters)
        self._prompt: PromptPass | None = None
        self._pass: Pass | None = None
        self._ids: Tensor | None = None
        self._caches: WeakKeyDictionary[Any, list[Stage]] = WeakKeyDictionary()

    @property
    def image_tokens(self) -> list[int]:
        """Image tokens of the prompt."""
        return list(self._prompt.stages[0].tokens.n_image) if self._prompt else []

    @property
    def text_tokens(self) -> list[int]:
        """All other tokens of the prompt, padding not counted."""
        if self._prompt is None:
            return []
        tokens = self._prompt.stages[0].tokens
        return [length - n for length, n in zip(tokens.lengths, tokens.n_image, strict=True)]

    @property
    def kept(self) -> list[tuple[int, int]]:
        """Image tokens left after k1 and after k2."""
        if self._prompt is None:
            return []
        after = [self._at(self.config.k1).n_image, self._at(self.config.k2).n_image]
        return list(zip(*after, strict=True))

    @property
    def positions(self) -> Tensor:
        """(batch, m) prompt slots, padding counted, of the tokens that reach the last layer; -1 where a row
        has fewer.

        The rows of the logits of an uncached or prompt forward stand for these slots.
        """
        if self._prompt is None:
            return torch.empty(0, 0, dtype=torch.long)
        tokens = self._prompt.tokens
        return tokens.position.masked_fill(tokens.role == PAD, -1)

    def _at(self, layer: int) -> TokenSet:
        assert self._prompt is not None
        return next(stage.tokens for stage in reversed(self._prompt.stages) if stage.layer <= layer)

    def _see_ids(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `prepare_inputs_for_generation`: it knows the ids of a prompt that comes as embeddings."""

        @functools.wraps(prepare)
        def wrapped(input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
            self._ids = input_ids
            return prepare(input_ids, *args, **kwargs)

        return wrapped

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs = dict(zip(self._parameters, args, strict=False)) | kwargs
        ids, self._ids = self._ids, None
        cache = inputs.get("past_key_values")
        if cache is not None and cache.get_seq_length() > 0:
            self._pass = self._continue(cache, inputs)
        else:
            self._pass = self._begin(inputs, ids)

    def _begin(self, inputs: dict[str, Any], ids: Tensor | None) -> PromptPass | None:
        """Read a prompt."""
        mask, cache = inputs.get("attention_mask"), inputs.get("past_key_values")
        if self.config.cuts:
            if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
                raise InputError(
                    "pruning needs a two-dimensional attention_mask (batch, tokens), got another form"
                )
            if getattr(cache, "is_compileable", False):
                raise InputError(
                    "a static cache has one length for all layers; use the default dynamic cache"
                )
        embeds = inputs.get("inputs_embeds")
        if inputs.get("input_ids") is None and ids is not None and embeds is not None:
            inputs["input_ids"] = ids if ids.shape[1] == embeds.shape[1] else None
        image = self._family.image_mask(inputs)
        if image is None:
            if self.config.cuts:
                raise InputError(
                    "cannot tell where the image tokens are: inputs_embeds came without input_ids; call "
                    "generate(input_ids=..., inputs_embeds=...), or pass input_ids and the image's features"
                )
            return None
        two_dimensional = isinstance(mask, Tensor) and mask.ndim == 2
        tokens = TokenSet.from_prompt(image, mask if two_dimensional else None, inputs.get("input_ids"))
        self._prompt = PromptPass(tokens, self.config.cuts, self.config.seed)
        return self._prompt

    def _continue(self, cache: Any, inputs: Mapping[str, Any]) -> ContinuationPass | None:
        """Go on with a cache."""
        ids = inputs.get("input_ids")
        if self.config.cuts and ids is not None and ids.shape[1] > 1:
            image = self._family.image_mask(inputs)
            if image is not None and bool(image.any()):
                raise InputError(
                    "an image after the start of a cached prompt cannot be pruned; pass the prompt whole"
                )
        stages = self._caches.get(cache)
        if stages is None and cache.get_seq_length(0) != cache.get_seq_length(len(self._family.layers) - 1):
            raise InputError(
                "this cache was filled under another `himap.prune`; prefill it again in this one"
            )
        return ContinuationPass(stages) if stages else None

    def _after_forward(self, module: nn.Module, args: Any, output: Any) -> None:
        self._pass = None

    def _before_layer(
        self, layer: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        current = self._pass
        if current is None:
            return None
        hidden, rest = (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())
        hidden = current.enter(layer, hidden, kwargs)
        cache = kwargs.get("past_key_values")
        if isinstance(current, PromptPass) and cache is not None:
            self._caches[cache] = current.stages
        return (hidden, *rest), kwargs

    @contextmanager
    def attached(self) -> Iterator[Pruning]:
        """Hooks, the attention function and the wrapped method are in place inside, and gone afterwards."""
        family, model = self._family, self._family.model
        with ExitStack() as undo:
            backbone = family.backbone
            undo.callback(backbone.register_forward_pre_hook(self._before_forward, with_kwargs=True).remove)
            undo.callback(backbone.register_forward_hook(self._after_forward, always_call=True).remove)
            model.prepare_inputs_for_generation = self._see_ids(model.prepare_inputs_for_generation)
            undo.callback(delattr, model, "prepare_inputs_for_generation")
            if self.config.cuts:
                undo.enter_context(attention.registered())
                undo.enter_context(_attention_set(family))
                for index in range(self.config.cuts[0].layer - 1, len(family.layers)):
                    hook = functools.partial(self._before_layer, index)
                    handle = family.layers[index].register_forward_pre_hook(hook, with_kwargs=True)
                    undo.callback(handle.remove)
            yield self


@contextmanager
def _attention_set(family: Family) -> Iterator[None]:
    """The decoder's attention goes through ours inside; the vision tower's does not."""
    config = family.decoder.config
    before = config._attn_implementation
    config._attn_implementation = attention.NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _check(family: Family, config: PruningConfig) -> None:
    layers = len(family.layers)
    for cut in config.cuts:
        if cut.layer >= layers:
            which = "k1" if cut.layer == config.k1 else "k2"
            raise ConfigError(
                f"{which}={cut.layer} must be below the model's {layers} decoder layers, or its r be 0"
            )
    text = family.decoder.config
    if "himap" in text._attn_implementation:
        raise HimapError("this model is already being pruned; leave that context first")
    if text._attn_implementation not in attention.REPLACES:
        raise UnsupportedModelError(
            f"attention implementation {text._attn_implementation!r} cannot be pruned; "
            f"load the model with one of {', '.join(attention.REPLACES)}"
        )
    if "sliding_attention" in (getattr(text, "layer_types", None) or ()):
        raise UnsupportedModelError("decoder layers with sliding-window attention cannot be pruned")


@contextmanager
def prune(model: nn.Module, config: PruningConfig) -> Iterator[Pruning]:
    """Drop image tokens inside a vision-language model's decoder while the context lasts.

    Every prompt that runs through `model.generate` or `model(...)` inside is cut as `config` says; dropped
    tokens are gone from the hidden states and from the KV cache of all deeper layers, survivors keep their
    positions, text is never dropped. A prompt without an image runs as ever. Leaving restores the model, also
    after an exception.

    Batches may be padded and hold different numbers of image tokens; each row keeps what it would keep alone.
    A forward call without a cache counts as a prompt of its own. The logits of a prompt are as many as the
    tokens that reach the last layer (see `Pruning.positions`); the last is the last token's for every row.

    Args:
        model: a supported transformers model itself (see `himap.supported_models`), attention "sdpa" or
            "eager". Inside, the decoder's attention is SDPA.
        config: what to drop, and where.

    Yields:
        The record of the last prompt: token counts and kept positions.

    Raises:
        UnsupportedModelError: unknown family, attention implementation or sliding-window layers.
        ConfigError: a cut at or beyond the model's last layer.
        InputError: from a forward call that could only be pruned wrongly: static cache, 4-d attention mask,
            an image in the middle of a cached prompt, embeddings without input ids, a cache from another
            context.
        HimapError: the model is already inside a pruning context.
    """
    family = families.find(model)
    _check(family, config)
    with Pruning(family, config).attached() as pruning:
        yield pruning
