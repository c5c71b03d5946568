"""What a pruned prompt leaves in its cache: later turns, copies, rows in another order, other content."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import himap
from himap import InputError, PruningConfig
from tests.himap.tiny_models import Subject

CONFIG = PruningConfig(2, 50, 4, 75)


def test_caches_may_alternate_be_copied_and_be_resumed_later(subject: Subject) -> None:
    """Two prompts are prefilled before either is continued; a copy and a later context give the same logits."""
    model, batch = subject.model, subject.batch()
    token = {"input_ids": torch.full((3, 1), 7), "position_ids": torch.full((3, 1), 40)}
    with himap.prune(model, CONFIG), torch.no_grad():
        kept = model(**batch, use_cache=True).past_key_values
        expected = model(**token, past_key_values=copy.deepcopy(kept)).logits
        model(**subject.prompts[1], use_cache=True)
        copied = copy.deepcopy(kept)
        output = model(**token, past_key_values=kept).logits
    assert torch.equal(output, expected)
    with himap.prune(model, CONFIG), torch.no_grad():
        assert torch.equal(model(**token, past_key_values=copied).logits, expected)


def swap_rows(cache: Any, rows: torch.Tensor) -> None:
    """Reorder the tensors of each layer by hand, as code without transformers' methods does."""
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[rows], layer.values[rows]


REORDERED: dict[str, tuple[list[int], Callable[[Any], None]]] = {
    "reorder_cache": ([2, 0, 1], lambda cache: cache.reorder_cache(torch.tensor([2, 0, 1]))),
    "batch_select_indices": ([2, 0], lambda cache: cache.batch_select_indices(torch.tensor([2, 0]))),
    "batch_repeat_interleave": ([0, 0, 1, 1, 2, 2], lambda cache: cache.batch_repeat_interleave(2)),
    "by hand": ([1, 1, 0], lambda cache: swap_rows(cache, torch.tensor([1, 1, 0]))),
}


@pytest.mark.parametrize("name", REORDERED)
def test_rows_of_a_cache_may_be_reordered_selected_and_repeated(family_subject: Subject, name: str) -> None:
    """The masks of pruned layers follow the rows of a padded batch, between any two turns, and in copies."""
    model, batch = family_subject.model, family_subject.batch()
    rows, change = REORDERED[name]
    slots = batch["input_ids"].shape[1]
    prompt_mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))

    def turn(cache: Any, begin: int, end: int, rows: list[int]) -> torch.Tensor:
        ids = torch.arange(5, 8)[:, None] + torch.arange(begin, end)
        mask = torch.cat([prompt_mask, torch.ones(3, end, dtype=torch.long)], 1)
        positions = (slots + torch.arange(begin, end)).expand(len(rows), -1)
        options = {"attention_mask": mask[rows], "position_ids": positions, "past_key_values": cache}
        logits: torch.Tensor = model(input_ids=ids[rows], **options).logits
        return logits

    with himap.prune(model, CONFIG) as pruning, torch.no_grad():
        cache = model(**batch, use_cache=True).past_key_values
        kept = pruning.positions.clone()
        turn(cache, 0, 2, [0, 1, 2])
        straight = copy.deepcopy(cache)
        expected = [turn(straight, *part, [0, 1, 2])[rows] for part in ((2, 4), (4, 5))]
        change(cache)
        for part, logits in zip(((2, 4), (4, 5)), expected, strict=True):
            torch.testing.assert_close(turn(cache, *part, rows), logits)
        assert torch.equal(pruning.positions, kept)


def test_a_cache_with_other_content_is_refused(subject: Subject) -> None:
    model, token = subject.model, {"input_ids": torch.full((3, 1), 7)}
    with himap.prune(model, CONFIG), torch.no_grad():
        cache = model(**subject.batch(), use_cache=True).past_key_values
        for layer in cache.layers:
            layer.keys = layer.keys * 2
        with pytest.raises(InputError, match="content of this cache was changed; prefill it again"):
            model(**token, past_key_values=cache)


def test_a_reset_cache_takes_a_new_prompt(subject: Subject) -> None:
    model, prompt = subject.model, subject.prompts[0]
    token = {"input_ids": torch.full((1, 1), 7), "position_ids": torch.full((1, 1), 40)}
    with torch.no_grad():
        expected = model(**token, past_key_values=model(**prompt, use_cache=True).past_key_values).logits
        with himap.prune(model, CONFIG):
            cache = model(**prompt, use_cache=True).past_key_values
        cache.reset()
        if cache.get_seq_length():
            pytest.skip("this version of transformers fills a reset cache with zeros in place of emptying it")
        with himap.prune(model, PruningConfig.dense()):
            model(**prompt, past_key_values=cache)
            assert torch.equal(model(**token, past_key_values=cache).logits, expected)
