"""What every command of the benchmarks shares: its parser, its output and its error line."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from objectives.json_files import json_text


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of `python -m MODULE` with a module's docstring as its help."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def show(result: str | dict[str, Any] | list[Any]) -> None:
    """Print a text, or anything else as JSON, at once and also into a pipe."""
    sys.stdout.write((result if isinstance(result, str) else json_text(result, indent=2)) + "\n")
    sys.stdout.flush()


def fail(error: Exception | str) -> int:
    """Print an error as one line on stderr and return the exit code 2."""
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    return 2
