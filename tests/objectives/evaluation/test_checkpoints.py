"""Which weights a model's name means here, and one clear line when it means none."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from objectives.errors import ModelLoadError
from objectives.evaluation import checkpoints
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.known_models import Known


@pytest.fixture(scope="module")
def tiny(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small LLaVA checkpoint."""
    return shutil.copytree(folders["llava-mini"], tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def embedded(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny checkpoint in place of the embedded minis, and no way to the network."""
    monkeypatch.setattr(Known, "folder", tiny)

    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network in tests")

    monkeypatch.setattr(checkpoints.HfApi, "model_info", unreachable)
    return tiny


def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str]) -> None:
    """Makes the hub's cache hold exactly these files of every model."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def lookup(repository: str, name: str) -> str | None:
        return str(tmp_path / name) if name in files else None

    monkeypatch.setattr(checkpoints, "try_to_load_from_cache", lookup)


INDEX = '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'


def test_auto_takes_the_mini_and_says_why(embedded: Path) -> None:
    target = resolve("qwenvl", "auto")
    assert (target.kind, target.weights, target.name) == ("embedded mini", str(embedded), "qwenvl")
    assert "Qwen/Qwen2.5-VL-7B-Instruct is not used because its weights are not on this machine" in target.why
    assert resolve("qwenvl", "mini").digest == target.digest


def test_full_weights_without_a_gpu_are_not_taken_by_themselves(
    embedded: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache(monkeypatch, tmp_path, {"model.safetensors": ""})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "because there is no GPU" in resolve("llava-7b", "auto").why


@pytest.mark.parametrize(
    ("files", "here"),
    [
        ({}, False),
        ({"config.json": "{}"}, False),
        ({"model.safetensors": ""}, True),
        ({"model.safetensors.index.json": INDEX, "model-1.safetensors": ""}, False),
        ({"model.safetensors.index.json": INDEX, "model-1.safetensors": "", "model-2.safetensors": ""}, True),
    ],
)
def test_weights_are_here_only_when_every_file_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], here: bool
) -> None:
    cache(monkeypatch, tmp_path, files)
    assert checkpoints._cached("any/model") == here


def test_a_folder_is_called_by_its_name_and_its_digest_follows_the_weights(tiny: Path, tmp_path: Path) -> None:
    target = resolve(str(tiny), "auto")
    assert (target.name, target.weights, target.why) == ("tiny", str(tiny), "")
    assert target.shape.layers == 12
    copy = shutil.copytree(tiny, tmp_path / "tiny")
    assert resolve(str(copy), "auto").digest == target.digest
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert resolve(str(copy), "auto").digest != target.digest


def test_a_known_name_with_weights_from_elsewhere(tiny: Path) -> None:
    target = resolve("llava-13b", str(tiny))
    assert (target.name, target.weights, target.fastv_k) == ("llava-13b", str(tiny), 3)


@pytest.mark.parametrize(
    ("model", "weights", "message"),
    [
        ("qwen-vl", "auto", "unknown model 'qwen-vl'; expected one of qwenvl, llava-7b, llava-13b, a check"),
        ("qwenvl", "nowhere", "unknown model 'nowhere'"),
        ("/no/such/folder", "auto", "unknown model '/no/such/folder'"),
        ("some/model", "mini", "--weights mini goes with --model qwenvl, llava-7b, llava-13b; for 'some/mo"),
        ("some/model", "auto", "no vision-language checkpoint at 'some/model' (no network in tests); exp"),
        ("qwenvl", "full", "no vision-language checkpoint at 'Qwen/Qwen2.5-VL-7B-Instruct' (no network"),
    ],
)
def test_what_is_not_there_is_one_line_at_once(embedded: Path, model: str, weights: str, message: str) -> None:
    start = time.monotonic()
    with pytest.raises(ModelLoadError) as caught:
        resolve(model, weights)
    assert time.monotonic() - start < 1
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="no vision-language checkpoint at"):
        resolve(str(tmp_path), "auto")
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(ModelLoadError, match="holds BertModel; expected a class that himap"):
        resolve(str(tmp_path), "auto")


def test_a_folder_is_called_by_its_name_however_it_is_given(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny, tmp_path / "模型甲" / "checkpoint-500")
    monkeypatch.chdir(folder)
    given = (".", "./", "../checkpoint-500", str(folder), f"{folder}/")
    assert {resolve(name).name for name in given} == {"checkpoint-500"}
    monkeypatch.chdir(folder.parent.parent)
    shutil.copytree(tiny, tmp_path / "模型乙")
    assert resolve("模型乙").name == "模型乙"


def test_edited_settings_of_the_processor_are_other_weights(tiny: Path, tmp_path: Path) -> None:
    """A search of them begins another study, and verify names both digests."""
    folder = shutil.copytree(tiny, tmp_path / "checkpoint-500")
    before = resolve(str(folder)).digest
    settings = folder / "preprocessor_config.json"
    settings.write_text(settings.read_text() + "\n")
    assert resolve(str(folder)).digest != before
