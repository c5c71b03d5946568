"""Preset files: what is read, and one clear message for each thing that may be wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

import himap
from himap import Preset, PresetError, PruningConfig
from himap.presets import Timing
from storage.confirmation import Confirmation
from storage.pareto import WITHIN_MARGINS
from storage.presets import HeldOut, preset_of
from storage.records import StudyKey, Trial

TIMING = {
    "figure": "first_token",
    "batch": 1,
    "ms": 12.5,
    "dense_ms": 20.5,
    "speedup": 1.64,
    "speedup_low": 1.6,
    "speedup_high": 1.7,
    "repeats": 20,
}
DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "kind": "himap-preset",
    "configuration": PruningConfig(2, 50.0, 8, 75.0, "instruction", "intra_column", 3).as_dict(),
    "model": {
        "name": "llava-mini",
        "family": "LlavaForConditionalGeneration",
        "layers": 12,
        "weights_digest": "0123abcd",
        "dtype": "bfloat16",
    },
    "certificate": {
        "operating_point": "cheapest within 1 point of dense",
        "margin_points": 1.0,
        "certified": True,
        "verdict": "certified: loses at most 1 point against dense, by 500 of 2000 test questions",
        "level": 0.05,
        "bound_points": 1.0,
        "pool": 2000,
        "plan": "5f" * 32,
    },
    "measured": [
        {
            "benchmark": "pope",
            "source": "1a2b3c4d",
            "questions": "--benchmark pope --hub",
            "split": "test",
            "n": 500,
            "accuracy": 0.861,
            "accuracy_low": 0.827,
            "accuracy_high": 0.889,
            "dense_accuracy": 0.865,
            "difference": -0.004,
            "difference_low": -0.009,
            "difference_high": 0.002,
            "paper_flops": 2.5e9,
            "flops": 7.1e9,
            "flops_ratio": 0.247,
            "image_tokens": 144.5,
            "tokens_after_k1": 72.25,
            "tokens_after_k2": 18,
            "text_tokens": 31.75,
            "speed": [TIMING],
        }
    ],
    "provenance": {
        "study": "llava-mini/pope",
        "trial": 17,
        "seed": 0,
        "device": "cpu, 2 cores",
        "commit": "abc1234",
        "versions": {"torch": "2.13.0"},
        "date": "2026-03-04T05:06:07+00:00",
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with one field set, or without it if the value is `...`."""
    document = copy.deepcopy(DOCUMENT)
    *parents, last = path.split(".")
    section: Any = document
    for name in parents:
        section = section[int(name) if name.isdigit() else name]
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return document


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "preset.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_speed_up_in_words() -> None:
    timing = Timing(**TIMING | {"figure": "first_token_with_vision"})
    assert timing.ratio == "x1.64 [1.60, 1.70]"
    assert timing.conditions("NVIDIA A100") == "first token with vision, batch 1, 20 repeats, NVIDIA A100"


def test_every_field_reads_back(tmp_path: Path) -> None:
    path = written(tmp_path, DOCUMENT)
    preset = himap.read_preset(path)
    assert himap.load_preset(str(path)) == preset.config == PruningConfig(2, 50, 8, 75, seed=3)
    assert {
        "schema": 1,
        "kind": "himap-preset",
        "configuration": preset.config.as_dict(),
        "model": preset.model.model_dump(),
        "certificate": preset.certificate.model_dump(),
        "measured": [one.model_dump(mode="json") for one in preset.measured],
        "provenance": preset.provenance.model_dump(),
    } == DOCUMENT


