"""The context manager that prunes a model in place and restores it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from torch import nn

from himap import families
from himap.config import PruningConfig, Video, check_video
from himap.engine import attention, refusals
from himap.engine.compiled import refuse_compiled
from himap.engine.pruning import Pruning
from himap.errors import HimapError
from himap.families.family import Family
from himap.presets import Preset, read_preset

_lock = threading.Lock()
_active: WeakSet[nn.Module] = WeakSet()


@contextmanager
def _method_wrapped(model: Any, name: str, wrap: Callable[[Callable[..., Any]], Any]) -> Iterator[None]:
    """Wrap a method of one object while the context lasts, then restore the object's own attribute."""
    own = vars(model).get(name)
    setattr(model, name, wrap(getattr(model, name)))
    try:
        yield
    finally:
        delattr(model, name)
        if own is not None:
            setattr(model, name, own)


def _attach_cuts(pruning: Pruning, family: Family, config: PruningConfig, undo: ExitStack) -> None:
    """Attach what only a configuration with cuts needs; `undo` detaches it."""
    model, layers = family.model, family.layers
    undo.callback(model.register_forward_pre_hook(pruning.before_call, with_kwargs=True).remove)
    undo.enter_context(_method_wrapped(model, "generate", pruning.guard_generate))
    for name in filter(functools.partial(hasattr, model), refusals.CONTINUOUS_BATCHING):
        undo.enter_context(_method_wrapped(model, name, lambda _: refusals.refuse_batching))
    if family.deepstack_method is not None:
        undo.enter_context(_method_wrapped(family.decoder, family.deepstack_method, pruning.add_features))
    undo.enter_context(attention.replaced(family, attention.attend))
    for index in range(pruning.first_layer, len(layers)):
        hook = functools.partial(pruning.before_layer, index)
        undo.callback(layers[index].register_forward_pre_hook(hook, with_kwargs=True).remove)


@contextmanager
def _attached(pruning: Pruning, family: Family, config: PruningConfig) -> Iterator[None]:
    """Attach the hooks, the attention function and the wrapped methods while the context lasts."""
    backbone = family.backbone
    with ExitStack() as undo:
        undo.enter_context(_exclusive(backbone))
        undo.callback(backbone.register_forward_pre_hook(pruning.before_forward, with_kwargs=True).remove)
        undo.callback(backbone.register_forward_hook(pruning.after_forward, always_call=True).remove)
        undo.enter_context(_method_wrapped(family.model, "prepare_inputs_for_generation", pruning.record_ids))
        if config.cuts:
            _attach_cuts(pruning, family, config, undo)
        yield


@contextmanager
def _exclusive(backbone: nn.Module) -> Iterator[None]:
    """Refuse a second context on the same model."""
    with _lock:
        if backbone in _active:
            raise HimapError("this model is being pruned already; leave that context first")
        _active.add(backbone)
    try:
        yield
    finally:
        with _lock:
            _active.discard(backbone)


@contextmanager
def prune(
    model: nn.Module, config: PruningConfig | Preset | str | Path, *, untested: bool = False, video: Video = "visual"
) -> Iterator[Pruning]:
    """Drop image tokens inside a vision-language model's decoder while the context lasts.

    Every prompt of `model.generate` or `model(...)` is cut as `config` says. Dropped tokens are absent from
    the hidden states and the KV cache of all deeper layers; the other tokens keep their positions. Text is
    never dropped, and a prompt without an image is not changed. Leaving the context restores the model, also
    after an exception.

    Batches may be padded and their rows may differ in image tokens; each row keeps what it keeps alone. A
    forward call without a cache is a prompt of its own. The logits of a prompt belong to the tokens that reach
    the last layer (see `Pruning.positions`); the last logits of every row are those of its last token.
    `docs/pruning.md` lists what is supported, what is refused, and why.

    Args:
        model: a supported transformers model (see `himap.supported_models`), or a PEFT model around it. In the
            context its decoder runs on SDPA, whatever attention implementation it was loaded with.
        config: a configuration, a preset, or the path of a preset file.
        untested: accept a class or decoder that is not in `himap.supported_models`, if the engine can follow its
            structure; check the model with `himap.verify` first.
        video: "visual" ranks the tokens of all images and frames of a prompt together. "per_frame" drops the same share
            of every image and of every frame. "text" keeps the tokens of a video whose placeholder is not that of
            images.

    Yields:
        The record of the last prompt: token counts and kept positions.

    Raises:
        UnsupportedModelError: the family, decoder or attention implementation is unknown, or a part of the
            model is compiled.
        ConfigError: `video` is none of these, a cut lies beyond the model's last layer, or no attention layer in front
            of it can rank.
        PresetError: the preset file cannot be read, or was made for another architecture.
        InputError: raised by a call in the context that cannot be pruned correctly.
        HimapError: the model is already in a pruning context.
    """
    check_video(video)
    family = families.find(model, untested=untested, video=video != "text")
    refuse_compiled(family)
    if isinstance(config, str | Path):
        config = read_preset(config)
    if isinstance(config, Preset):
        config.check_model([cls.__name__ for cls in type(family.model).__mro__], len(family.layers))
        config = config.config
    pruning = Pruning(family, config, per_frame=video == "per_frame")
    with _attached(pruning, family, config):
        yield pruning
