"""Whether the installed transformers runs the code that the tests have seen."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType

import transformers

from himap.families.family import Family
from himap.families.tested_code import DIGESTS, VERSION

SHARED = ("transformers.cache_utils", "transformers.masking_utils", "transformers.integrations.sdpa_attention")


def unknown_code(family: Family) -> str | None:
    """Return the module of transformers whose code is unknown; None where all of a family's code is known.

    Releases between the oldest that this package admits and the tested one count as known.
    """
    if _minor(transformers.__version__) < _minor(VERSION):
        return None
    return next((name for name in modules(family) if digest(sys.modules[name]) != DIGESTS.get(name)), None)


def modules(family: Family) -> Iterator[str]:
    """Yield the modules of transformers with the code of a model: caches, masks, its decoder, its backbone."""
    yield from SHARED
    for part in (family.decoder, family.backbone):
        own = (cls.__module__ for cls in type(part).__mro__ if cls.__module__.startswith("transformers."))
        yield next(own, type(part).__module__)


def _minor(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))


@cache
def digest(module: ModuleType) -> str:
    """Return the digest of a module's source text."""
    return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()[:16]