def test_what_the_store_writes_reads_back(tmp_path: Path) -> None:
    key = StudyKey("qwenvl-mini", "0123456789abcdef", "pope", "validation", 500, 0, "himap-1")
    full = Trial(
        4,
        "complete",
        "sampler",
        PruningConfig(3, 12.5, 7, 80.0, "random", "last_token", seed=2**40),
        n=500,
        accuracy=0.8,
        accuracy_low=0.7,
        accuracy_high=0.9,
        flops=7e9,
        timings=(Timing(**TIMING),),
        versions={"torch": "2.13"},
    )
    path = preset_of(key, full).write(tmp_path / "a.yaml")
    assert himap.load_preset(path) == PruningConfig(3, 12.5, 7, 80, "random", "last_token", 2**40)
    bare = Trial(5, "complete", "dense", PruningConfig(1, 0, 2, 0), n=10, accuracy=1.0)
    assert himap.read_preset(preset_of(key, bare).write(tmp_path / "b.yaml")).config.is_dense
    fields = {
        name: DOCUMENT["measured"][0][name]
        for name in (
            "n",
            "accuracy",
            "accuracy_low",
            "accuracy_high",
            "dense_accuracy",
            "difference",
            "difference_low",
            "difference_high",
            "flops",
            "split",
        )
    }
    confirmation = Confirmation(config=full.config, **fields, n_questions=500)
    held_out = HeldOut(WITHIN_MARGINS[0], {"pope": confirmation, "mme": confirmation})
    original = preset_of(key, full, held_out, family="LlavaForConditionalGeneration", layers=12)
    preset = himap.read_preset(original.write(tmp_path / "c.yaml"))
    assert preset == original
    assert [one.benchmark for one in preset.measured] == ["pope", "mme"]
    assert all({**one.model_dump(), **fields} == one.model_dump() for one in preset.measured)
    assert preset.certificate.model_dump(exclude_none=True) == {
        "operating_point": "cheapest within 0.5 points of dense",
        "margin_points": 0.5,
        "certified": False,
        "verdict": "not certified: on pope -0.4 points against dense, 95 % interval -0.9 to +0.2, n = 500",
    }
    assert (preset.model.family, preset.model.layers) == ("LlavaForConditionalGeneration", 12)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "recipe", "not a preset: expected kind 'himap-preset', got 'recipe'"),
        ("kind", ..., "not a preset: expected kind"),
        ("schema", 2, "written for schema 2, this version reads up to 1; update himap-search"),
        ("schema", "1", "schema must be a whole number from 1 on, got '1'"),
        ("schema", True, "schema must be a whole number"),
        ("model", ..., "the file lacks model"),
        ("extra", 1, "the file has an unknown field 'extra'"),
        ("model", "llava", "model must be a mapping, got 'llava'"),
        ("configuration", [], "configuration: must be a mapping, got []"),
        ("configuration.k1", ..., "configuration: lacks k1"),
        ("configuration.k1", 0, "configuration: k1 must be at least 1"),
        ("configuration.k1", "2", "configuration: k1 must be a whole number, got '2'"),
        ("configuration.k1", True, "configuration: k1 must be a whole number, got True"),
        ("configuration.r2", 101, "configuration: r2 must be a percentage"),
        ("configuration.phi_deep", "best", "configuration: phi_deep must be one of"),
        ("configuration.k3", 9, "configuration: unknown field k3"),
        ("model.name", "", "model.name must have at least 1 character, got ''"),
        ("model.weights_digest", 12, "model.weights_digest must be a valid string, got 12"),
        ("model.dtype", "nn", "model.dtype must match pattern '^(auto|bfloat16|float16|float32)$', got 'nn'"),
        ("model.layers", 0, "model.layers must be greater than or equal to 1, got 0"),
        ("certificate.certified", "yes", "certificate.certified must be a valid boolean, got 'yes'"),
        ("certificate.margin_points", 0, "certificate.margin_points must be greater than 0, got 0"),
        ("measured", [], "measured must have at least 1 item"),
        ("measured", {}, "measured must be a list"),
        ("measured.0", "pope", "measured.0 must be a mapping, got 'pope'"),
        ("measured.0.n", 5.0, "measured.0.n must be a valid integer"),
        ("measured.0.accuracy", 1.2, "measured.0.accuracy must be less than or equal to 1, got 1.2"),
        ("measured.0.accuracy", None, "measured.0.accuracy must be a valid number, got None"),
        ("measured.0.flops", -1.0, "measured.0.flops must be greater than or equal to 0"),
        ("measured.0.flops", float("nan"), "measured.0.flops must be a finite number"),
        ("measured.0.flops", float("inf"), "measured.0.flops must be a finite number"),
        ("measured.0.flops", True, "measured.0.flops must be a valid number"),
        ("measured.0.text_tokens", "few", "measured.0.text_tokens must be a valid number, got 'few'"),
        ("measured.0.speed", None, "measured.0.speed must be a list, got None"),
        ("measured.0.speed.0.figure", "latency", "measured.0.speed.0.figure must be 'first_token', "),
        ("measured.0.speed.0.ms", "fast", "measured.0.speed.0.ms must be a valid number, got 'fast'"),
        ("measured.0.speed.0.ms", 0.0, "measured.0.speed.0.ms must be greater than 0, got 0.0"),
        ("measured.0.speed.0.batch", 0, "measured.0.speed.0.batch must be greater than or equal to 1, got 0"),
        ("measured.0.speed.0.speedup_low", 2.5, "speedup_low <= speedup <= speedup_high"),
        ("measured.0.speed.0.speedup_high", ..., "measured.0.speed.0 lacks speedup_high"),
        ("measured.0.f1", 0.5, "measured.0 has an unknown field 'f1'"),
        ("measured.0.accuracy_low", 0.9, "accuracy_low <= accuracy <= accuracy_high"),
        ("measured.0.difference_high", -0.1, "difference_low <= difference <= difference_high"),
        ("provenance.trial", -1, "provenance.trial must be greater than or equal to 0"),
        ("provenance.versions", "torch", "provenance.versions must be a mapping"),
        ("provenance.versions", {"torch": 2.1}, "provenance.versions.torch must be a valid string"),
        ("provenance.date", 3, "provenance.date must be a valid string"),
        ("provenance.date", "yesterday", "provenance: date must be a date"),
        ("provenance.device", ..., "provenance lacks device"),
    ],
)
def test_each_defect_has_its_message(tmp_path: Path, path: str, value: Any, message: str) -> None:
    document = changed(path, value) if path != "measured.0" else {**DOCUMENT, "measured": [value]}
    file = written(tmp_path, document)
    with pytest.raises(PresetError) as caught:
        himap.load_preset(file)
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"{file}: ")
    assert "\n" not in text
    assert len(text) < len(str(file)) + 300


