"""Presets: the document of the schema, the text, and the file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from storage import presets
from storage.errors import RecordError
from storage.presets import preset_document, preset_filename, preset_yaml, write_preset
from storage.records import StudyKey, Trial

MakeTrial = Callable[..., Trial]


def test_the_document_of_schema_1(key: StudyKey, make_trial: MakeTrial) -> None:
    document = preset_document(key, make_trial(17))
    assert document == {
        "schema": 1,
        "kind": "himap-preset",
        "configuration": {
            "k1": 2, "r1": 50.0, "k2": 8, "r2": 75.0,
            "phi_shallow": "last_token", "phi_deep": "instruction", "seed": 2**40 + 17,
        },
        "model": {"name": "qwenvl-mini", "weights_digest": "0123456789abcdef"},
        "benchmark": {"name": "pope", "split": "validation", "n": 500},
        "measured": {
            "accuracy": 0.861, "accuracy_low": 0.827, "accuracy_high": 0.889, "n": 500,
            "paper_flops": 2.5e9, "flops": 7.123456789e9, "flops_ratio": 0.247, "latency_ms": 12.5,
            "image_tokens": 144.5, "tokens_after_k1": 72.25, "tokens_after_k2": 18.0,
        },
        "provenance": {
            "study": "qwenvl-mini/pope/validation-500/seed-0/himap-1/0123456789ab", "trial": 17, "seed": 0,
            "device": "cpu, 2 cores", "commit": "abc1234",
            "versions": {"torch": "2.13.0", "transformers": "5.23.0"}, "date": "2026-03-04T05:06:07+00:00",
            "estimate": "validation estimate, not confirmed on held-out data",
        },
    }  # fmt: skip


def test_the_text_reads_back_as_the_document(key: StudyKey, make_trial: MakeTrial) -> None:
    odd = "cpu: #1 \n !!python/object/apply:os.system ['x'] 'quoted' ✂"
    trial = make_trial(17, device=odd, flops=7.6e12, latency_ms=1e-7, versions={"torch": "2.10"})
    text = preset_yaml(replace(key, model="Qwen/Qwen2.5-VL: 7B", seed=7), trial)
    document = yaml.safe_load(text)
    assert document == preset_document(replace(key, model="Qwen/Qwen2.5-VL: 7B", seed=7), trial)
    assert document["provenance"]["device"] == odd
    assert document["provenance"]["versions"] == {"torch": "2.10"}
    assert text.startswith("# ")
    assert list(document) == [
        "schema", "kind", "configuration", "model", "benchmark", "measured", "provenance",
    ]  # fmt: skip


def test_numbers_of_numpy_are_plain_and_what_was_not_measured_is_null(
    key: StudyKey, make_trial: MakeTrial
) -> None:
    trial = make_trial(1, k1=np.int64(3), r1=np.float32(25), latency_ms=math.nan)
    document = yaml.safe_load(preset_yaml(key, trial))
    assert document["configuration"]["k1"] == 3
    assert type(document["configuration"]["k1"]) is int
    assert document["configuration"]["r1"] == 25.0
    assert document["measured"]["latency_ms"] is None


def test_a_failed_trial_is_no_preset(key: StudyKey, tmp_path: Path) -> None:
    failed = Trial(4, "failed", "sampler", 2, 50, 8, 75, reason="out of memory")
    with pytest.raises(RecordError, match=r"trial 4 .* failed \(out of memory\); choose a completed trial"):
        write_preset(tmp_path / "x.yaml", key, failed)
    assert list(tmp_path.iterdir()) == []


def test_file_names_cannot_leave_their_folder(key: StudyKey, make_trial: MakeTrial) -> None:
    assert preset_filename(key) == "qwenvl-mini-pope.yaml"
    assert preset_filename(key, make_trial(17)) == "qwenvl-mini-pope-trial-17.yaml"
    assert preset_filename(replace(key, model="../../etc/passwd", benchmark="a b\n")) == "etc-passwd-a-b.yaml"
    assert preset_filename(replace(key, model="..", benchmark="//")) == "preset.yaml"


def test_a_file_is_replaced_whole_or_not_at_all(
    key: StudyKey, make_trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_preset(tmp_path / "presets" / "a.yaml", key, make_trial(1))
    first = path.read_text(encoding="utf-8")
    assert first == preset_yaml(key, make_trial(1))
    assert path.stat().st_mode & 0o777 == 0o644

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(presets.os, "fsync", full)
        write_preset(path, key, make_trial(2))
    assert path.read_text(encoding="utf-8") == first
    with path.open(encoding="utf-8") as reader:  # whoever has the old file open still reads all of it
        write_preset(path, key, make_trial(3))
        assert reader.read() == first
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["provenance"]["trial"] == 3
    assert os.listdir(path.parent) == ["a.yaml"]
