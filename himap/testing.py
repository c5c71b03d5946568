"""What every criterion must hold, as a test class to subclass with pytest.

from himap.testing import CriterionConformance

class TestMine(CriterionConformance):
    criterion = Mine
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, Observed
from himap.engine.attention import observed
from himap.engine.layout import layout
from himap.tokens import IMAGE, TokenSet

HEADS, KV_HEADS, WIDTH, CHANNELS = 6, 2, 8, 12
PROMPTS = ("ssvvvvvvvvviiii", "svvvvvvvvvvvvvvvvii", "vvvvsvvvviivvvvvviii", "ssssvi", "svvvv")


def made_prompts(*rows: str) -> TokenSet:
    """Prompts written with one letter a slot: s(ystem), v(isual), i(nstruction), . for padding."""
    image = torch.tensor([[letter == "v" for letter in row] for row in rows])
    mask = torch.tensor([[letter != "." for letter in row] for row in rows])
    ids = torch.tensor([[ord(letter) for letter in row] for row in rows])
    return TokenSet.from_prompt(image, mask, ids)


def padded(rows: Sequence[str], side: str) -> list[str]:
    """The same prompts, made equally long with padding on the "left" or "right"."""
    width = max(map(len, rows))
    return [row.rjust(width, ".") if side == "left" else row.ljust(width, ".") for row in rows]


def _row_states(row: str) -> dict[str, Tensor]:
    """Random states of one prompt's tokens, the same wherever the prompt stands; padding holds nonsense."""
    tokens = row.replace(".", "")
    generator = torch.Generator().manual_seed(zlib.crc32(tokens.encode()))
    present = torch.tensor([letter != "." for letter in row])
    states = {}
    for name, heads, width in (
        ("query", HEADS, WIDTH),
        ("key", KV_HEADS, WIDTH),
        ("value", KV_HEADS, WIDTH),
        ("hidden", 1, CHANNELS),
    ):
        states[name] = torch.full((heads, len(row), width), 9.0)
        states[name][:, present] = torch.randn(heads, len(tokens), width, generator=generator)
    return states


def observe(
    criterion: type[Criterion], rows: Sequence[str], keep: Sequence[int], dtype: torch.dtype = torch.float32
) -> tuple[TokenSet, Observed]:
    """What the engine would show a criterion of made prompts, through the engine's own code."""
    tokens = made_prompts(*rows)
    rowwise = [_row_states(row) for row in rows]
    state = {name: torch.stack([row[name] for row in rowwise]).to(dtype) for name in rowwise[0]}
    seen = observed(criterion(), tokens, state["query"], state["key"], state["value"], 0.3)
    if "hidden" in criterion.needs:
        seen["hidden"] = state["hidden"][:, 0]
    if "layout" in criterion.needs:
        seen["layout"] = layout(tokens, None)
    return tokens, Observed(tuple(keep), seen)


def kept(tokens: TokenSet, scores: Tensor, keep: Sequence[int]) -> list[list[int]]:
    """Which image tokens each row keeps, as indices in its own prompt."""
    dropped = [n - k for n, k in zip(tokens.n_image, keep, strict=True)]
    _, left = tokens.drop(scores, dropped)
    return [rank[role == IMAGE].tolist() for rank, role in zip(left.rank, left.role, strict=True)]


def _reordered(seen: Observed, criterion: type[Criterion], order: Tensor, tokens: TokenSet) -> Observed:
    """The same evidence with the slots in another order; image rows of the attention move along."""
    moved = {}
    for name, value in seen.tensors.items():
        slots_last = name in ("attention", "visible")
        moved[name] = value.index_select(-1 if slots_last else -2, order)
        if slots_last and criterion.rows == "image":
            index, _ = tokens.rows("image")
            place = torch.argsort(index[0].new_tensor([int((order == i).nonzero()) for i in index[0]]))
            moved[name] = moved[name].index_select(-2, place)
    return Observed(seen.keep, moved)


