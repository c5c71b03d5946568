"""Questions that a model cannot take: one line each, before its weights are loaded, and a way around them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from himap import PruningConfig
from minis import checkpoint
from objectives import accuracy, questions
from objectives.benchmarks import Question, benchmark
from objectives.benchmarks.custom import OwnBenchmark, metric
from objectives.data.own_file import BadRowsError
from objectives.data.source import QuestionSet, Source, load_questions
from objectives.errors import DataError
from objectives.evaluation import prompt_check
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prompt_check import PromptCheck

OWN = OwnBenchmark("mine", "Mine", metric("exact_match"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with images, ordinary and odd ones, of this and other sizes."""
    monkeypatch.chdir(tmp_path)
    for width, height in [(96, 96), (1, 1), (2000, 5), (64, 80), (3, 40)]:
        Image.new("RGB", (width, height), (200, 30, 90)).save(f"{width}x{height}.png")
    return tmp_path


def asked(folder: Path, text: str = "What is it?", *images: str) -> Question:
    paths = [str(folder / image) for image in images or ("96x96.png",)]
    return Question("7", paths[0], text, ("red",), more_images=tuple(paths[1:]))


@pytest.mark.parametrize("text", ["What is it?", "Is 1 < 2 > 0?", "A <b>bold</b> word?", "image", "<image", "| pad |"])
def test_ordinary_texts_are_taken(mini: LoadedModel, folder: Path, text: str) -> None:
    assert PromptCheck(mini.weights).problem(OWN, asked(folder, text)) == ""


@pytest.mark.parametrize("held", ["<image>", "<|image_pad|>", "<|im_end|>", "</s>"])
@pytest.mark.parametrize("where", ["text", "choices"])
def test_placeholders_are_named(mini: LoadedModel, folder: Path, held: str, where: str) -> None:
    question = asked(folder, f"{held}\nWhat is it?") if where == "text" else asked(folder)
    question = question if where == "text" else replace(question, choices=("red", f"the {held}"))
    problem = PromptCheck(mini.weights).problem(OWN, question)
    assert problem.startswith(f"question '7' holds {held!r}, which the model reads as a placeholder")
    assert "\n" not in problem


def test_placeholders_of_a_processor_count_too(mini: LoadedModel, folder: Path) -> None:
    check = PromptCheck(mini.weights)
    tokenizer = SimpleNamespace(added_tokens_decoder={})
    check.__dict__["_processor"] = SimpleNamespace(tokenizer=tokenizer, fake_image_token="<fake>", image_token_id=3)
    assert "'<fake>'" in check.problem(OWN, asked(folder, "a <fake> image"))


def test_images_that_the_processor_refuses(mini: LoadedModel, folder: Path) -> None:
    check = PromptCheck(mini.weights)
    question = asked(folder, "What is it?", "96x96.png", "2000x5.png")
    if "llava" in mini.weights:
        assert check.problem(OWN, question) == ""
    else:
        assert check.problem(OWN, question) == (
            f"the model cannot take {question.images[0]} and {question.images[1]} of question '7' "
            "(absolute aspect ratio must be smaller than 200, got 400.0); make other images of it"
        )
    assert check.problem(OWN, replace(question, image="", more_images=())).startswith("question '7' has no image")
    for size in ("1x1.png", "3x40.png"):  # the axes of these could be taken for channels
        assert check.problem(OWN, asked(folder, "?", size)) == ""
        Evaluator(mini, OWN, [asked(folder, "?", size), asked(folder)]).evaluate(PruningConfig.dense())


