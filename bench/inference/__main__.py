"""What pruning saves at inference, beside the dense model, HiMAP as published and FastV, in one run.

  python -m bench.inference --json
  python -m bench.inference --models llava-300m --batches 1 --rounds 5

Prefill, time per generated token and peak memory, at HiMAP's published setting (2, 50 %, 8, 75 %). All ways
take turns in every round on the same model and prompt; ratios are taken within a round, and given as their
median with quartiles. The vision tower runs once, apart: its time is stated and in no other figure.
docs/speed.md explains.

Models: llava-mini, qwenvl-mini (trained), llava-300m (random weights) on the CPU; llava-7b, llava-13b (random
weights, bfloat16) on a GPU, where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from typing import Any

import torch

from bench.inference.measure import Clock, in_turns, memory, shares, spread, tower_ms
from bench.inference.methods import FASTV, OURS, Way, ways
from bench.inference.report import report
from bench.inference.subjects import ON_CPU, ON_GPU, Subject
from himap import PruningConfig
from objectives.evaluation.latency import device_name
from objectives.flops import flops
from objectives.provenance import commit, versions

SETTINGS = {"fastv": FASTV, "fastv_himap": FASTV, "himap": OURS, "himap_graph": OURS}
# What each ratio says: the first way's time over the second's.
RATIOS = (
    ("dense", "himap"),
    ("dense", "fastv"),
    ("fastv", "himap"),
    ("fastv_himap", "himap"),
    ("published", "himap"),
    ("dense_graph", "himap_graph"),
    ("himap", "himap_graph"),
)


def warmed(subject: Subject, batch: int) -> tuple[list[Way], dict[str, Any]]:
    """The ways that run, after one prefill each, and what each of all takes in memory or why it failed."""
    working: list[Way] = []
    cells: dict[str, Any] = {}
    for way in ways(subject, batch):
        try:
            cells[way.name] = dict(memory(subject, way))
            working.append(way)
        except RuntimeError as error:  # not enough memory, or a graph that cannot be recorded
            cells[way.name] = {"error": (str(error).strip() or type(error).__name__).splitlines()[0]}
    return working, cells


def at_batch(subject: Subject, batch: int, rounds: int, clock: Clock) -> dict[str, Any]:
    """Everything about one subject at one batch size; times are of the whole batch."""
    working, cells = warmed(subject, batch)
    times = in_turns(subject, working, rounds, clock)
    own = shares(subject, batch, rounds, clock)
    prefill, example = {}, {}
    for way in working:
        scale = batch / way.prompts
        scaled = [[scale * step for step in steps] for steps in times[way.name]]
        prefill[way.name] = [steps[0] for steps in scaled]
        cells[way.name] |= {"prompts_timed": way.prompts, "prefill_ms": spread(prefill[way.name])}
        if not way.prefill_only:
            example[way.name] = [sum(steps) for steps in scaled]
            cells[way.name] |= {
                "token_ms": spread([sum(steps[1:]) / (len(steps) - 1) for steps in scaled]),
                "example_ms": spread(example[way.name]),
            }
    return {
        "batch": batch,
        "ways": cells,
        "prefill_ratios": _ratios(prefill),
        "example_ratios": _ratios(example),
        "gain_of_ideal": _gains(subject, prefill),
        "scoring_share": own["scoring"],
        "engine_share": own["engine"],
    }


def _ratios(times: dict[str, list[float]]) -> dict[str, Any]:
    """Spread of the ratios within a round."""
    return {
        f"{slow}/{fast}": spread([a / b for a, b in zip(times[slow], times[fast], strict=True)])
        for slow, fast in RATIOS
        if slow in times and fast in times
    }


def _gains(subject: Subject, prefill: dict[str, list[float]]) -> dict[str, Any]:
    """Speed-up over dense as a part of what the true FLOPs allow."""
    found = {}
    for dense, name in (("dense", "himap"), ("dense", "fastv_himap"), ("dense_graph", "himap_graph")):
        if dense in prefill and name in prefill:
            pairs = zip(prefill[dense], prefill[name], strict=True)
            share = flops_share(subject, SETTINGS[name])
            found[name] = spread([slow / fast * share for slow, fast in pairs])
    return found


def flops_share(subject: Subject, config: PruningConfig) -> float:
    """True FLOPs of the pruned prefill as a part of the dense one's."""
    prompt = subject.shape, subject.image_tokens, subject.text_tokens
    return flops(*prompt, config) / flops(*prompt, PruningConfig.dense())


def measured(subject: Subject, batches: list[int], rounds: int, clock: Clock) -> dict[str, Any]:
    """One subject's part of the report."""
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


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m bench.inference",
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = [*ON_CPU, *ON_GPU]
    made.add_argument("--models", nargs="+", choices=known, metavar="NAME", help="default: all that the device is for")
    made.add_argument("--batches", nargs="+", type=int, default=[1, 8], metavar="N", help="default: 1 8")
    made.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    made.add_argument("--quick", action="store_true", help="the minis, batch 1, 2 rounds: does it run?")
    made.add_argument(
        "--cpu-clock",
        action="store_true",
        help="for a machine that others load: one thread, timed by the CPU time it gets",
    )
    made.add_argument("--json", action="store_true", help="print JSON in place of tables")
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    on_gpu = torch.cuda.is_available()
    names = options.models or list(ON_GPU if on_gpu else ON_CPU)
    batches, rounds = options.batches, options.rounds
    if options.quick:
        names, batches, rounds = ["llava-mini", "qwenvl-mini"], [1], 2
    if min(*batches, rounds) < 1:
        parser().error(f"batches and rounds must be at least 1, got {batches} and {rounds}")
    if options.cpu_clock and on_gpu:
        parser().error("--cpu-clock does not see a GPU's time; hide the GPU with CUDA_VISIBLE_DEVICES=")
    if options.cpu_clock:
        torch.set_num_threads(1)
    clock = time.process_time if options.cpu_clock else time.perf_counter
    device = torch.device("cuda" if on_gpu else "cpu")
    document = {
        "device": device_name(device),
        "versions": versions() | {"python": platform.python_version()},
        "commit": commit(),
        "setting": OURS.as_dict(),
        "rounds": rounds,
        "clock": "CPU time of the process" if options.cpu_clock else "wall",
        "load_before": os.getloadavg()[0],
        "not_measured": [name for name in ON_GPU if not on_gpu],
        "models": [],
    }
    for name in names:
        subject = (ON_CPU | ON_GPU)[name](device)
        document["models"].append(measured(subject, batches, rounds, clock))
        del subject  # its weights make room for the next
    sys.stdout.write((json.dumps(document, indent=2) if options.json else report(document)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
