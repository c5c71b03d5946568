"""InternVL, in its native transformers form."""

from __future__ import annotations

from typing import ClassVar

from himap.families.family import Family


class InternVL(Family):
    """InternVL: tiles of one size; video frames use the image token, so they are dropped too."""

    model_class: ClassVar[str] = "InternVLForConditionalGeneration"
