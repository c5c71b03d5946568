"""Measure what pruning saves at inference, beside the dense model, HiMAP as published and FastV, in one run.

    python -m bench.inference --json
    python -m bench.inference --models llava-300m --batches 1 --rounds 5

Prefill, time per generated token and peak memory, at HiMAP's published setting (2, 50 %, 8, 75 %). All methods take
turns in every round on the same model and prompt; ratios are taken within a round, and given as their median with
quartiles. The vision tower runs once, apart: its time is stated and in no other figure. See docs/speed.md; --write
puts the tables into docs/results/speed.md.

Models: llava-mini, qwenvl-mini (trained), llava-300m (random weights) on the CPU; llava-7b, llava-13b (random
weights, bfloat16) on a GPU, where there is one.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from bench import command
from bench.docs import pages
from bench.inference.measure import Clock, in_turns, memory, shares, spread, tower_ms
from bench.inference.methods import FASTV, OURS, Method, methods
from bench.inference.report import report
from bench.inference.subjects import ON_CPU, ON_GPU, Subject
from bench.measuring import provenance
from himap import PruningConfig
from himap.errors import first_line
from objectives.flops import flops

SETTINGS = {"fastv": FASTV, "fastv_himap": FASTV, "himap": OURS, "himap_graph": OURS}
# Each ratio is the first method's time over the second's.
RATIOS = (
    ("dense", "himap"),
    ("dense", "fastv"),
    ("fastv", "himap"),
    ("fastv_himap", "himap"),
    ("published", "himap"),
    ("dense_graph", "himap_graph"),
    ("himap", "himap_graph"),
)


def warmed(subject: Subject, batch: int) -> tuple[list[Method], dict[str, Any]]:
    """Return the methods that run, after one prefill each, and the memory or the error of every method."""
    working: list[Method] = []
    cells: dict[str, Any] = {}
    for method in methods(subject, batch):
        try:
            cells[method.name] = dict(memory(subject, method))
            working.append(method)
        except RuntimeError as error:  # not enough memory, or a graph that cannot be recorded
            cells[method.name] = {"error": first_line(error)}
    return working, cells


def at_batch(subject: Subject, batch: int, rounds: int, clock: Clock) -> dict[str, Any]:
    """Measure one subject at one batch size; times are of the whole batch."""
    working, cells = warmed(subject, batch)
    times = in_turns(subject, working, rounds, clock)
    own = shares(subject, batch, rounds, clock)
    prefill, example = {}, {}
    for method in working:
        scale = batch / method.prompts
        scaled = [[scale * step for step in steps] for steps in times[method.name]]
        prefill[method.name] = [steps[0] for steps in scaled]
        cells[method.name] |= {"prompts_timed": method.prompts, "prefill_ms": spread(prefill[method.name])}
        if not method.prefill_only:
            example[method.name] = [sum(steps) for steps in scaled]
            cells[method.name] |= {
                "token_ms": spread([sum(steps[1:]) / (len(steps) - 1) for steps in scaled]),
                "example_ms": spread(example[method.name]),
            }
    return {
        "batch": batch,
        "methods": cells,
        "prefill_ratios": _ratios(prefill),
        "example_ratios": _ratios(example),
        "gain_of_ideal": _gains(subject, prefill),
        "scoring_share": own["scoring"],
        "engine_share": own["engine"],
    }


def _ratios(times: dict[str, list[float]]) -> dict[str, Any]:
    """Return the spread of the ratios within a round."""
    return {
        f"{slow}/{fast}": spread([a / b for a, b in zip(times[slow], times[fast], strict=True)])
        for slow, fast in RATIOS
        if slow in times and fast in times
    }


def _gains(subject: Subject, prefill: dict[str, list[float]]) -> dict[str, Any]:
    """Return the speed-up over dense as a part of what the true FLOPs allow."""
    gains = {}
    for dense, name in (("dense", "himap"), ("dense", "fastv_himap"), ("dense_graph", "himap_graph")):
        if dense in prefill and name in prefill:
            pairs = zip(prefill[dense], prefill[name], strict=True)
            share = flops_share(subject, SETTINGS[name])
            gains[name] = spread([slow / fast * share for slow, fast in pairs])
    return gains


def flops_share(subject: Subject, config: PruningConfig) -> float:
    """Return the true FLOPs of the pruned prefill as a part of the dense one's."""
    prompt = subject.shape, subject.image_tokens, subject.text_tokens
    return flops(*prompt, config) / flops(*prompt, PruningConfig.dense())


def measured(subject: Subject, batches: list[int], rounds: int, clock: Clock) -> dict[str, Any]:
    """Measure one subject at all batch sizes."""
    return {
        "model": subject.name,
        "weights": subject.weights,
        "dtype": str(subject.model.dtype).removeprefix("torch."),
        "layers": subject.shape.layers,
        "image_tokens": subject.image_tokens,
        "text_tokens": subject.text_tokens,
        "new_tokens": subject.new_tokens,
        "tower_ms": tower_ms(subject, clock),
        "flops_share": {"fastv": flops_share(subject, FASTV), "himap": flops_share(subject, OURS)},
        "batches": [at_batch(subject, batch, rounds, clock) for batch in batches],
    }


def main(arguments: list[str] | None = None) -> int:
    """Print or write the figures."""
    parser = command.parser("bench.inference", __doc__)
    known, default = [*ON_CPU, *ON_GPU], "default: all that the device is for"
    parser.add_argument("--models", nargs="+", choices=known, metavar="NAME", help=default)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], metavar="N", help="default: 1 8")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--cpu-clock", action="store_true", help="for a loaded machine: one thread, timed by CPU time")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    parser.add_argument("--write", action="store_true", help="also write the tables into docs/results/speed.md")
    options = parser.parse_args(arguments)
    on_gpu = torch.cuda.is_available()
    names = options.models or list(ON_GPU if on_gpu else ON_CPU)
    batches, rounds = options.batches, options.rounds
    if min(*batches, rounds) < 1:
        parser.error(f"got batches {batches} and {rounds} rounds; expected at least 1")
    if options.cpu_clock and on_gpu:
        parser.error("--cpu-clock does not time a GPU; hide the GPU with CUDA_VISIBLE_DEVICES=")
    if options.cpu_clock:
        torch.set_num_threads(1)
    clock = time.process_time if options.cpu_clock else time.perf_counter
    device = torch.device("cuda" if on_gpu else "cpu")
    document = {
        **provenance(device),
        "setting": OURS.as_dict(),
        "rounds": rounds,
        "clock": "CPU time of the process" if options.cpu_clock else "wall",
        "not_measured": [name for name in ON_GPU if not on_gpu],
        "models": [],
    }
    for name in names:
        subject = (ON_CPU | ON_GPU)[name](device)
        document["models"].append(measured(subject, batches, rounds, clock))
        del subject  # frees its weights for the next model
    command.show(document if options.json else report(document))
    if options.write:
        pages.write("speed", figures=report(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