def test_a_date_without_quotes_is_a_date(tmp_path: Path) -> None:
    text = yaml.safe_dump(DOCUMENT).replace("'2026-03-04T05:06:07+00:00'", "2026-03-04")
    assert himap.read_preset(written(tmp_path, text)).provenance.date == "2026-03-04"


def test_a_preset_for_another_architecture(tmp_path: Path) -> None:
    preset = himap.read_preset(written(tmp_path, DOCUMENT))
    preset.check_model(["Mine", "LlavaForConditionalGeneration", "Module"], 12)
    with pytest.raises(PresetError, match=r"for 12 decoder layers .llava-mini., got one with 32; search"):
        preset.check_model(["LlavaForConditionalGeneration"], 32)
    with pytest.raises(PresetError, match=r"made for LlavaForConditionalGeneration .llava-mini., got Qwen2VL;"):
        preset.check_model(["Qwen2VL", "Module"], 12)
    unknown = changed("model", {"name": "m", "family": None, "layers": None, "weights_digest": "0"})
    himap.read_preset(written(tmp_path, unknown)).check_model(["Qwen2VL"], 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a preset: expected a mapping, got NoneType"),
        ("- 1\n- 2", "not a preset: expected a mapping, got list"),
        ("a: [1, 2", "not YAML"),
        (
            "kind: himap-preset\nschema: !!python/object/apply:os.system ['true']",
            "holds the tag 'tag:yaml.org,2002:pyt",
        ),
        ("!!python/object:himap.Preset {}", "holds the tag"),
        ("kind: himap-preset\nschema: !!int '1'", "holds the tag 'tag:yaml.org,2002:int', which no preset needs"),
        ("kind: !!str himap-preset", "holds the tag"),
        ("kind: !!set {a, b}", "holds the tag"),
        ("kind: !!binary aGk=", "holds the tag"),
        ("kind: ! himap-preset", "holds the tag '!'"),
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


ODD_TEXTS = ("5e1", "7.1e9", "1e-06", "0o17", "050", "1:30", "yes", "off", "null", "~", "12e4567", "0x1F", ".inf", "<<")


@pytest.mark.parametrize("text", [*ODD_TEXTS, "模型甲", "a\u2028b", "😀", "- a: b #c", "tab\there"])
def test_texts_survive_readers_of_yaml_1_2_and_json(tmp_path: Path, text: str) -> None:
    preset = Preset.model_validate({**changed("provenance.commit", text), "measured": tuple(DOCUMENT["measured"])})
    path = preset.write(tmp_path / "a.yaml")
    assert himap.read_preset(path) == preset
    other = YAML(typ="safe", pure=True)  # of YAML 1.2
    document = other.load(path)
    assert document == yaml.load(path.read_text(), Loader=yaml.SafeLoader)
    assert document["provenance"]["commit"] == text
    with (tmp_path / "b.yaml").open("w") as file:
        other.dump(document, file)
    for content in (json.dumps(document), json.dumps(document, indent="\t", ensure_ascii=False)):
        assert himap.read_preset(written(tmp_path, content)) == preset
    assert himap.read_preset(tmp_path / "b.yaml") == preset


@pytest.mark.parametrize(
    ("number", "value"),
    [("050", 50), ("5e1", 50), ("+5E+1", 50), ("0x32", 50), ("50.", 50), (".5", 0.5), ("1e-06", 1e-6)],
)
def test_numbers_of_other_tools_mean_what_people_read(tmp_path: Path, number: str, value: float) -> None:
    text = yaml.safe_dump(DOCUMENT).replace("r1: 50.0", f"r1: {number}").replace("2500000000.0", "2.5e9")
    preset = himap.read_preset(written(tmp_path, text))
    assert preset.config.r1 == value
    assert preset.measured[0].paper_flops == 2.5e9


@pytest.mark.parametrize("number", ["1:30", "5_0", "50%", "1,5", "0b11", "yes", "٥٠", "'50'"])
def test_what_is_no_number_everywhere_is_refused(tmp_path: Path, number: str) -> None:
    text = yaml.safe_dump(DOCUMENT).replace("r1: 50.0", f"r1: {number}")
    with pytest.raises(PresetError, match="r1 must be a percentage from 0 to 100, got '"):
        himap.read_preset(written(tmp_path, text))


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("2500000000.0", "'2.5e9'", "must be a valid number, got '2.5e9'; write the number without quotes"),
        ("r1: 50.0", "r1: '50'", "from 0 to 100, got '50'; write the number without quotes"),
        ("k1: 2", "k1: '2'", "k1 must be a whole number, got '2'; write the number without quotes"),
        ("name: llava-mini", "name: 1e3", "must be a valid string, got 1000.0; write the text in quotes"),
        ("name: llava-mini", "name: 007", "must be a valid string, got 7; write the text in quotes"),
    ],
)
def test_a_value_of_the_other_kind_is_refused_with_the_remedy(
    tmp_path: Path, before: str, after: str, line: str
) -> None:
    text = yaml.safe_dump(DOCUMENT)
    assert before in text
    with pytest.raises(PresetError) as raised:
        himap.read_preset(written(tmp_path, text.replace(before, after)))
    assert str(raised.value).endswith(line)
