"""The ranking criteria (the paper's φ), one file each, by name.

Every module here without an underscore is a criterion, except `base`: `key_norm.py` holds the class `KeyNorm`.
The names are known without torch, and a module is loaded when its criterion is created. `register` adds a
criterion from outside the package.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from himap.errors import ConfigError, shown

if TYPE_CHECKING:
    from himap.criteria.base import Criterion

_modules = [module.name for module in iter_modules(__path__)]
_registry: dict[str, type[Criterion] | None] = {
    name: None for name in _modules if name != "base" and not name.startswith("_")
}


def names() -> tuple[str, ...]:
    """Return every registered name."""
    return tuple(_registry)


def register(name: str, criterion: type[Criterion]) -> None:
    """Register a criterion of your own under a name, in this process; `himap.testing` holds its tests.

    Raises:
        ConfigError: another criterion has this name.
    """
    if _registry.get(name, criterion) is not criterion:
        raise ConfigError(f"a criterion is called {shown(name)} already; choose another name")
    _registry[name] = criterion


@cache
def reads_seed(name: str) -> bool:
    """Return whether a criterion may read its seed: a registered one may, one of the package does if its file says so.

    The file is read as text, because importing it would load torch.
    """
    return _registry[name] is not None or "self.seed" in Path(__file__).with_name(f"{name}.py").read_text("utf-8")


def create(name: str, seed: int) -> Criterion:
    """Return the criterion of a registered name; only seeded criteria read `seed`."""
    criterion = _registry[name] or getattr(import_module(f"{__name__}.{name}"), name.title().replace("_", ""))
    created: Criterion = criterion(seed)
    return created
