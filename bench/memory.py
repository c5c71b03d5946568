"""Rehearse too little memory: six pairs within a tenth of what they keep, and with allocations that fail at random.

    python -m bench.memory --model qwenvl --questions 48 --write

For each benchmark three settings are evaluated twice, one after another as in a search: with all memory, with a budget
of a tenth of what was kept then, and with all memory where the allocation of a layer's output of more than one prompt
fails at random. A failure halves its batch, so that this run ends with small batches. The JSON and the table say how
many answers differ; none may.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from bench import command
from bench.docs import pages
from bench.measuring import provenance, timed
from himap import PruningConfig, families
from objectives.benchmarks import BENCHMARKS
from objectives.data.source import QuestionSet, Source, load_questions
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel, load
from objectives.evaluation.prefix_cache import PrefixCache

CONFIGS = (PruningConfig.dense(), PruningConfig.paper(), PruningConfig(5, 40, 7, 50, "max_head", "key_norm"))
_FAILS = 0.01  # of the allocations
_MB = 1e6


class Failing:
    """A decoder whose layers fail to allocate their output at random, for more than one prompt at once."""

    def __init__(self, model: Any, seed: int = 0) -> None:
        self._layers, self._rng, self.failures = families.find(model).layers, random.Random(seed), 0

    def _allocate(self, layer: Any, args: tuple[Any, ...], output: Any) -> None:
        if output.shape[0] > 1 and self._rng.random() < _FAILS:
            self.failures += 1
            raise RuntimeError(
                f"DefaultCPUAllocator: can't allocate memory: you tried to allocate {output.nbytes} bytes"
            )

    @contextmanager
    def at_random(self) -> Iterator[None]:
        """Let layers fail inside the context."""
        hooks = [layer.register_forward_hook(self._allocate) for layer in self._layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def rehearse(loaded: LoadedModel, asked: QuestionSet) -> dict[str, Any]:
    """Return what one pair keeps, and how many answers differ with less memory."""

    def answered(memory: Memory) -> tuple[list[tuple[str, ...]], list[int]]:
        evaluator = Evaluator(loaded, asked.benchmark, asked.questions, prefixes=PrefixCache(memory))
        answers, used = [], []
        for config in CONFIGS * 2:
            answers.append(evaluator.evaluate(config).answers)
            used.append(memory.nbytes)
        return answers, used

    def compared(memory: Memory, context: Callable[[], Any] = nullcontext) -> dict[str, Any]:
        with context():
            (answers, used), seconds = timed(answered, memory)
        pairs = (pair for own, full in zip(answers, expected, strict=True) for pair in zip(own, full, strict=True))
        return {"differ": sum(own != full for own, full in pairs), "kept_mb": max(used) / _MB, "seconds": seconds}

    expected, used = answered(Memory())
    failing = Failing(loaded.model)
    return {
        "benchmark": asked.name,
        "answers": len(CONFIGS) * 2 * len(asked.questions),
        "all": compared(Memory()),
        "tenth": compared(Memory(max(used) // 10)),
        "failing": compared(Memory(), failing.at_random) | {"failures": failing.failures},
    }


def table(document: dict[str, Any]) -> str:
    """Return the page's table."""
    lines = [
        "| benchmark | kept, MB | in a tenth, MB | answers | differ in a tenth | failed allocations | differ then "
        "| seconds: all, a tenth, failing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in document["pairs"]:
        whole, tenth, failing = row["all"], row["tenth"], row["failing"]
        seconds = ", ".join(f"{one['seconds']:.1f}" for one in (whole, tenth, failing))
        sizes = f"{whole['kept_mb']:.1f} | {tenth['kept_mb']:.1f}"
        lines.append(
            f"| {row['benchmark']} | {sizes} | {row['answers']} | {tenth['differ']} | {failing['failures']} | "
            f"{failing['differ']} | {seconds} |"
        )
    origin = (
        f"{document['model']}, n = {document['questions']} validation questions a pair, {len(CONFIGS)} settings twice"
    )
    return "\n".join([*lines, "", f"Measured: {origin}; {document['device']}; commit {document['commit']}."])


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON; with --write also write the table into docs/results/memory.md."""
    parser = command.parser("bench.memory", __doc__)
    parser.add_argument("--model", default="qwenvl", metavar="NAME", help="default: qwenvl")
    parser.add_argument("--benchmarks", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS), metavar="NAME")
    parser.add_argument("--questions", type=int, default=48, metavar="N", help="validation questions a pair")
    parser.add_argument("--write", action="store_true", help="also write the table into docs/results/memory.md")
    options = parser.parse_args(arguments)
    loaded = load(resolve(options.model).weights)
    sets = [load_questions(Source(name), "validation", options.questions) for name in options.benchmarks]
    pairs = [rehearse(loaded, asked) for asked in sets]
    origin = {"model": options.model, "questions": options.questions}
    document = provenance(loaded.device) | origin | {"pairs": pairs}
    command.show(document)
    if options.write:
        pages.write("memory", pairs=table(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
