"""Queue a search as a job, which a service on any machine carries out.

    python -m search.submit --model qwenvl --budget 200 --storage sqlite:///himap.db

The options are those of `python -m search.launch`. A job is checked at once and stored in --storage. It runs when a
`python -m search.service` on this store comes to it: the highest --priority first, then the oldest. Relative paths
refer to the folder in which you submit it.

With export, verify or flow as the first word it queues that command with its options:

    python -m search.submit export --model qwenvl --margins 3
    python -m search.submit verify presets/qwenvl-pope.yaml
    python -m search.submit flow --model qwenvl --benchmark scienceqa
"""

from __future__ import annotations

import argparse
import getpass
import os
import socket
import sys

from objectives.options import add_json_option, check_json, command_parser, write_json
from search.cli import add_storage_option, run_search_command
from search.command_line import words
from search.launch import add_launch_options, config_values

_OWN = ("priority", "by", "json", "storage")


def parser() -> argparse.ArgumentParser:
    """Return the parser of a search; that of another command is its own, with the same further options."""
    parser = command_parser("search.submit", __doc__)
    add_launch_options(parser)
    _add_own_options(parser)
    return parser


def _add_own_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--priority", type=int, default=0, metavar="N", help="higher ones run first (default 0)")
    parser.add_argument("--by", default="", metavar="NAME", help="who submits it (default USER@HOST)")
    add_json_option(parser)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be queued."""
    given = words(arguments)
    if given and given[0] in ("export", "verify", "flow"):
        own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        add_storage_option(own)
        _add_own_options(own)
        options, rest = own.parse_known_args(given[1:])
        return run_search_command(lambda: _submit(options, given[0], rest))
    options = parser().parse_args(given)
    return run_search_command(lambda: _submit(options, "search", []))


def _submit(options: argparse.Namespace, kind: str, rest: list[str]) -> int:
    from search.inputs.limits import check_number
    from search.jobs import job_document
    from search.serving.requests import command_request, search_request
    from storage import JobQueue, JobRecord, open_store
    from storage.commands import DEFAULT_STORAGE, password_note, shell_command

    json_path, url = getattr(options, "json", None), getattr(options, "storage", DEFAULT_STORAGE)
    check_json(json_path)
    check_number("--priority", options.priority, -(2**31))
    if kind == "search":
        chosen = {name: v for name, v in config_values(options).items() if name not in _OWN}
        request = search_request(chosen)
    else:
        request = command_request(kind, rest)
    with open_store(url) as store:
        queue = JobQueue(store)
        job = queue.submit(JobRecord(kind, request, os.getcwd(), options.by or _user(), options.priority))
        ahead = sum(one.priority >= job.priority for one in queue.jobs("queued", "running")) - 1
    text = f"job {job.id} is queued{f', {ahead} before it' if ahead else ''}\n"
    for module, what in (("search.service", "carries it out"), ("search.jobs", "shows how far it is")):
        text += f"{shell_command('python', '-m', module, '--storage', url)}  # {what}\n"
    note = password_note(url)
    write_json(json_path, {"job": job_document(job)}, f"{text}{note}\n" if note else text)
    return 0


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


if __name__ == "__main__":
    sys.exit(main())
