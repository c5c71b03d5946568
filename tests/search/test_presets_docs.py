"""docs/presets.md: its file loads, its example runs on a checkpoint, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

import himap
from himap import PruningConfig
from search import export, verify
from storage import StudyKey, Trial
from storage.presets import write_preset

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "presets.md").read_text(encoding="utf-8")


def test_the_file_shown_is_a_preset(tmp_path: Path) -> None:
    shown = TEXT.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "shown.yaml").write_text(shown)
    preset = himap.read_preset(tmp_path / "shown.yaml")
    assert preset.config == himap.PruningConfig.paper()
    assert preset.certificate.confirmed
    key = StudyKey("m", "d", "pope", "validation", 20, 0, "s")
    path = write_preset(
        tmp_path / "a.yaml", key, Trial(0, "complete", "dense", PruningConfig(1, 0, 2, 0), n=20, accuracy=1)
    )
    written = yaml.safe_load(path.read_text())
    for section, values in yaml.safe_load(shown).items():
        if section == "measured":
            values, written[section] = values[0], written[section][0]
        if isinstance(values, dict) and section != "versions":
            assert list(values) == list(written[section])


def test_the_example_runs(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (96, 96), "red").save("photo.jpg")
    key = StudyKey("llava-7b", "d", "pope", "validation", 20, 0, "s")
    trial = Trial(1, "complete", "sampler", PruningConfig(2, 50, 8, 75), n=20, accuracy=0.5)
    write_preset("presets/llava-7b-pope.yaml", key, trial)
    example = TEXT.split("```python\n")[1].split("```")[0]
    ran: dict[str, object] = {}
    exec(example.replace("llava-hf/llava-1.5-7b-hf", str(tiny)), ran)
    (answer,) = ran["answer"]  # type: ignore[misc]  # what exec leaves has no type
    assert isinstance(answer["generated_text"], str)


def test_the_commands_exist() -> None:
    lines = re.findall(r"^python -m (search\.\w+) (.*)$", TEXT, flags=re.MULTILINE)
    assert [name for name, _ in lines] == ["search.export", "search.verify"]
    export.parser().parse_args(lines[0][1].split())
    verify.parser().parse_args(lines[1][1].split())
