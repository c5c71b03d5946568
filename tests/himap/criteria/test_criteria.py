"""Token sets, attention rows, and the inputs that the engine gives to criteria."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import himap
from himap import PruningConfig, criteria
from himap.criteria.base import CriterionInputs
from himap.engine import attention
from himap.engine.logits import LogitRule
from himap.engine.masks import causal_mask
from himap.testing import make_prompts
from himap.tokens import PAD, TokenSet
from tests.himap.tiny_models import Subject


def softmax_rows(length: int, heads: int = 3, rows: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Return query, key, and the full causal attention matrix by its definition."""
    generator = torch.Generator().manual_seed(length)
    query = torch.randn(rows, heads, length, 8, generator=generator)
    key = torch.randn(rows, heads, length, 8, generator=generator)
    logits = (query @ key.transpose(-1, -2)) * 0.3
    return query, key, logits.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf).softmax(-1)


def test_grouped_heads_attend_like_repeated_ones() -> None:
    query, key, _ = softmax_rows(9, heads=4)
    tokens, repeated = make_prompts("ssvvvviii"), key[:, :2].repeat_interleave(2, dim=1)
    grouped_rows = list(attention.attention_rows(query, key[:, :2], LogitRule(0.3), tokens, "image"))
    torch.testing.assert_close(
        grouped_rows, list(attention.attention_rows(query, repeated, LogitRule(0.3), tokens, "image"))
    )


def test_random_depends_on_seed_and_prompt_and_is_uniform() -> None:
    def draw(row: str, seed: int) -> list[float]:
        scores: list[float] = (
            criteria.create("random", seed).score(make_prompts(row), CriterionInputs((), {}))[0].tolist()
        )
        return scores

    row = "ss" + "v" * 100 + "iii"
    assert draw(row, 1) == draw(row, 1)
    assert draw(row, 1) != draw(row, 2)
    assert draw(row, 1)[:102] != draw(row + "i", 1)[:102]
    counts = torch.zeros(100)
    for seed in range(400):
        _, remaining = make_prompts(row).drop(torch.tensor([draw(row, seed)]), [75])
        kept = remaining.position[0][remaining.role[0] == 2] - 2
        counts[kept] += 1
    # Binomial(400, 1/4) has mean 100 and standard deviation 8.7.
    assert counts.sum() == 400 * 25
    assert counts.min() > 60
    assert counts.max() < 140
    assert 6 < counts.std() < 11


def test_ties_keep_the_earlier_token_and_text_is_never_dropped() -> None:
    tokens = make_prompts("ssvvvviii")
    index, remaining = tokens.drop(torch.tensor([[-9.0, -9, 1, 1, 1, 1, -9, -9, -9]]), [2])
    assert index.tolist() == [[0, 1, 2, 3, 6, 7, 8]]
    assert remaining.n_image == (2,)
    assert remaining.lengths == (7,)
    assert not remaining.padded


def test_rows_that_keep_fewer_tokens_are_padded_on_the_left() -> None:
    tokens = make_prompts(".svvvvi", "ssvviii")
    scores = torch.tensor([[0.0, 0, 1, 2, 3, 4, 0], [0.0, 0, 2, 1, 0, 0, 0]])
    index, remaining = tokens.drop(scores, [2, 1])
    assert index[1].tolist() == [0, 1, 2, 4, 5, 6]
    assert index[0, 2:].tolist() == [1, 4, 5, 6]
    assert remaining.role[0].tolist() == [PAD, PAD, 1, 2, 2, 3]
    assert remaining.prompt_index[0, 2:].tolist() == [0, 3, 4, 5]
    mask = causal_mask(remaining, 6, 6)
    assert mask is not None
    assert mask[0, 0, 5].tolist() == [False, False, True, True, True, True]
    assert mask[0, 0].any(-1).all()
    step = causal_mask(remaining, 1, 8)
    assert step is not None
    assert step[0, 0].tolist() == [[False, False, True, True, True, True, True, True]]
    assert causal_mask(make_prompts("svi"), 1, 5) is None


def test_text_between_images_is_no_instruction() -> None:
    assert make_prompts("svvivvii").role[0].tolist() == [1, 2, 2, 1, 2, 2, 3, 3]


def test_without_an_image_there_is_no_instruction_and_padding_is_never_an_image() -> None:
    assert make_prompts("sss").role.tolist() == [[1, 1, 1]]
    image, mask = torch.tensor([[True, True, False, True]]), torch.tensor([[0, 1, 1, 0]])
    tokens = TokenSet.from_prompt(image, mask, None)
    assert tokens.role.tolist() == [[PAD, 2, 3, PAD]]
    assert tokens.n_image == (1,)


def test_only_the_rows_that_a_criterion_names_are_computed(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    rows = attention.attention_rows

    def spy(*args: Any) -> list[tuple[Tensor, Tensor]]:
        blocks = list(rows(*args))
        shapes.extend(tuple(weights.shape) for weights, _ in blocks)
        return blocks

    monkeypatch.setattr(attention, "attention_rows", spy)
    prompt = subject.prompts[0]
    for shallow, deep in (("last_token", "intra_column"), ("random", "random"), ("instruction", "random")):
        with himap.prune(subject.model, PruningConfig(2, 50, 4, 75, shallow, deep)) as pruning:
            subject.model.generate(**prompt, max_new_tokens=3)
    n, text = pruning.image_tokens[0], pruning.text_tokens[0]
    after = 7 if "image_grid_thw" in prompt else 6
    assert shapes == [(1, 4, 1, n + text), (1, 4, n // 2, n // 2 + text), (1, 4, after, n + text)]


def test_intra_column_mean_follows_the_mask_of_the_layer() -> None:
    """With bidirectional attention, every image row attends to every image column."""
    tokens, (query, key, _) = make_prompts("svvvi"), softmax_rows(5)
    bidirectional = torch.ones(5, 5).tril().bool()
    bidirectional[1:4, 1:4] = True
    criterion = criteria.create("intra_column_mean", 0)
    inputs = attention.attention_inputs(criterion, tokens, query, key, key, LogitRule(0.3), bidirectional[None, None])
    assert inputs["attending"][0].tolist() == bidirectional[1:4].sum(0).tolist()
    full = ((query @ key.transpose(-1, -2)) * 0.3).masked_fill(~bidirectional, -torch.inf).softmax(-1)
    expected = full[0].mean(0)[1:4].mean(0)
    torch.testing.assert_close(criterion.score(tokens, CriterionInputs((1,), inputs))[0, 1:4], expected[1:4])
