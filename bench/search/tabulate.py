"""Tabulate an exhaustive grid of one embedded model and benchmark: scores per question, and costs of a trial.

    python -m bench.search.tabulate --model qwenvl --benchmark scienceqa

The table is computed once and kept as data, so that `bench.search` can replay a search in minutes. The grid is the
search space with coarse steps, plus the baselines. Costs are measured on a sample and fitted by a line over the FLOPs
that really run: `batched`, with and without a prefix cache; and question by question without any reuse, as a plain loop
around `generate` does, with this engine (`alone`) and as the method was published (`published`). They hold for one
machine; `--costs` measures them anew for an existing table.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

import himap
from bench import command
from bench.inference.peers import SCORES, published
from bench.measuring import provenance, timed
from himap import PruningConfig
from himap.families import image_token
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_image, embedded_questions
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.cores import available_cores
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import load
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.flops import DecoderShape
from search.inputs.baselines import baselines
from search.inputs.limits import QUESTIONS
from search.sampling.space import SearchSpace, choices
from search.studies.study import Baseline
from search.workers.trial_runner import costs

DATA = Path(__file__).parents[1] / "data"
STEPS: dict[str, Any] = {
    "layer_step": 2,
    "percent_step": 20,
    "shallow": ("instruction", "last_token", "max_head"),
    "deep": ("intra_column", "instruction"),
}
_SAMPLE = 24  # configurations whose cost is measured,
_ALONE = 6  # and of those in plain loops
_COSTS = ("flops", "flops_ratio", "paper_flops")


@dataclass(frozen=True)
class ScoreTable:
    """Scores and costs of every configuration of a grid.

    Attributes:
        meta: the recipe, the device, and the fitted costs.
        configs: N configurations.
        scores: (N, n), of each on each question.
        spent: by name, (N,) FLOPs.
    """

    meta: dict[str, Any]
    configs: list[PruningConfig]
    scores: np.ndarray
    spent: dict[str, np.ndarray]

    @property
    def space(self) -> SearchSpace:
        """The search space of the grid."""
        steps: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.meta["steps"].items()}
        return SearchSpace(self.meta["layers"], **steps)

    @property
    def baselines(self) -> list[Baseline]:
        """The baselines with their origins."""
        return [(origin, PruningConfig.from_dict(config)) for origin, config in self.meta["baselines"]]

    @property
    def groups(self) -> list[str | int]:
        """The group of each question; a question without one is its own."""
        groups: list[str | int] = self.meta.get("groups") or list(range(self.scores.shape[1]))
        return groups

    def seconds(self, evaluation: str, row: int, kept_layers: int = 0) -> float:
        """Return the time of one whole evaluation, of which `kept_layers` come from a prefix cache."""
        base, slope = self.meta["costs"][evaluation]
        live = self.spent["flops"][row] - kept_layers * self.meta["layer_flops"]
        return float(max(0.0, base + slope * live))

    def index(self) -> dict[Any, int]:
        """Return the row of each effect of a configuration."""
        tokens = self.meta["image_tokens"]
        return {SearchSpace.effect_key(config, tokens): row for row, config in enumerate(self.configs)}


def load_table(path: Path) -> ScoreTable:
    """Load a table that `save_table` wrote."""
    with np.load(path) as file:
        meta = json.loads(str(file["meta"]))
        configs = [PruningConfig.from_dict(values) for values in json.loads(str(file["configs"]))]
        return ScoreTable(meta, configs, file["scores"] / 100, {name: file[name] for name in _COSTS})


def save_table(path: Path, table: ScoreTable) -> None:
    """Save a table with its scores in hundredths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        "meta": json.dumps(table.meta),
        "configs": json.dumps([config.as_dict() for config in table.configs]),
        "scores": np.round(100 * table.scores).astype(np.uint8),
        **{name: table.spent[name] for name in _COSTS},
    }
    np.savez_compressed(path, **arrays)


def grid(space: SearchSpace, baselines: Sequence[Baseline], tokens: Sequence[int]) -> list[PruningConfig]:
    """Return every configuration of a coarse space and the baselines, each effect once.

    Neighbors share their first layers, so that a prefix cache serves both.
    """
    names = list(space.distributions)
    values = [choices(bounds) for bounds in space.distributions.values()]
    every = [config for _, config in baselines]
    every += [space.config(dict(zip(names, combination, strict=True))) for combination in itertools.product(*values)]
    distinct = {SearchSpace.effect_key(config, tokens): config for config in reversed(every)}
    return sorted(distinct.values(), key=lambda c: (c.k1, c.r1, c.phi_shallow, c.k2, c.r2, c.phi_deep))


