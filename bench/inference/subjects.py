"""The models that inference is timed on, each with its prompt and the image features of its vision tower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, CLIPVisionConfig, LlamaConfig, LlavaConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

from himap.families import image_token
from minis import checkpoint
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_image, embedded_questions
from objectives.evaluation import models
from objectives.flops import DecoderShape
from objectives.flops.shapes import FULL_SIZE

SYSTEM_TOKENS, INSTRUCTION_TOKENS = 35, 135  # the paper's prompts
# At least 300 M parameters in the decoder, as deep as LLaVA-7B so that the paper's settings mean the same.
CPU_SHAPE = DecoderShape(896, 2432, 32, 14, 14, 64, 32064)


@dataclass
class Subject:
    """A model and one prompt.

    Attributes:
        row: the model's inputs for one prompt, pixels included, one row each.
        new_tokens: how many tokens an example generates.
        features: (image tokens, channels) of the prompt's image after vision tower and projector.
        image_tokens: of the prompt, as `text_tokens`.
    """

    name: str
    model: Any
    weights: str
    row: dict[str, Tensor]
    new_tokens: int
    features: Tensor = field(init=False)
    image_tokens: int = field(init=False)
    text_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.features = self.run_tower()
        self.image_tokens = int((self.row["input_ids"] == image_token(self.model.config)).sum())
        self.text_tokens = self.row["input_ids"].shape[1] - self.image_tokens

    @property
    def shape(self) -> DecoderShape:
        """The sizes of the decoder."""
        return DecoderShape.from_config(self.model.config)

    @property
    def decoder(self) -> Any:
        """The language model, with `.layers`."""
        return self.model.model.language_model

    @property
    def image_start(self) -> int:
        """The number of text tokens in front of the image."""
        is_image = self.row["input_ids"][0] == image_token(self.model.config)
        return int(is_image.int().argmax())

    def prompt(self, batch: int) -> dict[str, Tensor]:
        """Return the inputs of the prompt `batch` times."""
        return {key: value.repeat(batch, *[1] * (value.dim() - 1)) for key, value in self.row.items()}

    @torch.inference_mode()
    def run_tower(self) -> Tensor:
        """Run the vision tower and the projector on the image."""
        vision = {key: self.row[key] for key in ("pixel_values", "image_grid_thw") if key in self.row}
        names, config = ("vision_feature_layer", "vision_feature_select_strategy"), self.model.config
        options = {key: getattr(config, key) for key in names if hasattr(config, key)}
        features: Tensor = self.model.get_image_features(**vision, **options, return_dict=True).pooler_output[0]
        return features

    @contextmanager
    def features_given(self, batch: int) -> Iterator[None]:
        """Replace the vision tower by the stored features of `batch` images while the context is open."""

        def stored(*_: Any, **__: Any) -> BaseModelOutputWithPooling:
            output: Any = BaseModelOutputWithPooling()
            output.pooler_output = [self.features] * batch
            return output

        backbone = self.model.model
        backbone.get_image_features = stored
        try:
            yield
        finally:
            del backbone.get_image_features


def mini(name: str, device: torch.device) -> Subject:
    """Return a shipped mini with one of its POPE questions."""
    loaded = models.load(checkpoint.path(name), str(device))
    pope = benchmark("pope")
    question = embedded_questions(pope, "validation", 2)[0]
    row = loaded.inputs([pope.prompt(question)], [[embedded_image(question.image)]])
    row.pop("attention_mask")  # all ones: one row has no padding
    row = {key: value.to(device) for key, value in row.items()}
    row["pixel_values"] = row["pixel_values"].to(loaded.model.dtype)
    return Subject(name, loaded.model, f"trained, {loaded.digest[:8]}", row, new_tokens=8)


def random_llava(
    name: str, shape: DecoderShape, device: torch.device, new_tokens: int, tower: CLIPVisionConfig | None = None
) -> Subject:
    """Return LLaVA-1.5 with random weights: a decoder of this shape behind `tower`, else CLIP ViT-L/14 at 336 px."""
    text = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096,
    )
    vision = tower or CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    side: Any = vision.image_size
    image_tokens = (side // vision.patch_size) ** 2
    placeholder: Any = shape.vocabulary - 64
    config = LlavaConfig(
        text_config=text, vision_config=vision, image_token_index=placeholder, image_seq_length=image_tokens
    )
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    with device:
        model: Any = AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa")
        words = torch.randint(3, placeholder, (SYSTEM_TOKENS + INSTRUCTION_TOKENS,))
        image = torch.full((image_tokens,), placeholder)
        ids = torch.cat([words[:SYSTEM_TOKENS], image, words[SYSTEM_TOKENS:]])[None]
        row = {"input_ids": ids, "pixel_values": torch.randn(1, 3, side, side, dtype=dtype)}
    weights = f"random, {sum(p.numel() for p in model.model.language_model.parameters()) / 1e6:.0f} M decoder"
    return Subject(name, model.to(device).eval(), weights, row, new_tokens)


def _full_size(name: str) -> Callable[[torch.device], Subject]:
    return lambda device: random_llava(name, FULL_SIZE[name].shape, device, new_tokens=16)


ON_CPU: dict[str, Callable[[torch.device], Subject]] = {
    "llava-mini": lambda device: mini("llava-mini", device),
    "qwenvl-mini": lambda device: mini("qwenvl-mini", device),
    "llava-300m": lambda device: random_llava("llava-300m", CPU_SHAPE, device, new_tokens=4),
}
ON_GPU = {name: _full_size(name) for name in ("llava-7b", "llava-13b")}