def test_long_prompts_name_their_tokens(mini: LoadedModel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = PromptCheck(mini.weights)
    assert check.problem(OWN, asked(folder, "red " * 1500)) == ""
    problem = check.problem(OWN, asked(folder, "red " * 2500))
    assert problem.startswith("question '7' makes 2,6") and problem.endswith("the model takes at most 2,032")
    assert "0 of them of images" in check.problem(OWN, asked(folder, "?", *["96x96.png"] * 20))
    monkeypatch.setattr(prompt_check, "MOST_TOKENS", 120)
    assert check.problem(OWN, asked(folder)).endswith("the model takes at most 104")


ROWS = [
    {"id": "a", "image": "96x96.png", "question": "What color is it?", "answer": "red"},
    {"id": "b", "image": "2000x5.png", "question": "What color is it?", "answer": "red"},
    {"id": "c", "image": "1x1.png", "question": "What color is it?", "answer": "red"},
    {"id": "d", "image": "64x80.png", "question": "<image>\nWhat color is it?", "answer": "red"},
    {"id": "e", "image": "64x80.png", "question": "red " * 3000, "answer": "red"},
    {"id": "f", "image": "64x80.png", "question": "What color is the star?", "answer": "red"},
]


def test_accuracy_refuses_or_leaves_out_and_records(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    command = ["--model", "qwenvl", "--weights", "mini", "--data", "mine.jsonl", "--metric", "exact_match", "--json"]
    assert accuracy.main(command) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: 3 of 6 rows of mine.jsonl cannot be used")
    assert [line.split(":")[0] for line in err.splitlines()[1:]] == ["  line 2", "  line 4", "  line 5"]
    assert accuracy.main([*command, "--on-bad", "skip"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 3 and [row["line"] for row in result["skipped"]] == [2, 4, 5]
    assert "'<image>'" in result["skipped"][1]["problem"]


def test_the_same_questions_are_found_without_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the rows that were left out, as a store records them."""
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    source = Source(data=Path("mine.jsonl"), metric="exact_match", skip_bad=True)
    loaded = load_questions(source, "all", None, PromptCheck(checkpoint.path("qwenvl-mini")).problem)
    again = load_questions(replace(source, left_out=frozenset(bad.line for bad in loaded.skipped)), "all", None)
    assert (again.key, again.questions, again.skipped) == (loaded.key, loaded.questions, ())
    for split in ("validation", "test"):
        ids = {q.id for q in loaded.questions}
        count = loaded.sizes[split]
        if not count:
            continue
        command = ["--data", "mine.jsonl", "--metric", "exact_match", "--split", split, "--questions", "9"]
        command += ["--key", loaded.key, "--numbers", "0"]
        assert questions.main([*command, "--leave-out", "2", "4", "5"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["id"] in ids
        assert questions.main(command) == 2
        assert "put the files back" in capsys.readouterr().err


def test_official_questions_are_left_out_by_groups(folder: Path) -> None:
    """Of POPE's pairs; the others keep their order, so that more questions begin with fewer."""
    labels = [
        {"question_id": i, "image": f"{i // 2}.png", "text": f"Is there a {i % 2}?", "label": ("yes", "no")[i % 2]}
        for i in range(60)
    ]
    Path("coco_pope_random.json").write_text("\n".join(map(json.dumps, labels)))
    for i in range(30):
        Image.new("RGB", (96, 96), (5 * i, 0, 0)).save(f"{i}.png")
    source = Source("pope", data_root=folder)
    every = load_questions(source, "validation", None).questions
    refused = {every[2].id, every[7].id}

    def problem(_: Any, question: Question) -> str:
        return "too odd" if question.id in refused else ""

    with pytest.raises(BadRowsError, match=r"leave them out with --on-bad skip:\n  question \d+: too odd"):
        load_questions(source, "validation", 10, problem)
    skipping = replace(source, skip_bad=True)
    many, few = (load_questions(skipping, "validation", n, problem) for n in (16, 10))
    assert [q.id for q in many.questions] == [q.id for i, q in enumerate(every) if i not in (2, 3, 6, 7)][:16]
    assert few.questions == many.questions[:10] and few.key == many.key
    assert {bad.word for bad in few.skipped} == {"question"}
    left_out = frozenset(bad.line for bad in few.skipped)
    assert load_questions(replace(source, left_out=left_out), "validation", 10).questions == few.questions


def test_official_questions_with_rows_left_out_are_other_questions(mini: LoadedModel, folder: Path) -> None:
    """Also where one image is put right or back, and whatever split and number are asked for."""
    labels = [{"question_id": i, "image": f"{i}.png", "text": "A cat?", "label": "yes"} for i in range(24)]
    Path("coco_pope_random.json").write_text("\n".join(map(json.dumps, labels)))
    for i in range(24):
        Image.new("RGB", (96, 96), (5 * i, 0, 0)).save(f"{i}.png")
    source = Source("pope", data_root=folder, skip_bad=True)

    def loaded(split: str = "all", n: int | None = 4) -> QuestionSet:
        return load_questions(source, split, n, PromptCheck(mini.weights).problem)

    whole = loaded()
    assert whole.key == load_questions(replace(source, skip_bad=False), "all", 4).key and not whole.skipped
    Image.new("RGB", (2000, 5)).save("7.png") if "qwen" in mini.weights else Path("7.png").write_text("no image")
    keys = {loaded(split, n).key for split in ("validation", "test", "all") for n in (2, 5, None)}
    assert len(keys) == 1 and keys != {whole.key}
    assert [bad.line for bad in loaded().skipped] == [8]
    assert loaded().key == load_questions(replace(source, left_out=frozenset({8})), "all", 4).key
    assert sum(loaded().sizes.values()) == 23
    Path("7.png").unlink()
    assert loaded().key in keys and "there is no image" in loaded().skipped[0].problem
    Image.new("RGB", (96, 96)).save("7.png")
    assert loaded().key == whole.key
    labels[3]["question_id"] = 1
    Path("coco_pope_random.json").write_text("\n".join(map(json.dumps, labels)))
    with pytest.raises(DataError, match="id 'random-1' was there before"):
        loaded()


def test_embedded_questions_are_taken(mini: LoadedModel) -> None:
    check = PromptCheck(mini.weights)
    for name in ("pope", "scienceqa", "textvqa", "mme"):
        loaded = load_questions(Source(name), "validation", 12)
        assert [check.problem(benchmark(name), q) for q in loaded.questions] == [""] * len(loaded.questions)


def test_sizes_are_those_that_an_evaluation_counts(mini: LoadedModel, folder: Path) -> None:
    check = PromptCheck(mini.weights)
    asks = [asked(folder), asked(folder, "Is the red thing left?", "64x80.png", "96x96.png"), asked(folder, "?")]
    sizes = [check.size(OWN, question) for question in asks]
    image, text = Evaluator(mini, OWN, asks).tokens()
    assert [size.image for size in sizes] == list(image) and [size.text for size in sizes] == list(text)
    patch = mini.model.config.vision_config.patch_size
    for size, question in zip(sizes, asks, strict=True):
        pixels = mini.inputs(["?"], [[Image.open(path).convert("RGB") for path in question.images]])["pixel_values"]
        assert size.pixels == pixels.numel()
        copies = getattr(mini.model.config.vision_config, "temporal_patch_size", 1)
        assert size.patches == pixels.numel() // (3 * copies * patch**2)
