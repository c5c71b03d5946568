"""Labels of published files that are no labels are refused with the file, the line or record, and the reason."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from objectives.benchmarks import benchmark
from objectives.data.source import official_questions
from objectives.errors import DataError

POPE = {"question_id": 1, "image": "a.jpg", "text": "Is there a cat?", "label": "yes"}
TEXTVQA = {"question_id": 1, "image_id": "a", "question": "What?", "answers": ["stop"] * 10}
VQAV2 = {"question_id": 1, "image_id": 2, "answers": [{"answer": "red"}] * 10}
AOKVQA = {"question_id": "q", "image_id": 2, "question": "What?", "choices": ["a", "b"], "correct_choice_idx": 1}
SCIENCEQA = {"question": "What?", "choices": ["a", "b"], "answer": 1, "split": "test"}
FLICKR = {"filename": "a.jpg", "split": "test", "sentences": [{"raw": "a dog"}]}
NO_TEXTS = (None, math.nan, 1, True, ["red"])


def ten(value: Any) -> list[Any]:
    return ["red"] * 9 + [value]


def refusal(name: str, path: Path, content: str | Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError) as raised:
        benchmark(name).official(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("label", "named"), [(None, "null"), (math.nan, "NaN"), (1, "1"), (True, "true"), ("maybe", "'maybe'"), ("", "''")]
)
def test_pope_labels(tmp_path: Path, label: Any, named: str) -> None:
    lines = "\n".join(json.dumps(row) for row in (POPE, POPE, POPE | {"label": label}))
    message = refusal("pope", tmp_path / "coco_pope_random.json", lines)
    assert "line 3" in message and f"got label {named}; expected yes or no" in message


@pytest.mark.parametrize("answer", [None, math.nan, 1])
def test_pope_answers_of_the_hub(answer: Any) -> None:
    with pytest.raises(DataError, match="expected yes or no"):
        benchmark("pope").row({"question": "Is there a cat?", "answer": answer}, 0)


@pytest.mark.parametrize("value", NO_TEXTS)
def test_answers_of_annotators(tmp_path: Path, value: Any) -> None:
    textvqa = {"data": [TEXTVQA, TEXTVQA | {"answers": ten(value)}]}
    assert "record 2" in refusal("textvqa", tmp_path / "TextVQA_0.5.1_val.json", textvqa)
    vqav2 = {"annotations": [VQAV2, VQAV2 | {"answers": [{"answer": one} for one in ten(value)]}]}
    assert "record 2" in refusal("vqav2", tmp_path / "v2_mscoco_val2014_annotations.json", vqav2)
    direct = [AOKVQA | {"direct_answers": ten(value)}]
    assert "expected text" in refusal("aokvqa-direct", tmp_path / "aokvqa_v1p0_val.json", direct)
    flickr = {"images": [FLICKR | {"sentences": [{"raw": value}]}]}
    assert "expected text" in refusal("flickr30k", tmp_path / "dataset_flickr30k.json", flickr)
    coco = {"annotations": [{"image_id": 1, "caption": "a dog"}, {"image_id": 1, "caption": value}]}
    assert "expected text" in refusal("nocaps", tmp_path / "nocaps_val_4500_captions.json", coco)


def test_answers_that_are_no_list(tmp_path: Path) -> None:
    for answers in ("stop", None, [], math.nan):
        message = refusal("textvqa", tmp_path / "TextVQA_0.5.1_val.json", {"data": [TEXTVQA | {"answers": answers}]})
        assert "expected a list of texts" in message


@pytest.mark.parametrize("index", [None, math.nan, True, 2, -1, "B", 0.5])
def test_indices_of_the_right_option(tmp_path: Path, index: Any) -> None:
    message = refusal("aokvqa", tmp_path / "aokvqa_v1p0_val.json", [AOKVQA, AOKVQA | {"correct_choice_idx": index}])
    assert "record 2" in message and "expected an index from 0 to 1" in message
    message = refusal("scienceqa", tmp_path / "problems.json", {"1": SCIENCEQA, "2": SCIENCEQA | {"answer": index}})
    assert "record 2" in message and "expected an index from 0 to 1" in message


def test_mme_labels(tmp_path: Path) -> None:
    content = "a.jpg\tIs it red?\tYes\na.jpg\tIs it blue?\tnan\n"
    message = refusal("mme", tmp_path / "color.txt", content)
    assert "line 2" in message and "got label 'nan'; expected yes or no" in message
    with pytest.raises(DataError, match="expected yes or no"):
        benchmark("mme").row({"question_id": "color/a.png", "question": "Is it red?", "answer": None}, 0)


@pytest.mark.parametrize("text", [None, math.nan, 5, ["What?"]])
def test_questions_that_are_no_text(tmp_path: Path, text: Any) -> None:
    """ "None" or "nan" would be asked as if it were a question."""
    bad = {"question": text}
    files = {
        "pope": ("coco_pope_random.json", json.dumps(POPE | {"text": text})),
        "textvqa": ("TextVQA_0.5.1_val.json", {"data": [TEXTVQA | bad]}),
        "vqav2": ("v2_mscoco_val2014_annotations.json", {"annotations": [VQAV2 | bad]}),
        "aokvqa": ("aokvqa_v1p0_val.json", [AOKVQA | bad]),
        "scienceqa": ("problems.json", {"1": SCIENCEQA | bad}),
    }
    for name, (file, content) in files.items():
        assert "expected text" in refusal(name, tmp_path / file, content)
    assert "expected text" in refusal("scienceqa", tmp_path / "problems.json", {"1": SCIENCEQA | {"hint": math.nan}})
    with pytest.raises(DataError, match=r"got question .*; expected text"):
        benchmark("mme").row({"question_id": "color/a.png", "question": text, "answer": "yes"}, 0)


@pytest.mark.parametrize("value", ["no list", "[" * 5_000, "f('x')", ""])
def test_a_string_that_is_no_list_of_answers_is_refused(tmp_path: Path, value: str) -> None:
    row = {**AOKVQA, "direct_answers": value}
    assert "expected a list of texts" in refusal("aokvqa-direct", tmp_path / "aokvqa_v1p0_val.json", [row])


def test_a_number_that_is_none_is_no_form_of_these_files(tmp_path: Path) -> None:
    rows = [{**AOKVQA, "image_id": math.inf}]
    (tmp_path / "aokvqa_v1p0_val.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match="is not in the form of A-OKVQA's official files"):
        official_questions(benchmark("aokvqa"), tmp_path)


def test_a_file_that_is_a_list_where_an_object_is_expected_says_so_shortly(tmp_path: Path) -> None:
    message = refusal("textvqa", tmp_path / "TextVQA_0.5.1_val.json", [TEXTVQA] * 50)
    assert message.endswith("; expected an object with 'data'")
    assert len(message) < 300
