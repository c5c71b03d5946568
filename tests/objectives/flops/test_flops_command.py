"""`python -m objectives.flops`, as a stranger types it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from himap import PruningConfig
from objectives.flops import flops, paper_flops, token_flops
from objectives.flops.__main__ import main
from objectives.flops.shapes import FULL_SIZE

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs" / "flops.md").read_text()
PAPER_SETTING = ["--k1", "2", "--r1", "50", "--k2", "8", "--r2", "75"]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


def test_the_command_of_the_docs_prints_both_counts_as_json() -> None:
    command = re.search(r"```sh\npython (-m objectives\.flops .*)\n```", DOCS)
    assert command is not None
    done = subprocess.run([sys.executable, *command[1].split()], cwd=ROOT, capture_output=True, text=True, check=True)
    result, shape, paper = json.loads(done.stdout), FULL_SIZE["llava-7b"].shape, PruningConfig.paper()
    assert result["flops"]["pruned"] == flops(shape, 576, 170, paper)
    assert result["flops"]["dense"] == flops(shape, 576, 170, PruningConfig.dense())
    assert result["flops_per_generated_token"]["pruned"] == token_flops(shape, 576, 170, paper)
    assert result["paper_flops"]["pruned"] == paper_flops(shape, 576, paper)
    assert round(result["flops"]["ratio"], 3) == 0.415
    assert round(result["paper_flops"]["ratio"], 3) == 0.246
    assert (result["tokens_after_k1"], result["tokens_after_k2"]) == (288, 72)


@pytest.mark.parametrize("name", FULL_SIZE)
def test_every_model_has_a_table(capsys: pytest.CaptureFixture[str], name: str) -> None:
    lines = printed(capsys, "--model", name, *PAPER_SETTING).splitlines()
    assert lines[0].startswith(f"{name} ({FULL_SIZE[name].checkpoint}): {FULL_SIZE[name].image_tokens} image")
    assert [line.split()[-1] for line in lines[1:2]] == ["ratio"]
    assert all(re.search(r"\d+\.\d{3} +\d+\.\d{3} +\d+\.\d%$", line) for line in lines[2:5])


def test_qwenvl_is_the_papers_in_the_papers_count_only(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, "--model", "qwenvl-7b", *PAPER_SETTING)
    assert re.search(r"paper_flops .* 3\.600 +0\.893", table)
    assert table.endswith("paper_flops as the paper has it: 448 image tokens, m = 22016\n")
    result = json.loads(printed(capsys, "--model", "qwenvl-7b", "--text", "0", "--json"))
    assert result["flops"]["dense"] == flops(FULL_SIZE["qwenvl-7b"].shape, 256, 0, PruningConfig.dense())


def test_a_folder_is_read_like_a_name(capsys: pytest.CaptureFixture[str], folders: dict[str, Path]) -> None:
    result = json.loads(printed(capsys, "--model", str(folders["llava-mini"]), "--text", "9", "--json"))
    assert result["image_tokens"] == 144 and result["layers"] == 12
    qwen = str(folders["qwenvl-mini"])
    assert "name their number with --image N" in refused(capsys, "--model", qwen)
    assert json.loads(printed(capsys, "--model", qwen, "--image", "64", "--json"))["image_tokens"] == 64


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--model", "gpt"], "unknown model 'gpt'; expected llava-7b, llava-13b"),
        (["--model", "tests"], "tests holds no configuration of a vision-language model"),
        (["--model", "llava-7b", "--r1", "101"], "r1 must be a percentage from 0 to 100, got 101"),
        (["--model", "llava-7b", "--k1", "8"], "k2 must be greater than k1"),
        (["--model", "llava-7b", "--k2", "32"], "a cut at layer 32 must be below the model's 32 layers"),
        (["--model", "llava-7b", "--text", "-1"], "got -1 text tokens; expected at least 0"),
        (["--model", "llava-7b", "--image", "0"], "got 0 image tokens; expected at least 1"),
    ],
)
def test_what_cannot_be_counted_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(ROOT)
    assert reason in refused(capsys, *arguments)


def test_help_names_models_and_explains_both_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    text = capsys.readouterr().out
    assert stopped.value.code == 0
    assert all(word in text for word in (*FULL_SIZE, "paper_flops", "multiply-add", "docs/flops.md", "FastV"))
