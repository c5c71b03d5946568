"""Saliency and disruption of one model on one benchmark, question by question; can be taken up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from himap.families import find
from himap.flow import Block, disrupt, saliency
from himap.flow.disruption import Flow
from objectives.flow.prompts import Batch, Prompts

FLOWS: tuple[Flow, ...] = ("visual_textual", "intra_visual", "random")
SUMS = ("system", "image", "instruction", "intra_visual", "visual_textual")
_TOP = 5
_ATTENTION_BYTES = 64 << 20  # of one matrix a layer; the backward pass holds about six at once


@dataclass(frozen=True)
class Setting:
    """One disruption: which flow, and where: in one layer, in the first or the last k, or in every layer."""

    flow: Flow
    where: str
    layers: tuple[int, ...]

    @property
    def key(self) -> str:
        place = f"{self.where} {self.layers[0]}" if self.where == "layer" else self.where
        return f"{self.flow}, {place}"


def end_layers(layers: int) -> int:
    """How many layers "the first" and "the last" are: the paper's 5 of 32, as a part of the depth."""
    return max(1, min(5, round(5 * layers / 32)))


def settings(layers: int) -> list[Setting]:
    """The paper's experiments on a model of so many layers."""
    k, every = end_layers(layers), tuple(range(layers))
    places = [("first", every[:k]), ("last", every[-k:]), ("all", every)]
    places += [("layer", (layer,)) for layer in every]
    return [Setting(flow, where, chosen) for where, chosen in places for flow in FLOWS]


@dataclass(frozen=True)
class Outputs:
    """What a model says to every question: its answer, and its next-token distribution (n, vocabulary)."""

    answers: list[str]
    probabilities: Tensor

    @property
    def top(self) -> list[set[int]]:
        """The likeliest next tokens."""
        return [set(row) for row in self.probabilities.topk(_TOP, 1).indices.tolist()]


@torch.no_grad()
def outputs(prompts: Prompts) -> Outputs:
    """Greedy answers to all questions, and the distribution of each one's first token."""
    answers = [""] * len(prompts.questions)
    found: dict[int, Tensor] = {}
    model, tokenizer = prompts.loaded.model, prompts.loaded.processor.tokenizer
    for batch in prompts.batches:
        made = model.generate(
            **batch.inputs(),
            max_new_tokens=prompts.benchmark.max_new_tokens,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        texts = tokenizer.batch_decode(made.sequences[:, batch.slots :], skip_special_tokens=True)
        first = made.logits[0].double().softmax(-1).float().cpu()
        for row, i in enumerate(batch.order):
            answers[i], found[i] = texts[row].strip(), first[row]
    return Outputs(answers, torch.stack([found[i] for i in range(len(answers))]))


def compare_outputs(prompts: Prompts, plain: Outputs, disturbed: Outputs) -> dict[str, list[float]]:
    """Per question: same answer (0 or 1), Jaccard index of the top-5 next tokens, total variation distance
    of the next-token distributions, and the benchmark's score."""
    submitted = [prompts.benchmark.submitted(answer) for answer in disturbed.answers]
    return {
        "consistency": [float(a == b) for a, b in zip(plain.answers, disturbed.answers, strict=True)],
        "jaccard": [len(a & b) / len(a | b) for a, b in zip(plain.top, disturbed.top, strict=True)],
        "shift": ((plain.probabilities - disturbed.probabilities).abs().sum(1) / 2).tolist(),
        "score": [float(score) for score in prompts.benchmark.scores(prompts.questions, submitted)],
    }


class Measurement:
    """Everything about one pair, step by step.

    `record` holds what is measured so far, as plain lists: "saliency" by question number, "disruption" by
    setting; a record from before is gone on with.
    """

    def __init__(self, prompts: Prompts, record: dict[str, Any]) -> None:
        self._prompts, self.record = prompts, record
        record.setdefault("saliency", {})
        record.setdefault("disruption", {})
        self.layers = len(find(prompts.loaded.model).layers)
        self._settings = settings(self.layers)
        self._most = _fitting(prompts)

    @property
    def total(self) -> int:
        """Steps in all, a question's saliency or one disruption each."""
        return len(self._prompts.questions) + len(self._settings)

    @property
    def done(self) -> int:
        return len(self.record["saliency"]) + len(self.record["disruption"])

    def run(self, save: Callable[[], None]) -> None:
        """Measure what is missing; `save` is called whenever the record has grown."""
        for batch in self._prompts.smaller(self._most):
            if any(str(i) not in self.record["saliency"] for i in batch.order):
                self.record["saliency"].update(self._saliency(batch))
                save()
        missing = [each for each in self._settings if each.key not in self.record["disruption"]]
        if not missing and "plain" in self.record:
            return
        plain = outputs(self._prompts)
        self.record["plain"] = compare_outputs(self._prompts, plain, plain)
        for setting in missing:
            with disrupt(self._prompts.loaded.model, Block(setting.flow, setting.layers)):
                disturbed = outputs(self._prompts)
            self.record["disruption"][setting.key] = {
                "flow": setting.flow,
                "where": setting.where,
                "layers": list(setting.layers),
                **compare_outputs(self._prompts, plain, disturbed),
            }
            save()

    def _saliency(self, batch: Batch) -> dict[str, dict[str, list[float]]]:
        inputs, targets = self._prompts.answered(batch)
        found = saliency(self._prompts.loaded.model, inputs, targets)
        return {
            str(i): {name: getattr(found, name)[row].tolist() for name in SUMS} for row, i in enumerate(batch.order)
        }


def _fitting(prompts: Prompts) -> int:
    """How many prompts' attention matrices of one layer may be held at once."""
    heads = find(prompts.loaded.model).decoder.config.num_attention_heads
    slots = max(batch.slots for batch in prompts.batches)
    return max(1, min(16, _ATTENTION_BYTES // (4 * heads * slots * slots)))
