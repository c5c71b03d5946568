"""The one loading path, on checkpoints with random weights and on the shipped ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration, Qwen2_5_VLForConditionalGeneration

from himap import PruningConfig
from minis import checkpoint
from minis.recipe.architecture import NAMES
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_image, embedded_questions
from objectives.errors import ModelLoadError
from objectives.evaluation import latency, models
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.models import LoadedModel, load, load_processor, weights_digest
from objectives.evaluation.prompt_check import PromptCheck

CLASSES = {"llava-mini": LlavaForConditionalGeneration, "qwenvl-mini": Qwen2_5_VLForConditionalGeneration}
MAX_BYTES = 8_000_000


def check_loaded(loaded: LoadedModel, name: str) -> None:
    """What is asked of a mini, whatever its weights."""
    assert type(loaded.model) is CLASSES[name]
    assert not loaded.model.training
    assert loaded.device == torch.device("cpu") and loaded.model.dtype == torch.float32
    assert loaded.model.config._attn_implementation == "sdpa"
    assert loaded.model.config.text_config.num_hidden_layers >= 8
    weights = loaded.model.get_input_embeddings().weight
    assert loaded.model.get_output_embeddings().weight is weights


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_loads_as_its_genuine_class(name: str, minis: dict[str, LoadedModel]) -> None:
    check_loaded(minis[name], name)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_small(name: str, folders: dict[str, Path]) -> None:
    assert sum(file.stat().st_size for file in folders[name].glob("*.safetensors")) <= MAX_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_mini_loads_and_answers(name: str) -> None:
    folder = checkpoint.path(name)
    if not folder.is_dir():
        pytest.skip(f"{name} is not in this checkout")
    loaded = load(folder, device="cpu")
    check_loaded(loaded, name)
    assert sum(file.stat().st_size for file in folder.rglob("*")) <= MAX_BYTES + 500_000
    pope = benchmark("pope")
    questions = embedded_questions(pope, "validation", 4)
    inputs = loaded.inputs([pope.prompt(q) for q in questions], [[embedded_image(q.image)] for q in questions])
    new = loaded.model.generate(**inputs, max_new_tokens=2)[:, inputs["input_ids"].shape[1] :]
    answers = loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
    assert {answer.strip() for answer in answers} <= {"yes", "no"}


def test_an_image_makes_at_least_144_tokens(mini: LoadedModel) -> None:
    questions = embedded_questions(benchmark("textvqa"), "validation", 30)
    counts = PromptCheck(mini.weights).image_tokens(questions)
    areas = [embedded_image(q.image).width * embedded_image(q.image).height for q in questions]
    if mini.weights.endswith("llava-mini"):
        assert set(counts) == {144}
    else:
        assert counts == [area // 64 for area in areas]
        assert set(counts) == {144, 180}


def test_image_token_counts_are_those_of_the_inputs(mini: LoadedModel) -> None:
    questions = embedded_questions(benchmark("vqav2"), "validation", 10)
    prompts = [benchmark("vqav2").prompt(q) for q in questions]
    inputs = mini.inputs(prompts, [[embedded_image(q.image)] for q in questions])
    placeholders = (inputs["input_ids"] == mini.model.config.image_token_id).sum(1).tolist()
    assert PromptCheck(mini.weights).image_tokens(questions) == placeholders


def test_inputs_are_padded_on_the_left(mini: LoadedModel) -> None:
    image = embedded_image("validation-0")
    inputs = mini.inputs(["What is the star?", "star"], [[image], [image]])
    long, short = inputs["attention_mask"].tolist()
    gap = len(short) - sum(short)
    assert all(long) and gap > 0
    assert short == [0] * gap + [1] * sum(short)
    pad = mini.processor.tokenizer.pad_token_id
    assert inputs["input_ids"][1, :gap].tolist() == [pad] * gap
    alone = mini.inputs(["star"], [[image]])
    assert inputs["input_ids"][1, gap:].tolist() == alone["input_ids"][0].tolist()


def test_the_turn_is_the_image_then_the_text_then_the_answers_place(mini: LoadedModel) -> None:
    inputs = mini.inputs(["What is the star?"], [[embedded_image("validation-0")]])
    ids, image = inputs["input_ids"][0], mini.model.config.image_token_id
    after = ids[int((ids == image).nonzero().max()) + 1 :]
    tokens = mini.processor.tokenizer.decode(after).split()
    first = tokens.index("What")
    assert tokens[first : first + 5] == ["What", "is", "the", "star", "?"]
    assert tokens[-1] in ("ASSISTANT:", "assistant")


def changed_copy(folder: Path, target: Path) -> Path:
    """The checkpoint with one number of one weight changed."""
    shutil.copytree(folder, target)
    (file,) = target.glob("*.safetensors")
    weights = load_file(file)
    key = sorted(weights)[0]
    weights[key].view(-1)[0] += 1.0
    save_file(weights, file, metadata={"format": "pt"})
    return target


def test_the_digest_names_the_weights(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders["llava-mini"]
    same = shutil.copytree(folder, tmp_path / "same")
    assert weights_digest(same) == weights_digest(folder) == load(same, device="cpu").digest
    assert weights_digest(changed_copy(folder, tmp_path / "changed")) != weights_digest(folder)
    assert weights_digest(folders["qwenvl-mini"]) != weights_digest(folder)


@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "config.json", "generation_config.json", "preprocessor_config.json"),
        *("processor_config.json", "video_preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"),
        *(
            "special_tokens_map.json",
            "merges.txt",
            "tokenizer.model",
            "tekken.json",
            "chat_template.jinja",
            "chat_template.json",
        ),
        *("adapter_config.json", "adapter_model.safetensors", "additional_chat_templates/tool_use.jinja"),
    ],
)
def test_the_digest_covers_what_changes_answers(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    (tmp_path / "config.json").write_text("{}")
    before = weights_digest(tmp_path)
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"lora_alpha": 16}')
    added = weights_digest(tmp_path)
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text('{"lora_alpha": 32}')
    os.utime(file, ns=times)  # as a copy that preserves times
    assert len({before, added, weights_digest(tmp_path)}) == 3


def test_the_digest_leaves_out_logs_and_our_own_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = weights_digest(tmp_path)
    for name in ("trainer_state.json", "results.json", "README.md", "himap.db", "tiny-pope.yaml", "mine.jsonl"):
        (tmp_path / name).write_text("x")
    (tmp_path / "presets").mkdir()
    assert weights_digest(tmp_path) == before


def test_the_digest_tells_names_from_contents(tmp_path: Path) -> None:
    for folder, name, text in (("a", "vocab1", "2"), ("b", "vocab", "12")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    assert weights_digest(tmp_path / "a") != weights_digest(tmp_path / "b")


@pytest.mark.parametrize(("bare", "what"), [(True, "without its model"), (False, "beside its model")])
def test_adapters_are_refused_in_one_line(folders: dict[str, Path], tmp_path: Path, bare: bool, what: str) -> None:
    folder = tmp_path / "adapter"
    if not bare:
        shutil.copytree(folders["llava-mini"], folder)
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 16}')
    save_file({"lora": torch.zeros(1)}, folder / "adapter_model.safetensors")
    for call in (load, resolve):
        with pytest.raises(
            ModelLoadError, match=f"holds an adapter {what} .adapter_config.json.; expected a whole"
        ) as caught:
            call(str(folder))
        assert "\n" not in str(caught.value)


def test_what_a_worker_does_reads_no_digest(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a search loads, evaluates and times; hashing a checkpoint of 15 GB takes longer than a trial."""
    digests: list[str] = []
    monkeypatch.setattr(models, "weights_digest", lambda source: digests.append(str(source)))
    loaded = load(folders["llava-mini"], device="cpu")
    pope = benchmark("pope")
    evaluator = Evaluator(loaded, pope, embedded_questions(pope, "validation", 4))
    evaluator.evaluate(PruningConfig.paper())
    latency.measure(evaluator, PruningConfig.paper())
    assert digests == []
    assert loaded.digest is None and digests == [str(folders["llava-mini"])]


