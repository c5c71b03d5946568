"""Find the parts of a vision-language model by their structure, or say why it cannot be pruned."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from torch import nn
from transformers import GenerationMixin

from himap.errors import UnsupportedModelError

ATTENTION = frozenset({"full_attention", "sliding_attention"})
RECURRENT = frozenset({"linear_attention", "conv"})
# What a decoder hands to its layers; the engine knows how each follows a cut.
LAYER_ARGUMENTS = frozenset(
    {
        "hidden_states",
        "attention_mask",
        "position_embeddings",
        "position_ids",
        "cache",
        "past_key_values",
        "use_cache",
        "per_layer_input",
        "shared_kv_states",
        "moe_mm_token_type_ids",
    }
)
_IMAGES = frozenset({"pixel_values", "pixel_values_images", "image_patches", "mm_encoder_outputs"})
_OWN_ATTENTION = ("_attn_implementation ==", "_attn_implementation in", "indexer", "position_bias", "topk_indices")
# Its `generate` delegates to that of transformers for text.
_DELEGATES = frozenset({"JanusForConditionalGeneration"})


def find_decoder(model: nn.Module) -> nn.Module:
    """Return the module with the decoder layers: the one whose configuration is the model's text configuration.

    Raises:
        UnsupportedModelError: there is none, or more than one.
    """
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "get_text_config"):
        raise UnsupportedModelError(f"got {type(model).__name__}; expected a transformers model; pass the model itself")
    text = config.get_text_config(decoder=True)
    found = [module for module in model.modules() if getattr(module, "config", None) is text and _stack(module)]
    if len(found) != 1:
        raise UnsupportedModelError(f"got {len(found)} decoders in {type(model).__name__}; expected one with layers")
    return found[0]


def find_backbone(model: nn.Module, decoder: nn.Module) -> nn.Module:
    """Return the innermost module around the decoder whose forward takes token ids and images.

    Raises:
        UnsupportedModelError: there is none.
    """
    around = [module for module in model.modules() if any(part is decoder for part in module.modules())]
    for module in reversed(around):
        names = set(inspect.signature(module.forward).parameters)
        if "input_ids" in names and names & _IMAGES:
            return module
    raise UnsupportedModelError(f"no part of {type(model).__name__} takes both input_ids and images")


def check(model: nn.Module, decoder: Any) -> None:
    """Refuse a model whose code the engine cannot follow.

    Raises:
        UnsupportedModelError: the message gives the reason.
    """
    name = type(model).__name__
    if reason := next(_obstacles(model, decoder), None):
        raise UnsupportedModelError(f"{name} cannot be pruned: {reason}")


def _obstacles(model: nn.Module, decoder: Any) -> Iterator[str]:
    if not isinstance(model, GenerationMixin):
        yield "it does not generate text"
    elif type(model).generate is not GenerationMixin.generate and type(model).__name__ not in _DELEGATES:
        yield "it has a generate of its own"
    if decoder.config.is_encoder_decoder:
        yield "its text model is an encoder and a decoder"
    if unknown := set(getattr(decoder.config, "layer_types", None) or ()) - ATTENTION - RECURRENT:
        yield f"decoder layers with {min(unknown)}"
    if getattr(decoder.config, "num_kv_shared_layers", 0):
        yield "later layers read the keys of earlier ones, which hold other tokens behind a cut"
    if _unread_window(decoder):
        yield f"{type(decoder).__name__} does not apply the sliding_window of its configuration, but its cache does"
    if getattr(model, "_tp_size", None) not in (None, 1):
        yield "under tensor parallelism each process ranks by its own heads; load it without tp_plan"
    yield from _loop_obstacles(type(decoder))
    yield from _attention_obstacles(decoder)


def _unread_window(decoder: nn.Module) -> bool:
    """Return whether the cache drops old keys, as the configuration says, while the masks show them."""
    decoder_class: Any = type(decoder)
    config: Any = decoder.config
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"]
    windowed = getattr(config, "sliding_window", None) is not None and "sliding_attention" in kinds
    return windowed and not _masks_windows(decoder_class)


@cache
def _masks_windows(decoder_class: Any) -> bool:
    return "create_sliding_window_causal_mask" in inspect.getsource(decoder_class)


def _loop_obstacles(decoder_class: type[nn.Module]) -> tuple[str, ...]:
    """Return what the loop over the layers does that the engine does not expect."""
    loops = _layer_loops(decoder_class)
    if len(loops) != 1:
        return (f"{decoder_class.__name__} runs {len(loops)} loops over its layers, expected one",)
    calls = list(_layer_calls(loops[0]))
    if len(calls) != 1:
        return (f"{decoder_class.__name__} calls {len(calls)} layers in its loop, expected one",)
    target, call = calls[0]
    unknown = {keyword.arg for keyword in call.keywords if keyword.arg} - LAYER_ARGUMENTS
    reasons = [f"its layers take {min(unknown)}, which may hold a value a token"] if unknown else []
    if isinstance(target, ast.Tuple):
        reasons.append("its layers return more than the hidden states")
    if any(isinstance(node, ast.AugAssign) for node in ast.walk(loops[0])) or _indexed(loops[0]):
        reasons.append("it changes hidden states between layers")
    return tuple(reasons)


def _indexed(loop: ast.For) -> bool:
    """Return whether a loop writes into its hidden states."""
    targets = [target for node in ast.walk(loop) if isinstance(node, ast.Assign) for target in node.targets]
    return any(isinstance(target, ast.Subscript) for target in targets)


def _layer_loops(decoder_class: type[nn.Module]) -> list[ast.For]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(decoder_class.forward))))
    loops = (node for node in ast.walk(tree) if isinstance(node, ast.For) and "self.layers" in ast.unparse(node.iter))
    return list(loops)


def _layer_calls(loop: ast.For) -> Iterator[tuple[ast.expr, ast.Call]]:
    """Yield each assignment of a layer's result: the target and the call."""
    names = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    for node in ast.walk(loop):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Name) and function.id in names:
                yield node.targets[0], node.value


def _attention_obstacles(decoder: Any) -> Iterator[str]:
    classes = {type(module): module for module in decoder.layers.modules() if hasattr(module, "layer_idx")}
    for cls, module in classes.items():
        if not hasattr(module, "k_proj") and not _calls_interface(cls):
            continue
        source = inspect.getsource(cls)
        if not _calls_interface(cls):
            yield f"{cls.__name__} does not use transformers' attention interface"
        if found := next((text for text in _OWN_ATTENTION if text in source), None):
            yield f"{cls.__name__} has {found.split()[0]}, whose rule is unknown"
        if getattr(module, "config", decoder.config) is not decoder.config:
            yield f"{cls.__name__} has a configuration of its own"


def _calls_interface(cls: type) -> bool:
    return "ALL_ATTENTION_FUNCTIONS" in inspect.getsource(cls)


def _stack(module: nn.Module) -> bool:
    return isinstance(getattr(module, "layers", None), nn.ModuleList)
