"""Tokenizers, packers and random models of both minis, built once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from minis import checkpoint
from minis.recipe.architecture import NAMES, build_model
from minis.recipe.packing import Packer
from minis.recipe.text import build_tokenizer


@pytest.fixture(scope="session", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="session")
def tokenizer(name: str) -> PreTrainedTokenizerFast:
    return build_tokenizer(name)


@pytest.fixture(scope="session")
def packer(name: str, tokenizer: PreTrainedTokenizerFast) -> Packer:
    return Packer(name, tokenizer)


@pytest.fixture(scope="session")
def model(name: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Random weights, larger than usual so that every token's outcome depends on the others."""
    torch.manual_seed(3)
    built = build_model(name, tokenizer)
    with torch.no_grad():
        for key, weight in built.named_parameters():
            if "language_model" in key and "proj" in key:
                weight.mul_(3.0)
    return built.eval()


@pytest.fixture(scope="session")
def folder(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint of that model, in float16 as shipped (the model itself is left rounded)."""
    saved = tmp_path_factory.mktemp("checkpoint") / name
    checkpoint.save(name, model, tokenizer, saved)
    return saved
