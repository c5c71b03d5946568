"""Say what a search would do: its questions, what they can certify at best, what it costs and where it runs.

    python -m search.plan --model qwenvl --data questions.jsonl --metric vqa_accuracy --budget 200

The options are those of `python -m search.launch`. It checks the questions as a search does, lists the rows that cannot
be used, and measures nothing. Hours follow from the last trials of the model on this device in --storage.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from objectives.options import add_json_option, check_json, command_parser, write_json
from search.cli import run_search_command
from search.command_line import words
from search.launch import add_launch_options, config_values

if TYPE_CHECKING:
    from search.running.planning import SearchPlan

_SHOWN = 20  # rows that cannot be used


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.plan", __doc__)
    add_launch_options(parser)
    add_json_option(parser)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for a search that cannot run."""
    options = config_values(parser().parse_args(words(arguments)))
    json_path = options.pop("json", None)

    def run() -> int:
        from search.config import SearchConfig
        from search.running.planning import plan  # after parsing: torch takes seconds to import

        path = str(json_path) if json_path else None
        check_json(path)
        result = plan(SearchConfig(**options))
        write_json(path, asdict(result), "\n".join([*lines(result), ""]))
        return 0

    return run_search_command(run)


def lines(plan: SearchPlan) -> list[str]:
    """Return a plan in lines for people."""
    out = [f"weights    {plan.weights}"]
    for one in plan.studies:
        best = one.certifiable
        what = f"at best within {best.margin:.2g} points, by {best.questions} test questions" if best else ""
        certified = f"certified {what}" if what else f"not certified, {one.reason}"
        out.append(f"study      {one.name}: {one.questions} questions a trial; {certified}")
    out += [f"left out   {row.word} {row.line}: {row.problem}" for row in plan.bad[:_SHOWN]]
    if len(plan.bad) > _SHOWN:
        out.append(f"left out   {len(plan.bad) - _SHOWN} further rows")
    out.append(f"answers    {plan.answers:,}, and about {plan.test_answers:,} to certify")
    hours = "unknown: the store has no trial of this model on this device"
    out.append(f"time       {hours if plan.hours is None else f'about {plan.hours:.2g} hours'}")
    if plan.memory_gb is not None:
        out.append(f"memory     about {plan.memory_gb:.2g} GB for weights, images and shared layers")
    out.append(f"runs on    {plan.where}; {plan.workers or 'as many as fit'} worker(s)")
    return out


if __name__ == "__main__":
    sys.exit(main())
