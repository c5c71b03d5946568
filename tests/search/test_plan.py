"""A plan says what a search would do, from the questions and the store alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from himap import PruningConfig
from search import plan
from storage import StudyKey, Trial, open_store


def planned(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, object]:
    assert plan.main(["--model", "qwenvl", "--budget", "40", *options, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_bad_rows_are_listed_and_small_sets_said_not_to_certify(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for i in range(10):
        Image.new("RGB", (32, 32), (20 * i, 0, 0)).save(tmp_path / f"{i}.png")
        rows.append({"id": i, "image": f"{i}.png", "question": "What color?", "answer": "red"})
    rows[3]["image"] = "none.png"
    data = tmp_path / "q.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    options = ["--data", str(data), "--metric", "exact_match", "--storage", f"sqlite:///{tmp_path}/none.db"]
    result = planned(capsys, *options)
    (bad,) = result["bad"]
    (study,) = result["studies"]
    assert (bad["line"], bad["word"]) == (4, "line") and "none.png" in bad["problem"]
    assert study["certifiable"] is None and "at least 20" in study["reason"]
    assert result["answers"] == 40 * study["questions"] and result["hours"] is None
    assert not (tmp_path / "none.db").exists()
    rows = [{**row, "image": "none.png"} for row in rows]
    data.write_text("\n".join(map(json.dumps, rows)))
    result = planned(capsys, *options)
    assert (len(result["bad"]), result["studies"]) == (10, [])


def test_hours_follow_from_the_last_trials_on_this_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/h.db"
    options = ["--benchmark", "pope", "--workers", "1", "--no-certify", "--storage", url]
    first = planned(capsys, *options)
    device = first["where"].removeprefix("this machine: ")
    with open_store(url) as store:
        study = store.study(StudyKey("qwenvl", "1a" * 32, "pope", "validation", 120, 0, "two-cuts-2"))
        known = {"state": "complete", "origin": "sampler", "config": PruningConfig.dense(), "accuracy": 0.5, "n": 100}
        store.add(study, Trial(number=0, seconds=50.0, device=f"{device}, 4 thread(s)", **known))
        store.add(study, Trial(number=1, seconds=9_999.0, device="another", **known))
    result = planned(capsys, *options)
    assert first["hours"] is None
    assert result["hours"] == pytest.approx(40 * 120 * 0.5 / 3600)
    assert plan.main(["--model", "qwenvl", "--budget", "40", *options]) == 0
    assert "time       about 0.67 hours" in capsys.readouterr().out
