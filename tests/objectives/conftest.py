"""Both minis with random weights, as checkpoint folders: nothing here waits for training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from minis import checkpoint
from minis.recipe.architecture import NAMES, build_model
from minis.recipe.text import build_tokenizer
from objectives.evaluation.models import LoadedModel, load

pytest.register_assert_rewrite("benchmark_conformance")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each mini, its weights large: small ones answer every question with the same word."""
    paths = {}
    for name in NAMES:
        torch.manual_seed(5)
        tokenizer = build_tokenizer(name)
        model = build_model(name, tokenizer)
        with torch.no_grad():
            for key, weight in model.named_parameters():
                if weight.ndim > 1 and "embed" not in key:
                    weight.mul_(8.0)
        paths[name] = tmp_path_factory.mktemp("checkpoints") / name
        checkpoint.save(name, model, tokenizer, paths[name])
    return paths


@pytest.fixture(scope="session")
def minis(folders: dict[str, Path]) -> dict[str, LoadedModel]:
    return {name: load(folder, device="cpu") for name, folder in folders.items()}


@pytest.fixture(params=NAMES)
def mini(request: pytest.FixtureRequest, minis: dict[str, LoadedModel]) -> LoadedModel:
    """Each mini in turn; a test must leave it as it was."""
    return minis[request.param]
