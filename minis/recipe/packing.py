"""Pack many questions on one image into one sequence, so that the image is computed once.

A block (the prompt after the image, and its answer) attends to the image and to itself, at the positions that
it would have alone. A packed sequence therefore trains exactly what plain prompts need at inference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from minis.recipe import text
from minis.recipe.attention import CHUNK
from objectives.benchmarks import BENCHMARKS, Benchmark, Question
from objectives.benchmarks.base import SHORT_ANSWER
from objectives.benchmarks.captions import PROMPT, description
from objectives.scenes import Scene

IGNORED = -100


@dataclass(frozen=True)
class TextBlock:
    """Tokens after the image, with labels from index `answer` on; a description or an answer."""

    tokens: list[int]
    answer: int
    description: bool = False


@dataclass(frozen=True)
class PackedBatch:
    """Packed sequences: each is a prefix (tokens before the image, the image), then chunks of blocks.

    Attributes:
        ids: (batch, length), as `labels`, `described` and `offset`.
        described: True in descriptions.
        offset: a token's index in its block.
        mask: (batch, 1, length, prefix + CHUNK), True where a row attends: in the prefix, then in its own chunk.
        before: tokens before the image.
        prefix: places of the prefix, the same for all sequences.
        image_tokens: of each sequence.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    described: torch.Tensor
    offset: torch.Tensor
    mask: torch.Tensor
    before: int
    prefix: int
    image_tokens: list[int]


class Packer:
    """Turns scenes into packed batches with one mini's tokenizer and chat template."""

    def __init__(self, name: str, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.image_token = text.IMAGE_TOKEN[name]
        self.image_id = tokenizer.convert_tokens_to_ids(self.image_token)
        before, after = self._render("{}").split(self.image_token)
        self.before: list[int] = tokenizer(before)["input_ids"]
        self.head, self.tail = after.split("{}")

    def _render(self, prompt: str) -> str:
        turn: Any = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
        return str(self.tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True))

    def block(self, prompt: str, answer: str, description: bool = False) -> TextBlock:
        """Return the block of one prompt and its answer."""
        prompt_ids = self.tokenizer(f"{self.head}{prompt}{self.tail}")["input_ids"]
        answered = self.tokenizer(f" {answer}")["input_ids"]
        return TextBlock([*prompt_ids, *answered, self.tokenizer.eos_token_id], len(prompt_ids), description)

    def blocks(self, scene: Scene, per_benchmark: int, rng: np.random.Generator) -> list[TextBlock]:
        """Return two descriptions, then `per_benchmark` questions of every benchmark, drawn by `rng`.

        A-OKVQA has twice as many, because its stated rule is the slowest to learn.
        """
        request, listing = (
            (text.BY_KIND, text.list_by_kind) if rng.random() < 0.5 else (text.BY_COLOR, text.list_by_color)
        )
        blocks = [self.block(PROMPT, description(scene), True), self.block(request, listing(scene), True)]
        for benchmark in BENCHMARKS.values():
            count = per_benchmark * (2 if benchmark.name == "aokvqa" else 1)
            drawn = [q for _ in range(count) for q in benchmark.ask(scene, rng)]
            distinct = list({q.text + repr(q.choices): q for q in drawn}.values())
            for i in rng.permutation(len(distinct))[:count]:
                blocks.append(self.question_block(benchmark, distinct[i], rng))
        return blocks

    def question_block(self, benchmark: Benchmark, question: Question, rng: np.random.Generator) -> TextBlock:
        """Return the question as the benchmark puts it, or half of the multiple-choice ones in an easier form.

        Easier forms are open questions, and the right option given in front, which leaves only the look-up of
        its letter. A question with a stated rule also comes with the rule's kind given in front or asked for.
        """
        letter, form = benchmark.target(question), rng.random()
        if not question.choices or form < 0.5:
            return self.block(benchmark.prompt(question), letter)
        option = question.choices[ord(letter) - ord("A")]
        if form < 0.6:
            return self.block(f"{option}. {benchmark.prompt(question)}", letter)
        kind = text.ruled_kind(question.text)
        if kind is None or form < 0.7:
            return self.block(f"{question.text}\n{SHORT_ANSWER}", option)
        if form < 0.8:
            return self.block(f"{kind}. {question.text}\n{SHORT_ANSWER}", option)
        if form < 0.9:
            return self.block(f"{kind}. {benchmark.prompt(question)}", letter)
        return self.block(question.text, f"{kind} {option}")

    def collate(self, packs: list[list[TextBlock]], image_tokens: list[int], prefix: int, chunks: int) -> PackedBatch:
        """Place the blocks in `chunks` chunks, in order, first fit; leave out a block that does not fit."""
        length = prefix + chunks * CHUNK
        shape = (len(packs), length)
        ids, labels = np.full(shape, self.tokenizer.pad_token_id), np.full(shape, IGNORED)
        described = np.zeros(shape, dtype=bool)
        offset, owner = np.zeros(shape, dtype=np.int64), np.full(shape, -1)
        for row, (pack, count) in enumerate(zip(packs, image_tokens, strict=True)):
            start = len(self.before)
            ids[row, :start], ids[row, start : start + count] = self.before, self.image_id
            owner[row, : start + count] = 0
            free = [CHUNK] * chunks
            for number, block in enumerate(pack, start=1):
                chunk = next((c for c, room in enumerate(free) if room >= len(block.tokens)), None)
                if chunk is None:
                    continue
                at = prefix + (chunk + 1) * CHUNK - free[chunk]
                end = at + len(block.tokens)
                free[chunk] -= len(block.tokens)
                ids[row, at:end], owner[row, at:end] = block.tokens, number
                described[row, at:end] = block.description
                offset[row, at:end] = np.arange(len(block.tokens))
                labels[row, at + block.answer - 1 : end - 1] = block.tokens[block.answer :]
        return PackedBatch(
            ids=torch.from_numpy(ids),
            labels=torch.from_numpy(labels),
            described=torch.from_numpy(described),
            offset=torch.from_numpy(offset),
            mask=_mask(torch.from_numpy(owner), prefix),
            before=len(self.before),
            prefix=prefix,
            image_tokens=image_tokens,
        )


def _mask(owner: torch.Tensor, prefix: int) -> torch.Tensor:
    """Return the causal mask to the prefix (owner 0) and to a token's own block within the chunk."""
    batch, length = owner.shape
    to_prefix = (owner[:, None, :prefix] == 0).expand(batch, length, prefix).clone()
    to_prefix[:, :prefix] &= torch.ones(prefix, prefix, dtype=torch.bool).tril()
    chunked = owner[:, prefix:].reshape(batch, -1, CHUNK)
    own = (chunked[..., None, :] == chunked[..., :, None]) & torch.ones(CHUNK, CHUNK, dtype=torch.bool).tril()
    own = own.reshape(batch, length - prefix, CHUNK)
    to_own = torch.cat([torch.zeros(batch, prefix, CHUNK, dtype=torch.bool), own], dim=1)
    return torch.cat([to_prefix, to_own], dim=2)[:, None]
