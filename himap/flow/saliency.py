"""Saliency: how much each token contributes to the answer through each layer's attention (Eq. 1 to 7).

A layer's attention matrix exists only during the backward pass of that layer, which recomputes it from query
and key. `docs/flow.md` gives the memory that this needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from himap import families
from himap.engine import attention
from himap.engine.logits import refuse_other_logits
from himap.engine.masks import explicit_mask
from himap.errors import InputError, UnsupportedModelError
from himap.families.family import Family
from himap.tokens import IMAGE, INSTRUCTION, PAD, SYSTEM, TokenSet

IGNORED = -100
_ROLES = {"system": SYSTEM, "image": IMAGE, "instruction": INSTRUCTION}

OnFlow = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class Saliency:
    """Sums of the flow I_l(i, j) = |Σ_h A_h,l(i, j) ∂L/∂A_h,l(i, j)| / heads from token j to token i.

    Each sum is `(batch, layers)`, float64 on the host; 0 where a prompt has no token of the set.

    Attributes:
        system, image, instruction: (1/|set|) Σ_{i∈X} Σ_{j∈set} I_l(i, j), the flow from each set to all tokens
            (S_sys, S_img, S_ins).
        intra_visual: (1/|V|) Σ_{i,j∈V} I_l(i, j) (S_vv).
        visual_textual: (1/|V|) Σ_{i∈I, j∈V} I_l(i, j) (S_vt; Eq. 6 prints its indices reversed).
        loss: `(batch,)` the differentiated cross-entropy L, mean over a row's targets.
    """

    system: Tensor
    image: Tensor
    instruction: Tensor
    intra_visual: Tensor
    visual_textual: Tensor
    loss: Tensor


class _Attention(torch.autograd.Function):
    """SDPA that saves no attention matrix; the backward pass recomputes it and passes A ⊙ ∂L/∂A to a callback."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor,
        scaling: float,
        run: Callable[[], Tensor],
        on_flow: Callable[[Tensor], None],
    ) -> Tensor:
        ctx.save_for_backward(query, key, value, mask)
        ctx.scaling, ctx.on_flow = scaling, on_flow
        return run()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, mask = ctx.saved_tensors
        dtype = torch.promote_types(query.dtype, torch.float32)
        groups = query.shape[1] // key.shape[1]
        q, k, v = (tensor.to(dtype) for tensor in (query, key, value))
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        of_output = gradients[0].transpose(1, 2).to(dtype)
        logits = (q @ k.transpose(-1, -2)).mul_(ctx.scaling)
        weights = logits.masked_fill_(~mask, torch.finfo(dtype).min).softmax(-1)
        flow = (of_output @ v.transpose(-1, -2)).mul_(weights)
        ctx.on_flow(flow)
        of_logits = (flow - weights * flow.sum(-1, keepdim=True)).mul_(ctx.scaling)
        of_key = (of_logits.transpose(-1, -2) @ q).unflatten(1, (-1, groups)).sum(2)
        of_value = (weights.transpose(-1, -2) @ of_output).unflatten(1, (-1, groups)).sum(2)
        return ((of_logits @ k).to(query.dtype), of_key.to(key.dtype), of_value.to(value.dtype), None, None, None, None)


def flow_attention(on_flow: OnFlow) -> attention.AttentionFunction:
    """Return an attention function that calls `on_flow` with each layer's A ⊙ ∂L/∂A in the backward pass."""

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        refuse_other_logits(kwargs)
        mask = explicit_mask(module, attention_mask, query, key, kwargs.get("is_causal"))
        scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5

        def run() -> Tensor:
            return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)[0]

        def on_layer_flow(flow: Tensor) -> None:
            on_flow(module.layer_idx, flow)

        output: Tensor = _Attention.apply(query, key, value, mask, scaling, run, on_layer_flow)
        return output, None

    return attend


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Freeze all parameters in evaluation mode while the context lasts: only hidden states need gradients."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    training = {module for module in model.modules() if module.training}
    for parameter in trainable:
        parameter.requires_grad_(False)
    model.eval()
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True


