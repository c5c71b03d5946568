"""Carry a verification out: measure a preset and dense again on held-out questions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping

from himap import Preset, read_preset
from himap.presets import Measured, Timing
from objectives.benchmarks import EVERY_BENCHMARK
from objectives.data.subsets import TEST_SINGLE
from objectives.evaluation.checkpoints import Target, resolve
from objectives.options import source_of
from search.certifying.confirmer import DENSE, confirm, open_runner, timed
from search.errors import UsageError
from search.inputs.limits import HELD_OUT_QUESTIONS, LEAST_QUESTIONS, check_number
from search.inputs.questions import Library, StudyQuestions
from search.workers.trial_runner import TrialRunner
from storage import Confirmation
from storage.confirmation import HELD_OUT, points


def verify(options: argparse.Namespace) -> bool:
    """Carry the command out that `search.verify` has parsed; return whether the margin holds on every benchmark.

    Raises:
        UsageError: a value out of range, or other questions than the preset's.
    """
    preset = read_preset(options.preset)
    if options.questions is not None:
        check_number("--questions", options.questions, LEAST_QUESTIONS)
    check_number("--latency-batch", options.latency_batch, 1)
    target = resolve(options.model or preset.model.name, options.weights, dtype=preset.model.dtype)
    sys.stdout.write(f"preset     {preset.certificate.verdict}\n")
    sys.stdout.write(f"weights    {target.kind}: {target.weights}, {_weights(preset, target)}\n")
    library = _library(preset, target, options)
    return all(list(_results(preset, target, options.questions, library, options.latency_batch)))


def _weights(preset: Preset, target: Target) -> str:
    if preset.model.weights_digest == target.digest:
        return "the same that it was measured on"
    return f"digest {target.digest[:12]}; it was measured on {preset.model.weights_digest[:12]}"


def _library(preset: Preset, target: Target, options: argparse.Namespace) -> Library:
    """Return the questions that the preset was measured on, where they are not embedded."""
    outside = [measured for measured in preset.measured if measured.source]
    by_name = {measured.benchmark: measured for measured in outside}
    has_options = options.data or options.data_root or options.hub or options.metric
    if has_options and not outside:
        raise UsageError(f"{options.preset} was measured on embedded scenes; leave --data and its like out")
    for name, measured in by_name.items():
        if not has_options or not (options.data or name in EVERY_BENCHMARK):
            how = measured.questions or "--data FILE --metric NAME, --data-root DIR or --hub"
            raise UsageError(
                f"{options.preset} was measured on {measured.key}, whose questions are not embedded; "
                f"give the same ones again: {how}"
            )
    return Library(target.weights, [source_of(options, "" if options.data else name) for name in by_name])


def _check_same(measured: Measured, part: Mapping[str, StudyQuestions]) -> None:
    if measured.source and measured.key not in part:
        got = ", ".join(f"{questions.loaded.origin} holds {key}" for key, questions in part.items())
        raise UsageError(
            f"the preset was measured on {measured.key}, but {got}; expected the same questions, "
            "images and metric, unchanged"
        )


def _results(preset: Preset, target: Target, questions: int | None, library: Library, batch: int) -> Iterator[bool]:
    """Yield for each benchmark whether the margin holds, and print the figures."""
    margin = preset.certificate.margin_points / 100
    runners: dict[tuple[str, int], TrialRunner] = {}
    for measured in preset.measured:
        split = TEST_SINGLE if measured.split == TEST_SINGLE else HELD_OUT
        n = questions or (measured.n if measured.split.startswith(HELD_OUT) else HELD_OUT_QUESTIONS)
        _check_same(measured, library.part(split, n))
        if (split, n) not in runners:
            runners[split, n] = open_runner(target, split, n, library)
            model = runners[split, n].loaded.model
            preset.check_model([cls.__name__ for cls in type(model).__mro__], target.shape.layers)
        runner = runners[split, n]
        dense = confirm(runner, measured.key, DENSE, None, n)
        result = confirm(runner, measured.key, preset.config, dense, n)
        sys.stdout.write(_lines(measured, timed(runner, measured.key, result, batch), margin))
        yield result.within(margin)


def _lines(measured: Measured, result: Confirmation, margin: float) -> str:
    low, high = 100 * result.difference_low, 100 * result.difference_high
    against = f"to dense {100 * result.difference:+.1f} [{low:+.1f}, {high:+.1f}], n = {result.n}"
    return (
        f"{measured.key:10} {'holds' if result.within(margin) else 'does NOT hold'} (within {points(margin)}): "
        f"{100 * result.accuracy:.1f} %, {against}; "
        f"the preset says {100 * measured.accuracy:.1f} % on {measured.n} {measured.split} questions\n"
        f"{'':10} {100 * result.flops_ratio:.1f} % of dense's FLOPs\n"
        + "".join(f"{'':10} {_speed(timing, result.device)}\n" for timing in result.timings)
    )


def _speed(timing: Timing, device: str) -> str:
    milliseconds = f"{timing.ms:.1f} ms against {timing.dense_ms:.1f} ms"
    return f"speed-up {timing.ratio} ({timing.conditions(device)}): {milliseconds}"