def test_a_process_reads_unchanged_weights_once(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(folders["llava-mini"], tmp_path / "copy")
    first, opened = weights_digest(copy), Path.open

    def refused(*_: object) -> None:
        raise AssertionError("a weight file was read again")

    monkeypatch.setattr(Path, "open", refused)
    assert weights_digest(copy) == weights_digest(str(copy)) == first
    monkeypatch.setattr(Path, "open", opened)
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    assert weights_digest(copy) != first


def test_a_path_without_a_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    for place in (tmp_path / "nothing", tmp_path):
        with pytest.raises(ModelLoadError) as caught:
            load(place)
        message = str(caught.value)
        assert "\n" not in message
        assert str(place) in message and "expected a folder with a checkpoint" in message


def test_a_broken_configuration_is_one_clear_line(folders: dict[str, Path], tmp_path: Path) -> None:
    broken = shutil.copytree(folders["llava-mini"], tmp_path / "broken")
    (broken / "config.json").write_text("{")
    with pytest.raises(ModelLoadError) as caught:
        load(broken)
    assert "\n" not in str(caught.value)


def test_truncated_weights_are_one_clear_line(folders: dict[str, Path], tmp_path: Path) -> None:
    cut = shutil.copytree(folders["llava-mini"], tmp_path / "cut")
    (file,) = cut.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(ModelLoadError) as caught:
        load(cut)
    assert "\n" not in str(caught.value)


def test_the_processor_alone_reads_no_weights(folders: dict[str, Path], tmp_path: Path) -> None:
    bare = shutil.copytree(folders["qwenvl-mini"], tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    assert load_processor(bare).tokenizer.padding_side == "left"


def test_a_model_runs_on_no_more_threads_than_there_are_cores(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    try:
        for threads, cores, expected in ((4, 2, 2), (1, 2, 1)):
            torch.set_num_threads(threads)
            monkeypatch.setattr(models, "available_cores", lambda cores=cores: cores)
            load(folders["llava-mini"], device="cpu")
            assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
