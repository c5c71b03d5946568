"""Methods to read a prompt and generate from it, each as steps that can be timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

import himap
from bench.inference import peers
from bench.inference.graphs import StaticPrefill
from bench.inference.subjects import Subject
from himap import PruningConfig

OURS, FASTV = PruningConfig.paper(), PruningConfig.fastv()


@dataclass(frozen=True)
class Method:
    """One method to run a subject at one batch size.

    Attributes:
        name: its name in the JSON document; `LABELS` has the long one.
        context: a context manager around all steps; entering it is not timed.
        steps: an iterator whose first step reads the prompt, and whose later ones generate a token each; a step
            yields the cache, if there is one.
        prompts: how many prompts its steps serve.
        prefill_only: there is only the first step.
    """

    name: str
    context: Callable[[], AbstractContextManager[Any]]
    steps: Callable[[], Iterator[Any]]
    prompts: int
    prefill_only: bool = False


LABELS = {
    "dense": "dense, SDPA, KV cache",
    "dense_graph": "dense, CUDA graph",
    "published": "HiMAP as published (eager, all matrices, no cache, batch 1)",
    "fastv": "FastV (eager scoring layer, KV cache)",
    "fastv_himap": "FastV's cut in this engine",
    "himap": "HiMAP here",
    "himap_graph": "HiMAP here, CUDA graphs",
}


def methods(subject: Subject, batch: int) -> list[Method]:
    """Return every method that the subject's device has, in the order of `LABELS`."""
    model, prompt = subject.model, subject.prompt(batch)
    image_span = subject.decoder, subject.image_start, subject.image_tokens
    cached = partial(with_cache, model, prompt)
    every = [
        Method("dense", nullcontext, cached, batch),
        Method("published", lambda: peers.published(*image_span, OURS), lambda: without_cache(model, subject.row), 1),
        Method("fastv", lambda: peers.fastv(*image_span), cached, batch),
        Method("fastv_himap", lambda: himap.prune(model, FASTV), cached, batch),
        Method("himap", lambda: himap.prune(model, OURS), cached, batch),
    ]
    if model.device.type == "cuda":
        for name, config in (("dense_graph", PruningConfig.dense()), ("himap_graph", OURS)):
            recorded = _Recorded(subject, prompt["input_ids"], config)
            every.append(Method(name, nullcontext, recorded.steps, batch, prefill_only=True))
    return sorted(every, key=lambda method: list(LABELS).index(method.name))


def with_cache(model: Any, prompt: dict[str, Tensor]) -> Iterator[Any]:
    """Generate greedily with a KV cache; yield it after each step."""
    output = model(**prompt, use_cache=True, logits_to_keep=1)
    while True:
        yield output.past_key_values
        token = output.logits[:, -1:].argmax(-1)
        output = model(input_ids=token, past_key_values=output.past_key_values, use_cache=True, logits_to_keep=1)


def without_cache(model: Any, row: dict[str, Tensor]) -> Iterator[None]:
    """Generate greedily; compute the whole sequence for each token and keep all attention matrices."""
    prompt = dict(row)
    while True:
        output = model(**prompt, use_cache=False, output_attentions=True, logits_to_keep=1)
        token = output.logits[:, -1:].argmax(-1)
        del output  # its matrices would take memory beside those of the next step
        yield None
        prompt["input_ids"] = torch.cat([prompt["input_ids"], token], 1)
        if "mm_token_type_ids" in prompt:
            kinds = prompt["mm_token_type_ids"]
            prompt["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(kinds[:, :1])], 1)


class _Recorded:
    """A prefill that is recorded at its first use; each run embeds the prompt."""

    def __init__(self, subject: Subject, ids: Tensor, config: PruningConfig) -> None:
        self._subject, self._ids, self._config = subject, ids, config

    def _embeds(self) -> Tensor:
        embeds: Tensor = self._subject.model.get_input_embeddings()(self._ids)
        start = self._subject.image_start
        embeds[:, start : start + self._subject.image_tokens] = self._subject.features
        return embeds

    @cached_property
    def _prefill(self) -> StaticPrefill:
        return StaticPrefill(self._subject.model, self._ids, self._embeds(), self._config)

    def steps(self) -> Iterator[Any]:
        """Yield the cache of the prefill."""
        yield self._prefill(self._embeds())[1]
