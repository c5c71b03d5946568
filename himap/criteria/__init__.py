"""Ranking criteria (the paper's φ), one file each, by name.

Names are known without importing torch; a criterion's module is loaded when it is first used. To add one to
the package: write its file, add its line here. To add one from outside: `register`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from himap.errors import ConfigError, shown

if TYPE_CHECKING:
    from himap.criteria.base import Criterion

_REGISTRY: dict[str, str | type[Criterion]] = {
    "instruction": "himap.criteria.instruction:Instruction",
    "last_token": "himap.criteria.last_token:LastToken",
    "intra_column": "himap.criteria.intra_column:IntraColumn",
    "random": "himap.criteria.random:Random",
    "all_text": "himap.criteria.all_text:AllText",
    "max_head": "himap.criteria.max_head:MaxHead",
    "intra_row": "himap.criteria.intra_row:IntraRow",
    "intra_column_mean": "himap.criteria.intra_column_mean:IntraColumnMean",
    "value_norm": "himap.criteria.value_norm:ValueNorm",
    "key_norm": "himap.criteria.key_norm:KeyNorm",
    "diversity": "himap.criteria.diversity:Diversity",
    "duplication": "himap.criteria.duplication:Duplication",
    "uniform": "himap.criteria.uniform:Uniform",
    "downsample": "himap.criteria.downsample:Downsample",
}


def names() -> tuple[str, ...]:
    """Every registered name."""
    return tuple(_REGISTRY)


def register(name: str, criterion: type[Criterion]) -> None:
    """Make a criterion of your own known by a name, in this process; test it with `himap.testing`.

    Raises:
        ConfigError: the name is taken by another criterion.
    """
    if _REGISTRY.get(name, criterion) is not criterion:
        raise ConfigError(f"a criterion is called {shown(name)} already; choose another name")
    _REGISTRY[name] = criterion


def reads_seed(name: str) -> bool:
    """Return whether a criterion may read its seed: `random` does, and one that was registered from outside may."""
    return name == "random" or not isinstance(_REGISTRY.get(name), str)


def create(name: str, seed: int) -> Criterion:
    """The criterion of a registered name; `seed` is read by seeded ones only."""
    found = _REGISTRY[name]
    if isinstance(found, str):
        module, _, attribute = found.partition(":")
        found = getattr(import_module(module), attribute)
    criterion: Criterion = found(seed)
    return criterion
