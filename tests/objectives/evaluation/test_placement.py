"""Models on several devices: where they are loaded to, in what dtype, and how they are timed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

from himap import PruningConfig
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_questions
from objectives.evaluation import latency, models
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel, devices_of, dtype_of, load
from objectives.evaluation.prefix_cache import PrefixCache

CUDA = [torch.device("cuda", 0), torch.device("cuda", 1)]


class Placed:
    """A loaded model that must not be moved."""

    def __init__(self, device_map: Any) -> None:
        self.hf_device_map = device_map

    def eval(self) -> Placed:
        return self


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments by which transformers is called to load a model."""
    kept: list[dict[str, Any]] = []

    def from_pretrained(weights: Any, **arguments: Any) -> Placed:
        kept.append(arguments)
        return Placed({"model": 0, "lm_head": 1})

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", from_pretrained)
    return kept


def see_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.fixture
def quantized(folders: dict[str, Path], tmp_path: Path) -> Path:
    shutil.copytree(folders["llava-mini"], tmp_path / "quantized")
    file = tmp_path / "quantized" / "config.json"
    settings = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    file.write_text(json.dumps({**json.loads(file.read_text()), "quantization_config": settings}))
    return file.parent


def test_several_gpus_share_a_model(
    folders: dict[str, Path], calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    see_gpus(monkeypatch, 2)
    loaded = load(folders["llava-mini"])
    assert calls[0]["device_map"] == "auto" and calls[0]["dtype"] is torch.float16
    assert loaded.devices == tuple(CUDA) and loaded.device == CUDA[0]
    load(folders["llava-mini"], dtype="bfloat16")
    assert calls[1]["dtype"] is torch.bfloat16


def test_quantized_weights_are_placed_and_not_moved(
    quantized: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    see_gpus(monkeypatch, 1)
    load(quantized)
    assert calls[0]["device_map"] == {"": "cuda"} and calls[0]["dtype"] is torch.float16
    see_gpus(monkeypatch, 0)
    load(quantized)
    assert calls[1]["device_map"] == {"": "cpu"} and calls[1]["dtype"] is torch.float16


def test_dtypes(folders: dict[str, Path], tmp_path: Path) -> None:
    mini = folders["llava-mini"]
    assert [dtype_of(mini, device) for device in ("cpu", "cuda")] == [torch.float32, torch.float16]
    assert load(mini, device="cpu", dtype="bfloat16").model.dtype is torch.bfloat16
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    assert dtype_of(tmp_path, "cuda") is torch.bfloat16  # where the checkpoint says nothing


@pytest.mark.parametrize(
    ("placed", "devices"),
    [
        ({"model": 0, "lm_head": 0}, CUDA[:1]),
        ({"vision": 1, "layers.0": 0, "layers.1": 1}, [CUDA[1], CUDA[0]]),
        ({"layers.0": "disk", "layers.1": "cpu", "lm_head": 1}, CUDA[1:]),
        ({"layers.0": "disk", "layers.1": "cpu"}, [torch.device("cpu")]),
    ],
)
def test_devices_that_compute(placed: dict[str, Any], devices: list[torch.device]) -> None:
    assert list(devices_of(SimpleNamespace(hf_device_map=placed))) == devices


def test_a_model_partly_on_a_disk_answers_the_same(folders: dict[str, Path], tmp_path: Path) -> None:
    """As one that is larger than its device: a layer's weights are read when it runs."""
    weights = folders["llava-mini"]
    inside = {f"model.language_model.layers.{i}": ("cpu", "disk")[i % 2] for i in range(12)}
    parts = ("vision_tower", "multi_modal_projector", "language_model.embed_tokens", "language_model.norm")
    around = {f"model.{part}": "cpu" for part in (*parts, "language_model.rotary_emb")} | {"lm_head": "cpu"}
    model = AutoModelForImageTextToText.from_pretrained(
        weights, dtype=torch.float32, device_map={**inside, **around}, offload_folder=tmp_path
    )
    assert {p.device.type for p in model.parameters()} == {"cpu", "meta"}
    spread = LoadedModel(model.eval(), models.load_processor(weights), str(weights))
    whole = load(weights, device="cpu")
    pope = benchmark("pope")
    asked = embedded_questions(pope, "validation", 6)
    config = PruningConfig(2, 50, 5, 75)
    answers = []
    for loaded in (spread, whole):
        evaluator = Evaluator(loaded, pope, asked, 3, PrefixCache(Memory(2**24)))
        answers.append([evaluator.evaluate(config).answers for _ in range(2)])
        assert evaluator._prefixes.reused > 0
    assert answers[0] == answers[1]
    timing = latency.measure(Evaluator(spread, pope, asked), config)[0]
    assert timing.ms > 0


def test_every_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H100")
    assert isinstance(latency._now(CUDA), float)
    assert waited == CUDA
    assert latency.device_name(*CUDA) == "2x H100" and latency.device_name(CUDA[0]) == "H100"
