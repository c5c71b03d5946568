"""InternVL, in its transformers-native form."""

from __future__ import annotations

from typing import ClassVar

from himap.families.base import Family


class InternVL(Family):
    """InternVL: tiles of one size. Video frames are written with the image token, so they are dropped too."""

    model_class: ClassVar[str] = "InternVLForConditionalGeneration"