class _Worker:
    """One process with the model and the questions."""

    current: _Worker

    def __init__(self, source: str, name: str, n: int) -> None:
        torch.set_num_threads(1)
        self.loaded, self.benchmark = load(source, device="cpu"), benchmark(name)
        self.questions = embedded_questions(self.benchmark, "validation", n)
        self.evaluator = self.with_cache(PrefixCache(Memory(2**30)))

    def with_cache(self, cache: PrefixCache | None) -> Evaluator:
        return Evaluator(self.loaded, self.benchmark, self.questions, prefixes=cache)

    def alone(self, config: PruningConfig) -> None:
        """Run a plain loop: one question at a time, with its image."""
        for inputs in self._inputs():
            with himap.prune(self.loaded.model, config):
                self._generate(inputs)

    def published(self, config: PruningConfig) -> None:
        """Run the plain loop as the method was published: eager, all attention matrices kept, no KV cache."""
        model = self.loaded.model
        for inputs in self._inputs():
            is_image = inputs["input_ids"][0] == image_token(model.config)
            image_span = int(is_image.int().argmax()), int(is_image.sum())
            with published(model.model.language_model, *image_span, config):
                self._generate(inputs, use_cache=False, output_attentions=True)

    def _inputs(self) -> Iterator[dict[str, torch.Tensor]]:
        for question in self.questions:
            yield self.loaded.inputs([self.benchmark.prompt(question)], [[embedded_image(question.image)]])

    @torch.inference_mode()
    def _generate(self, inputs: dict[str, torch.Tensor], **options: bool) -> None:
        new_tokens = self.benchmark.max_new_tokens
        self.loaded.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, **options)


def _start(*arguments: Any) -> None:
    _Worker.current = _Worker(*arguments)


def _score(configs: list[PruningConfig]) -> list[tuple[float, ...]]:
    return [_Worker.current.evaluator.evaluate(config).scores for config in configs]


def make(model: str, name: str, n: int, limit: int | None, workers: int) -> ScoreTable:
    """Evaluate the grid, or only `limit` of its configurations drawn at random."""
    target = resolve(model, "auto")
    worker = _Worker(target.weights, name, n)
    image, text = worker.evaluator.tokens()
    configs = grid(SearchSpace(target.shape.layers, **STEPS), baselines(target), image)
    if limit is not None:
        configs = [configs[i] for i in sorted(_drawn(len(configs), limit))]
    groups = [list(g) for _, g in itertools.groupby(configs, key=lambda c: (c.k1, c.r1, c.phi_shallow))]
    start = time.perf_counter()
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start, initargs=(target.weights, name, n)
    ) as processes:
        scores = [row for rows in processes.map(_score, groups) for row in rows]
    spent = [costs(target.shape, image, text, config) for config in configs]
    fitted = fit(worker, configs, target.shape, image, text)
    meta = {
        "model": target.name,
        "weights_digest": target.digest,
        "benchmark": name,
        "split": "validation",
        "n": len(worker.questions),
        "layers": target.shape.layers,
        "steps": STEPS,
        "baselines": [(origin, config.as_dict()) for origin, config in baselines(target)],
        "image_tokens": sorted(set(image)),
        "chunks": worker.evaluator.chunks,
        "groups": [question.group or i for i, question in enumerate(worker.questions)],
        "layer_flops": layer_flops(target.shape, image, text),
        **fitted,
        **provenance(worker.loaded.device),
        "cores": workers,
        "seconds": time.perf_counter() - start,
    }
    return ScoreTable(meta, configs, np.array(scores), {k: np.array([getattr(s, k) for s in spent]) for k in _COSTS})


