"""Every image-text-to-text class of the installed transformers is tested, or refused by name with its reason.

A tested class, in small and with random weights, equals its own forward in which the dropped tokens are hidden.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import himap
from himap import PruningConfig, UnsupportedModelError, families
from himap.families.refused import REFUSED
from himap.families.tested import TESTED
from himap.verification.verify import TOLERANCE, ReferenceComparison, configurations
from tests.himap.tiny_classes import CLASSES, UNTESTED, build


def test_every_installed_class_has_a_state() -> None:
    """A class that transformers adds or removes shows here."""
    assert sorted([*TESTED, *REFUSED, *UNTESTED]) == CLASSES


@pytest.mark.parametrize("name", TESTED)
def test_a_pruned_class_equals_its_own_forward(name: str) -> None:
    model = build(name)
    family = families.find(model)
    comparison = ReferenceComparison(family)
    before = {key: value for key, value in vars(family.decoder).items() if not key.startswith("_")}
    first, second = configurations(family)
    deviations = [*comparison.all(first), comparison.rows(comparison.prompts[:1], second)]
    assert max(deviations) <= TOLERANCE
    assert comparison.effect(first) > 20 * TOLERANCE
    assert before.keys() == {key for key in vars(family.decoder) if not key.startswith("_")}
    assert cache_lengths(comparison, first) == expected_lengths(comparison, first)


def cache_lengths(comparison: ReferenceComparison, config: PruningConfig) -> list[int]:
    """Return the number of tokens in the cache of each layer of full attention."""
    family, arguments = comparison.family, comparison.arguments(comparison.prompts[0])
    with himap.prune(family.model, config), torch.no_grad():
        cache = family.model(**arguments, use_cache=True).past_key_values
    return [cache.get_seq_length(layer) for layer in range(len(family.layers)) if family.attends(layer)]


def expected_lengths(comparison: ReferenceComparison, config: PruningConfig) -> list[int]:
    family, prompt = comparison.family, comparison.prompts[0]
    mask = prompt["input_ids"][0] == family.image_token
    text, left, lengths = int((~mask).sum()), int(mask.sum()), []
    for layer in range(len(family.layers)):
        left -= sum(cut.dropped(left) for cut in config.cuts if cut.layer == layer)
        lengths += [text + left] * family.attends(layer)
    return lengths


class _Alone(nn.Module):
    """A model of a class of the given name, without any part."""


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_class_is_refused_with_its_reason(name: str) -> None:
    model: Any = type(name, (_Alone,), {})()
    with pytest.raises(UnsupportedModelError, match=f"{name} cannot be pruned: {REFUSED[name][:20]}"):
        families.find(model, untested=True)


def test_an_untested_class_needs_the_word() -> None:
    model = build(UNTESTED[0])
    with pytest.raises(UnsupportedModelError, match=r"check another class with himap\.verify"):
        families.find(model)
    with himap.prune(model, PruningConfig(1, 50, 3, 50), untested=True):
        pass
    with pytest.raises(UnsupportedModelError, match="differs from the masked reference"):
        himap.verify(model)


def test_verify_accepts_a_tested_class() -> None:
    verification = himap.verify(build("LlavaForConditionalGeneration"))
    assert verification.deviation <= TOLERANCE < verification.effect


def test_verify_names_the_version_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.__version__", "5.17.0")
    with pytest.raises(himap.InputError, match=r"got transformers 5\.17\.0; expected 5\.18 or newer"):
        himap.verify(nn.Module())
