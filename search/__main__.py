"""The commands of the search in one program.

    himap-search launch --model qwenvl --budget 200

`himap-search COMMAND` is the same as `python -m search.COMMAND`; `himap-search COMMAND --help` explains it.
"""

from __future__ import annotations

import sys
from importlib import import_module

from search.command_line import words

COMMANDS = {
    "launch": "search the pruning settings of a model on benchmarks",
    "export": "certify a search's winners on held-out questions and write them as presets",
    "verify": "measure on this machine whether a preset keeps its margin",
    "service": "carry out jobs one after another, and show them in the dashboard",
    "submit": "queue a search, or an export, verification or flow study, as a job",
    "jobs": "list, cancel and resume jobs, and show their logs",
    "status": "show how far the searches in a store are",
    "to-optuna": "copy studies into Optuna's own storage",
    "tokens": "print which image tokens of one question survive a configuration",
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; 2 for a command that does not exist."""
    given = words(arguments)
    if not given or given[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        lines = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
        sys.stdout.write(f"{__doc__}\ncommands:\n{lines}\n")
        return 0 if given else 2
    if given[0] not in COMMANDS:
        sys.stderr.write(f"error: got the command {given[0]!r}; expected one of {', '.join(COMMANDS)}\n")
        return 2
    try:
        code: int = import_module(f"search.{given[0].replace('-', '_')}").main(given[1:])
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: got no module {error.name!r}; install it: pip install 'himap-search[search]'\n")
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
