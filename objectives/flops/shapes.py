"""The decoders of well-known full-size models, as their published configurations state them."""

from __future__ import annotations

from dataclasses import dataclass

from objectives.flops import DecoderShape


@dataclass(frozen=True)
class FullSize:
    """A full-size model.

    Attributes:
        shape: of its decoder.
        image_tokens: of one image.
        image: the kind of that image.
        checkpoint: the checkpoint whose config.json states the sizes.
        paper: the shape and the image tokens behind the paper's table, where they differ from the model's.
    """

    shape: DecoderShape
    image_tokens: int
    image: str
    checkpoint: str
    paper: tuple[DecoderShape, int] | None = None


_VICUNA_7B = DecoderShape(4096, 11008, 32, 32, 32, 128, 32064)
_QWEN2_7B = DecoderShape(3584, 18944, 28, 28, 4, 128, 152064)
_FIXED = "always"
_SQUARE_672 = "one of 672 x 672 pixels"

FULL_SIZE = {
    "llava-7b": FullSize(_VICUNA_7B, 576, _FIXED, "llava-hf/llava-1.5-7b-hf"),
    "llava-13b": FullSize(DecoderShape(5120, 13824, 40, 40, 40, 128, 32064), 576, _FIXED, "llava-hf/llava-1.5-13b-hf"),
    "qwenvl-7b": FullSize(
        # Its config.json says intermediate_size 22016 for both input halves of the gated FFN: 11008 each.
        DecoderShape(4096, 11008, 32, 32, 32, 128, 151936),
        256,
        _FIXED,
        "Qwen/Qwen-VL",
        paper=(DecoderShape(4096, 22016, 32, 32, 32, 128), 448),
    ),
    "llava-next-7b": FullSize(
        _VICUNA_7B, 2880, "four tiles and the whole, row ends not counted", "llava-hf/llava-v1.6-vicuna-7b-hf"
    ),
    "qwen2-vl-7b": FullSize(_QWEN2_7B, 576, _SQUARE_672, "Qwen/Qwen2-VL-7B-Instruct"),
    "qwen2.5-vl-3b": FullSize(
        DecoderShape(2048, 11008, 36, 16, 2, 128, 151936), 576, _SQUARE_672, "Qwen/Qwen2.5-VL-3B-Instruct"
    ),
    "qwen2.5-vl-7b": FullSize(_QWEN2_7B, 576, _SQUARE_672, "Qwen/Qwen2.5-VL-7B-Instruct"),
    "qwen3-vl-8b": FullSize(
        DecoderShape(4096, 12288, 36, 32, 8, 128, 151936), 576, "one of 768 x 768 pixels", "Qwen/Qwen3-VL-8B-Instruct"
    ),
}
