"""Measures on this machine what a preset promises, and says whether it holds.

    python -m search.verify presets/qwenvl-pope.yaml

The preset and dense answer the same test questions again. The promise holds if, on every benchmark, the 95 %
paired interval of the difference to dense lies above what the preset says it may lose (an unconfirmed preset
promises the same, but nobody has checked it). Exit code 0 if it holds, 1 if not, 2 for what cannot be done.

On the weights and the kind of device that the preset names, the same numbers come out. With other weights (a
fine-tuned model, another precision) it tells whether the preset carries over. --model takes what the search
takes; without it, what the preset names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from himap.errors import HimapError

if TYPE_CHECKING:
    from himap import Preset
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
        return 0 if all(list(_results(preset, target, options.questions))) else 1
    except (SearchError, ObjectiveError) as error:
        return _refused(error)


def _weights(preset: Preset, target: Target) -> str:
    if preset.model.weights_digest == target.digest:
        return "the same that it was measured on"
    return f"digest {target.digest[:12]}; it was measured on {preset.model.weights_digest[:12]}"


def _results(preset: Preset, target: Target, asked: int | None) -> Iterator[bool]:
    """For each benchmark whether the promise holds, told as it becomes known."""
    from search.confirm import DENSE, measured_again, open_bench
    from storage import Confirmation
    from storage.confirmation import HELD_OUT, points

    loss = preset.promise.within_points / 100
    benches: dict[int, Bench] = {}
    for promised in preset.measured:
        n = asked or (promised.n if promised.split == HELD_OUT else 500)
        if n not in benches:
            benches[n] = open_bench(target.source, HELD_OUT, n)
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
