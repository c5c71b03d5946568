"""docs/presets.md: the file that it shows is a preset, and its example runs on a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

import himap
from himap import Preset, PruningConfig
from minis import checkpoint
from minis.recipe.architecture import build_model
from minis.recipe.text import build_tokenizer
from storage import StudyKey, Trial
from storage.presets import preset_of
from tests.docs.pages import ROOT, fences

TEXT = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
CONFIG = PruningConfig(2, 50, 8, 75)


def estimate() -> Preset:
    key = StudyKey("llava-7b", "d", "pope", "validation", 20, 0, "s")
    return preset_of(key, Trial(1, "complete", "sampler", CONFIG, n=20, accuracy=0.5))


def test_the_file_shown_is_a_preset_with_the_fields_of_a_written_one(tmp_path: Path) -> None:
    (shown,) = fences(TEXT, "yaml")
    path = tmp_path / "shown.yaml"
    path.write_text(shown)
    preset = himap.read_preset(path)
    assert preset.config == PruningConfig.paper() and preset.certificate.certified
    lines = [line.split("#")[0].split(":")[0] for line in shown.splitlines()]
    rewritten = [line.split(":")[0] for line in preset.yaml().splitlines()[1:]]
    assert [line for line in lines if "versions" not in line] == [
        line for line in rewritten if "versions" not in line and "torch" not in line
    ]
    assert list(yaml.safe_load(estimate().yaml())) == list(yaml.safe_load(shown))


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a checkpoint with random weights, which answers at random."""
    torch.manual_seed(5)
    tokenizer = build_tokenizer("llava-mini")
    checkpoint.save("llava-mini", build_model("llava-mini", tokenizer), tokenizer, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (96, 96), "red").save("photo.jpg")
    estimate().write("presets/llava-7b-pope.yaml")
    (example,) = fences(TEXT, "python")
    ran: dict[str, object] = {}
    exec(example.replace("llava-hf/llava-1.5-7b-hf", "tiny"), ran)
    (answer,) = ran["answer"]  # type: ignore[misc]  # what exec leaves has no type
    assert isinstance(answer["generated_text"], str)
