"""The exhaustive grid of one embedded pair: each configuration's score on each question; trial costs.

    python -m bench.search.tabulate --model qwenvl --benchmark scienceqa

Computed once and kept as data, so that `bench.search` can replay any search in minutes. The grid is the
search space with coarse steps, plus the landmarks. Costs are measured on a sample and fitted by a line over
the FLOPs that really run: batched with and without kept layers; and question by question with all computed
anew, as a plain loop around `generate` does, with this engine (`alone`) and as the method was published
(`published`). They hold for one machine; `--costs` measures them anew for a table that is there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
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
from bench.inference.peers import SCORES, published
from himap import PruningConfig
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_image, embedded_questions
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.latency import device_name
from objectives.evaluation.models import load
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.flops import DecoderShape
from objectives.provenance import commit, versions
from search.inputs.models import resolve
from search.sampling.space import SearchSpace, choices, effective
from search.studies.study import Landmark
from search.workers.trial_runner import costs
from storage.records import utc_now

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
class Table:
    """What `make` computed.

    Attributes:
        meta: the recipe, the device, and the fitted costs.
        configs: N configurations.
        scores: (N, n) score of each on each question.
        spent: by name, (N,) FLOPs.
    """

    meta: dict[str, Any]
    configs: list[PruningConfig]
    scores: np.ndarray
    spent: dict[str, np.ndarray]

    @property
    def space(self) -> SearchSpace:
        steps = {k: tuple(v) if isinstance(v, list) else v for k, v in self.meta["steps"].items()}
        return SearchSpace(self.meta["layers"], **steps)

    @property
    def landmarks(self) -> list[Landmark]:
        return [(origin, PruningConfig.from_dict(config)) for origin, config in self.meta["landmarks"]]

    @property
    def groups(self) -> list[str | int]:
        """What each question belongs to: itself, where it stands alone."""
        found: list[str | int] = self.meta.get("groups") or list(range(self.scores.shape[1]))
        return found

    def seconds(self, way: str, row: int, kept_layers: int = 0) -> float:
        """Of one whole evaluation; `kept_layers` need not run."""
        base, slope = self.meta["costs"][way]
        live = self.spent["flops"][row] - kept_layers * self.meta["layer_flops"]
        return float(max(0.0, base + slope * live))

    def index(self) -> dict[Any, int]:
        """Row by what a configuration does."""
        tokens = self.meta["image_tokens"]
        return {effective(config, tokens): row for row, config in enumerate(self.configs)}


def load_table(path: Path) -> Table:
    """A table that `main` wrote."""
    with np.load(path) as file:
        meta = json.loads(str(file["meta"]))
        configs = [PruningConfig.from_dict(values) for values in json.loads(str(file["configs"]))]
        return Table(meta, configs, file["scores"] / 100, {name: file[name] for name in _COSTS})


def save_table(path: Path, table: Table) -> None:
    """Scores are kept in hundredths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        meta=json.dumps(table.meta),
        configs=json.dumps([config.as_dict() for config in table.configs]),
        scores=np.round(100 * table.scores).astype(np.uint8),
        **{name: table.spent[name] for name in _COSTS},
    )


def grid(space: SearchSpace, landmarks: Sequence[Landmark], tokens: Sequence[int]) -> list[PruningConfig]:
    """Every configuration of a coarse space and the landmarks, each effect once, ordered so that neighbors
    share layers."""
    names = list(space.distributions)
    values = [choices(bounds) for bounds in space.distributions.values()]
    every = [config for _, config in landmarks]
    every += [space.config(dict(zip(names, each, strict=True))) for each in itertools.product(*values)]
    different = {effective(config, tokens): config for config in reversed(every)}
    return sorted(different.values(), key=lambda c: (c.k1, c.r1, c.phi_shallow, c.k2, c.r2, c.phi_deep))


class _Worker:
    """One process with the model and the questions; keeps what neighbors share."""

    current: _Worker

    def __init__(self, source: str, name: str, n: int) -> None:
        torch.set_num_threads(1)
        self.loaded, self.benchmark = load(source, device="cpu"), benchmark(name)
        self.questions = embedded_questions(self.benchmark, "validation", n)
        self.evaluator = self.of(PrefixCache(2**30, 2**29))

    def of(self, cache: PrefixCache) -> Evaluator:
        return Evaluator(self.loaded, self.benchmark, self.questions, prefixes=cache)

    def alone(self, config: PruningConfig) -> None:
        """A plain loop: one question at a time, its image seen anew."""
        for inputs in self._each():
            with himap.prune(self.loaded.model, config):
                self._generate(inputs)

    def published(self, config: PruningConfig) -> None:
        """The same as the method was published: eager, all attention matrices kept, no KV cache."""
        model = self.loaded.model
        for inputs in self._each():
            is_image = inputs["input_ids"][0] == model.config.image_token_id
            place = int(is_image.int().argmax()), int(is_image.sum())
            with published(model.model.language_model, *place, config):
                self._generate(inputs, use_cache=False, output_attentions=True)

    def _each(self) -> Iterator[dict[str, torch.Tensor]]:
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


