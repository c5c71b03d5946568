"""A checkpoint with random weights: nothing here waits for training or depends on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from minis import checkpoint
from minis.recipe.architecture import build_model
from minis.recipe.text import build_tokenizer
from tests.search.search_helpers import EVEN, started

os.environ.update(EVEN)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Processes that a failed test left running."""
    yield
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a LLaVA checkpoint that answers at random."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = build_tokenizer("llava-mini")
    checkpoint.save("llava-mini", build_model("llava-mini", tokenizer), tokenizer, folder)
    return folder
