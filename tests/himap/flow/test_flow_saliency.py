"""Saliency equals a plain autograd computation that keeps every attention matrix."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

import himap
from himap import InputError, PruningConfig
from himap.engine import attention
from himap.errors import HimapError, UnsupportedModelError
from himap.flow import saliency
from himap.flow.saliency import flow_attention
from tests.himap import tiny_models
from tests.himap.tiny_models import Prompt, Subject

IGNORED = -100


@contextmanager
def plain_attention(model: Any, decoder: Any) -> Iterator[list[Tensor]]:
    """Yield the attention matrices of all layers, written out and kept in the graph."""
    kept: list[Tensor] = []

    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        logits = query @ key.transpose(-1, -2) * kwargs["scaling"]
        if mask is None:
            mask = torch.ones(logits.shape[-2:], dtype=torch.bool).tril()
        weights = logits.masked_fill(~mask, -torch.inf).softmax(-1)
        kept.append(weights)
        return (weights @ value).transpose(1, 2), None

    AttentionInterface.register("plain_attention", attend)
    AttentionMaskInterface.register("plain_attention", sdpa_mask)
    before, decoder.config._attn_implementation = decoder.config._attn_implementation, "plain_attention"
    try:
        yield kept
    finally:
        decoder.config._attn_implementation = before
        AttentionInterface._global_mapping.pop("plain_attention")
        AttentionMaskInterface._global_mapping.pop("plain_attention")


def expected(model: Any, decoder: Any, prompt: Mapping[str, Tensor], target: int) -> dict[str, list[float]]:
    """Return the paper's sums of one prompt by loops over its sets; the loss is that of the next token."""
    with plain_attention(model, decoder) as matrices:
        logits = model(**prompt, use_cache=False).logits[0, -1]
        loss = -logits.log_softmax(-1)[target]
        gradients = torch.autograd.grad(loss, matrices)
    ids = prompt["input_ids"][0].tolist()
    image = [i for i, token in enumerate(ids) if token == tiny_models.IMAGE_ID]
    instruction = [i for i in range(len(ids)) if i > image[-1]]
    system = [i for i in range(len(ids)) if i not in image and i not in instruction]
    tokens = list(range(len(ids)))
    sums: dict[str, list[float]] = {}
    for matrix, gradient in zip(matrices, gradients, strict=True):
        flow = (matrix * gradient)[0].mean(0).abs()
        for name, rows, columns in (
            ("system", tokens, system),
            ("image", tokens, image),
            ("instruction", tokens, instruction),
            ("intra_visual", image, image),
            ("visual_textual", instruction, image),
        ):
            total = sum(flow[i, j].item() for i in rows for j in columns)
            sums.setdefault(name, []).append(total / max(1, len(columns)))
    return sums


def after_last(prompt: Mapping[str, Tensor], *targets: int) -> Tensor:
    """Return targets after the last token of every row, for a batch without padding on the right."""
    batch_targets = torch.full_like(prompt["input_ids"], IGNORED)
    batch_targets[:, -1] = torch.tensor(targets)
    return batch_targets


def in_double(subject: Subject) -> tuple[Any, list[Prompt]]:
    model = copy.deepcopy(subject.model).double()
    prompts = [
        {key: value.double() if value.is_floating_point() else value for key, value in prompt.items()}
        for prompt in subject.prompts
    ]
    return model, prompts


def decoder_of(model: Any) -> Any:
    return getattr(model.model, "language_model", None) or model.model.text_model


def test_every_family_equals_plain_autograd_in_float64(family_subject: Subject) -> None:
    model, prompts = in_double(family_subject)
    flow_sums = saliency(model, prompts[0], after_last(prompts[0], 7))
    expected_sums = expected(model, decoder_of(model), prompts[0], 7)
    for name, values in expected_sums.items():
        assert getattr(flow_sums, name)[0].tolist() == pytest.approx(values, rel=1e-7, abs=1e-14), name
        assert any(value > 1e-9 for value in values) or name == "system", name


def test_two_layers_equal_plain_autograd_in_float64(subject: Subject) -> None:
    model, prompts = in_double(subject)
    decoder = decoder_of(model)
    decoder.layers = decoder.layers[:2]
    flow_sums = saliency(model, prompts[1], after_last(prompts[1], 5))
    expected_sums = expected(model, decoder, prompts[1], 5)
    assert flow_sums.image.shape == (1, 2)
    for name, values in expected_sums.items():
        assert getattr(flow_sums, name)[0].tolist() == pytest.approx(values, rel=1e-9), name


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_of_a_padded_batch_has_its_own_sums(subject: Subject, side: str) -> None:
    batch = subject.batch(side)
    last = batch["attention_mask"].cumsum(1).argmax(1)
    targets = torch.full_like(batch["input_ids"], IGNORED)
    targets[torch.arange(3), last] = torch.tensor([4, 5, 6])
    in_batch = saliency(subject.model, batch, targets)
    for row, prompt in enumerate(subject.prompts):
        alone = saliency(subject.model, prompt, after_last(prompt, 4 + row))
        for name in ("system", "image", "instruction", "intra_visual", "visual_textual"):
            row_sums, expected_sums = getattr(in_batch, name)[row], getattr(alone, name)[0]
            assert torch.allclose(row_sums, expected_sums, rtol=1e-3, atol=1e-8), (name, row)
        assert in_batch.loss[row].item() == pytest.approx(alone.loss[0].item(), rel=1e-4)


