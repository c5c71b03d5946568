"""What cannot be done is one clear line on stderr and exit code 2, before Ray or a model is started."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from objectives.evaluation.cores import available_cores
from search.launch import main
from search.running import launch_run
from search.workers.jobs import Job, Outcome
from storage import open_store
from tests.search.search_helpers import ROOT, ScriptedPool, measured


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in; starting workers is an error."""
    monkeypatch.chdir(tmp_path)

    def started(*_: object) -> None:
        raise AssertionError("workers were started")

    monkeypatch.setattr(launch_run, "Pool", started)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], tiny: Path, *arguments: str) -> str:
    """The one line that a launch on the tiny checkpoint with these arguments answers."""
    command = ["--model", str(tiny), "--budget", "6", "--benchmark", "pope", "--workers", "1", *arguments]
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "qwen"], "unknown model 'qwen'; expected one of qwenvl, llava-7b, llava-13b"),
        (["--benchmark", "popes"], "unknown benchmark 'popes'; expected one of vqav2, textvqa, pope"),
        (["--benchmark", "pope", "gqa"], "unknown benchmark 'gqa'"),
        (["--objectives", "flops"], "got the objectives 'flops'; expected accuracy and one or two costs"),
        (["--max-drop", "-1"], "got --max-drop -1.0; expected a number from 0 up"),
        (["--memory-mb", "-5"], "got --memory-mb -5; expected a whole number from 0"),
        (["--sampler", "grid"], "unknown sampler 'grid'; expected one of auto, ehvi, gp, tpe, nsga2, random"),
        (["--share", "30"], "got --share; expected it with --dry-run"),
        (["--budget", "0"], "got --budget 0; expected a whole number from 1 to 2147483647"),
        (["--budget", "-3"], "got --budget -3"),
        (["--workers", "0"], f"got --workers 0; this machine has {available_cores()} core(s), expected 1 to"),
        (["--workers", "4000"], "got --workers 4000; this machine has"),
        (["--questions", "3"], "got --questions 3; expected a whole number from 20"),
        (["--seed", "-1"], "got --seed -1"),
        (["--seed", "5000000000"], "got --seed 5000000000; expected a whole number from 0 to"),
        (["--json", "nowhere/out.json"], "got --json nowhere/out.json; expected a file in a folder that"),
        (["--json", "."], "got --json .; expected a file"),
        (["--weights", "mini"], "--weights mini goes with --model qwenvl, llava-7b, llava-13b"),
        (["--storage", "himap.db"], "got storage 'himap.db'; expected sqlite:///FILE"),
        (["--storage", "sqlite:///."], "got the directory . as storage; expected a file"),
        (["--storage", "sqlite:///no/where.db"], "create it first"),
    ],
)
def test_a_request_that_cannot_be(
    capsys: pytest.CaptureFixture[str], tiny: Path, arguments: list[str], message: str
) -> None:
    assert message in refused(capsys, tiny, *arguments)


def test_files_in_the_way(capsys: pytest.CaptureFixture[str], tiny: Path, here: Path) -> None:
    (here / "notes.txt").write_text("not a database, but a text of some length\n" * 100)
    assert "expected a SQLite file" in refused(capsys, tiny, "--storage", "sqlite:///notes.txt")
    assert "which is a file; expected a folder" in refused(capsys, tiny, "--presets", "notes.txt")


def test_a_store_of_a_newer_version(capsys: pytest.CaptureFixture[str], tiny: Path, here: Path) -> None:
    refused(capsys, tiny, "--storage", "sqlite:///new.db", "--sampler", "grid")
    assert not (here / "new.db").exists()  # refused before anything is created
    open_store("sqlite:///new.db").close()
    with sqlite3.connect(here / "new.db") as connection:
        connection.execute("UPDATE himap_schema SET version = 99")
    assert "update himap-search" in refused(capsys, tiny, "--storage", "sqlite:///new.db")


def test_an_unreachable_server_does_not_show_its_password(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    message = refused(capsys, tiny, "--storage", "postgresql://me:secret@127.0.0.1:9/himap")
    assert "check that the server runs" in message
    assert "secret" not in message


@pytest.mark.parametrize("arguments", [[], ["--model", "qwenvl"], ["--budget", "many", "--model", "qwenvl"]])
def test_missing_or_malformed_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m search.launch" in capsys.readouterr().err


def test_a_store_that_breaks_in_the_middle_ends_the_run_in_one_line(
    capsys: pytest.CaptureFixture[str], tiny: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[Job] = []

    def answer(job: Job) -> Outcome:
        answered.append(job)
        if len(answered) == 3:
            with sqlite3.connect(here / "himap.db") as connection:
                connection.execute("DROP TABLE himap_trials")
        return measured(job)

    monkeypatch.setattr(launch_run, "Pool", lambda *_: nullcontext(ScriptedPool(answer)))
    assert "cannot store trial 2 of study 1 in sqlite:///himap.db: no such table" in refused(capsys, tiny)
    assert len(answered) == 3


def test_an_interrupt_while_workers_start_is_no_traceback(
    capsys: pytest.CaptureFixture[str], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch_run, "Pool", interrupted)
    assert main(["--model", str(tiny), "--budget", "6", "--benchmark", "pope", "--workers", "1"]) == 130
    message = capsys.readouterr().err
    assert message == "stopped; everything measured is stored; run the same command again to resume\n"


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        ("search.launch", ["--model", "qwen", "--budget", "3"], "unknown model 'qwen'"),
        ("search.launch", ["--model", "qwenvl", "--budget", "3", "--json", "no/out.json"], "got --json no/out.json"),
        ("objectives.accuracy", ["--model", "qwenvl", "--json", "no/out.json"], "got --json no/out.json"),
    ],
)
def test_what_can_be_refused_at_once_is_refused_without_torch(module: str, words: list[str], message: str) -> None:
    code = (
        f"import sys\nfrom {module} import main\ncode = main(sys.argv[1:])\n"
        "sys.exit(9 if {'torch', 'ray', 'transformers'} & set(sys.modules) else code)"
    )
    command = [sys.executable, "-c", code, *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2, ran.stderr
    assert message in ran.stderr


def test_help_teaches_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom search.launch import main\n"
        "try: main(['--help'])\n"
        "finally: sys.stderr.write(' '.join(m for m in ('torch', 'ray', 'optuna') if m in sys.modules))"
    )
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    for taught in (
        "python -m search.launch --model qwenvl --budget 200",
        "run the same command again to resume",
        "hub id",
        "vqav2, textvqa, pope, mme, scienceqa, aokvqa",
        "auto (default: ehvi; for three objectives gp",
        "--json [FILE]",
        "sqlite:///himap.db",
        "without GPUs one a core",
        "auto (default) takes full weights only if",
    ):
        assert taught in " ".join(shown.stdout.split()), taught
