"""What a search will need, from configuration and processor alone: counts, memory, hours, and their correction."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import ChameleonConfig

from himap import PruningConfig
from objectives.evaluation.devices import DEVICES
from objectives.evaluation.footprint import footprint
from objectives.evaluation.models import load
from objectives.evaluation.prompt_check import PromptSize
from objectives.flops import DecoderShape, flops, token_flops
from search import SearchConfig, launch
from search.estimating.estimate import Estimate
from search.estimating.text import correction_line
from search.running.dry_run import dry_run
from tests.search.search_helpers import trial

SIZE = PromptSize(image=144, text=20, patches=144, pixels=3 * 96 * 96)


@pytest.fixture
def bare(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny checkpoint without its weights, in a working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    return tmp_path / "bare"


def estimated(bare: Path, device: str = "l4", **fields: object) -> Estimate:
    return dry_run(SearchConfig(**{"model": str(bare), "budget": 200, "benchmarks": ["pope"], **fields}), device)[0]


def test_a_model_without_a_vision_tower_has_a_footprint(tmp_path: Path) -> None:
    """Chameleon's images are words of its vocabulary."""
    config = ChameleonConfig(num_hidden_layers=2, vocabulary_map={"<image>": 8711})
    config.save_pretrained(tmp_path)
    made = footprint(tmp_path, torch.float16)
    assert (made.vision_pairs, made.features, made.cached) == (0, False, 2 * 2 * config.hidden_size)


def test_a_footprint_is_that_of_the_loaded_model(tiny: Path, bare: Path) -> None:
    model = load(tiny, device="cpu").model
    made = footprint(bare, torch.float32)
    assert made.weights == sum(p.nbytes for p in model.parameters())
    parts = (model.model.vision_tower, model.model.multi_modal_projector)
    assert made.vision == sum(p.numel() for part in parts for p in part.parameters())
    ids = torch.full((1, 164), 9)
    cache = model(input_ids=ids, use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert made.cache_bytes(SIZE, 4) == held / 164 * 168
    shape, config = DecoderShape.from_config(model.config), PruningConfig.paper()
    tokens = [token_flops(shape, 144, 20, config, token) for token in range(1, 4)]
    assert made.prompt_flops(SIZE, config, 4) == pytest.approx(flops(shape, 144, 20, config) + sum(tokens), rel=0.01)


def test_quantized_weights_take_their_bits(bare: Path) -> None:
    config = json.loads((bare / "config.json").read_text())
    whole = footprint(bare, torch.float16).weights
    (bare / "config.json").write_text(json.dumps({**config, "quantization_config": {"load_in_4bit": True}}))
    assert footprint(bare, torch.float16).weights == whole / 4


def test_work_and_hours_follow_budget_workers_and_device(bare: Path) -> None:
    one = estimated(bare)
    (study,) = one.studies
    assert study.answers == {"explore": 60 * 120, "refine": 140 * 120, "certify": 2000 * 4}
    assert 0 < study.cheapest < study.typical < 1
    assert study.work["refine"] == pytest.approx(140 * 120 * study.typical)
    assert estimated(bare, workers=4).hours["explore"] == pytest.approx(one.hours["explore"] / 4)
    faster = estimated(bare, "h100")
    assert faster.questions_per_hour > 4 * one.questions_per_hour
    assert estimated(bare, certify=False).studies[0].at_best is None
    assert one.studies[0].at_best == (2000, pytest.approx(0.0026, abs=1e-4))


def test_the_batch_is_what_the_device_holds(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = estimated(bare, memory_mb=0)
    assert whole.batch == 24
    row = (whole.memory["KV cache"] + whole.memory["activations"]) / 24
    assert whole.memory["images"] == 0 and estimated(bare).memory["images"] == 60 * 144 * 128 * 2
    kept = whole.memory["weights"]
    monkeypatch.setitem(DEVICES, "l4", replace(DEVICES["l4"], memory=kept + 5.5 * row))
    assert estimated(bare, memory_mb=0).batch == 5
    assert estimated(bare, memory_mb=0, gpus_per_worker=2).batch > 10
    monkeypatch.setitem(DEVICES, "l4", replace(DEVICES["l4"], memory=kept))
    assert estimated(bare, memory_mb=0).batch == 0


def test_dense_corrects_it(bare: Path) -> None:
    made = estimated(bare)
    (study,) = made.studies
    dense = trial(0, PruningConfig.dense(), "dense", n=120, seconds=3 * study.seconds * (120 + study.once))
    assert made.correction([]) is None and correction_line(made, []) == ""
    assert made.correction([(study.name, dense), (study.name, trial(1, PruningConfig.paper()))]) == pytest.approx(3)
    assert "dense took 3 times as long" in correction_line(made, [(study.name, dense)])


def test_the_command_reads_no_weights_and_touches_no_store(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--model", str(bare), "--budget", "200", "--benchmark", "pope", "--dry-run"]
    assert launch.main(command) == 0
    out = capsys.readouterr().out
    assert "144 image and" in out and "at best within 0.26 points" in out and "taken to reach 40 %" in out
    assert launch.main([*command, "h100", "--share", "25", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["share"] == 0.25 and document["device"]["name"] == "h100"
    assert document["studies"][0]["image_tokens"] == {"least": 144, "median": 144, "most": 144}
    assert sorted(path.name for path in bare.parent.iterdir()) == ["bare"]
    assert launch.main([*command, "h1000"]) == 2
    assert "expected here or one of b200, h200" in capsys.readouterr().err
