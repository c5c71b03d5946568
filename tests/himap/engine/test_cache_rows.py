"""Rows of a filled cache that change between turns: the masks follow them, or the cache is refused."""

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
