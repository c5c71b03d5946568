"""The models that can be pruned: one adapter finds the parts of a model by its structure.

structure   finds decoder and backbone, and refuses code that the engine cannot follow
family      the adapter, with what the engine asks of a model
grids       the sizes of a prompt's images and videos
exceptions  the classes whose structure does not show all of it
refused     the classes that cannot be pruned, with reasons
wrapped     models inside a wrapper of PEFT
known_code  whether the installed transformers runs the code that was tested
tested      the classes and decoders that the tests compare with the masked reference
tested_code the digests of the code of transformers that was tested
"""

from __future__ import annotations

import transformers
from torch import nn

from himap.errors import UnsupportedModelError
from himap.families import structure
from himap.families.exceptions import EXCEPTIONS
from himap.families.family import Family, image_token
from himap.families.known_code import unknown_code
from himap.families.refused import REFUSED
from himap.families.tested import DECODERS, TESTED
from himap.families.tested_code import VERSION
from himap.families.wrapped import unwrapped

__all__ = ["DECODERS", "Family", "find", "image_token", "supported"]


def supported() -> tuple[str, ...]:
    """Return the class names of the transformers models whose pruning is tested."""
    return TESTED


def find(model: nn.Module, *, untested: bool = False, video: bool = True) -> Family:
    """Return the adapter of a model, or of an instance of a subclass.

    Args:
        model: the model itself, or a PEFT model around it.
        untested: accept a class, decoder or code of transformers that is not tested, if the engine can follow its
            structure.
        video: whether tokens of a video count as image tokens, and not as text.

    Raises:
        UnsupportedModelError: the model is not tested, or its structure cannot be pruned.
    """
    model = unwrapped(model)
    classes = [cls.__name__ for cls in type(model).__mro__]
    if refused := next((name for name in classes if name in REFUSED), None):
        raise UnsupportedModelError(f"{refused} cannot be pruned: {REFUSED[refused]}")
    tested = any(name in TESTED for name in classes)
    if not tested and not untested:
        raise UnsupportedModelError(
            f"got {classes[0]}; expected a class that himap.supported_models() lists; pass the model itself, not a "
            "wrapper; check another class with himap.verify(model), then pass untested=True"
        )
    family = next((EXCEPTIONS[name] for name in classes if name in EXCEPTIONS), Family)(model, video=video)
    structure.check(model, family.decoder)
    decoder = type(family.decoder).__name__
    if decoder not in DECODERS and not untested:
        raise UnsupportedModelError(
            f"got a {classes[0]} with the decoder {decoder}; expected one that is tested; check another with "
            "himap.verify(model), then pass untested=True"
        )
    if not untested and (module := unknown_code(family)):
        raise UnsupportedModelError(
            f"got transformers {transformers.__version__}, whose {module} is not the code that was tested; expected "
            f"that of transformers {VERSION}; check the model with himap.verify(model), then pass untested=True"
        )
    return family