def test_the_last_layer_has_no_flow_between_image_tokens(llava: Subject) -> None:
    """The loss reads only the last token's output there; a wrong axis would break this."""
    flow_sums = saliency(llava.model, llava.prompts[0], after_last(llava.prompts[0], 7))
    assert flow_sums.intra_visual[0, -1] == 0 and flow_sums.visual_textual[0, -1] > 0
    assert (flow_sums.intra_visual[0, :-1] > 0).all()


def test_several_targets_are_averaged(llava: Subject) -> None:
    prompt = llava.prompts[0]
    targets = after_last(prompt, 7)
    targets[0, -2] = 3
    flow_sums = saliency(llava.model, prompt, targets)
    with torch.no_grad():
        logits = llava.model(**prompt).logits[0].log_softmax(-1)
    assert flow_sums.loss[0].item() == pytest.approx(-(logits[-1, 7] + logits[-2, 3]).item() / 2, rel=1e-5)


def test_the_model_is_restored(llava: Subject) -> None:
    model, prompt = llava.model, llava.prompts[0]
    model.model.language_model.layers[0].train()
    frozen = model.lm_head.weight.requires_grad_(False)
    with torch.no_grad():
        before = model(**prompt).logits
    saliency(model, prompt, after_last(prompt, 7))
    assert llava.decoder.config._attn_implementation == "sdpa"
    assert not any(name.startswith(attention.PREFIX) for name in AttentionInterface._global_mapping)
    assert model.model.language_model.layers[0].training and not model.model.language_model.layers[1].training
    assert not frozen.requires_grad and next(model.parameters()).requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(layer._forward_pre_hooks for layer in llava.decoder.layers)
    with torch.no_grad():
        assert torch.equal(model(**prompt).logits, before)
    model.eval()
    frozen.requires_grad_(True)


def test_what_cannot_be_measured_is_refused(llava: Subject) -> None:
    model, prompt = llava.model, llava.prompts[0]
    with pytest.raises(InputError, match="with a target in every row"):
        saliency(model, prompt, torch.full_like(prompt["input_ids"], IGNORED))
    with pytest.raises(InputError, match="shape"):
        saliency(model, prompt, torch.ones(1, 3, dtype=torch.long))
    pruned = himap.prune(model, PruningConfig(2, 50, 4, 75))
    with pruned, pytest.raises(HimapError, match="already"):
        saliency(model, prompt, after_last(prompt, 7))
    with pytest.raises(UnsupportedModelError):
        saliency(nn.Linear(2, 2), prompt, after_last(prompt, 7))


def saved_bytes(tokens: int) -> int:
    """Return the bytes that autograd saves of one LLaVA-7B decoder layer in bfloat16, on the meta device."""
    config = LlamaConfig(hidden_size=4096, intermediate_size=11008, num_attention_heads=32)
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        layer = LlamaDecoderLayer(config, 0).to(torch.bfloat16).requires_grad_(False).eval()
        hidden = torch.empty(1, tokens, 4096, dtype=torch.bfloat16, requires_grad=True)
        rope = tuple(torch.empty(1, tokens, 128, dtype=torch.bfloat16) for _ in range(2))
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    decoder: Any = torch.nn.Module()
    decoder.config = config
    family: Any = SimpleNamespace(model=layer, backbone=layer, decoder=decoder, layers=[layer])
    saving = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with attention.replaced(family, flow_attention(lambda *_: None)), saving:
        output = layer(hidden, attention_mask=None, position_embeddings=rope)
    assert output.requires_grad
    parameters = {parameter.untyped_storage()._cdata for parameter in layer.parameters()}
    return sum(t.untyped_storage().nbytes() for key, t in saved.items() if key not in parameters)


def test_a_7b_model_with_700_image_tokens_fits_an_80_gb_card() -> None:
    """The memory in docs/flow.md: weights, saved tensors, and the attention of one layer in float32."""
    tokens = 700 + 170
    weights, saved, matrices = 14.1e9, 32 * saved_bytes(tokens), 6 * 32 * tokens**2 * 4
    assert 3e9 < saved < 4e9 and matrices < 0.6e9
    assert weights + saved + matrices < 20e9
