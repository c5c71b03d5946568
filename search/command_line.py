"""The words of a command line, without a password in the list of processes. Needs the standard library alone."""

from __future__ import annotations

import json
import os
import sys

_WORDS = "HIMAP_COMMAND_LINE"


def words(arguments: list[str] | None) -> list[str]:
    """Return the arguments of a command; None means those of the process.

    Where one of them holds a password, the process starts itself again with *** in its place: whatever lists
    processes, as `ps` and Ray's own records do, then shows that.
    """
    if arguments is not None:
        return arguments
    given = sys.argv[1:]
    if not any("://" in word for word in given):
        return given
    hidden: list[str] = json.loads(os.environ.pop(_WORDS, "[]"))
    if hidden and _shown(hidden) == given:
        return hidden
    shown = _shown(sys.orig_argv)
    if shown != sys.orig_argv and os.name == "posix":
        os.environ[_WORDS] = json.dumps(given)
        os.execv(sys.executable, shown)
    return given


def _shown(line: list[str]) -> list[str]:
    """Return the words with *** in place of passwords."""
    from himap.urls import masked  # only for a URL

    return [masked(word) if "://" in word else word for word in line]
