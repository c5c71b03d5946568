"""Tabulate the scores of a coarse grid of configurations on thousands of questions, for `bench.certify`.

    python -m bench.certify.tabulate --model qwenvl --benchmark scienceqa --out bench/data/certify-qwenvl.npz

The table grows by whole chunks of questions and is written after each: stop it at any time, and run the same command
again to resume. No two questions share an image. --device cuda answers in float32, too; several --processes share it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import command
from bench.measuring import provenance
from bench.search.tabulate import grid
from himap import PruningConfig
from objectives.benchmarks import Question, benchmark
from objectives.data.embedded import embedded_questions
from objectives.data.subsets import TEST_SINGLE
from objectives.evaluation.checkpoints import Target, resolve
from objectives.evaluation.models import LoadedModel, load
from objectives.evaluation.panel import PanelAnswers, answer
from search.inputs.baselines import baselines
from search.sampling.space import SearchSpace
from search.workers.trial_runner import costs

STEPS: dict[str, Any] = {
    "layer_step": 4,
    "percent_step": 20,
    "shallow": ("instruction", "last_token"),
    "deep": ("intra_column",),
}
QUESTIONS = 4_000
_CHUNK = 100


@dataclass(frozen=True)
class LongTable:
    """Scores and costs of N configurations on n questions.

    Attributes:
        meta: the recipe, the device and the commit.
        configs: N configurations; the first is dense.
        scores: (N, n), 0 to 1, in hundredths.
        flops_ratio: (N,) share of dense's FLOPs, the mean over all questions.
        cpu_seconds: (N,) processor time of one question.
    """

    meta: dict[str, Any]
    configs: list[PruningConfig]
    scores: np.ndarray
    flops_ratio: np.ndarray
    cpu_seconds: np.ndarray

    @property
    def space(self) -> SearchSpace:
        """The search space of the grid."""
        steps: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.meta["steps"].items()}
        return SearchSpace(self.meta["layers"], **steps)


def load_table(path: Path) -> LongTable:
    """Load a table that `save_table` wrote."""
    with np.load(path) as file:
        configs = [PruningConfig.from_dict(values) for values in json.loads(str(file["configs"]))]
        arrays = {name: file[name] for name in ("scores", "flops_ratio", "cpu_seconds")}
        return LongTable(json.loads(str(file["meta"])), configs, **arrays)


def save_table(path: Path, table: LongTable) -> None:
    """Write a table in one piece."""
    temporary = path.with_suffix(".tmp.npz")
    arrays: dict[str, Any] = {
        "meta": json.dumps(table.meta),
        "configs": json.dumps([config.as_dict() for config in table.configs]),
        "scores": table.scores,
        "flops_ratio": table.flops_ratio,
        "cpu_seconds": table.cpu_seconds,
    }
    np.savez_compressed(temporary, **arrays)
    temporary.replace(path)


def start(target: Target, name: str, n: int, device: str) -> LongTable:
    """Return a table without answers."""
    named = [config for _, config in baselines(target)]
    space = SearchSpace(target.shape.layers, **STEPS)
    found = grid(space, baselines(target), [10_000])
    configs = sorted(found, key=lambda config: config not in named)
    meta = {
        "model": target.name,
        "weights_digest": target.digest,
        "benchmark": name,
        "split": TEST_SINGLE,
        "n": n,
        "layers": target.shape.layers,
        "steps": STEPS,
        "baselines": [(origin, config.as_dict()) for origin, config in baselines(target)],
        **provenance(torch.device(device)),
    }
    blank = np.zeros(len(configs))
    return LongTable(meta, configs, np.zeros((len(configs), 0), np.uint8), blank, blank)


def grow(table: LongTable, path: Path, limit: int | None, processes: int, device: str) -> None:
    """Answer the questions that are missing, at most `limit` of them now; the file is written after each chunk."""
    target = resolve(table.meta["model"], "auto")
    if target.digest != table.meta["weights_digest"]:
        raise ValueError(f"got weights {target.digest[:12]}; expected {table.meta['weights_digest'][:12]}, the table's")
    total, name = table.meta["n"], table.meta["benchmark"]
    first = table.scores.shape[1]
    end = total if limit is None else min(total, first + limit)
    questions = embedded_questions(benchmark(name), table.meta["split"], total)[first:end]
    chunks = [questions[low : low + _CHUNK] for low in range(0, len(questions), _CHUNK)]
    for part, found in zip(
        chunks, panel_answers(target.weights, name, table.configs, chunks, processes, device), strict=True
    ):
        spent = [costs(target.shape, found.image_tokens, found.text_tokens, c).flops_ratio for c in table.configs]
        scores = np.concatenate([table.scores, np.rint(100 * found.scores).astype(np.uint8)], 1)
        share = len(part) / scores.shape[1]
        table = replace(
            table,
            scores=scores,
            flops_ratio=(1 - share) * table.flops_ratio + share * np.array(spent),
            cpu_seconds=(1 - share) * table.cpu_seconds + share * found.cpu_seconds / len(part),
        )
        save_table(path, table)
        command.show(f"{path}: {scores.shape[1]} of {total} questions")


def panel_answers(
    weights: str,
    name: str,
    configs: Sequence[PruningConfig],
    chunks: Sequence[Sequence[Question]],
    processes: int,
    device: str,
) -> Iterator[PanelAnswers]:
    """Yield the answers of all configurations to each chunk, with several processes side by side."""
    run = partial(_answer, weights, name, configs, device)
    if processes == 1:
        yield from map(run, chunks)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(run, chunks)


def _answer(
    weights: str, name: str, configs: Sequence[PruningConfig], device: str, questions: Sequence[Question]
) -> PanelAnswers:
    torch.set_num_threads(1)
    size = 24 if device == "cpu" else _CHUNK
    return answer(_loaded(weights, device), benchmark(name), questions, configs, batch_size=size)


@lru_cache(maxsize=1)
def _loaded(weights: str, device: str) -> LoadedModel:
    loaded = load(weights, device="cpu")  # in float32
    return replace(loaded, model=loaded.model.to(device))


def main(arguments: list[str] | None = None) -> int:
    """Make a table, or resume one; exit code 2 with one line on stderr where its weights are others."""
    parser = command.parser("bench.certify.tabulate", __doc__)
    parser.add_argument("--model", default="qwenvl")
    parser.add_argument("--benchmark", default="scienceqa")
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--limit", type=int, help="answer only so many questions now")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.out.exists():
        table = load_table(options.out)
    else:
        table = start(resolve(options.model, "auto"), options.benchmark, options.questions, options.device)
    try:
        grow(table, options.out, options.limit, options.processes, options.device)
    except ValueError as error:
        return command.fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