def make(model: str, name: str, n: int, limit: int | None, workers: int) -> Table:
    """Evaluates the grid; `limit` takes only so many of its configurations, drawn at random."""
    target = resolve(model, "auto")
    worker = _Worker(target.source, name, n)
    image, text = worker.evaluator.tokens()
    space = SearchSpace(target.shape.layers, **STEPS)
    configs = grid(space, target.landmarks, image)
    if limit is not None:
        configs = [config for i, config in enumerate(configs) if i in _drawn(len(configs), limit)]
    groups = [list(g) for _, g in itertools.groupby(configs, key=lambda c: (c.k1, c.r1, c.phi_shallow))]
    start = time.perf_counter()
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start, initargs=(target.source, name, n)
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
        "landmarks": [(origin, config.as_dict()) for origin, config in target.landmarks],
        "image_tokens": sorted(set(image)),
        "chunks": worker.evaluator._chunks,
        "groups": [question.group or i for i, question in enumerate(worker.questions)],
        "layer_flops": layer_flops(target.shape, image, text),
        "cores": workers,
        **fitted,
        **provenance(worker.loaded.device),
        "seconds": time.perf_counter() - start,
    }
    return Table(meta, configs, np.array(scores), {k: np.array([s[k] for s in spent]) for k in _COSTS})


def with_costs(table: Table) -> Table:
    """The same table with its costs measured anew, on this machine.

    Raises:
        ValueError: the model has other weights now.
    """
    meta = table.meta
    target = resolve(meta["model"], "auto")
    if target.digest != meta["weights_digest"]:
        raise ValueError(
            f"got weights {target.digest[:8]} of {target.name}; expected {meta['weights_digest'][:8]}, "
            "the table's; make it anew without --costs"
        )
    worker = _Worker(target.source, meta["benchmark"], meta["n"])
    fitted = fit(worker, table.configs, target.shape, *worker.evaluator.tokens())
    return replace(table, meta=meta | fitted | {"costs_measured": provenance(worker.loaded.device)})


def provenance(device: torch.device) -> dict[str, Any]:
    """Where, when and with what something was measured."""
    return {
        "device": device_name(device),
        "commit": commit(),
        "versions": versions(),
        "date": utc_now().isoformat(timespec="seconds"),
    }


def _drawn(n: int, limit: int) -> set[int]:
    return set(random.Random(0).sample(range(n), min(n, limit)))


def fit(
    worker: _Worker, configs: list[PruningConfig], shape: DecoderShape, image: Sequence[int], text: Sequence[int]
) -> dict[str, Any]:
    """Base seconds and seconds per mean FLOP of a whole evaluation: batched, and in plain loops on all cores.

    `prepare` is what an evaluator spends once on the questions and their images.
    """
    chosen = [configs[i] for i in sorted(_drawn(len(configs), _SAMPLE))]
    prepare = _timed(lambda: worker.of(PrefixCache(0)))
    cold, warm = worker.of(PrefixCache(0)), worker.of(PrefixCache(2**30))
    flops = {config: costs(shape, image, text, config)["flops"] for config in chosen}
    layer = layer_flops(shape, image, text)
    batched = []
    for config in chosen:
        kept = config.cuts[0].layer if config.cuts else 0
        batched.append((flops[config], _timed(lambda c=config: cold.evaluate(c))))
        warm.evaluate(config)
        batched.append((flops[config] - kept * layer, _timed(lambda c=config: warm.evaluate(c))))
    as_published = [config for config in chosen if all(cut.criterion in SCORES for cut in config.cuts)]
    lines = {
        "batched": _line(batched),
        "alone": _line(_in_a_loop(worker.alone, _some(chosen), flops)),
        "published": _line(_in_a_loop(worker.published, _some(as_published), flops)),
    }
    return {
        "costs": {name: line[:2] for name, line in lines.items()},
        "cost_errors": {name: line[2] for name, line in lines.items()},
        "prepare": prepare,
    }


def layer_flops(shape: DecoderShape, image: Sequence[int], text: Sequence[int]) -> float:
    """Of one layer without pruning."""
    dense = costs(shape, image, text, PruningConfig.dense())["flops"]
    return (dense - 2 * shape.hidden * shape.vocabulary) / shape.layers


def _some(configs: list[PruningConfig]) -> list[PruningConfig]:
    return configs[:: -(-len(configs) // _ALONE)]


def _in_a_loop(
    run: Callable[[PruningConfig], None], configs: list[PruningConfig], flops: dict[PruningConfig, float]
) -> list[tuple[float, float]]:
    """FLOPs and seconds of a plain loop, with as many threads as suit it better."""
    found = []
    for threads in (1, os.cpu_count() or 1):
        torch.set_num_threads(threads)
        found.append([(flops[config], _timed(lambda c=config: run(c))) for config in configs])
    torch.set_num_threads(1)
    return min(found, key=_total)


def _total(points: list[tuple[float, float]]) -> float:
    return sum(seconds for _, seconds in points)


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _line(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Base, slope, and the median relative error of the fit."""
    flops, seconds = np.array(points).T
    slope, base = np.polyfit(flops, seconds, 1)
    error = np.abs(base + slope * flops - seconds) / seconds
    return float(base), float(slope), float(np.median(error))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.search.tabulate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", default="qwenvl")
    parser.add_argument("--benchmark", default="scienceqa")
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only so many configurations, to try it out")
    parser.add_argument("--out", type=Path, default=DATA / "search.npz")
    parser.add_argument("--costs", action="store_true", help="only measure the costs of --out's table anew")
    options = parser.parse_args(arguments)
    if options.costs:
        table = with_costs(load_table(options.out))
        save_table(options.out, table)
        errors = ", ".join(f"{name} {100 * error:.0f} %" for name, error in table.meta["cost_errors"].items())
        sys.stdout.write(f"{options.out}: costs measured; median errors of the fits: {errors}\n")
        return 0
    table = make(options.model, options.benchmark, options.questions, options.limit, options.workers)
    save_table(options.out, table)
    best = table.scores.mean(1).max()
    sys.stdout.write(
        f"{options.out}: {len(table.configs)} configurations in {table.meta['seconds']:.0f} s, "
        f"best accuracy {100 * best:.1f} %\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
