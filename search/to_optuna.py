"""Copy studies into Optuna's own storage, so that optuna-dashboard and other tools of Optuna read them.

    python -m search.to_optuna --storage sqlite:///himap.db --to sqlite:///optuna.db
    optuna-dashboard sqlite:///optuna.db

Run the same command again to add what is new; a copy whose older trials have changed (latencies come late) is replaced.
Pruned trials keep their estimates as values.
"""

from __future__ import annotations

import argparse
import sys

from objectives.options import command_parser
from search.cli import add_goal_options, add_storage_option, run_search_command
from search.command_line import words


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.to_optuna", __doc__)
    add_storage_option(parser, default=None)
    parser.add_argument("--to", required=True, metavar="URL", help="Optuna's storage, for example sqlite:///optuna.db")
    parser.add_argument("--model", default="all", metavar="NAME", help="as searched, or all (default)")
    parser.add_argument("--benchmark", default="all", metavar="NAME", help="one benchmark, or all (default)")
    add_goal_options(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be copied."""
    options = parser().parse_args(words(arguments))

    def run() -> int:
        from search.integrations.optuna_storage import copy  # after parsing: Optuna takes seconds to import
        from search.sampling.problem import Goals
        from storage import open_store
        from storage.commands import password_note, shell_command

        objectives = tuple(dict.fromkeys(options.objectives))
        goals = Goals(objectives, options.max_drop, options.max_flops, options.max_latency)
        with open_store(options.storage, readonly=True) as store:
            for line in copy(store, options.to, options.model, options.benchmark, goals):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        note = password_note(options.to)
        sys.stdout.write(f"look at them: {shell_command('optuna-dashboard', options.to)}\n{note and note + chr(10)}")
        return 0

    return run_search_command(run)


if __name__ == "__main__":
    sys.exit(main())