def with_costs(table: ScoreTable) -> ScoreTable:
    """Return the table with its costs measured anew on this machine.

    Raises:
        ValueError: the model has other weights than the table.
    """
    meta = table.meta
    target = resolve(meta["model"], "auto")
    if target.digest != meta["weights_digest"]:
        raise ValueError(
            f"got weights {target.digest[:8]} of {target.name}; expected {meta['weights_digest'][:8]}, "
            "the table's; make it anew without --costs"
        )
    worker = _Worker(target.weights, meta["benchmark"], meta["n"])
    fitted = fit(worker, table.configs, target.shape, *worker.evaluator.tokens())
    return replace(table, meta=meta | fitted | {"costs_measured": provenance(worker.loaded.device)})


def _drawn(n: int, limit: int) -> set[int]:
    return set(random.Random(0).sample(range(n), min(n, limit)))


def fit(
    worker: _Worker, configs: list[PruningConfig], shape: DecoderShape, image: Sequence[int], text: Sequence[int]
) -> dict[str, Any]:
    """Fit base seconds and seconds per mean FLOP of an evaluation: batched, and in plain loops on all cores.

    `prepare` is what an evaluator spends once on the questions and their images.
    """
    sample = [configs[i] for i in sorted(_drawn(len(configs), _SAMPLE))]
    _, prepare = timed(worker.with_cache, None)
    cold, warm = worker.with_cache(None), worker.with_cache(PrefixCache(Memory(2**30)))
    flops = {config: costs(shape, image, text, config).flops for config in sample}
    layer = layer_flops(shape, image, text)
    batched = []
    for config in sample:
        kept = config.cuts[0].layer if config.cuts else 0
        batched.append((flops[config], timed(cold.evaluate, config)[1]))
        warm.evaluate(config)
        batched.append((flops[config] - kept * layer, timed(warm.evaluate, config)[1]))
    as_published = [config for config in sample if all(cut.criterion in SCORES for cut in config.cuts)]
    lines = {
        "batched": _line(batched),
        "alone": _line(_in_a_loop(worker.alone, sample, flops)),
        "published": _line(_in_a_loop(worker.published, as_published, flops)),
    }
    return {
        "costs": {name: line[:2] for name, line in lines.items()},
        "cost_errors": {name: line[2] for name, line in lines.items()},
        "prepare": prepare,
    }


def layer_flops(shape: DecoderShape, image: Sequence[int], text: Sequence[int]) -> float:
    """Return the mean FLOPs of one layer without pruning."""
    dense = costs(shape, image, text, PruningConfig.dense()).flops
    return (dense - 2 * shape.hidden * shape.vocabulary) / shape.layers


def _in_a_loop(
    run: Callable[[PruningConfig], None], configs: list[PruningConfig], flops: dict[PruningConfig, float]
) -> list[tuple[float, float]]:
    """Return FLOPs and seconds of a plain loop over some configurations, with the better number of threads."""
    some = configs[:: -(-len(configs) // _ALONE)]
    measured = []
    for threads in (1, available_cores()):
        torch.set_num_threads(threads)
        measured.append([(flops[config], timed(run, config)[1]) for config in some])
    torch.set_num_threads(1)
    return min(measured, key=lambda points: sum(seconds for _, seconds in points))


def _line(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return base, slope, and the median relative error of the fit."""
    flops, seconds = np.array(points).T
    slope, base = np.polyfit(flops, seconds, 1)
    error = np.abs(base + slope * flops - seconds) / seconds
    return float(base), float(slope), float(np.median(error))


def main(arguments: list[str] | None = None) -> int:
    """Make a table, or measure the costs of an existing one anew."""
    parser = command.parser("bench.search.tabulate", __doc__)
    parser.add_argument("--model", default="qwenvl")
    parser.add_argument("--benchmark", default="scienceqa")
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only so many configurations, to try it out")
    parser.add_argument("--out", type=Path, default=DATA / "search.npz")
    parser.add_argument("--costs", action="store_true", help="only measure the costs of --out's table anew")
    options = parser.parse_args(arguments)
    if options.costs:
        table = with_costs(load_table(options.out))
        errors = ", ".join(f"{name} {100 * error:.0f} %" for name, error in table.meta["cost_errors"].items())
        line = f"{options.out}: costs measured; median errors of the fits: {errors}"
    else:
        table = make(options.model, options.benchmark, options.questions, options.limit, options.workers)
        best, seconds = 100 * table.scores.mean(1).max(), table.meta["seconds"]
        line = f"{options.out}: {len(table.configs)} configurations in {seconds:.0f} s, best accuracy {best:.1f} %"
    save_table(options.out, table)
    command.show(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
