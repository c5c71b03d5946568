"""Every criterion of the package passes the conformance suite, and the suite can fail."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from himap import criteria
from himap.criteria.base import Criterion, CriterionInputs, Need
from himap.errors import ConfigError, HimapError
from himap.testing import CriterionConformance, make_inputs, make_prompts
from himap.tokens import QueryRows, TokenSet

ORDERED = {"random"}  # its scores depend on a token's index by definition

for _name in criteria.names():
    _attributes = {"criterion": type(criteria.create(_name, 0)), "ordered": _name in ORDERED}
    _title = "Test" + _name.title().replace("_", "")
    globals()[_title] = type(_title, (CriterionConformance,), _attributes)


class Instruction(Criterion):
    rows: QueryRows = "instruction"

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.received


class DependsOnBatch(Instruction):
    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return super().score(tokens, inputs) * (1 - 2 * (tokens.role[:1] == 0).float())


class PrefersLater(Instruction):
    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return super().score(tokens, inputs) + 1e-4 * tokens.prompt_index


class Nondeterministic(Instruction):
    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return super().score(tokens, inputs) + torch.rand(tokens.role.shape)


class ChangesInput(Instruction):
    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.received.mul_(2)


class ReadsValue(Instruction):
    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return super().score(tokens, inputs) / inputs.received.max().item()


class NotANumber(Instruction):
    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return super().score(tokens, inputs) * torch.nan


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (DependsOnBatch, "test_a_row_keeps_in_a_padded_batch_what_it_keeps_alone"),
        (PrefersLater, "test_ties_keep_the_earlier_token"),
        (Nondeterministic, "test_scores_are_deterministic_and_inputs_stay_unchanged"),
        (Nondeterministic, "test_permuted_tokens_are_ranked_alike"),
        (ChangesInput, "test_scores_are_deterministic_and_inputs_stay_unchanged"),
        (ReadsValue, "test_scoring_reads_no_value_from_the_device"),
        (NotANumber, "test_scores_are_finite_float32_one_a_slot"),
    ],
)
def test_the_suite_rejects_broken_criteria(broken: type[Criterion], test: str) -> None:
    def suite(criterion: type[Criterion]) -> CriterionConformance:
        conformance = CriterionConformance()
        conformance.criterion = criterion  # type: ignore[misc]  # a class variable, set for one suite
        return conformance

    getattr(suite(Instruction), test)()
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(suite(broken), test)()


def test_a_registered_criterion_is_created_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(criteria, "_registry", dict(criteria._registry))
    criteria.register("mine", Instruction)
    criteria.register("mine", Instruction)
    assert "mine" in criteria.names() and isinstance(criteria.create("mine", 0), Instruction)
    with pytest.raises(ConfigError, match="'random' already"):
        criteria.register("random", Instruction)


class KeyReader(Criterion):
    needs: frozenset[Need] = frozenset({"hidden"})

    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        return inputs.keys.sum((1, 3))


def test_reading_an_undeclared_input_raises() -> None:
    tokens, inputs = make_inputs(KeyReader, ["svvi"], [1])
    with pytest.raises(HimapError, match=r"got a read of 'keys'; expected hidden; add it"):
        KeyReader().score(tokens, inputs)


def test_every_docstring_names_the_inputs_that_the_criterion_declares() -> None:
    for name in criteria.names():
        criterion = criteria.create(name, 0)
        needs = (criterion.__doc__ or "").split("Needs ")[-1].split(".")[0]
        assert "Needs " in (criterion.__doc__ or ""), name
        assert ("row" in needs) == (criterion.rows != "none"), name
        assert ("every head" in " ".join(needs.split())) == criterion.per_head, name
        for need in get_args(Need):
            assert (need in needs) == (need in criterion.needs), (name, need)


def test_make_prompts_gives_the_roles_of_its_letters() -> None:
    assert make_prompts(".svvi").role.tolist() == [[0, 1, 2, 2, 3]]
