"""Presets: the document of the schema, the text, and the file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from himap import PruningConfig
from storage.confirmation import Confirmation
from storage.errors import RecordError
from storage.pareto import WITHIN_MARGINS, OperatingPoint
from storage.presets import HeldOut, preset_filename, preset_of, preset_path
from storage.records import QuestionSource, StudyKey, Trial
from tests.storage.made_confirmation import FULL

MakeTrial = Callable[..., Trial]
TWO_POINTS = WITHIN_MARGINS[2]
JOINT = OperatingPoint("joint", "joint")


def preset_text(key: StudyKey, trial: Trial, *args: Any, **more: Any) -> str:
    return preset_of(key, trial, *args, **more).yaml()


def document_of(key: StudyKey, trial: Trial, *args: Any, **more: Any) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(preset_text(key, trial, *args, **more))
    return document


def test_presets_of_other_weights_or_another_dtype_get_files_of_their_own(
    key: StudyKey, make_trial: MakeTrial, tmp_path: Path
) -> None:
    names = []
    for study in (key, replace(key, dtype="float16"), replace(key, weights_digest="f" * 16), replace(key, seed=9)):
        names.append(preset_of(study, make_trial(1)).write(preset_path(tmp_path, study, study.questions)).name)
    usual = "qwenvl-mini-pope"
    assert names == [f"{usual}.yaml", f"{usual}-float16.yaml", f"{usual}-ffffffffffff.yaml", f"{usual}.yaml"]


def test_an_estimate(key: StudyKey, make_trial: MakeTrial) -> None:
    document = document_of(key, make_trial(17))
    assert document == {
        "schema": 1,
        "kind": "himap-preset",
        "configuration": {
            "k1": 2,
            "r1": 50.0,
            "k2": 8,
            "r2": 75.0,
            "phi_shallow": "last_token",
            "phi_deep": "instruction",
            "seed": 2**40 + 17,
        },
        "model": {
            "name": "qwenvl-mini",
            "family": None,
            "layers": None,
            "weights_digest": "0123456789abcdef",
            "dtype": "auto",
        },
        "certificate": {
            "operating_point": "member of the front",
            "margin_points": 1.0,
            "certified": False,
            "verdict": "not certified: an estimate on validation questions, not certified on held-out ones; "
            "python -m search.export --model qwenvl-mini --benchmark pope certifies it",
        },
        "measured": [
            {
                "benchmark": "pope",
                "split": "validation",
                "n": 500,
                "accuracy": 0.861,
                "accuracy_low": 0.827,
                "accuracy_high": 0.889,
                "dense_accuracy": None,
                "difference": None,
                "difference_low": None,
                "difference_high": None,
                "paper_flops": 2.5e9,
                "flops": 7.123456789e9,
                "flops_ratio": 0.247,
                "image_tokens": 144.5,
                "tokens_after_k1": 72.25,
                "tokens_after_k2": 18.0,
                "text_tokens": 31.75,
                "speed": [],
            }
        ],
        "provenance": {
            "study": "qwenvl-mini/pope/validation-500/seed-0/himap-1/0123456789ab",
            "trial": 17,
            "seed": 0,
            "device": "cpu, 2 cores",
            "commit": "abc1234",
            "versions": {"torch": "2.13.0", "transformers": "5.23.0"},
            "date": "2026-03-04T05:06:07+00:00",
        },
    }


def test_questions_that_are_not_embedded_are_named_with_the_command_that_confirms(
    key: StudyKey, make_trial: MakeTrial
) -> None:
    own = replace(key, benchmark="mine-anls", source="12345678")
    sources = {own.questions: QuestionSource("mine.jsonl", data="mine.jsonl", metric="anls")}
    document = document_of(own, make_trial(17), sources=sources)
    assert document["measured"][0]["questions"] == "--data mine.jsonl --metric anls"
    assert (document["measured"][0]["benchmark"], document["measured"][0]["source"]) == ("mine-anls", "12345678")
    command = "python -m search.export --model qwenvl-mini --data mine.jsonl --metric anls certifies it"
    assert document["certificate"]["verdict"].endswith(command)
    held_out = HeldOut(TWO_POINTS, {own.questions: Confirmation(**FULL)})
    document = document_of(own, make_trial(17), held_out, sources)
    assert document["measured"][0]["questions"] == "--data mine.jsonl --metric anls"


def test_a_certificate_brings_the_held_out_numbers(key: StudyKey, make_trial: MakeTrial) -> None:
    confirmation = Confirmation(**{**FULL, "commit": "fff", "device": "a gpu"})
    held_out = HeldOut(TWO_POINTS, {"pope": confirmation})
    document = document_of(
        key,
        make_trial(17, accuracy_high=1.0, accuracy=0.99),
        held_out,
        family="LlavaForConditionalGeneration",
        layers=12,
    )
    assert document["certificate"] == {
        "operating_point": "cheapest within 2 points of dense",
        "margin_points": 2.0,
        "certified": True,
        "verdict": "certified within 2 points",
    }
    (measured,) = document["measured"]
    speed = measured.pop("speed")
    assert measured == {"benchmark": "pope", **{name: FULL[name] for name in measured if name != "benchmark"}}
    assert speed == [timing.model_dump(mode="json") for timing in FULL["timings"]]
    assert document["model"]["family"] == "LlavaForConditionalGeneration"
    assert document["model"]["layers"] == 12
    where = document["provenance"]
    assert (where["commit"], where["device"], where["trial"]) == ("fff", "a gpu", 17)


def test_a_certificate_for_several_benchmarks_holds_if_it_holds_on_each() -> None:
    good = Confirmation(**FULL)
    bad = Confirmation(**{**FULL, "difference": -0.03, "difference_low": -0.05, "difference_high": -0.01, "bound": 1.0})
    assert HeldOut(JOINT, {"pope": good}).verdict == "certified within 1 point"
    both = HeldOut(JOINT, {"pope": good, "mme": good})
    assert (both.certified, both.verdict) == (True, "certified within 1 point on each of 2 benchmarks")
    broken = HeldOut(JOINT, {"pope": good, "mme": bad})
    assert not broken.certified
    assert broken.verdict == ("not certified: on mme -3.0 points against dense, 95 % interval -5.0 to -1.0, n = 499")


def test_the_text_reads_back_as_the_document(key: StudyKey, make_trial: MakeTrial) -> None:
    odd = "cpu: #1 \n !!python/object/apply:os.system ['x'] 'quoted' ✂"
    trial = make_trial(17, device=odd, flops=7.6e12, text_tokens=1e-7, versions={"torch": "2.10"})
    text = preset_text(replace(key, seed=7, model="Qwen/Qwen2.5-VL: 7B"), trial)
    document = yaml.safe_load(text)
    assert document == document_of(replace(key, seed=7, model="Qwen/Qwen2.5-VL: 7B"), trial)
    assert document["provenance"]["device"] == odd
    assert document["provenance"]["versions"] == {"torch": "2.10"}
    assert text.startswith("# ")
    assert list(document) == ["schema", "kind", "configuration", "model", "certificate", "measured", "provenance"]


def test_numbers_of_numpy_are_plain_and_what_was_not_measured_is_null(key: StudyKey, make_trial: MakeTrial) -> None:
    trial = make_trial(1, flops=np.float32(25), n=np.int64(500), text_tokens=math.nan)
    document = yaml.safe_load(preset_text(key, trial))
    assert document["measured"][0]["n"] == 500
    assert document["measured"][0]["flops"] == 25.0
    assert document["measured"][0]["text_tokens"] is None


def test_a_failed_trial_is_no_preset(key: StudyKey) -> None:
    failed = Trial(4, "failed", "sampler", PruningConfig(2, 50, 8, 75), reason="out of memory")
    with pytest.raises(RecordError, match=r"trial 4 .* is failed \(out of memory\); choose a completed trial"):
        preset_of(key, failed)


def test_file_names_cannot_leave_their_folder() -> None:
    assert preset_filename("qwenvl-mini", "pope") == "qwenvl-mini-pope.yaml"
    assert preset_filename("qwenvl-mini", "pope", "within-0.5") == "qwenvl-mini-pope-within-0.5.yaml"
    assert preset_filename("qwenvl-mini", "mine-anls@1234") == "qwenvl-mini-mine-anls-1234.yaml"
    assert preset_filename("../../etc/passwd", "a b\n") == "etc-passwd-a-b.yaml"
    assert preset_filename("..", "//") == "preset.yaml"
    assert preset_filename("模型甲", "pope") == "模型甲-pope.yaml"
    long = {preset_filename("甲" * 85, name) for name in ("pope", "mme")}
    assert len(long) == 2 and max(len(name.encode()) for name in long) <= 200


def test_a_file_is_replaced_whole_or_not_at_all(
    key: StudyKey, make_trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = preset_of(key, make_trial(1)).write(tmp_path / "presets" / "a.yaml")
    first = path.read_text(encoding="utf-8")
    assert first == preset_text(key, make_trial(1))
    assert path.stat().st_mode & 0o777 == 0o644

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("himap.files.os.fsync", full)
        preset_of(key, make_trial(2)).write(path)
    assert path.read_text(encoding="utf-8") == first
    with path.open(encoding="utf-8") as reader:  # whoever has the old file open still reads all of it
        preset_of(key, make_trial(3)).write(path)
        assert reader.read() == first
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["provenance"]["trial"] == 3
    assert os.listdir(path.parent) == ["a.yaml"]
