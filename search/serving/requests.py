"""What a job can be: its request as JSON, how it is checked and carried out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from search.errors import UsageError

KINDS = {
    "search": "search.launch",
    "export": "search.export",
    "verify": "search.verify",
    "flow": "objectives.flow.__main__",
}


def search_request(options: dict[str, Any]) -> str:
    """Return the request of a search: the JSON of its `SearchConfig`, without the store, which a runner adds.

    Raises:
        SearchError, ObjectiveError: as `SearchConfig`.
    """
    from search.config import SearchConfig

    values = json.loads(SearchConfig(**options).to_json())
    return json.dumps({name: value for name, value in values.items() if name != "storage"})


def command_request(kind: str, words: Sequence[str]) -> str:
    """Return the request of another kind: the options of its command. Its parser refuses wrong ones."""
    _parsed(kind, words)
    return json.dumps({"options": list(words)})


def carry_out(kind: str, request: str, storage: str, address: str | None) -> int:
    """Carry a request out on a store, as its command does, and return the exit code of the command.

    Args:
        address: of the Ray cluster to join where the request names none.

    Raises:
        SearchError, ObjectiveError, StorageError: as the command reports in one line.
    """
    if kind == "search":
        from search.config import SearchConfig
        from search.launch import search

        config = SearchConfig.from_json(request)
        return search(replace(config, storage=storage, address=config.address or address))
    words = [str(word) for word in json.loads(request)["options"]]
    if kind == "export":
        from search.running.export_run import export  # here, as torch takes seconds to import

        options = _parsed(kind, [*words, "--storage", storage])
        options.address = options.address or address
        export(options)
        return 0
    if kind == "verify":
        from search.certifying.verify_run import verify

        return 0 if verify(_parsed(kind, words)) else 1
    code: int = import_module(KINDS["flow"]).main(words)
    return code


def _parsed(kind: str, words: Sequence[str]) -> argparse.Namespace:
    if kind not in KINDS:
        raise UsageError(f"got a job of the kind {kind!r}; expected one of {', '.join(KINDS)}")
    module: Any = import_module(KINDS[kind])
    options: argparse.Namespace = module.parser().parse_args(list(words))
    return options