class _DecoderInput:
    """A hook that makes the decoder's first input the leaf of the graph."""

    hidden: Tensor

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden = args[0] if args else kwargs["hidden_states"]
        self.hidden = hidden.detach().requires_grad_()
        return ((self.hidden, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": self.hidden})


def read_tokens(family: Family, inputs: Mapping[str, Any]) -> TokenSet:
    """Return the tokens of a prompt.

    Raises:
        InputError: the image tokens cannot be found, or the attention mask is not `(batch, tokens)`.
    """
    image, mask = family.image_mask(inputs), inputs.get("attention_mask")
    if image is None:
        raise InputError("cannot tell where the image tokens are; pass input_ids and the image")
    if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
        raise InputError("the flow needs a two-dimensional attention_mask (batch, tokens), got another form")
    return TokenSet.from_prompt(image, mask, inputs.get("input_ids"))


def _sums(tokens: TokenSet, flow: Tensor) -> dict[str, Tensor]:
    """Return the sums `(batch,)` of one layer from its flow `(batch, slots, slots)`."""
    sets = {name: (tokens.role == role).to(flow.dtype) for name, role in _ROLES.items()}
    sizes = {name: members.sum(1).clamp(min=1) for name, members in sets.items()}
    present = (tokens.role != PAD).to(flow.dtype)

    def mean_flow(rows: Tensor, columns: str) -> Tensor:
        return torch.einsum("bi,bij,bj->b", rows, flow, sets[columns]) / sizes[columns]

    sums = {name: mean_flow(present, name) for name in sets}
    sums["intra_visual"] = mean_flow(sets["image"], "image")
    sums["visual_textual"] = mean_flow(sets["instruction"], "image")
    return {name: value.double().cpu() for name, value in sums.items()}


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy `(batch,)` of each row's targets."""
    counts = (targets != IGNORED).sum(1)
    flat = nn.functional.cross_entropy(
        logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32)),
        targets.to(logits.device).flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    return flat.view(targets.shape).sum(1) / counts.to(logits.device)


def saliency(model: nn.Module, inputs: Mapping[str, Any], targets: Tensor) -> Saliency:
    """Return the sums of the flow in some prompts, by layer, with exact gradients; the model is not changed.

    The instruction is every text token after the last image token, tokens of the answer in the input counted.

    Args:
        model: a supported model (see `himap.supported_models`), not inside `himap.prune`.
        inputs: arguments of its forward; rows may be padded.
        targets: `(batch, slots)` the token that should follow each slot, -100 where there is no loss; at least
            one a row.

    Raises:
        UnsupportedModelError: the family or the attention implementation is unknown, the model is compiled, or some
            of its layers compute no attention.
        InputError: the targets have another shape, a row has no target, or the image tokens cannot be found.
        HimapError: the model is already in a context of himap.
    """
    family = families.find(model)
    if recurrent := [layer for layer in range(len(family.layers)) if not family.attends(layer)]:
        raise UnsupportedModelError(
            f"got a model whose layer {recurrent[0]} computes no attention; expected attention in every layer; "
            "choose another model"
        )
    tokens = read_tokens(family, inputs)
    if targets.shape != tokens.role.shape or not bool((targets != IGNORED).any(1).all()):
        expected = f"expected {tuple(tokens.role.shape)} with a target in every row"
        raise InputError(f"got targets of shape {tuple(targets.shape)}; {expected}")
    family.check_prompt(inputs)
    layers: dict[int, dict[str, Tensor]] = {}

    def on_flow(layer: int, flow: Tensor) -> None:
        layers[layer] = _sums(tokens.to(flow.device), flow.mean(1).abs_())

    decoder_input = _DecoderInput()
    with ExitStack() as undo:
        undo.enter_context(_frozen(model))
        undo.enter_context(attention.replaced(family, flow_attention(on_flow)))
        undo.callback(family.layers[0].register_forward_pre_hook(decoder_input, with_kwargs=True).remove)
        undo.enter_context(torch.enable_grad())
        loss = _losses(model(**inputs, use_cache=False).logits, targets)
        torch.autograd.grad(loss.sum(), decoder_input.hidden)
    sums = {name: torch.stack([layers[layer][name] for layer in range(len(family.layers))], 1) for name in layers[0]}
    return Saliency(**sums, loss=loss.detach().double().cpu())
