"""Copies studies into Optuna's own storage, so that optuna-dashboard and other tools of Optuna read them.

    python -m search.to_optuna --storage sqlite:///himap.db --to sqlite:///optuna.db
    optuna-dashboard sqlite:///optuna.db

The same command again adds what is new; a copy whose older trials have changed (latencies come late) is made
anew. Trials that the race stopped become pruned ones, with their estimates as values.
"""

from __future__ import annotations

import argparse
import sys

from search.sampling.problem import FIELDS


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m search.to_optuna",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--storage", required=True, metavar="URL", help="as given to search.launch; only read")
    made.add_argument("--to", required=True, metavar="URL", help="Optuna's storage, for example sqlite:///optuna.db")
    made.add_argument("--model", default="all", help="as searched, or all (default)")
    made.add_argument("--benchmark", default="all", help="one benchmark, or all (default)")
    made.add_argument(
        "--objectives",
        nargs="+",
        default=["accuracy", "flops"],
        metavar="NAME",
        help=f"of the copies: accuracy (default) with one or two of {', '.join(list(FIELDS)[1:])}",
    )
    made.add_argument("--max-drop", type=float, metavar="POINTS", help="a constraint, as for search.launch")
    made.add_argument("--max-flops", type=float, metavar="PERCENT", help="a constraint")
    made.add_argument("--max-latency", type=float, metavar="MS", help="a constraint")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 and one line on stderr for what cannot be done."""
    options = parser().parse_args(arguments)
    from search.errors import SearchError  # after parsing: Optuna takes seconds to import
    from search.integrations.optuna_storage import copy
    from search.sampling.problem import Goals
    from storage import StorageError, open_store

    try:
        objectives = tuple(dict.fromkeys(options.objectives))
        goals = Goals(objectives, options.max_drop, options.max_flops, options.max_latency)
        with open_store(options.storage, readonly=True) as store:
            for line in copy(store, options.to, options.model, options.benchmark, goals):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    except (SearchError, StorageError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"look at them: optuna-dashboard {options.to}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
