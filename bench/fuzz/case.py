"""One generated input: how it is made and run, and what counts as a fault."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from himap.errors import HimapError
from objectives.data.own_file import BadRowsError
from objectives.errors import ObjectiveError
from search.errors import SearchError
from storage import StorageError

SECRET = "s3cr3t"  # stands in every generated password
SECONDS, LONGEST_LINE, MOST_GROWTH = 20, 2_000, 2_000_000_000  # of one input; the last in bytes of memory
_ERRORS = (HimapError, ObjectiveError, SearchError, StorageError)
_TEMPORARY = re.compile(r"\.tmp$|-journal$")

Command = Callable[[list[str]], int]
Action = Callable[[], object]
Maker = Callable[[random.Random, Path], Action]


class TooSlow(BaseException):
    """An input took longer than `SECONDS`; no handler of the product catches it."""


@dataclass(frozen=True)
class CaseResult:
    """What became of an input: "result", "refused" or "fault", the message or the fault, and the memory it took."""

    kind: str
    seed: int
    verdict: str
    text: str = ""
    grown: int = 0  # bytes


def run_case(kind: str, make: Maker, seed: int) -> CaseResult:
    """Make the input of this seed in a folder of its own, run it, and judge what happened."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        action = make(random.Random(f"{kind}:{seed}"), folder)
        before = _peak_memory(reset=True)
        try:
            with contextlib.chdir(folder), _time_limit():
                verdict, text = _judged(action)
        except TooSlow:
            return CaseResult(kind, seed, "fault", f"took more than {SECONDS} s")
        grown = _peak_memory() - before
        left = [path.name for path in folder.rglob("*") if _TEMPORARY.search(path.name)]
    if grown > MOST_GROWTH:
        return CaseResult(kind, seed, "fault", f"took {grown / 1e9:.1f} GB of memory")
    if left:
        return CaseResult(kind, seed, "fault", f"left {left[0]} behind")
    return CaseResult(kind, seed, verdict, text, grown)


def _judged(action: Action) -> tuple[str, str]:
    try:
        action()
    except _ERRORS as error:
        rows = isinstance(error, BadRowsError)  # a list of rows has a line for each
        problem = _fault(str(error), rows)
        return ("fault", problem) if problem else ("refused", str(error))
    except Exception:
        return "fault", traceback.format_exc(limit=-4)
    return "result", ""


def _fault(message: str, rows: bool = False) -> str:
    """Return what is wrong with an error message; "" for nothing."""
    if SECRET in message:
        return f"shows a password: {message}"
    if "\n" in message and not rows:
        return f"is longer than a line: {message}"
    if not message.strip():
        return "has no text"
    longest = max(map(len, message.splitlines()))
    return f"has a line of {longest} letters: {message[:300]}" if longest > LONGEST_LINE else ""


def command(main: Command, words: list[str]) -> Action:
    """Return what runs a command in this process; a fault of its output, exit code or traceback raises."""

    def action() -> None:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(words)
            except SystemExit as end:  # argparse
                code = int(end.code or 0)
        text = err.getvalue()
        if SECRET in text or SECRET in out.getvalue():
            raise AssertionError(f"shows a password: {text}")
        if code not in (0, 1, 2):
            raise AssertionError(f"exit code {code}: {text}")
        if code == 2:
            lines = [line for line in text.splitlines() if "error: " in line]
            if len(lines) != 1 or "Traceback" in text:
                raise AssertionError(f"expected one line with an error: {text}")
            raise _Refusal(lines[0].partition("error: ")[2])

    return action


class _Refusal(SearchError):
    """The error line of a command."""


def _peak_memory(*, reset: bool = False) -> int:
    """Return the most bytes that this process held since the last reset; it needs Linux."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    # getrusage also counts the process that this one was forked from.
    return int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def odd_path(rng: random.Random, folder: Path, content: bytes, suffix: str = "") -> Path:
    """Write content under an odd name, or put something else there: a folder, a link, a pipe, nothing."""
    name = rng.choice(["x", "a b", "模型", "é\u0301", "-x", "'\"", "a%20b", "x" * 200, "$(id)", "*", ".x"]) + suffix
    path = folder / name
    kind = rng.random()
    if kind < 0.85:
        path.write_bytes(content)
    elif kind < 0.88:
        path.mkdir()
    elif kind < 0.91:
        path.symlink_to(rng.choice(["/nowhere", name, "/dev/null", "/dev/zero", "/etc/shadow"]))
    elif kind < 0.94:
        os.mkfifo(path)
    elif kind < 0.97:
        (folder / "real").write_bytes(content)
        path.symlink_to("real")
    return path
