"""Preset files: what is read, and one clear message for each thing that may be wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

import himap
from himap import PresetError, PruningConfig
from storage.presets import write_preset
from storage.records import StudyKey, Trial

DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "kind": "himap-preset",
    "configuration": PruningConfig(2, 50.0, 8, 75.0, "instruction", "intra_column", 3).as_dict(),
    "model": {"name": "llava-mini", "weights_digest": "0123abcd"},
    "benchmark": {"name": "pope", "split": "validation", "n": 500},
    "measured": {
        "accuracy": 0.861,
        "accuracy_low": 0.827,
        "accuracy_high": 0.889,
        "n": 500,
        "paper_flops": 2.5e9,
        "flops": 7.1e9,
        "flops_ratio": 0.247,
        "latency_ms": None,
        "image_tokens": 144.5,
        "tokens_after_k1": 72.25,
        "tokens_after_k2": 18,
    },
    "provenance": {
        "study": "llava-mini/pope",
        "trial": 17,
        "seed": 0,
        "device": "cpu, 2 cores",
        "commit": "abc1234",
        "versions": {"torch": "2.13.0"},
        "date": "2026-03-04T05:06:07+00:00",
        "estimate": "validation estimate, not confirmed on held-out data",
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with one field set, or without it if the value is `...`."""
    document = copy.deepcopy(DOCUMENT)
    *parents, last = path.split(".")
    section = document
    for name in parents:
        section = section[name]
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return document


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "preset.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_preset_reads_back(tmp_path: Path) -> None:
    path = written(tmp_path, DOCUMENT)
    preset = himap.read_preset(path)
    assert himap.load_preset(str(path)) == preset.config == PruningConfig(2, 50, 8, 75, seed=3)
    assert preset.measured["accuracy"] == 0.861
    assert preset.measured["latency_ms"] is None
    assert preset.benchmark["name"] == "pope"
    assert preset.model["name"] == "llava-mini"
    assert preset.provenance["trial"] == 17


def test_what_the_store_writes_reads_back(tmp_path: Path) -> None:
    key = StudyKey("qwenvl-mini", "0123456789abcdef", "pope", "validation", 500, 0, "himap-1")
    full = Trial(
        4, "complete", "sampler", 3, 12.5, 7, 80.0, "random", "last_token", seed=2**40, n=500, accuracy=0.8,
        accuracy_low=0.7, accuracy_high=0.9, flops=7e9, latency_ms=12.5, versions={"torch": "2.13"},
    )  # fmt: skip
    path = write_preset(tmp_path / "a.yaml", key, full)
    assert himap.load_preset(path) == PruningConfig(3, 12.5, 7, 80, "random", "last_token", 2**40)
    bare = Trial(5, "complete", "dense", 1, 0, 2, 0, n=10, accuracy=1.0)
    assert himap.read_preset(write_preset(tmp_path / "b.yaml", key, bare)).config.is_dense


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "recipe", "not a preset: expected kind 'himap-preset', got 'recipe'"),
        ("kind", ..., "not a preset: expected kind"),
        ("schema", 2, "written for schema 2, this version reads up to 1"),
        ("schema", "1", "schema must be a whole number from 1 on, got '1'"),
        ("schema", True, "schema must be a whole number"),
        ("model", ..., "the file lacks model"),
        ("extra", 1, "the file has unknown fields: 'extra'; known are"),
        ("model", "llava", "model must be a mapping, got 'llava'"),
        ("configuration", [], "configuration must be a mapping"),
        ("configuration.k1", ..., "configuration lacks k1"),
        ("configuration.k1", 0, "configuration: k1 must be at least 1"),
        ("configuration.k1", "2", "configuration: k1 must be a whole number"),
        ("configuration.r2", 101, "configuration: r2 must be a percentage"),
        ("configuration.phi_deep", "best", "configuration: phi_deep must be one of"),
        ("configuration.k3", 9, "configuration has unknown fields: 'k3'"),
        ("model.name", "", "model.name must be text that is not empty, got ''"),
        ("model.weights_digest", 12, "model.weights_digest must be text"),
        ("benchmark.n", 0, "benchmark.n must be a whole number of at least 1, got 0"),
        ("benchmark.n", 5.0, "benchmark.n must be a whole number"),
        ("measured.accuracy", 1.2, "measured.accuracy must be a number from 0 to 1, got 1.2"),
        ("measured.accuracy", None, "measured.accuracy must be a number from 0 to 1, got None"),
        ("measured.flops", -1.0, "measured.flops must be a number of at least 0"),
        ("measured.flops", float("nan"), "measured.flops must be a number"),
        ("measured.flops", float("inf"), "measured.flops must be a number"),
        ("measured.flops", True, "measured.flops must be a number"),
        ("measured.latency_ms", "fast", "measured.latency_ms must be a number of at least 0, or null"),
        ("measured.f1", 0.5, "measured has unknown fields: 'f1'"),
        ("measured.accuracy_low", 0.9, "accuracy_low <= accuracy <= accuracy_high"),
        ("provenance.trial", -1, "provenance.trial must be a whole number of at least 0"),
        ("provenance.versions", "torch", "provenance.versions must be a mapping of packages to versions"),
        ("provenance.date", 3, "provenance.date must be a date"),
        ("provenance.device", ..., "provenance lacks device"),
    ],
)
def test_each_defect_has_its_message(tmp_path: Path, path: str, value: Any, message: str) -> None:
    file = written(tmp_path, changed(path, value))
    with pytest.raises(PresetError) as caught:
        himap.load_preset(file)
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"{file}: ")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a preset: expected a mapping, got NoneType"),
        ("- 1\n- 2", "not a preset: expected a mapping, got list"),
        ("a: [1, 2", "not YAML"),
        ("kind: himap-preset\nschema: !!python/object/apply:os.system ['true']", "unsafe"),
        ("!!python/object:himap.Preset {}", "unsafe"),
        ("a: &x [1]\nb: *x", "refused, it holds YAML aliases"),
        ("x" * 70_000, "larger than 64 KiB"),
        ("[" * 60_000, "nested deeper than 20 levels"),
        ("schema: 0x" + "f" * 10_000, "not a preset"),
        ("kind: himap-preset\nschema: 0x" + "f" * 10_000, "schema must be a whole number|written for schema"),
        ("kind: himap-preset\nkind: himap-preset", "names the field 'kind' twice"),
        ("? [1, 2]\n: 3", "not a preset|unsafe or broken"),
        ("\x00", "not YAML"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(PresetError, match=message) as caught:
        himap.load_preset(written(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"nothing.yaml: cannot be read: No such file"):
        himap.load_preset(tmp_path / "nothing.yaml")
    with pytest.raises(PresetError, match="cannot be read: Is a directory"):
        himap.load_preset(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(PresetError, match="not YAML"):
        himap.load_preset(tmp_path / "binary.yaml")


def test_a_bomb_of_aliases_is_refused_quickly(tmp_path: Path) -> None:
    levels = [f"l{i}: &l{i} [{', '.join(f'*l{i - 1}' for _ in range(9))}]" for i in range(1, 30)]
    with pytest.raises(PresetError, match="aliases"):
        himap.load_preset(written(tmp_path, "\n".join(["l0: &l0 [x]", *levels, "kind: *l29"])))
