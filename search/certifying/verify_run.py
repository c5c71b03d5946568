"""Carry a verification out: measure a preset and dense again on held-out questions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping

from himap import Preset, read_preset
from himap.errors import HimapError
from himap.presets import Measured
from objectives.benchmarks import EVERY_BENCHMARK
from objectives.errors import ObjectiveError
from objectives.evaluation.checkpoints import Target, resolve
from objectives.options import source_of
from search.certifying.confirmer import DENSE, measured_again, open_runner
from search.errors import SearchError, UsageError
from search.inputs.limits import LEAST_QUESTIONS, check_number
from search.inputs.questions import Asked, Library
from search.workers.trial_runner import TrialRunner
from storage import Confirmation
from storage.confirmation import HELD_OUT, points


def run(options: argparse.Namespace) -> int:
    """Return the exit code of a verification; an error that a user can mend becomes one line on stderr."""
    try:
        preset = read_preset(options.preset)
        if options.questions is not None:
            check_number("--questions", options.questions, LEAST_QUESTIONS)
        target = resolve(options.model or preset.model.name, options.weights)
        sys.stdout.write(f"promise    {preset.certificate.verdict}\n")
        sys.stdout.write(f"weights    {target.kind}: {target.weights}, {_weights(preset, target)}\n")
        library = _library(preset, options)
        return 0 if all(list(_results(preset, target, options.questions, library))) else 1
    except (HimapError, SearchError, ObjectiveError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2


def _weights(preset: Preset, target: Target) -> str:
    if preset.model.weights_digest == target.digest:
        return "the same that it was measured on"
    return f"digest {target.digest[:12]}; it was measured on {preset.model.weights_digest[:12]}"


def _library(preset: Preset, options: argparse.Namespace) -> Library:
    """The questions that the preset was measured on, where they are not embedded."""

    outside = [each for each in preset.measured if each.source]
    names = {each.benchmark: each for each in outside}
    given = options.data or options.data_root or options.hub or options.metric
    if given and not outside:
        raise UsageError(f"{options.preset} was measured on embedded scenes; leave --data and its like out")
    for name, each in names.items():
        if not given or not (options.data or name in EVERY_BENCHMARK):
            how = each.questions or "--data FILE --metric NAME, --data-root DIR or --hub"
            raise UsageError(
                f"{options.preset} was measured on {each.key}, whose questions are not embedded; "
                f"give the same ones again: {how}"
            )
    return Library(source_of(options, "" if options.data else name) for name in names)


def _check_same(promised: Measured, part: Mapping[str, Asked]) -> None:

    if promised.source and promised.key not in part:
        got = ", ".join(f"{each.found.origin} holds {key}" for key, each in part.items())
        raise UsageError(
            f"the preset was measured on {promised.key}, but {got}; expected the same questions, "
            "images and metric, unchanged"
        )


def _results(preset: Preset, target: Target, asked: int | None, library: Library) -> Iterator[bool]:
    """For each benchmark whether the promise holds, told as it becomes known."""

    loss = preset.certificate.margin_points / 100
    runners: dict[int, TrialRunner] = {}
    for promised in preset.measured:
        n = asked or (promised.n if promised.split == HELD_OUT else 500)
        _check_same(promised, library.part(HELD_OUT, n))
        if n not in runners:
            runners[n] = open_runner(target.weights, HELD_OUT, n, library)
            model = runners[n].loaded.model
            preset.check_model([cls.__name__ for cls in type(model).__mro__], target.shape.layers)
        found: Confirmation | None = None
        for config in (DENSE, preset.config):
            fields = measured_again(runners[n], promised.key, config, found)
            found = Confirmation(config=config, **fields, n_questions=n)
        assert found is not None
        holds = found.certifies(loss)
        low, high = 100 * found.difference_low, 100 * found.difference_high
        against = f"to dense {100 * found.difference:+.1f} [{low:+.1f}, {high:+.1f}], n = {found.n}"
        sys.stdout.write(
            f"{promised.key:10} {'holds' if holds else 'does NOT hold'} (within {points(loss)}): "
            f"{100 * found.accuracy:.1f} %, {against}; "
            f"promised {100 * promised.accuracy:.1f} % on {promised.n} {promised.split} questions\n"
            f"{'':10} {100 * found.flops_ratio:.1f} % of dense's FLOPs, {found.latency_ms:.1f} ms "
            f"against {found.dense_latency_ms:.1f} ms on {found.device}\n"
        )
        yield holds
