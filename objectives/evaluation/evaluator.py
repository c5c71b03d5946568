"""Answer a benchmark's questions under pruning, and score the answers one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import himap
from himap import PruningConfig
from himap.families import image_token
from objectives.benchmarks import Benchmark, Question
from objectives.data.images import image_size
from objectives.errors import DataError
from objectives.evaluation.batches import BATCH_SIZE, chunked, fitting, halving, out_of_memory, parts
from objectives.evaluation.features import Features, PromptBatch
from objectives.evaluation.memory import Key, Memory
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.statistics.estimates import Interval, interval

_CHUNK = 32

Begin = Callable[[Key | None], None]  # see `PrefixCache.reusing`
Stop = Callable[[Sequence[int], Sequence[float]], bool]


@dataclass(frozen=True)
class Evaluation:
    """Results in question order; token counts are those of each question's prompt.

    An evaluation that was stopped has no metrics; its open questions have the answer "" and the score NaN. `graded` is
    that of the benchmark.
    """

    answers: tuple[str, ...]
    scores: tuple[float, ...]
    metrics: dict[str, float]
    image_tokens: tuple[int, ...]
    text_tokens: tuple[int, ...]
    graded: bool = False

    @property
    def answered(self) -> int:
        """How many questions were answered."""
        return sum(not math.isnan(score) for score in self.scores)

    @property
    def accuracy(self) -> Interval:
        """Mean score of the answered questions with its 95 % interval, see `statistics.estimates.interval`."""
        scores = [score for score in self.scores if not math.isnan(score)]
        return interval(scores, graded=self.graded)


class Evaluator:
    """A model with a fixed list of questions; image features are computed once.

    Questions come in one fixed shuffled order, those of a group side by side, chunk by chunk, in batches by prompt
    length within a chunk. Every answer equals the model's answer to the question alone.

    Args:
        prefixes: cache of the layers in front of the first cut, which then run once per batch; its memory holds the
            images, too. Without it images are kept whatever they take.

    Raises:
        ValueError: no questions.
        DataError: a question without an image.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        benchmark: Benchmark,
        questions: Sequence[Question],
        batch_size: int = BATCH_SIZE,
        prefixes: PrefixCache | None = None,
    ) -> None:
        self.loaded, self.benchmark, self.questions = loaded, benchmark, list(questions)
        self._prefixes, self._own = prefixes or PrefixCache(Memory(0)), object()
        check_questions(self.questions)
        self._features = Features(loaded, prefixes.memory if prefixes else None)
        self._prompts: dict[tuple[tuple[int, ...], bool], PromptBatch] = {}
        self.chunks = chunked(self.questions, max(_CHUNK, batch_size))
        self._batches = [self._prepare(chunk, batch_size) for chunk in self.chunks]
        self._tokens = self._count_tokens()

    @torch.inference_mode()
    def _prepare(self, chunk: Sequence[int], batch_size: int) -> list[PromptBatch]:
        questions = {i: self.questions[i] for i in chunk}
        shapes = {
            i: ([image_size(image) for image in q.images], len(self.benchmark.prompt(q))) for i, q in questions.items()
        }
        order = sorted(chunk, key=lambda i: shapes[i])
        pixels = {i: sum(width * height for width, height in sizes) for i, (sizes, _) in shapes.items()}
        return [batch for part in parts(order, batch_size) for batch in fitting(part, self._batch, pixels)]

    def _batch(self, order: list[int]) -> PromptBatch:
        return self._features.batch(self.benchmark, self.questions, order)

    @torch.inference_mode()
    def evaluate(self, config: PruningConfig, stop: Stop | None = None) -> Evaluation:
        """Answer all questions under `config` with greedy decoding, and score the answers.

        Args:
            stop: called between chunks with the answered questions in their order and their scores; returns
                whether to stop.
        """
        answers: dict[int, str] = {}
        answered: list[int] = []
        model = self.loaded.model
        with himap.prune(model, config), self._prefixes.reusing(model, config) as begin:
            for chunk, batches in zip(self.chunks, self._batches, strict=True):
                if answered and stop is not None and stop(answered, self._scores(answered, answers)):
                    break
                self._answer_all(batches, begin, answers)
                answered += chunk
        return self._result(answered, answers)

    def _scores(self, answered: Sequence[int], answers: dict[int, str]) -> list[float]:
        submitted = [self.benchmark.submitted(answers[i]) for i in answered]
        return self.benchmark.scores([self.questions[i] for i in answered], submitted)

    def _result(self, answered: Sequence[int], answers: dict[int, str]) -> Evaluation:
        order = range(len(self.questions))
        complete = sorted(answered) == list(order)
        scores = dict(zip(sorted(answered), self._scores(sorted(answered), answers), strict=True))
        texts = tuple(answers.get(i, "") for i in order)
        submitted = [self.benchmark.submitted(text) for text in texts]
        return Evaluation(
            texts,
            tuple(scores.get(i, math.nan) for i in order),
            self.benchmark.metrics(self.questions, submitted) if complete else {},
            *self._tokens,
            self.benchmark.graded,
        )

    def tokens(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the image tokens and the text tokens of each question's prompt."""
        return self._tokens

    def _answer_all(
        self, batches: list[PromptBatch], begin: Callable[[Key | None], None], answers: dict[int, str]
    ) -> None:
        """Add the answers of all batches; one that the memory cannot hold is halved, for later evaluations, too."""
        for batch, texts in halving(batches, lambda batch: self._attempt(batch, begin), self._batch):
            answers.update(zip(batch.order, texts, strict=True))

    def _attempt(self, batch: PromptBatch, begin: Begin) -> list[str] | None:
        """Return the answers of a batch, or None where they need more memory than there is and it can be halved."""
        for key in ((self._own, *batch.order), None):  # the second time without a prefix cache
            begin(key)
            try:
                return self._answer(batch)
            except (MemoryError, RuntimeError) as error:
                if key is None or not out_of_memory(error):
                    raise
            self._prefixes.memory.release()
            if len(batch.order) > 1:
                break
        return None

    def _count_tokens(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        counts: dict[int, tuple[int, int]] = {}
        for batch in itertools.chain.from_iterable(self._batches):
            image = (batch.tensors["input_ids"] == image_token(self.loaded.model.config)).sum(1)
            text = batch.tensors["attention_mask"].sum(1) - image
            counts.update(zip(batch.order, zip(image.tolist(), text.tolist(), strict=True), strict=True))
        images, texts = zip(*(counts[i] for i in range(len(self.questions))), strict=True)
        return images, texts

    def _answer(self, batch: PromptBatch) -> list[str]:
        generated = self.loaded.model.generate(
            **batch.arguments(), max_new_tokens=self.benchmark.max_new_tokens, do_sample=False
        )
        new = generated[:, batch.slots :]
        texts = self.loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def prompt(self, order: Sequence[int], *, pixels: bool = False) -> dict[str, Any]:
        """Return the arguments of `generate` for these questions as one batch; prepared once.

        They hold image features where the model takes them, with `pixels` always the pixels.
        """
        key = (tuple(order), pixels)
        if key not in self._prompts:
            self._prompts[key] = self._features.batch(self.benchmark, self.questions, list(order), pixels=pixels)
        return self._prompts[key].arguments()


def check_questions(questions: Sequence[Question]) -> None:
    """Raise ValueError where there are no questions, DataError where one has no image."""
    if not questions:
        raise ValueError("got no questions; an evaluation needs at least one")
    if blind := [q for q in questions if not q.images]:
        raise DataError(
            f"{len(blind)} of {len(questions)} questions have no image, the first is {blind[0].id!r}; "
            "expected at least one image for each question"
        )
