"""The paper's three checkpoints in the layout of the hub: loaded, asked, pruned and searched without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from transformers.utils import import_utils

import himap
from himap import PruningConfig
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.models import LoadedModel, load, load_processor
from tests.hub_folders import LAYERS, SHARDS, hub_folder

ROOT = Path(__file__).parents[3]
PICTURE = Image.radial_gradient("L").resize((336, 252)).convert("RGB")
IMAGE_TOKENS = {"qwenvl": 12 * 9, "llava-7b": 24 * 24, "llava-13b": 24 * 24}
PLACEHOLDER = {"qwenvl": 151655, "llava-7b": 32000, "llava-13b": 32000}
START = {"qwenvl": [151644], "llava-7b": [1], "llava-13b": [1]}
EMBEDDING = {"qwenvl": "model.embed_tokens.weight", "llava-7b": "language_model.model.embed_tokens.weight"}
EMBEDDING["llava-13b"] = EMBEDDING["llava-7b"]
CONFIG = PruningConfig(2, 50, 8, 75, "instruction", "intra_column")


@pytest.fixture(scope="module", params=SHARDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_folder(name, tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return load(folder, device="cpu")


def test_every_weight_of_the_shards_is_loaded(name: str, folder: Path, loaded: LoadedModel) -> None:
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) == SHARDS[name] and len(index) == len(loaded.model.state_dict())
    with safe_open(folder / index[EMBEDDING[name]], "pt") as file:
        stored = file.get_tensor(EMBEDDING[name])
    assert stored.dtype is (torch.bfloat16 if name == "qwenvl" else torch.float16)
    assert torch.equal(loaded.model.get_input_embeddings().weight, stored.float())
    target = resolve(str(folder))
    assert (target.shape.layers, target.family) == (LAYERS, type(loaded.model).__name__)


def test_a_prompt_has_the_hubs_tokens(name: str, loaded: LoadedModel) -> None:
    ids = loaded.inputs(["Is it red?"], [[PICTURE]])["input_ids"][0]
    assert int((ids == PLACEHOLDER[name]).sum()) == IMAGE_TOKENS[name]
    assert ids[: len(START[name])].tolist() == START[name]
    text = loaded.processor.tokenizer.decode(ids, skip_special_tokens=True)
    assert "Is it red?" in text and text.rstrip().endswith("assistant" if name == "qwenvl" else "ASSISTANT:")


def test_a_padded_row_is_scored_as_alone(name: str, loaded: LoadedModel) -> None:
    """Under the hub's generation configuration, which for Qwen penalizes the tokens of the prompt."""
    expected = 1.05 if name == "qwenvl" else None
    assert loaded.model.generation_config.repetition_penalty == expected

    def scores(*prompts: str) -> torch.Tensor:
        inputs = loaded.inputs(prompts, [[PICTURE]] * len(prompts))
        options = {"max_new_tokens": 2, "do_sample": False, "output_scores": True, "return_dict_in_generate": True}
        with torch.inference_mode(), himap.prune(loaded.model, CONFIG):
            return torch.stack([step[-1] for step in loaded.model.generate(**inputs, **options).scores])

    short, long = "No?", "What color is the large circle in the middle of the picture?"
    torch.testing.assert_close(scores(long, short), scores(short), rtol=0, atol=1e-3)


def test_with_torchvision_the_prompt_is_the_same(loaded: LoadedModel, folder: Path) -> None:
    if not import_utils.is_torchvision_available():
        pytest.skip("torchvision is not installed")
    assert type(load_processor(folder)).__name__ in ("LlavaProcessor", "Qwen2_5_VLProcessor")
    inputs = loaded.inputs(["Is it red?"], [[PICTURE]])
    assert int((inputs["input_ids"] == loaded.model.config.image_token_id).sum()) > 0


def test_from_the_hubs_name_to_a_pruned_answer(name: str, folder: Path, loaded: LoadedModel, tmp_path: Path) -> None:
    """`search.launch` on own questions, in the hub's cache without a network, then the preset in `generate`."""
    rows = []
    for i in range(4):
        Image.radial_gradient("L").resize((112 + 28 * i, 112)).convert("RGB").save(tmp_path / f"{i}.png")
        rows.append({"id": str(i), "image": f"{i}.png", "question": "Is it red?", "answer": "no"})
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    environment |= {"HF_HUB_CACHE": str(folder.parents[2]), "HF_HUB_OFFLINE": "1"}
    words = ["--model", name, "--weights", "full", "--data", "own.jsonl", "--metric", "exact_match"]

    command = [sys.executable, "-m", "search.launch", *words, "--workers", "1", "--budget", "3", "--no-certify"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "full weights: " in ran.stdout
    (preset,) = (tmp_path / "presets").iterdir()
    inputs = loaded.inputs(["Is it red?"], [[PICTURE]])
    with torch.inference_mode(), himap.prune(loaded.model, preset):
        output = loaded.model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert output.shape[1] > inputs["input_ids"].shape[1]
