"""Prepare prompts of a benchmark's questions for a model, with and without their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from objectives.benchmarks import Benchmark, Question
from objectives.data.images import image_size
from objectives.errors import DataError
from objectives.evaluation.batches import fitting, parts
from objectives.evaluation.features import Features, PromptBatch
from objectives.evaluation.models import LoadedModel, user_turn

IGNORED = -100
_PROMPTS = 24  # of a batch


class Prompts:
    """A list of questions for one model; image features are computed once.

    Raises:
        DataError: a question without an image or with several, or without an answer.
    """

    def __init__(self, loaded: LoadedModel, benchmark: Benchmark, questions: Sequence[Question]) -> None:
        self.loaded, self.benchmark, self.questions = loaded, benchmark, list(questions)
        for question in self.questions:
            if len(question.images) != 1 or not question.answers:
                raise DataError(
                    f"question {question.id!r} has {len(question.images)} images and "
                    f"{len(question.answers)} answers; expected one image and at least one answer"
                )
        self._features = Features(loaded)
        texts = [benchmark.prompt(question) for question in self.questions]
        sizes = [image_size(question.image) for question in self.questions]
        order = sorted(range(len(texts)), key=lambda i: (sizes[i], len(texts[i])))
        self._pixels = {i: width * height for i, (width, height) in enumerate(sizes)}
        self.batches = self._in_batches(order, _PROMPTS)

    def smaller(self, most: int) -> list[PromptBatch]:
        """Return the same prompts in batches of at most `most`."""
        return self._in_batches([i for batch in self.batches for i in batch.order], most)

    def _in_batches(self, order: list[int], most: int) -> list[PromptBatch]:
        return [batch for part in parts(order, most) for batch in fitting(part, self.batch, self._pixels)]

    def batch(self, order: list[int]) -> PromptBatch:
        """Return the prompts of the questions with these numbers."""
        return self._features.batch(self.benchmark, self.questions, order)

    def answered(self, batch: PromptBatch) -> tuple[dict[str, Any], Tensor]:
        """Append the true answers to the prompts.

        Returns:
            inputs: arguments of forward, without the last token of each answer.
            targets: (batch, slots) ids of the token after each slot, -100 where no loss is taken.
        """
        answers = [self.answer_ids(self.questions[i]) for i in batch.order]
        fed = max(map(len, answers)) - 1
        pad = torch.nn.functional.pad
        padding = {"input_ids": self.loaded.processor.tokenizer.pad_token_id or 0}
        tensors = {
            name: pad(value, (0, fed), value=padding.get(name, 0))
            if value.shape == batch.tensors["input_ids"].shape
            else value
            for name, value in batch.tensors.items()
        }
        targets = torch.full_like(tensors["input_ids"], IGNORED)
        start = batch.slots
        for row, answer in enumerate(answers):
            ids = torch.tensor(answer, device=targets.device)
            targets[row, start - 1 : start - 1 + len(answer)] = ids
            tensors["input_ids"][row, start : start + len(answer) - 1] = ids[:-1]
            tensors["attention_mask"][row, start : start + len(answer) - 1] = 1
        return {**batch.arguments(), **tensors}, targets

    def answer_ids(self, question: Question) -> list[int]:
        """Return the tokens of the true answer, as they follow the prompt in the model's own chat format.

        Raises:
            DataError: the answer has no tokens.
        """
        processor, answer = self.loaded.processor, self.benchmark.target(question)
        user = user_turn(self.benchmark.prompt(question))
        reply = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
        prompt = processor.apply_chat_template([user], add_generation_prompt=True)
        whole = processor.apply_chat_template([user, reply])
        tokenize = processor.tokenizer
        if whole.startswith(prompt) and answer in whole[len(prompt) :]:
            whole = whole[: whole.index(answer, len(prompt)) + len(answer)]
            before, ids = tokenize(prompt)["input_ids"], tokenize(whole)["input_ids"]
            if ids[: len(before)] == before and len(ids) > len(before):
                return list(ids[len(before) :])
        ids = tokenize(answer, add_special_tokens=False)["input_ids"]
        if not ids:
            raise DataError(f"question {question.id!r} has an answer without tokens: {answer!r}")
        return list(ids)
