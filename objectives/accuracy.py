"""What a configuration earns: answers to a benchmark's questions under pruning, scored one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

import himap
from himap import PruningConfig
from objectives.benchmarks import Benchmark, Question
from objectives.benchmarks.embedded import embedded_image
from objectives.models import LoadedModel
from objectives.statistics import Interval, wilson

_VISION_KEYS = ("pixel_values",)


@dataclass(frozen=True)
class Evaluation:
    """Results in question order. Token counts are per question: image tokens, left after k1, left after k2,
    and text tokens of the prompt."""

    answers: tuple[str, ...]
    scores: tuple[float, ...]
    metrics: dict[str, float]
    image_tokens: tuple[int, ...]
    after_k1: tuple[int, ...]
    after_k2: tuple[int, ...]
    text_tokens: tuple[int, ...]

    @property
    def accuracy(self) -> Interval:
        """Mean score with its 95 % Wilson interval."""
        return wilson(sum(self.scores) / len(self.scores), len(self.scores))


@dataclass(frozen=True)
class _Batch:
    """Prepared inputs of some questions, their image features and what the counts need."""

    order: list[int]
    inputs: dict[str, torch.Tensor]
    features: list[torch.Tensor]
    image_tokens: list[int]
    text_tokens: list[int]

    def vision_output(self) -> BaseModelOutputWithPooling:
        """The features as `generate` takes them from a vision tower that has already run."""
        features: Any = tuple(self.features)
        return BaseModelOutputWithPooling(pooler_output=features)


class Evaluator:
    """A model with a fixed list of questions; image features are computed once and kept.

    Questions are batched by prompt length; every answer is what the model gives to the question alone.
    """

    def __init__(
        self, loaded: LoadedModel, benchmark: Benchmark, questions: Sequence[Question], batch_size: int = 24
    ) -> None:
        self.loaded, self.benchmark, self.questions = loaded, benchmark, list(questions)
        if not self.questions:
            raise ValueError("got no questions; an evaluation needs at least one")
        self._features: dict[str, torch.Tensor] = {}
        self._batches = self._prepare(batch_size)

    @torch.inference_mode()
    def _prepare(self, batch_size: int) -> list[_Batch]:
        lengths = [len(self.benchmark.prompt(q)) for q in self.questions]
        sizes = [embedded_image(q.image).size for q in self.questions]
        order = sorted(range(len(self.questions)), key=lambda i: (sizes[i], lengths[i]))
        return [self._batch(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]

    def _batch(self, order: list[int]) -> _Batch:
        asked = [self.questions[i] for i in order]
        images = [embedded_image(q.image) for q in asked]
        inputs = self.loaded.inputs([self.benchmark.prompt(q) for q in asked], images)
        inputs = {key: value.to(self.loaded.device) for key, value in inputs.items()}
        self._see(asked, inputs)
        is_image = inputs["input_ids"] == self.loaded.model.config.image_token_id
        return _Batch(
            order,
            {key: value for key, value in inputs.items() if key not in _VISION_KEYS},
            [self._features[q.image] for q in asked],
            is_image.sum(1).tolist(),
            (inputs["attention_mask"].sum(1) - is_image.sum(1)).tolist(),
        )

    def _see(self, asked: list[Question], inputs: dict[str, torch.Tensor]) -> None:
        """Computes the features of images not seen before, each once."""
        rows = {q.image: row for row, q in enumerate(asked) if q.image not in self._features}
        if not rows:
            return
        chosen = list(rows.values())
        pixels, grids = inputs["pixel_values"].to(self.loaded.model.dtype), inputs.get("image_grid_thw")
        if grids is None:
            vision = {"pixel_values": pixels[chosen]}
        else:  # patches of all images in one list
            patches = pixels.split(grids.prod(1).tolist())
            vision = {
                "pixel_values": torch.cat([patches[r] for r in chosen]),
                "image_grid_thw": grids[chosen],
            }
        seen = self.loaded.model.get_image_features(**vision, **self._vision_options()).pooler_output
        self._features.update(zip(rows, seen, strict=True))

    def _vision_options(self) -> dict[str, object]:
        config = self.loaded.model.config
        names = ("vision_feature_layer", "vision_feature_select_strategy")
        return {name: getattr(config, name) for name in names if hasattr(config, name)}

    @torch.inference_mode()
    def evaluate(self, config: PruningConfig) -> Evaluation:
        """Answers all questions under `config`, greedily, and scores them."""
        n = len(self.questions)
        answers = [""] * n
        image, after_k1, after_k2, text = [0] * n, [0] * n, [0] * n, [0] * n
        with himap.prune(self.loaded.model, config):
            for batch in self._batches:
                for i, answer in zip(batch.order, self._answer(batch), strict=True):
                    answers[i] = answer
                for i, tokens, words in zip(batch.order, batch.image_tokens, batch.text_tokens, strict=True):
                    image[i], text[i] = tokens, words
                    after_k1[i], after_k2[i] = config.kept(tokens)
        scores = tuple(self.benchmark.score(q, a) for q, a in zip(self.questions, answers, strict=True))
        metrics = self.benchmark.metrics(self.questions, answers)
        return Evaluation(
            tuple(answers), scores, metrics, tuple(image), tuple(after_k1), tuple(after_k2), tuple(text)
        )

    def _answer(self, batch: _Batch) -> list[str]:
        generated = self.loaded.model.generate(
            **batch.inputs,
            mm_encoder_outputs={"image": batch.vision_output()},
            max_new_tokens=self.benchmark.max_new_tokens,
            do_sample=False,
        )
        new = generated[:, batch.inputs["input_ids"].shape[1] :]
        texts = self.loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def prompt(self, i: int) -> dict[str, object]:
        """Inputs of question `i` alone, features included, as `generate` takes them."""
        batch = self._batch([i])
        return {**batch.inputs, "mm_encoder_outputs": {"image": batch.vision_output()}}
