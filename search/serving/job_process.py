"""The process of one job: reads what to do from standard input, does it, and ends with an exit code that says how.

It ends with its runner: standard input is its lifeline.
"""

from __future__ import annotations

import json
import sys

from search.cli import run_search_command
from search.errors import SearchError, StoreLostError, StudyLockedError, WorkersLostError
from search.serving import lifeline
from search.serving.requests import carry_out
from storage import LeaseLostError, StorageError

WAIT, RETRY = 75, 76  # exit codes: another process is in the way, or the workers were lost


def main() -> int:
    """Carry out the order on standard input, and return the exit code of its command, `WAIT` or `RETRY`."""
    line = lifeline.first_line()
    if not line:
        return 2
    lifeline.hold()
    order = json.loads(line)
    codes = []

    def run() -> int:
        try:
            return carry_out(order["kind"], order["request"], order["storage"], order["address"])
        except (SearchError, StorageError) as error:
            if isinstance(error, StudyLockedError | StoreLostError | LeaseLostError):
                codes.append(WAIT)
            elif isinstance(error, WorkersLostError):
                codes.append(RETRY)
            raise

    code = run_search_command(run, "stopped; everything measured is stored")
    return codes[0] if codes else code


if __name__ == "__main__":
    sys.exit(main())