class CriterionConformance:
    """Subclass it and name your criterion; pytest runs what is below.

    Attributes:
        criterion: the class under test, made without arguments or with `seed`.
        ordered: true if the score depends on a token's place in the prompt itself, beyond what the criterion
            is shown (as `random` does). Then permutations and ties are not tested.
    """

    criterion: ClassVar[type[Criterion]]
    ordered: ClassVar[bool] = False

    def _kept(self, rows: Sequence[str], keep: Sequence[int]) -> list[list[int]]:
        tokens, seen = observe(self.criterion, rows, keep)
        return kept(tokens, self.criterion().score(tokens, seen), keep)

    def test_scores_are_finite_float32_one_a_slot(self) -> None:
        for dtype in (torch.float32, torch.bfloat16):
            for row in PROMPTS:
                tokens, seen = observe(self.criterion, [row], [1], dtype)
                scores = self.criterion().score(tokens, seen)
                assert scores.shape == (1, len(row)) and scores.dtype == torch.float32
                assert scores[tokens.role == IMAGE].isfinite().all()

    def test_the_same_input_gives_the_same_scores_and_stays_as_it_was(self) -> None:
        tokens, seen = observe(self.criterion, padded(PROMPTS, "left"), [1] * len(PROMPTS))
        before = {name: value.clone() for name, value in seen.tensors.items()}
        first, second = (self.criterion().score(tokens, seen) for _ in range(2))
        assert torch.equal(first, second)
        assert all(torch.equal(value, before[name]) for name, value in seen.tensors.items())

    def test_a_row_keeps_in_a_padded_batch_what_it_keeps_alone(self) -> None:
        for share in (0.25, 0.5, 0.75):
            keep = [int(row.count("v") * share) for row in PROMPTS]
            alone = [self._kept([row], [k])[0] for row, k in zip(PROMPTS, keep, strict=True)]
            for side in ("left", "right"):
                assert self._kept(padded(PROMPTS, side), keep) == alone, (share, side)

    def test_a_row_without_an_image_changes_nothing(self) -> None:
        row = PROMPTS[0]
        both = self._kept(padded([row, "sss"], "left"), [3, 0])
        assert both == [self._kept([row], [3])[0], []]

    def test_every_number_of_tokens_can_be_kept(self) -> None:
        for row in PROMPTS[:2]:
            for keep in range(row.count("v") + 1):
                chosen = self._kept([row], [keep])[0]
                assert len(set(chosen)) == keep and {row[i] for i in chosen} <= {"v"}

    def test_ties_keep_the_earlier_token(self) -> None:
        if self.ordered:
            return
        row = PROMPTS[1]
        tokens, seen = observe(self.criterion, [row], [5])
        alike = {name: torch.ones_like(value) for name, value in seen.tensors.items()}
        scores = self.criterion().score(tokens, Observed(seen.keep, alike))
        assert kept(tokens, scores, [5])[0] == list(range(1, 6))

    def test_tokens_in_another_order_get_the_same_verdict(self) -> None:
        if self.ordered:
            return
        row, keep = PROMPTS[1], [5]
        tokens, seen = observe(self.criterion, [row], keep)
        order = torch.arange(len(row))
        image = tokens.role[0] == IMAGE
        shuffled = torch.randperm(int(image.sum()), generator=torch.Generator().manual_seed(0))
        order[image] = order[image][shuffled]
        moved = _reordered(seen, self.criterion, order, tokens)
        plain = kept(tokens, self.criterion().score(tokens, seen), keep)[0]
        there = kept(tokens, self.criterion().score(tokens, moved), keep)[0]
        assert sorted(order[there].tolist()) == plain

    def test_scoring_asks_the_device_for_nothing(self) -> None:
        """Tensors on the meta device have no values: whoever reads one, and would stall a GPU, fails here."""
        keep = [row.count("v") // 2 for row in PROMPTS]
        tokens, seen = observe(self.criterion, padded(PROMPTS, "left"), keep)
        fields = ("role", "position", "rank", "fingerprint")
        tokens = replace(tokens, **{name: getattr(tokens, name).to("meta") for name in fields})
        away = {name: value.to("meta") for name, value in seen.tensors.items()}
        scores = self.criterion().score(tokens, Observed(seen.keep, away))
        assert scores.device.type == "meta" and scores.shape == tokens.role.shape
