"""A flow is blocked in its rows, columns and layers, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

import himap
from himap import ConfigError, InputError, PruningConfig
from himap.errors import HimapError
from himap.flow import Block, Flow, disrupt
from tests.himap.tiny_models import IMAGE_ID, LAYERS, Prompt, Subject

FLOWS: tuple[Flow, ...] = ("visual_textual", "intra_visual", "random")


@contextmanager
def recorded_layers(subject: Subject) -> Iterator[list[dict[str, Any]]]:
    """Record the input and output of each decoder layer while the context lasts."""
    records: list[dict[str, Any]] = []

    def record(module: Any, args: Any, kwargs: dict[str, Any], output: Tensor) -> None:
        records.append({"input": args[0], "kwargs": kwargs, "output": output})

    handles = [layer.register_forward_hook(record, with_kwargs=True) for layer in subject.decoder.layers]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def logits(subject: Subject, prompt: Prompt) -> Tensor:
    output: Tensor = subject.model(**prompt, use_cache=False).logits
    return output


@pytest.mark.parametrize("flow", FLOWS)
def test_one_layer_is_disrupted_and_no_other(family_subject: Subject, flow: Flow) -> None:
    """Earlier outputs are bitwise equal, the layer changes, and later layers compute the same function."""
    prompt, blocked = family_subject.prompts[0], 2
    with recorded_layers(family_subject) as plain:
        logits(family_subject, prompt)
    with recorded_layers(family_subject) as disrupted, disrupt(family_subject.model, Block(flow, (blocked,))):
        logits(family_subject, prompt)
    for layer in range(blocked):
        assert torch.equal(disrupted[layer]["output"], plain[layer]["output"])
    assert not torch.allclose(disrupted[blocked]["output"], plain[blocked]["output"], atol=1e-4)
    for layer in range(LAYERS):
        with torch.no_grad():
            recomputed = family_subject.decoder.layers[layer](disrupted[layer]["input"], **disrupted[layer]["kwargs"])
        same = torch.allclose(recomputed, disrupted[layer]["output"], atol=1e-5)
        assert same == (layer != blocked), layer


def by_hand(subject: Subject, prompt: Prompt, flow: Flow, layer: int) -> Tensor:
    """Return the logits of the dense model with one layer's mask written out; one row."""
    ids = prompt["input_ids"][0].tolist()
    image = [i for i, token in enumerate(ids) if token == IMAGE_ID]
    rows = image if flow == "intra_visual" else [i for i in range(len(ids)) if i > image[-1]]

    def masked(module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        mask = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
        for i in rows:
            for j in image:
                mask[i, j] = False
        return args, kwargs | {"attention_mask": mask[None, None]}

    handle = subject.decoder.layers[layer].register_forward_pre_hook(masked, with_kwargs=True)
    try:
        return logits(subject, prompt)
    finally:
        handle.remove()


@pytest.mark.parametrize("flow", ["visual_textual", "intra_visual"])
def test_a_block_is_the_mask_of_its_definition(subject: Subject, flow: Flow) -> None:
    for prompt in subject.prompts:
        with disrupt(subject.model, Block(flow, (1,))):
            output = logits(subject, prompt)
        assert torch.allclose(output, by_hand(subject, prompt, flow, 1), atol=1e-5)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_row_of_a_padded_batch_is_disrupted_as_alone(subject: Subject, flow: Flow) -> None:
    block = Block(flow, (0, 3), seed=5)
    with disrupt(subject.model, block):
        batch = logits(subject, subject.batch("left"))
        for row, prompt in enumerate(subject.prompts):
            assert torch.allclose(batch[row, -1], logits(subject, prompt)[0, -1], atol=1e-4)


def test_text_blocked_in_every_layer_does_not_depend_on_the_image(subject: Subject) -> None:
    """Other pixels give the same answer, generated tokens included."""
    prompt = subject.prompts[0]
    other = prompt | {"pixel_values": prompt["pixel_values"].flip(-1) * 2 + 1}
    options = {"max_new_tokens": 5, "do_sample": False}
    with disrupt(subject.model, Block("visual_textual", tuple(range(LAYERS)))):
        answers = [subject.model.generate(**pixels, **options) for pixels in (prompt, other)]
        assert torch.allclose(logits(subject, prompt)[0, -1], logits(subject, other)[0, -1], atol=1e-5)
    assert torch.equal(*answers)
    assert not torch.allclose(logits(subject, prompt)[0, -1], logits(subject, other)[0, -1], atol=1e-3)


@pytest.mark.parametrize("flow", FLOWS)
def test_cached_generation_equals_generation_without_a_cache(subject: Subject, flow: Flow) -> None:
    prompt = subject.prompts[0]
    with disrupt(subject.model, Block(flow, (0, 2, 4))):
        ids = subject.model.generate(**prompt, max_new_tokens=4, do_sample=False)
        new = ids.shape[1] - prompt["input_ids"].shape[1]
        for step in range(new if flow != "random" else 1):  # the draw depends on the ids of the prompt
            end = prompt["input_ids"].shape[1] + step
            whole = prompt | {
                key: torch.nn.functional.pad(prompt[key], (0, step))
                for key in ("attention_mask", "mm_token_type_ids")
                if key in prompt
            }
            whole |= {"input_ids": ids[:, :end], "attention_mask": torch.ones(1, end, dtype=torch.long)}
            assert logits(subject, whole)[0, -1].argmax() == ids[0, end]


def test_random_rows_are_as_many_as_the_instruction_and_differ_by_layer_and_seed(llava: Subject) -> None:
    """The blocked rows are those whose output changes in the blocked layer."""
    prompt = llava.prompts[0]
    changed = {}
    with recorded_layers(llava) as plain:
        logits(llava, prompt)
    for layer, seed in ((0, 0), (0, 1), (1, 0)):
        with recorded_layers(llava) as disrupted, disrupt(llava.model, Block("random", (layer,), seed)):
            logits(llava, prompt)
        difference = (disrupted[layer]["output"] - plain[layer]["output"]).abs().amax(-1)[0]
        changed[layer, seed] = set(torch.nonzero(difference > 1e-5).flatten().tolist())
    image = torch.nonzero(prompt["input_ids"][0] == IMAGE_ID).flatten().tolist()
    after = prompt["input_ids"].shape[1] - 1 - image[-1]
    assert all(len(rows) == after and min(rows) >= image[0] for rows in changed.values())
    assert len({frozenset(rows) for rows in changed.values()}) == 3


def test_the_first_image_token_of_a_prompt_without_system_text_gets_zeros(llava: Subject) -> None:
    prompt = {key: value[:, 4:] if key != "pixel_values" else value for key, value in llava.prompts[0].items()}
    assert prompt["input_ids"][0, 0] == IMAGE_ID
    attention: dict[str, Tensor] = {}
    handle = llava.decoder.layers[1].self_attn.register_forward_hook(
        lambda module, args, output: attention.update(out=output[0])
    )
    with disrupt(llava.model, Block("intra_visual", (1,))):
        output = logits(llava, prompt)
    handle.remove()
    assert output.isfinite().all() and (attention["out"][0, 0] == 0).all()
    assert (attention["out"][0, -1] != 0).any()


def test_a_prompt_without_an_image_is_not_changed_and_the_model_is_restored(llava: Subject) -> None:
    text = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    plain, image = logits(llava, text), logits(llava, llava.prompts[0])
    with disrupt(llava.model, Block("visual_textual", (0,))):
        assert torch.allclose(logits(llava, text), plain, atol=1e-6)
    assert torch.equal(logits(llava, llava.prompts[0]), image)
    assert llava.decoder.config._attn_implementation == "sdpa"
    assert not llava.model.model._forward_pre_hooks


def test_what_cannot_be_blocked_is_refused(llava: Subject) -> None:
    with pytest.raises(ConfigError, match="flow must be one of visual_textual"):
        Block("textual", (0,))  # type: ignore[arg-type]  # what a caller may pass
    with pytest.raises(ConfigError, match="whole numbers from 0 up"):
        Block("random", (-1,))
    with pytest.raises(ConfigError, match="layer 6 must be below the model's 6 layers"):
        disrupt(llava.model, Block("random", (6,))).__enter__()
    with disrupt(llava.model, Block("random", (0,))), pytest.raises(HimapError, match="already"):
        disrupt(llava.model, Block("random", (0,))).__enter__()
    pruned = himap.prune(llava.model, PruningConfig(2, 50, 4, 75))
    with pruned, pytest.raises(HimapError, match="already"):
        disrupt(llava.model, Block("random", (0,))).__enter__()
    with disrupt(llava.model, Block("random", (0,))), pytest.raises(HimapError, match="in a context of himap already"):
        himap.prune(llava.model, PruningConfig(2, 50, 4, 75)).__enter__()
    prompt = llava.prompts[0]
    with torch.no_grad():
        cache = llava.model(**prompt, use_cache=True).past_key_values
        with disrupt(llava.model, Block("random", (0,))), pytest.raises(InputError, match="before the flow"):
            llava.model(input_ids=torch.tensor([[5]]), past_key_values=cache)
