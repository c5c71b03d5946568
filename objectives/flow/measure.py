"""Measure saliency and disruption of one model on one benchmark, question by question; can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from himap.families import find
from himap.flow import Block, disrupt, saliency
from himap.flow.disruption import Flow
from objectives.evaluation.batches import attempted, halving
from objectives.evaluation.features import PromptBatch
from objectives.flow.prompts import Prompts

FLOWS: tuple[Flow, ...] = ("visual_textual", "intra_visual", "random")
SUMS = ("system", "image", "instruction", "intra_visual", "visual_textual")
_TOP = 5
_ATTENTION_BYTES = 64 << 20  # of one matrix a layer; the backward pass holds about six at once


@dataclass(frozen=True)
class Setting:
    """One disruption: the blocked flow, and the place: one layer, the first or the last k layers, or all."""

    flow: Flow
    where: str
    layers: tuple[int, ...]

    @property
    def key(self) -> str:
        which = f"{self.where} {self.layers[0]}" if self.where == "layer" else self.where
        return f"{self.flow}, {which}"


def end_layers(layers: int) -> int:
    """Return how many layers are "the first" and "the last": the paper's 5 of 32, as a share of the depth."""
    return max(1, min(5, round(5 * layers / 32)))


def settings(layers: int) -> list[Setting]:
    """Return the paper's experiments for a model of this depth."""
    k, every = end_layers(layers), tuple(range(layers))
    places = [("first", every[:k]), ("last", every[-k:]), ("all", every)]
    places += [("layer", (layer,)) for layer in every]
    return [Setting(flow, where, chosen) for where, chosen in places for flow in FLOWS]


@dataclass(frozen=True)
class Outputs:
    """A model's answer to every question, and the distribution of its first token, (questions, vocabulary)."""

    answers: list[str]
    probabilities: Tensor

    @property
    def top(self) -> list[set[int]]:
        """The five most probable first tokens of each answer."""
        return [set(row) for row in self.probabilities.topk(_TOP, 1).indices.tolist()]


@torch.no_grad()
def outputs(prompts: Prompts) -> Outputs:
    """Answer all questions with greedy decoding."""
    answers = [""] * len(prompts.questions)
    first_tokens: dict[int, Tensor] = {}
    model, tokenizer = prompts.loaded.model, prompts.loaded.processor.tokenizer

    def generate(batch: PromptBatch) -> Any:
        return model.generate(
            **batch.arguments(),
            max_new_tokens=prompts.benchmark.max_new_tokens,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )

    for batch, generated in halving(prompts.batches, partial(attempted, generate), prompts.batch):
        texts = tokenizer.batch_decode(generated.sequences[:, batch.slots :], skip_special_tokens=True)
        first = generated.logits[0].double().softmax(-1).float().cpu()
        for row, i in enumerate(batch.order):
            answers[i], first_tokens[i] = texts[row].strip(), first[row]
    return Outputs(answers, torch.stack([first_tokens[i] for i in range(len(answers))]))


def compare_outputs(prompts: Prompts, plain: Outputs, disturbed: Outputs) -> dict[str, list[float]]:
    """Compare disturbed with plain outputs, question by question; docs/flow.md defines the measures."""
    submitted = [prompts.benchmark.submitted(answer) for answer in disturbed.answers]
    return {
        "consistency": [float(a == b) for a, b in zip(plain.answers, disturbed.answers, strict=True)],
        "jaccard": [len(a & b) / len(a | b) for a, b in zip(plain.top, disturbed.top, strict=True)],
        "shift": ((plain.probabilities - disturbed.probabilities).abs().sum(1) / 2).tolist(),
        "score": [float(score) for score in prompts.benchmark.scores(prompts.questions, submitted)],
    }


class FlowMeasurement:
    """The measurement of one model on one benchmark, in steps.

    Args:
        record: what is measured so far, as plain lists: "saliency" by question number, "disruption" by setting. It
            is extended in place.
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
        """Number of steps: the saliency of one question, or one disruption each."""
        return len(self._prompts.questions) + len(self._settings)

    @property
    def done(self) -> int:
        """Number of steps in the record."""
        return len(self.record["saliency"]) + len(self.record["disruption"])

    def run(self, save: Callable[[], None]) -> None:
        """Measure what is missing in the record; call `save` whenever it has grown."""
        for _, sums in halving(self._prompts.smaller(self._most), self._missing_saliency, self._prompts.batch):
            if sums:
                self.record["saliency"].update(sums)
                save()
        missing = [setting for setting in self._settings if setting.key not in self.record["disruption"]]
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

    def _missing_saliency(self, batch: PromptBatch) -> dict[str, dict[str, list[float]]] | None:
        """Return the sums of a batch, none where all are in the record; None where the memory cannot hold it."""
        if all(str(i) in self.record["saliency"] for i in batch.order):
            return {}
        return attempted(self._saliency, batch)

    def _saliency(self, batch: PromptBatch) -> dict[str, dict[str, list[float]]]:
        inputs, targets = self._prompts.answered(batch)
        sums = saliency(self._prompts.loaded.model, inputs, targets)
        return {str(i): {name: getattr(sums, name)[row].tolist() for name in SUMS} for row, i in enumerate(batch.order)}


def _fitting(prompts: Prompts) -> int:
    """Return how many prompts' attention matrices of one layer fit into memory at once."""
    heads = find(prompts.loaded.model).decoder.config.num_attention_heads
    slots = max(batch.slots for batch in prompts.batches)
    return max(1, min(16, _ATTENTION_BYTES // (4 * heads * slots * slots)))
