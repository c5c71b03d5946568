"""Answers that are missing, or no text, in files of answers made elsewhere."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from objectives import score


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert score.main([str(a) for a in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    return printed.err


@pytest.fixture
def mme(tmp_path: Path) -> Path:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "color.txt").write_text("1.jpg\tIs it red?\tYes\n1.jpg\tIs it blue?\tNo\n")
    return tmp_path / "truth"


@pytest.mark.parametrize("missing", [None, math.nan, []])
def test_a_missing_answer_is_no_text(
    tmp_path: Path, mme: Path, capsys: pytest.CaptureFixture[str], missing: Any
) -> None:
    """It counts as unanswered; POPE's rule would read "nan" or nothing as yes."""
    rows = [{"question_id": "color/1.png", "prompt": f"Is it {c}?", "text": "yes"} for c in ("red", "blue")]
    rows[1]["text"] = missing
    command = ["--benchmark", "mme", "--answers", str(lines(tmp_path / "a.jsonl", rows)), "--truth", str(mme)]
    assert score.main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n"], result["unanswered"], result["unmatched"]) == (2, 1, 0)
    labels = [{"question_id": i, "image": f"{i}.png", "text": "A cat?", "label": "no"} for i in range(2)]
    truth = lines(tmp_path / "coco_pope_random.json", labels)
    answers = lines(tmp_path / "p.jsonl", [{"question_id": 0, "text": "No"}, {"question_id": 1, "text": missing}])
    pope = ["--benchmark", "pope", "--truth", truth, "--answers"]
    assert "answers 1 of 2 questions" in refusal(capsys, *pope, answers)
    none = lines(tmp_path / "n.jsonl", [{"question_id": 0, "text": missing}])
    assert "holds no answers" in refusal(capsys, *pope, none)


@pytest.mark.parametrize(("answer", "named"), [(True, "true"), (False, "false"), ({"a": 1}, "{'a': 1}")])
def test_an_answer_that_is_no_text(
    tmp_path: Path, mme: Path, capsys: pytest.CaptureFixture[str], answer: Any, named: str
) -> None:
    path = lines(tmp_path / "a.jsonl", [{"question_id": "1", "text": "yes"}, {"question_id": "1", "text": answer}])
    message = refusal(capsys, "--benchmark", "mme", "--answers", path, "--truth", mme)
    assert message == f"error: {path} answer 2 is {named}; expected text\n"
