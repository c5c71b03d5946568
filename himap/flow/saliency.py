"""How much every token contributes to the answer through every layer's attention: the paper's Eq. 1 to 7.

A layer's attention matrix exists only while the backward pass is in that layer: it is made again there from
query and key. `docs/flow.md` says what that needs.
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
from himap.errors import InputError
from himap.families.base import Family
from himap.flow.attach import allowed, attending
from himap.tokens import IMAGE, INSTRUCTION, PAD, SYSTEM, TokenSet

IGNORED = -100

Watch = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class Saliency:
    """Sums over I_l(i, j) = |Σ_h A_h,l(i, j) ∂L/∂A_h,l(i, j)| / heads, the flow from token j to token i.

    Each is (batch, layers), float64 on the host; 0 where a prompt has no token of the kind.

    Attributes:
        system, image, instruction: (1/|set|) Σ_{i∈X} Σ_{j∈set} I_l(i, j), flow out of each set to all tokens
            (S_sys, S_img, S_ins).
        intra_visual: (1/|V|) Σ_{i,j∈V} I_l(i, j) (S_vv).
        visual_textual: (1/|V|) Σ_{i∈I, j∈V} I_l(i, j) (S_vt; Eq. 6 prints its indices reversed).
        loss: (batch,) the cross-entropy L that was differentiated, mean over a row's targets.
    """

    system: Tensor
    image: Tensor
    instruction: Tensor
    intra_visual: Tensor
    visual_textual: Tensor
    loss: Tensor


class _Attention(torch.autograd.Function):
    """SDPA that remembers no attention matrix; its backward makes it again, and shows A ⊙ ∂L/∂A."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        see: Tensor,
        scaling: float,
        run: Callable[[], Tensor],
        watch: Callable[[Tensor], None],
    ) -> Tensor:
        ctx.save_for_backward(query, key, value, see)
        ctx.scaling, ctx.watch = scaling, watch
        return run()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, see = ctx.saved_tensors
        kind = torch.promote_types(query.dtype, torch.float32)
        groups = query.shape[1] // key.shape[1]
        q, k, v = (t.to(kind) for t in (query, key, value))
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        above = gradients[0].transpose(1, 2).to(kind)
        logits = (q @ k.transpose(-1, -2)).mul_(ctx.scaling)
        weights = logits.masked_fill_(~see, torch.finfo(kind).min).softmax(-1)
        flow = (above @ v.transpose(-1, -2)).mul_(weights)
        ctx.watch(flow)
        inner = (flow - weights * flow.sum(-1, keepdim=True)).mul_(ctx.scaling)
        of_key = (inner.transpose(-1, -2) @ q).unflatten(1, (-1, groups)).sum(2)
        of_value = (weights.transpose(-1, -2) @ above).unflatten(1, (-1, groups)).sum(2)
        return ((inner @ k).to(query.dtype), of_key.to(key.dtype), of_value.to(value.dtype), None, None, None, None)


