"""Measures on this machine what a preset promises, and says whether it holds.

    python -m search.verify presets/qwenvl-pope.yaml

The preset and dense answer the same test questions again. The promise holds if, on every benchmark, the 95 %
paired interval of the difference to dense lies above what the preset says it may lose (an unconfirmed preset
promises the same, but nobody has checked it). Exit code 0 if it holds, 1 if not, 2 for what cannot be done.

On the weights and the kind of device that the preset names, the same numbers come out. With other weights (a
fine-tuned model, another precision) it tells whether the preset carries over. --model takes what the search
takes; without it, what the preset names. A preset for your own questions, or official ones, needs the same
questions again (--data, --data-root or --hub, as the preset says); others are refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from himap.errors import HimapError
from objectives.data.options import add_source_options

if TYPE_CHECKING:
    from himap import Preset
    from himap.preset_schema import Measured
    from search.asked import Asked, Library
    from search.measure import Bench
    from search.targets import Target

_LEAST = 20


def parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="python -m search.verify", description=summary, epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("preset", type=Path, metavar="PRESET", help="a preset file")
    made.add_argument("--model", help="qwenvl, llava-7b, llava-13b, a folder or a hub id")
    add_source_options(made)
    made.add_argument(
        "--weights", default="auto", metavar="auto|mini|full|PATH|HUB-ID", help="as for the search"
    )
    made.add_argument(
        "--questions", type=int, metavar="N",
        help="test questions (default: as many as the preset was confirmed on, else 500)",
    )  # fmt: skip
    return made


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the promise holds, 1 when it does not, 2 for what cannot be done, 130 when stopped."""
    options = parser().parse_args(arguments)
    try:
        return _verify(options)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing was kept\n")
        return 130
    except (HimapError, OSError) as error:
        return _refused(error)


def _refused(error: Exception) -> int:
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    return 2


def _verify(options: argparse.Namespace) -> int:
    from himap import read_preset

    preset = read_preset(options.preset)  # before torch is loaded, which takes seconds
    from objectives.errors import ObjectiveError
    from search.errors import SearchError, UsageError
    from search.targets import resolve

    try:
        if options.questions is not None and options.questions < _LEAST:
            raise UsageError(f"got --questions {options.questions}; expected {_LEAST} or more")
        target = resolve(options.model or preset.model.name, options.weights)
        sys.stdout.write(f"promise    {preset.promise.verdict}\n")
        sys.stdout.write(f"weights    {target.kind}: {target.source}, {_weights(preset, target)}\n")
        library = _library(preset, options)
        return 0 if all(list(_results(preset, target, options.questions, library))) else 1
    except (SearchError, ObjectiveError) as error:
        return _refused(error)


def _weights(preset: Preset, target: Target) -> str:
    if preset.model.weights_digest == target.digest:
        return "the same that it was measured on"
    return f"digest {target.digest[:12]}; it was measured on {preset.model.weights_digest[:12]}"


def _library(preset: Preset, options: argparse.Namespace) -> Library:
    """The questions that the preset was measured on, where they are not embedded."""
    from objectives.benchmarks import EVERY_BENCHMARK
    from objectives.data.options import source_of
    from search.asked import Library
    from search.errors import UsageError

    outside = [each for each in preset.measured if "@" in each.benchmark]
    names = {each.benchmark.partition("@")[0]: each for each in outside}
    given = options.data or options.data_root or options.hub or options.metric
    if given and not outside:
        raise UsageError(f"{options.preset} was measured on embedded scenes; leave --data and its like out")
    for name, each in names.items():
        if not given or not (options.data or name in EVERY_BENCHMARK):
            how = each.questions or "--data FILE --metric NAME, --data-root DIR or --hub"
            raise UsageError(
                f"{options.preset} was measured on {each.benchmark}, whose questions are not embedded; "
                f"give the same ones again: {how}"
            )
    return Library(source_of(options, "" if options.data else name) for name in names)


def _check_same(promised: Measured, part: Mapping[str, Asked]) -> None:
    from search.errors import UsageError

    if "@" in promised.benchmark and promised.benchmark not in part:
        got = ", ".join(f"{each.found.origin} holds {key}" for key, each in part.items())
        raise UsageError(
            f"the preset was measured on {promised.benchmark}, but {got}; expected the same questions, "
            "images and metric, unchanged"
        )


def _results(preset: Preset, target: Target, asked: int | None, library: Library) -> Iterator[bool]:
    """For each benchmark whether the promise holds, told as it becomes known."""
    from search.confirm import DENSE, measured_again, open_bench
    from storage import Confirmation
    from storage.confirmation import HELD_OUT, points

    loss = preset.promise.within_points / 100
    benches: dict[int, Bench] = {}
    for promised in preset.measured:
        n = asked or (promised.n if promised.split == HELD_OUT else 500)
        _check_same(promised, library.part(HELD_OUT, n))
        if n not in benches:
            benches[n] = open_bench(target.source, HELD_OUT, n, library)
            model = benches[n].loaded.model
            preset.check_model([cls.__name__ for cls in type(model).__mro__], target.shape.layers)
        found: Confirmation | None = None
        for config in (DENSE, preset.config):
            fields = measured_again(benches[n], promised.benchmark, config, found)
            found = Confirmation(**config.as_dict(), **fields, n_questions=n)
        assert found is not None
        holds = found.within(loss)
        low, high = 100 * found.difference_low, 100 * found.difference_high
        against = f"to dense {100 * found.difference:+.1f} [{low:+.1f}, {high:+.1f}], n = {found.n}"
        sys.stdout.write(
            f"{promised.benchmark:10} {'holds' if holds else 'does NOT hold'} (within {points(loss)}): "
            f"{100 * found.accuracy:.1f} %, {against}; "
            f"promised {100 * promised.accuracy:.1f} % on {promised.n} {promised.split} questions\n"
            f"{'':10} {100 * found.flops_ratio:.1f} % of dense's FLOPs, {found.latency_ms:.1f} ms "
            f"against {found.dense_latency_ms:.1f} ms on {found.device}\n"
        )
        yield holds


if __name__ == "__main__":
    sys.exit(main())
