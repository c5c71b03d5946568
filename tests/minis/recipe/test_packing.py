"""What is trained, packed, is what `generate` sees, alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from minis.recipe import text, tune
from minis.recipe.attention import CHUNK, EQUAL_SEGMENTS, PACKED, packed_attention, segment_attention
from minis.recipe.language import insert_images
from minis.recipe.packing import IGNORED, PackedBatch, Packer, TextBlock
from minis.recipe.vision import grid
from objectives.benchmarks import BENCHMARKS
from objectives.data.embedded import scene_questions
from objectives.evaluation.models import load_processor
from objectives.scenes import Scene, make_scene, render

PREFIX, CHUNKS = 190, 4


def scene_of_size(rows: int, columns: int) -> Scene:
    scenes = (make_scene("train", i) for i in range(200))
    return next(s for s in scenes if (s.rows, s.columns) == (rows, columns))


def packed(packer: Packer, name: str, scene: Scene) -> tuple[list[TextBlock], PackedBatch]:
    """One scene's blocks, as many as fit, and the batch that holds them."""
    blocks = packer.blocks(scene, 2, np.random.default_rng(0))
    height, width = grid(name, scene)
    return blocks, packer.collate([blocks], [height * width], PREFIX, CHUNKS)


def places(batch: PackedBatch, blocks: list[TextBlock]) -> list[tuple[TextBlock, int]]:
    """Where each block that fitted begins, found by its tokens."""
    ids, pairs = batch.ids[0].tolist(), []
    for block in blocks:
        size = len(block.tokens)
        starts = [i for i in range(PREFIX, len(ids) - size + 1) if ids[i : i + size] == block.tokens]
        pairs += [(block, starts[0])] if starts else []
    assert len(pairs) > 8, "too few blocks to say anything"
    return pairs


def alone(packer: Packer, block: TextBlock, image_tokens: int) -> torch.Tensor:
    """(1, length): the same prompt with its answer as a sequence of its own."""
    return torch.tensor([[*packer.before, *[packer.image_id] * image_tokens, *block.tokens]])


def test_a_block_has_the_tokens_that_the_processor_gives(packer: Packer, folder: Path) -> None:
    processor = load_processor(folder)
    for index in range(6):
        scene = make_scene("train", index)
        for benchmark in BENCHMARKS.values():
            for question in scene_questions(benchmark, scene):
                prompt = benchmark.prompt(question)
                content = [{"type": "image"}, {"type": "text", "text": prompt}]
                turn = [{"role": "user", "content": content}]
                prompt_text = processor.apply_chat_template(turn, add_generation_prompt=True)
                ids = processor(images=[render(scene)], text=[prompt_text], return_tensors="pt")["input_ids"][0]
                block = packer.block(prompt, benchmark.target(question))
                plain = alone(packer, replace(block, tokens=block.tokens[: block.answer]), 0)
                kept = ids[ids != packer.image_id].tolist()
                assert kept == plain[0].tolist()
                assert ids[len(packer.before)] == packer.image_id, "the image comes where it was packed"


def test_an_answer_ends_the_turn(packer: Packer) -> None:
    block = packer.block("What is the star?", "sign bus")
    answer = block.tokens[block.answer :]
    assert packer.tokenizer.convert_ids_to_tokens(answer) == ["sign", "bus", packer.tokenizer.eos_token]


def test_blocks_keep_to_their_chunks_and_labels_to_their_answers(packer: Packer, name: str) -> None:
    blocks, batch = packed(packer, name, make_scene("train", 1))
    labels = torch.full_like(batch.labels, IGNORED)
    for block, start in places(batch, blocks):
        end = start + len(block.tokens)
        assert (start - PREFIX) // CHUNK == (end - 1 - PREFIX) // CHUNK
        assert batch.offset[0, start:end].tolist() == list(range(len(block.tokens)))
        assert batch.described[0, start:end].tolist() == [block.description] * len(block.tokens)
        labels[0, start + block.answer - 1 : end - 1] = batch.ids[0, start + block.answer : end]
    assert torch.equal(labels, batch.labels)


def test_what_does_not_fit_is_left_out_whole(packer: Packer) -> None:
    long = TextBlock([5] * 50, 10)
    batch = packer.collate([[long, long, TextBlock([7] * 30, 3)]], [0], PREFIX, 1)
    assert batch.ids[0, PREFIX:].tolist() == [5] * 50 + [7] * 30


