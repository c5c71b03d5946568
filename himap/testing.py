"""The conformance suite of ranking criteria, a test class to subclass with pytest.

from himap.testing import CriterionConformance

class TestMyCriterion(CriterionConformance):
    criterion = MyCriterion
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from himap.criteria.base import Criterion, CriterionInputs
from himap.engine.attention import attention_inputs
from himap.engine.layout import layout
from himap.engine.logits import LogitRule
from himap.families.grids import Grids
from himap.tokens import IMAGE, TokenSet

HEADS, KV_HEADS, WIDTH, CHANNELS = 6, 2, 8, 12
PROMPTS = ("ssvvvvvvvvviiii", "svvvvvvvvvvvvvvvvii", "vvvvsvvvviivvvvvviii", "ssssvi", "svvvv")


def make_prompts(*rows: str) -> TokenSet:
    """Return prompts written with one letter a slot: s(ystem), v(isual), i(nstruction), . for padding."""
    image = torch.tensor([[letter == "v" for letter in row] for row in rows])
    mask = torch.tensor([[letter != "." for letter in row] for row in rows])
    ids = torch.tensor([[ord(letter) for letter in row] for row in rows])
    return TokenSet.from_prompt(image, mask, ids)


def pad_prompts(rows: Sequence[str], side: str) -> list[str]:
    """Return the prompts in equal length, with padding on the "left" or "right"."""
    width = max(map(len, rows))
    return [row.rjust(width, ".") if side == "left" else row.ljust(width, ".") for row in rows]


def _row_states(row: str) -> dict[str, Tensor]:
    """Return random states of one prompt, equal for equal tokens whatever their padding, with 9 at padding."""
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


def make_inputs(
    criterion: type[Criterion], rows: Sequence[str], keep: Sequence[int], dtype: torch.dtype = torch.float32
) -> tuple[TokenSet, CriterionInputs]:
    """Return prompts and the inputs that the engine computes from them for a criterion.

    Args:
        criterion: the class, which declares its inputs.
        rows: the prompts, as `make_prompts` takes them.
        keep: number of image tokens that each row keeps.
        dtype: dtype of the random states.
    """
    tokens = make_prompts(*rows)
    row_states = [_row_states(row) for row in rows]
    states = {name: torch.stack([row[name] for row in row_states]).to(dtype) for name in row_states[0]}
    tensors = attention_inputs(criterion(), tokens, states["query"], states["key"], states["value"], LogitRule(0.3))
    if "hidden" in criterion.needs:
        tensors["hidden"] = states["hidden"][:, 0]
    if "layout" in criterion.needs:
        tensors["layout"] = layout(tokens, Grids()).cell
    return tokens, CriterionInputs(tuple(keep), tensors)


def kept_tokens(tokens: TokenSet, scores: Tensor, keep: Sequence[int]) -> list[list[int]]:
    """Return the image tokens that each row keeps, as indices in its own prompt."""
    dropped = [n - k for n, k in zip(tokens.n_image, keep, strict=True)]
    _, remaining = tokens.drop(scores, dropped)
    rows = zip(remaining.prompt_index, remaining.role, strict=True)
    return [index[role == IMAGE].tolist() for index, role in rows]


def _permuted(inputs: CriterionInputs, criterion: type[Criterion], order: Tensor, tokens: TokenSet) -> CriterionInputs:
    """Return the inputs with the slots in another order; what query rows give moves with them."""
    permuted = {}
    for name, value in inputs.tensors.items():
        if name == "given":
            index, _ = tokens.slots_of(criterion.rows)
            rows = torch.argsort(index[0].new_tensor([int((order == i).nonzero()) for i in index[0]]))
            permuted[name] = value.index_select(-1, rows)
        else:
            permuted[name] = value.index_select(-1 if name in ("received", "attending") else -2, order)
    return CriterionInputs(inputs.keep, permuted)


class CriterionConformance:
    """The tests that every criterion passes; a subclass names the criterion.

    Attributes:
        criterion: the class under test, created without arguments or with `seed`.
        ordered: whether the score depends on a token's index in the prompt, as that of `random` does. Then
            permutations and ties are not tested.
    """

    criterion: ClassVar[type[Criterion]]
    ordered: ClassVar[bool] = False

    def _kept(self, rows: Sequence[str], keep: Sequence[int]) -> list[list[int]]:
        tokens, inputs = make_inputs(self.criterion, rows, keep)
        return kept_tokens(tokens, self.criterion().score(tokens, inputs), keep)

    def test_scores_are_finite_float32_one_a_slot(self) -> None:
        for dtype in (torch.float32, torch.bfloat16):
            for row in PROMPTS:
                tokens, inputs = make_inputs(self.criterion, [row], [1], dtype)
                scores = self.criterion().score(tokens, inputs)
                assert scores.shape == (1, len(row)) and scores.dtype == torch.float32
                assert scores[tokens.role == IMAGE].isfinite().all()

    def test_scores_are_deterministic_and_inputs_stay_unchanged(self) -> None:
        tokens, inputs = make_inputs(self.criterion, pad_prompts(PROMPTS, "left"), [1] * len(PROMPTS))
        before = {name: value.clone() for name, value in inputs.tensors.items()}
        first, second = (self.criterion().score(tokens, inputs) for _ in range(2))
        assert torch.equal(first, second)
        assert all(torch.equal(value, before[name]) for name, value in inputs.tensors.items())

    def test_a_row_keeps_in_a_padded_batch_what_it_keeps_alone(self) -> None:
        for share in (0.25, 0.5, 0.75):
            keep = [int(row.count("v") * share) for row in PROMPTS]
            alone = [self._kept([row], [k])[0] for row, k in zip(PROMPTS, keep, strict=True)]
            for side in ("left", "right"):
                assert self._kept(pad_prompts(PROMPTS, side), keep) == alone, (share, side)

    def test_a_row_without_an_image_does_not_change_other_rows(self) -> None:
        row = PROMPTS[0]
        batch = self._kept(pad_prompts([row, "sss"], "left"), [3, 0])
        assert batch == [self._kept([row], [3])[0], []]

    def test_any_number_of_tokens_can_be_kept(self) -> None:
        for row in PROMPTS[:2]:
            for keep in range(row.count("v") + 1):
                kept = self._kept([row], [keep])[0]
                assert len(set(kept)) == keep and {row[i] for i in kept} <= {"v"}

    def test_ties_keep_the_earlier_token(self) -> None:
        if self.ordered:
            return
        row = PROMPTS[1]
        tokens, inputs = make_inputs(self.criterion, [row], [5])
        equal = {name: torch.ones_like(value) for name, value in inputs.tensors.items()}
        scores = self.criterion().score(tokens, CriterionInputs(inputs.keep, equal))
        assert kept_tokens(tokens, scores, [5])[0] == list(range(1, 6))

    def test_permuted_tokens_are_ranked_alike(self) -> None:
        if self.ordered:
            return
        row, keep = PROMPTS[1], [5]
        tokens, inputs = make_inputs(self.criterion, [row], keep)
        order = torch.arange(len(row))
        image = tokens.role[0] == IMAGE
        shuffled = torch.randperm(int(image.sum()), generator=torch.Generator().manual_seed(0))
        order[image] = order[image][shuffled]
        permuted = _permuted(inputs, self.criterion, order, tokens)
        expected = kept_tokens(tokens, self.criterion().score(tokens, inputs), keep)[0]
        kept = kept_tokens(tokens, self.criterion().score(tokens, permuted), keep)[0]
        assert sorted(order[kept].tolist()) == expected

    def test_scoring_reads_no_value_from_the_device(self) -> None:
        """Tensors on the meta device have no values: a read, which would stall a GPU, fails here."""
        keep = [row.count("v") // 2 for row in PROMPTS]
        tokens, inputs = make_inputs(self.criterion, pad_prompts(PROMPTS, "left"), keep)
        fields = ("role", "position", "prompt_index", "prompt_ids")
        tokens = replace(tokens, **{name: getattr(tokens, name).to("meta") for name in fields})
        tensors = {name: value.to("meta") for name, value in inputs.tensors.items()}
        scores = self.criterion().score(tokens, CriterionInputs(inputs.keep, tensors))
        assert scores.device.type == "meta" and scores.shape == tokens.role.shape
