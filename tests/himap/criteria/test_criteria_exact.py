"""The tokens that each criterion keeps equal its naive definition in float64, at both depths."""

from __future__ import annotations

import pytest
import torch

import himap
from himap import PruningConfig, criteria
from tests.himap import tiny_families
from tests.himap.naive_criteria import SCORES, Naive
from tests.himap.tiny_models import IMAGE_ID, Prompt, Subject


@pytest.fixture(scope="session")
def naives() -> dict[int, Naive]:
    return {}


@pytest.fixture
def naive(subject: Subject, naives: dict[int, Naive]) -> Naive:
    return naives.setdefault(id(subject.model), Naive(subject.model))


def kept(subject: Subject, prompt: Prompt, config: PruningConfig) -> list[list[int]]:
    """Return per row the image tokens that reach the last layer, as slots of the row without its padding."""
    with torch.no_grad(), himap.prune(subject.model, config) as pruning:
        subject.model(**prompt)
    rows = []
    for slots, mask, ids in zip(pruning.positions, prompt["attention_mask"], prompt["input_ids"], strict=True):
        own = mask.cumsum(0) - 1
        rows.append([int(own[s]) for s in slots if s >= 0 and ids[s] == IMAGE_ID])
    return rows


def test_every_criterion_has_a_naive_definition() -> None:
    assert {*SCORES, "diversity"} == set(criteria.names())


@pytest.mark.parametrize("name", criteria.names())
def test_kept_sets_equal_the_definition_at_both_depths(subject: Subject, naive: Naive, name: str) -> None:
    shallow = PruningConfig(2, 40, 4, 0, name, name, seed=3)
    both = PruningConfig(2, 40, 4, 55, name, name, seed=3)
    expected = [naive.kept(prompt, both) for prompt in subject.prompts]
    assert all(0 < len(deep) < len(first) for first, deep in expected)
    for side in ("left", "right"):
        batch = subject.batch(side)
        assert kept(subject, batch, shallow) == [first for first, _ in expected], side
        assert kept(subject, batch, both) == [deep for _, deep in expected], side
    alone = [kept(subject, prompt, both)[0] for prompt in subject.prompts]
    assert alone == [deep for _, deep in expected]


@pytest.mark.parametrize("family", tiny_families.FAMILIES)
def test_every_criterion_keeps_the_same_tokens_alone_and_in_a_batch_in_every_family(family: str) -> None:
    subject = tiny_families.subject(family)
    # Their keys pass an untrained RMSNorm, so all norms are equal up to rounding and give no ranking.
    equal_keys = {"key_norm", "duplication"} if family in ("qwen3_vl", "gemma3") else set()
    for name in sorted({*criteria.names()} - equal_keys):
        config = PruningConfig(2, 40, 4, 55, name, name, seed=3)
        alone = [kept(subject, prompt, config)[0] for prompt in subject.prompts]
        assert kept(subject, subject.batch(), config) == alone, name


@pytest.mark.parametrize(("shallow", "deep"), [("instruction", "intra_column"), ("uniform", "diversity")])
def test_kept_sets_of_different_criteria(subject: Subject, naive: Naive, shallow: str, deep: str) -> None:
    config = PruningConfig(1, 50, 5, 75, shallow, deep)
    expected = [naive.kept(prompt, config)[1] for prompt in subject.prompts]
    assert kept(subject, subject.batch(), config) == expected
