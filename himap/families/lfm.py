"""LFM2-VL: short convolutions in most decoder layers."""

from __future__ import annotations

from typing import ClassVar

from himap.families.family import Family


class Lfm2VL(Family):
    """LFM2-VL; a convolution runs on the tokens left."""

    model_class: ClassVar[str] = "Lfm2VlForConditionalGeneration"
