"""A checkpoint with random weights: nothing here waits for training or depends on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from minis import checkpoint
from minis.architecture import build_model
from minis.text import build_tokenizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a LLaVA checkpoint that answers at random."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = build_tokenizer("llava-mini")
    checkpoint.save("llava-mini", build_model("llava-mini", tokenizer), tokenizer, folder)
    return folder