@pytest.mark.parametrize("size", [(4, 4), (4, 5), (5, 4)])
def test_positions_are_the_models_own(packer: Packer, name: str, model: PreTrainedModel, size: tuple[int, int]) -> None:
    scene = scene_of_size(*size)
    blocks, batch = packed(packer, name, scene)
    height, width = grid(name, scene)
    given = tune.positions(name, batch, [scene])
    start = len(packer.before) + height * width
    for block, at in places(batch, blocks):
        ids = alone(packer, block, height * width)
        expected = torch.arange(ids.shape[1])[None]
        if name == "qwenvl-mini":
            thw = torch.tensor([[1, 2 * height, 2 * width]])
            kinds = (ids == packer.image_id).int()
            inner: Any = model.model
            expected = inner.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=thw)[0]
        assert torch.equal(given[..., :start], expected[..., :start])
        assert torch.equal(given[..., at : at + len(block.tokens)], expected[..., start:])


def test_packed_hidden_states_are_those_of_the_plain_prompts(packer: Packer, name: str, model: PreTrainedModel) -> None:
    """The whole decoder in float32: each block's states, packed with others and alone with the image."""
    scene = make_scene("train", 2)
    blocks, batch = packed(packer, name, scene)
    height, width = grid(name, scene)
    decoder: Any = model.model.language_model
    image = torch.randn(height * width, decoder.config.hidden_size, generator=torch.Generator().manual_seed(0))
    positions = tune.positions(name, batch, [scene])
    before = decoder.config._attn_implementation
    with torch.inference_mode():
        decoder.config._attn_implementation = PACKED
        try:
            inputs = insert_images(decoder.embed_tokens(batch.ids), [image], batch)
            together = decoder(
                inputs_embeds=inputs, attention_mask=batch.mask, position_ids=positions, use_cache=False
            ).last_hidden_state
        finally:
            decoder.config._attn_implementation = before
        start = len(packer.before) + height * width
        for block, at in places(batch, blocks)[::3]:
            inputs = decoder.embed_tokens(alone(packer, block, height * width))
            inputs[0, len(packer.before) : start] = image
            here = torch.cat([positions[..., :start], positions[..., at : at + len(block.tokens)]], dim=-1)
            single = decoder(inputs_embeds=inputs, position_ids=here, use_cache=False).last_hidden_state
            torch.testing.assert_close(
                together[0, at : at + len(block.tokens)], single[0, start:], atol=2e-4, rtol=1e-3
            )


def test_packed_attention_is_attention_with_the_dense_mask() -> None:
    """The packing's meaning, written out: a row sees the image so far and its own block so far."""
    packer = Packer("llava-mini", text.build_tokenizer("llava-mini"))
    packs = [[TextBlock([9] * n, 1) for n in sizes] for sizes in ((30, 20, 60, 25), (80, 5, 70))]
    images = [100, 60]
    batch = packer.collate(packs, images, PREFIX, 3)
    length = PREFIX + 3 * CHUNK
    dense = torch.zeros(2, 1, length, length, dtype=torch.bool)
    for row, (pack, image) in enumerate(zip(packs, images, strict=True)):
        prefix = len(packer.before) + image
        dense[row, :, :, :prefix] = True
        dense[row, :, :prefix, :prefix] = torch.ones(prefix, prefix, dtype=torch.bool).tril()
        room = [CHUNK] * 3
        for block in pack:
            size = len(block.tokens)
            chunk = next(c for c in range(3) if room[c] >= size)
            at = PREFIX + (chunk + 1) * CHUNK - room[chunk]
            room[chunk] -= size
            dense[row, :, at : at + size, at : at + size] = torch.ones(size, size, dtype=torch.bool).tril()
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, length, 16, generator=generator) for _ in range(3))
    given, _ = packed_attention(torch.nn.Identity(), query, key, value, batch.mask, scaling=0.25)
    wanted = functional.scaled_dot_product_attention(query, key, value, dense, scale=0.25).transpose(1, 2)
    used = (batch.ids != packer.tokenizer.pad_token_id)[..., None, None]
    assert used.sum() == 2 * len(packer.before) + 160 + 135 + 155
    torch.testing.assert_close(torch.where(used, given, 0.0), torch.where(used, wanted, 0.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [9, 144])
def test_segments_attend_within_themselves(length: int) -> None:
    """Both ways of computing it: plain products for short segments, the fused kernel for long ones."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 3 * length, 8, generator=generator) for _ in range(3))
    ends = torch.arange(4) * length
    given, _ = segment_attention(torch.nn.Identity(), query, key, value, None, 0.3, cu_seq_lens_q=ends)
    parts = zip(*(x.split(length, dim=2) for x in (query, key, value)), strict=True)
    wanted = [functional.scaled_dot_product_attention(*part, scale=0.3) for part in parts]
    torch.testing.assert_close(given, torch.cat(wanted, dim=2).transpose(1, 2), atol=1e-5, rtol=0)


def test_training_names_do_not_reach_the_checkpoint(folder: Path) -> None:
    saved = (folder / "config.json").read_text()
    assert PACKED not in saved and EQUAL_SEGMENTS not in saved
