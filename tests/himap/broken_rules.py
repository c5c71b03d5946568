"""Each rule of a family with a way to break it, and a family whose comparison with the reference then fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from himap import families
from himap.engine import attention, logits, passes
from himap.engine.masks import causal_mask
from himap.engine.passes import PromptPass
from himap.families.family import Family
from himap.tokens import TokenSet
from himap.verification.verify import ReferenceComparison, configurations
from tests.himap import tiny_classes, tiny_hybrids

Patch = pytest.MonkeyPatch


@cache
def comparison(name: str) -> ReferenceComparison:
    """Return the comparison of a tiny hybrid, or of a class in small."""
    build = tiny_hybrids.HYBRIDS[name][0] if name in tiny_hybrids.HYBRIDS else lambda: tiny_classes.build(name)
    return ReferenceComparison(families.find(build()))


def _first(self: PromptPass, full: Any) -> Any:
    """Take the first tokens in place of the remaining ones."""
    if isinstance(full, tuple):
        return tuple(part[..., : self.tokens.slots, :] for part in full)
    return full[..., : self.tokens.slots, :] if full.is_floating_point() else full[..., : self.tokens.slots]


def positions(patch: Patch) -> None:
    patch.setattr(PromptPass, "_gather_ids", _first)


def rope(patch: Patch) -> None:
    patch.setattr(PromptPass, "_gather_rope", _first)


def mask(patch: Patch) -> None:
    patch.setattr(passes, "prompt_mask", lambda full, tokens: causal_mask(tokens, tokens.slots, tokens.slots))


def padding(patch: Patch) -> None:
    patch.setattr(passes, "padding_mask", lambda full, tokens: None)


def later_window(patch: Patch) -> None:
    window = Family.window
    patch.setattr(Family, "window", lambda self, layer: None if (w := window(self, layer)) is None else w + 8)


def _rule(patch: Patch, **changed: None) -> None:
    read = logits.LogitRule.of_call
    patch.setattr(attention.LogitRule, "of_call", lambda query, kwargs: replace(read(query, kwargs), **changed))


def sinks(patch: Patch) -> None:
    patch.setattr(attention, "sdpa_attention_forward", _plain(attention.sdpa_attention_forward))
    _rule(patch, sinks=None)


def cap(patch: Patch) -> None:
    patch.setattr(attention, "sdpa_attention_forward", _plain(attention.sdpa_attention_forward))
    _rule(patch, softcap=None)


def _plain(sdpa: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, s_aux=None, softcap=None, **kwargs: sdpa(*args, **kwargs)


def cap_of_the_ranking(patch: Patch) -> None:
    rows = attention.attention_rows
    patch.setattr(attention, "attention_rows", lambda q, k, rule, *rest: rows(q, k, replace(rule, softcap=None), *rest))


def router_types(patch: Patch) -> None:
    build = PromptPass.__init__

    def without(self: PromptPass, *args: Any) -> None:
        build(self, *args)
        self._per_token["moe_mm_token_type_ids"] = lambda full: torch.zeros_like(self._gather_ids(full))

    patch.setattr(PromptPass, "__init__", without)


def added_features(patch: Patch) -> None:
    patch.setattr(PromptPass, "add_features", lambda self, hidden, image, features: hidden)


def ranking_layer(patch: Patch) -> None:
    patch.setattr(Family, "ranking_layer", lambda self, cut: max(cut - 2, 0))


def order(patch: Patch) -> None:
    drop = TokenSet.drop
    patch.setattr(TokenSet, "drop", lambda self, scores, dropped: drop(self, -scores, dropped))


RULES = [
    (positions, "ministral3"),
    (rope, "LlavaForConditionalGeneration"),
    (rope, "Qwen2VLForConditionalGeneration"),
    (rope, "Gemma4ForConditionalGeneration"),
    (mask, "Gemma3ForConditionalGeneration"),
    (mask, "MuseGlimmerForConditionalGeneration"),
    (padding, "qwen3_5"),
    (padding, "lfm2_vl"),
    (later_window, "Gemma3ForConditionalGeneration"),
    (later_window, "Cohere2VisionForConditionalGeneration"),
    (sinks, "internvl_gpt_oss"),
    (cap, "paligemma2"),
    (cap_of_the_ranking, "paligemma2"),
    (router_types, "Ernie4_5_VLMoeForConditionalGeneration"),
    (added_features, "Qwen3VLForConditionalGeneration"),
    (ranking_layer, "LlavaForConditionalGeneration"),
    (order, "LlavaForConditionalGeneration"),
]


def deviations(subject: ReferenceComparison) -> Iterator[float]:
    """Yield the deviation of a later turn and of a padded batch, for each configuration."""
    for config in configurations(subject.family):
        yield subject.turn(config)
        yield subject.rows(subject.prompts, config)


def deviation(break_rule: Callable[[Patch], None], name: str) -> float:
    """Return the largest deviation of a family with a broken rule."""
    with pytest.MonkeyPatch.context() as patch:
        break_rule(patch)
        return max(deviations(comparison(name)))
