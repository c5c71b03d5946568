"""What all commands share: the parser, the options, and how errors end a command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from himap import ConfigError
from objectives.data.own_file import BadRow, BadRowsError
from objectives.errors import DataError
from objectives.options import add_model_options, command_parser, run_command, write_json


def test_a_docstring_becomes_the_help() -> None:
    help_ = command_parser("objectives.score", "Score answers.\n\n    python -m objectives.score\n").format_help()
    assert help_.startswith("usage: python -m objectives.score [-h]\n\nScore answers.\n")
    assert help_.endswith("\n    python -m objectives.score\n")


def test_the_model_options_default_to_automatic_weights() -> None:
    parser = command_parser("objectives.accuracy", None)
    add_model_options(parser)
    assert vars(parser.parse_args(["--model", "qwenvl"])) == {"model": "qwenvl", "weights": "auto"}
    with pytest.raises(SystemExit):
        parser.parse_args([])


@pytest.mark.parametrize("error", [DataError("no\n file"), ConfigError("no file"), OSError("no  file")])
def test_a_package_error_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise error

    assert run_command(fail) == 2
    assert capsys.readouterr().err == "error: no file\n"


def test_further_errors_are_reported_if_the_command_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise LookupError("no such study")

    assert run_command(fail, LookupError) == 2
    assert capsys.readouterr().err == "error: no such study\n"
    with pytest.raises(LookupError):
        run_command(fail)


def test_bad_rows_keep_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise BadRowsError(Path("mine.jsonl"), [BadRow(1, "lacks 'id'"), BadRow(4, "lacks 'image'")], 9)

    assert run_command(fail) == 2
    assert capsys.readouterr().err.splitlines()[1:] == ["  line 1: lacks 'id'", "  line 4: lacks 'image'"]


def test_a_stop_is_one_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> int:
        raise KeyboardInterrupt

    assert run_command(stop, stopped="stopped; nothing was kept") == 130
    assert capsys.readouterr().err == "stopped; nothing was kept\n"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_stop_a_command_as_ctrl_c_does(
    capsys: pytest.CaptureFixture[str], signum: signal.Signals, code: int
) -> None:
    def waits() -> int:
        signal.raise_signal(signum)
        return 0

    before = signal.getsignal(signum)
    assert run_command(waits, stopped="stopped; nothing was kept") == code
    assert capsys.readouterr().err == "stopped; nothing was kept\n"
    assert signal.getsignal(signum) == before


def test_under_nohup_sighup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_command(lambda: signal.raise_signal(signal.SIGHUP) or 7) == 7
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_wrong_option_shows_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_parser("x", "X.")
    add_model_options(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--model", "m", "--storge", "postgresql://u:p@ss word@h/d"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --storge postgresql://u:***@h/d\n")


def test_the_options_load_no_model_library() -> None:
    heavy = "{'torch', 'transformers', 'scipy', 'huggingface_hub'}"
    program = f"import sys, objectives.options; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    """Readers other than Python refuse NaN and Infinity."""
    nan = float("nan")
    write_json("-", {"a": nan, "b": [float("inf"), (1.5, -float("inf"))], "text": "NaN", "n": 3})
    written = capsys.readouterr().out
    assert json.loads(written) == {"a": None, "b": [None, [1.5, None]], "text": "NaN", "n": 3}
    assert "Infinity" not in written and written.count("NaN") == 1


def test_the_middle_of_a_very_long_error_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise DataError(f"begin {'x' * 10_000} end")

    assert run_command(fail) == 2
    line = capsys.readouterr().err
    assert len(line) < 1_600
    assert line.startswith("error: begin xxx")
    assert line.endswith("xxx end\n")
    with pytest.raises(SystemExit):
        command_parser("objectives.score", None).parse_args(["y" * 10_000])
    assert max(map(len, capsys.readouterr().err.splitlines())) < 1_600
