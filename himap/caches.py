"""A call's key-value cache: transformers names the argument `cache`, and until 5.23 `past_key_values`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def kv_cache(arguments: Mapping[str, Any]) -> Any:
    """The cache among a call's arguments by name, of a backbone or of a decoder layer; None without one."""
    found = arguments.get("cache")
    return arguments.get("past_key_values") if found is None else found
