"""Ranking criteria (the paper's φ), one file each, by name.

Names are known without importing torch; a criterion's module is loaded when it is first used. To add one:
write its file, add its line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from himap.criteria.base import Criterion

_REGISTRY = {
    "instruction": "himap.criteria.instruction:Instruction",
    "last_token": "himap.criteria.last_token:LastToken",
    "intra_column": "himap.criteria.intra_column:IntraColumn",
    "random": "himap.criteria.random:Random",
}


def names() -> tuple[str, ...]:
    """Every registered name."""
    return tuple(_REGISTRY)


def create(name: str, seed: int) -> Criterion:
    """The criterion of a registered name; `seed` is read by seeded ones only."""
    module, _, attribute = _REGISTRY[name].partition(":")
    criterion: Criterion = getattr(import_module(module), attribute)(seed)
    return criterion