def watching(watch: Watch) -> Callable[..., tuple[Tensor, None]]:
    """The attention function that shows every layer's A ⊙ ∂L/∂A while the gradient passes."""

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        see = allowed(module, attention_mask, query, key, kwargs.get("is_causal"))
        scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5

        def run() -> Tensor:
            return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)[0]

        def seen(flow: Tensor) -> None:
            watch(module.layer_idx, flow)

        output: Tensor = _Attention.apply(query, key, value, see, scaling, run, seen)
        return output, None

    return attend


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No gradient is kept for a parameter inside: the flow needs those of the hidden states alone."""
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    training = {module for module in model.modules() if module.training}
    for parameter in asked:
        parameter.requires_grad_(False)
    model.eval()
    try:
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True


class _Entrance:
    """The decoder's first input, where the gradient ends."""

    hidden: Tensor

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden = args[0] if args else kwargs["hidden_states"]
        self.hidden = hidden.detach().requires_grad_()
        if args:
            return (self.hidden, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": self.hidden}


def read_tokens(family: Family, inputs: Mapping[str, Any]) -> TokenSet:
    """What each slot of a prompt holds.

    Raises:
        InputError: the inputs do not say where the image tokens are, or their mask is not (batch, tokens).
    """
    image, mask = family.image_mask(inputs), inputs.get("attention_mask")
    if image is None:
        raise InputError("cannot tell where the image tokens are; pass input_ids and the image")
    if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
        raise InputError("the flow needs a two-dimensional attention_mask (batch, tokens), got another form")
    return TokenSet.from_prompt(image, mask, inputs.get("input_ids"))


def _sums(tokens: TokenSet, flow: Tensor) -> dict[str, Tensor]:
    """(batch,) sums of one layer, from (batch, slots, slots) I_l."""
    sets = {name: (tokens.role == role).to(flow.dtype) for name, role in _ROLES.items()}
    sizes = {name: members.sum(1).clamp(min=1) for name, members in sets.items()}
    present = (tokens.role != PAD).to(flow.dtype)

    def out(rows: Tensor, columns: str) -> Tensor:
        return torch.einsum("bi,bij,bj->b", rows, flow, sets[columns]) / sizes[columns]

    found = {name: out(present, name) for name in sets}
    found["intra_visual"] = out(sets["image"], "image")
    found["visual_textual"] = out(sets["instruction"], "image")
    return {name: value.double().cpu() for name, value in found.items()}


_ROLES = {"system": SYSTEM, "image": IMAGE, "instruction": INSTRUCTION}


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    """(batch,) mean cross-entropy of each row's targets."""
    counts = (targets != IGNORED).sum(1)
    flat = nn.functional.cross_entropy(
        logits.flatten(0, 1).to(torch.promote_types(logits.dtype, torch.float32)),
        targets.to(logits.device).flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    return flat.view(targets.shape).sum(1) / counts.to(logits.device)


def saliency(model: nn.Module, inputs: Mapping[str, Any], targets: Tensor) -> Saliency:
    """The flow sums of some prompts, by layer, with exact gradients; the model is left as it was.

    "Instruction" is every text token behind the last image token, tokens of the answer that are fed counted.

    Args:
        model: a supported model (see `himap.supported_models`), not inside `himap.prune`.
        inputs: what its forward takes; rows may be padded, each row's sums are its own.
        targets: (batch, slots) the token that should follow each slot, -100 where no loss is taken; at least
            one a row.

    Raises:
        UnsupportedModelError: unknown family, or attention that SDPA does not stand for.
        InputError: targets of another shape or without a target in some row; image tokens not to be found.
        HimapError: the model is being pruned or watched already.
    """
    family = families.find(model)
    tokens = read_tokens(family, inputs)
    if targets.shape != tokens.role.shape or not bool((targets != IGNORED).any(1).all()):
        expected = f"expected {tuple(tokens.role.shape)} with a target in every row"
        raise InputError(f"got targets of shape {tuple(targets.shape)}; {expected}")
    family.check_prompt(inputs)
    found: dict[int, dict[str, Tensor]] = {}

    def watch(layer: int, flow: Tensor) -> None:
        found[layer] = _sums(tokens.to(flow.device), flow.mean(1).abs_())

    entrance = _Entrance()
    with ExitStack() as undo:
        undo.enter_context(_frozen(model))
        undo.enter_context(attending(family, watching(watch)))
        undo.callback(family.layers[0].register_forward_pre_hook(entrance, with_kwargs=True).remove)
        undo.enter_context(torch.enable_grad())
        loss = losses(model(**inputs, use_cache=False).logits, targets)
        torch.autograd.grad(loss.sum(), entrance.hidden)
    by_name = {name: torch.stack([found[layer][name] for layer in range(len(family.layers))], 1) for name in found[0]}
    return Saliency(**by_name, loss=loss.detach().double().cpu())
