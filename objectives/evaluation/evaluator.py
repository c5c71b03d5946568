"""What a configuration earns: answers to a benchmark's questions under pruning, scored one by one.

python -m objectives.accuracy --model FOLDER --data questions.jsonl --metric exact_match
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import himap
from himap import PruningConfig
from objectives.benchmarks import Benchmark, Question
from objectives.data.images import image_size, load_image
from objectives.errors import DataError
from objectives.evaluation.features import Features, as_arguments
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.statistics.estimates import Interval, interval

_CHUNK = 32

Stop = Callable[[Sequence[int], Sequence[float]], bool]


@dataclass(frozen=True)
class Evaluation:
    """Results in question order. Token counts are per question: image tokens, left after k1, left after k2,
    and text tokens of the prompt. Where the evaluation was stopped, a question that was not asked has no
    answer and the score NaN, and there are no metrics. `graded` says that scores are not right-or-wrong."""

    answers: tuple[str, ...]
    scores: tuple[float, ...]
    metrics: dict[str, float]
    image_tokens: tuple[int, ...]
    after_k1: tuple[int, ...]
    after_k2: tuple[int, ...]
    text_tokens: tuple[int, ...]
    graded: bool = False

    @property
    def asked(self) -> int:
        """How many questions were asked."""
        return sum(not math.isnan(score) for score in self.scores)

    @property
    def accuracy(self) -> Interval:
        """Mean score of the questions asked with its 95 % interval: Wilson's, or the bootstrap's where they
        are graded."""
        scores = [score for score in self.scores if not math.isnan(score)]
        return interval(scores, graded=self.graded)


@dataclass(frozen=True)
class _Batch:
    """Prepared inputs of some questions, their image features and what the counts need."""

    order: list[int]
    inputs: dict[str, torch.Tensor]
    features: tuple[torch.Tensor, ...]
    image_tokens: list[int]
    text_tokens: list[int]

    def arguments(self) -> dict[str, Any]:
        """As `generate` takes them; the vision tower has run already, if the model lets it."""
        return {**self.inputs, **as_arguments(self.features)}


class Evaluator:
    """A model with a fixed list of questions; image features are computed once and kept.

    Questions are asked in one fixed shuffled order, those of a group side by side, chunk by chunk, and
    batched by prompt length within a chunk; every answer is what the model gives to the question alone.
    Layers in front of the first cut run once per batch where `prefixes` keeps them.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        benchmark: Benchmark,
        questions: Sequence[Question],
        batch_size: int = 24,
        prefixes: PrefixCache | None = None,
    ) -> None:
        self.loaded, self.benchmark, self.questions = loaded, benchmark, list(questions)
        self._prefixes, self._own = prefixes or PrefixCache(0), object()
        check_askable(self.questions)
        self._features = Features(loaded.model)
        self._prompts: dict[int, _Batch] = {}
        self.chunks = chunked(self.questions, max(_CHUNK, batch_size))
        self._batches = [self._prepare(chunk, batch_size) for chunk in self.chunks]

    @torch.inference_mode()
    def _prepare(self, chunk: Sequence[int], batch_size: int) -> list[_Batch]:
        asked = {i: self.questions[i] for i in chunk}
        shapes = {
            i: ([image_size(image) for image in q.images], len(self.benchmark.prompt(q))) for i, q in asked.items()
        }
        order = sorted(chunk, key=lambda i: shapes[i])
        return [self._batch(part) for part in parts(order, batch_size)]

    def _batch(self, order: list[int]) -> _Batch:
        asked = [self.questions[i] for i in order]
        images = [[load_image(image) for image in q.images] for q in asked]
        inputs = self.loaded.inputs([self.benchmark.prompt(q) for q in asked], images)
        inputs = {key: value.to(self.loaded.device) for key, value in inputs.items()}
        is_image = inputs["input_ids"] == self.loaded.model.config.image_token_id
        rest, features = self._features.instead_of_pixels([image for q in asked for image in q.images], inputs)
        return _Batch(
            order,
            rest,
            features,
            is_image.sum(1).tolist(),
            (inputs["attention_mask"].sum(1) - is_image.sum(1)).tolist(),
        )

    @torch.inference_mode()
    def evaluate(self, config: PruningConfig, stop: Stop | None = None) -> Evaluation:
        """Answers all questions under `config`, greedily, and scores them.

        Args:
            stop: asked between chunks with the questions so far, in the order asked, and their scores;
                whether to leave it at that.
        """
        answers: dict[int, str] = {}
        asked: list[int] = []
        model = self.loaded.model
        with himap.prune(model, config), self._prefixes.reusing(model, config) as begin:
            for number, (chunk, batches) in enumerate(zip(self.chunks, self._batches, strict=True)):
                if asked and stop is not None and stop(asked, self._scores(asked, answers)):
                    break
                for each, batch in enumerate(batches):
                    begin((self._own, number, each))
                    answers.update(zip(batch.order, self._answer(batch), strict=True))
                asked += chunk
        return self._result(config, asked, answers)

    def _scores(self, asked: Sequence[int], answers: dict[int, str]) -> list[float]:
        submitted = [self.benchmark.submitted(answers[i]) for i in asked]
        return self.benchmark.scores([self.questions[i] for i in asked], submitted)

    def _result(self, config: PruningConfig, asked: Sequence[int], answers: dict[int, str]) -> Evaluation:
        order = range(len(self.questions))
        ended = sorted(asked) == list(order)
        scores = dict(zip(sorted(asked), self._scores(sorted(asked), answers), strict=True))
        said = tuple(answers.get(i, "") for i in order)
        submitted = [self.benchmark.submitted(answer) for answer in said]
        image, text = self.tokens()
        after = [config.kept(tokens) for tokens in image]
        return Evaluation(
            said,
            tuple(scores.get(i, math.nan) for i in order),
            self.benchmark.metrics(self.questions, submitted) if ended else {},
            image,
            tuple(k1 for k1, _ in after),
            tuple(k2 for _, k2 in after),
            text,
            self.benchmark.graded,
        )

    def tokens(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Image tokens and text tokens of each question's prompt."""
        counts = {
            i: pair
            for batches in self._batches
            for batch in batches
            for i, *pair in zip(batch.order, batch.image_tokens, batch.text_tokens, strict=True)
        }
        image, text = zip(*(counts[i] for i in range(len(self.questions))), strict=True)
        return image, text

    def _answer(self, batch: _Batch) -> list[str]:
        generated = self.loaded.model.generate(
            **batch.arguments(), max_new_tokens=self.benchmark.max_new_tokens, do_sample=False
        )
        new = generated[:, batch.inputs["input_ids"].shape[1] :]
        texts = self.loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def prompt(self, i: int) -> dict[str, object]:
        """Inputs of question `i` alone, features included, as `generate` takes them; prepared once."""
        if i not in self._prompts:
            self._prompts[i] = self._batch([i])
        return self._prompts[i].arguments()


def check_askable(questions: Sequence[Question]) -> None:
    """Raises ValueError where there are none, DataError where one has no image."""
    if not questions:
        raise ValueError("got no questions; an evaluation needs at least one")
    if blind := [q for q in questions if not q.images]:
        raise DataError(
            f"question {blind[0].id!r} has no image, and so {len(blind)} of {len(questions)}; "
            "expected at least one for each question"
        )


def chunked(questions: Sequence[Question], size: int) -> list[list[int]]:
    """All questions' places, shuffled the same way each time, in chunks of about `size`. What is shuffled are
    groups, which are in one chunk and keep their own order."""
    groups: dict[str | int, list[int]] = {}
    for i, question in enumerate(questions):
        groups.setdefault(question.group or i, []).append(i)
    drawn = random.Random(0).sample(list(groups.values()), len(groups))
    bounds = _bounds(len(questions), size)
    chunks: list[list[int]] = [[] for _ in bounds[1:]]
    start = 0
    for group in drawn:
        chunks[bisect.bisect_right(bounds, start) - 1] += group
        start += len(group)
    return [chunk for chunk in chunks if chunk]


def parts(items: Sequence[int], size: int) -> list[list[int]]:
    """`items` in order, in as few parts of at most `size` as can be, as equal as can be."""
    return [list(items[low:high]) for low, high in itertools.pairwise(_bounds(len(items), size))]


def _bounds(n: int, size: int) -> list[int]:
    count = math.ceil(n / size)
    return [n * i // count for i in range(count + 1)]


def _command() -> int:
    from objectives.accuracy import main  # which needs this module whole

    return main()


if __name__ == "__main__":
    sys.exit(_command())
