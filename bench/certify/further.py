"""Ask presets of embedded benchmarks further questions that nothing else uses, and count how many hold.

    python -m bench.certify.further --presets presets --out further.npz --questions 10000 --processes 2 --write

A search certifies on the first scenes of the test split; these questions are about scenes from number 1,000,000 on.
The file grows by 500 questions of each benchmark in turn: stop at any time, and run the same command again to resume.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np

import himap
from bench import command
from bench.certify.tabulate import panel_answers
from bench.docs import pages
from bench.measuring import provenance
from himap import Preset, PruningConfig
from minis.tables import markdown
from objectives.benchmarks import Question, benchmark
from objectives.data.embedded import scene_questions
from objectives.data.subsets import one_per_image
from objectives.evaluation.checkpoints import resolve
from objectives.scenes import SPLITS, make_scene
from objectives.statistics.intervals import difference_interval

_FIRST, _ASKED_OF = 1_000_000, "settings"  # scene; name of the settings in the file
_CHUNK, _STEP = 100, 500  # questions; a process loads the model once a step
Scores = dict[str, np.ndarray]


def by_benchmark(folder: Path) -> dict[str, list[Preset]]:
    """Return the presets of a folder that a search wrote, by benchmark.

    Raises:
        ValueError: there is none, or one was measured on questions that are not embedded.
    """
    found: dict[str, list[Preset]] = {}
    for path in sorted(folder.glob("*.yaml")):
        preset = himap.read_preset(path)
        if preset.measured[0].source:
            raise ValueError(f"got {path}, measured on {preset.measured[0].key}; expected an embedded benchmark")
        found.setdefault(preset.measured[0].benchmark, []).append(preset)
    if not found:
        raise ValueError(f"got no preset in {folder}; run python -m search.launch first")
    return found


def settings(presets: Sequence[Preset]) -> list[PruningConfig]:
    """Return the distinct settings of presets, dense first."""
    return list(dict.fromkeys([PruningConfig.dense(), *(preset.config for preset in presets)]))


def ask(found: dict[str, list[Preset]], path: Path, n: int, processes: int) -> Scores:
    """Return the scores of each benchmark's settings, (settings, n) each; the file is written after each step.

    Raises:
        ValueError: the weights on this machine, or the settings in the file, are not those of the presets.
    """
    asked_of = json.dumps({name: [c.as_dict() for c in settings(presets)] for name, presets in found.items()})
    scores: Scores = {}
    if path.exists():
        with np.load(path) as file:
            scores = {name: file[name] for name in file.files if name != _ASKED_OF}
            if str(file[_ASKED_OF]) != asked_of:
                raise ValueError(f"got {path} of other settings; expected those of the presets; name another --out")
    weights = {name: _weights(presets) for name, presets in found.items()}
    questions = {name: _questions(name, scores[name].shape[1] if name in scores else 0) for name in found}
    while behind := [name for name in found if name not in scores or scores[name].shape[1] < n]:
        for name in behind:
            configs = settings(found[name])
            known = scores.get(name, np.zeros((len(configs), 0)))
            asked = list(islice(questions[name], min(_STEP, n - known.shape[1])))
            parts = [asked[at : at + _CHUNK] for at in range(0, len(asked), _CHUNK)]
            answers = panel_answers(weights[name], name, configs, parts, processes, "cpu")
            scores[name] = np.concatenate([known, *(part.scores for part in answers)], 1)
            arrays: dict[str, Any] = {_ASKED_OF: asked_of, **scores}
            np.savez_compressed(path.with_suffix(".tmp.npz"), **arrays)
            path.with_suffix(".tmp.npz").replace(path)
            command.show(f"{path}: {name}, {scores[name].shape[1]} of {n} questions")
    return scores


def _weights(presets: Sequence[Preset]) -> str:
    target = resolve(presets[0].model.name, "auto")
    for digest in {preset.model.weights_digest for preset in presets} - {target.digest}:
        raise ValueError(f"got weights {target.digest[:12]}; expected {digest[:12]}, the preset's")
    return target.weights


def _questions(name: str, known: int) -> Iterator[Question]:
    """Yield one question an image, behind the first `known`."""
    scenes = (scene_questions(benchmark(name), make_scene(SPLITS[-1], index)) for index in count(_FIRST))
    return islice(chain.from_iterable(map(one_per_image, scenes)), known, None)


def document(found: dict[str, list[Preset]], scores: Scores) -> dict[str, Any]:
    """Return the loss of each preset against dense with its 95 % interval, and whether it is within the margin."""
    rows = []
    for name, presets in found.items():
        at = {config: row for row, config in enumerate(settings(presets))}
        for preset in presets:
            certificate = preset.certificate
            change = difference_interval(scores[name][at[preset.config]].tolist(), scores[name][0].tolist())
            rows.append(
                {
                    "benchmark": name,
                    "margin_points": certificate.margin_points,
                    "certified": certificate.certified,
                    "flops_ratio": preset.measured[0].flops_ratio,
                    "loss_points": [0 - 100 * change.mean, 0 - 100 * change.high, 0 - 100 * change.low],
                    "holds": -100 * change.mean <= certificate.margin_points,
                    "n": scores[name].shape[1],
                }
            )
    return {"presets": sorted(rows, key=lambda row: (row["benchmark"], row["margin_points"])), **provenance()}


def report(result: dict[str, Any]) -> str:
    """Return a row for each preset, and how many of the certified ones hold."""
    rows = []
    for one in result["presets"]:
        loss, low, high = one["loss_points"]
        setting = f"{100 * one['flops_ratio']:.0f}" if one["certified"] else "dense"
        holds = ("yes" if one["holds"] else "**no**") if one["certified"] else ""
        cells = [one["benchmark"], f"{one['margin_points']:g}", setting]
        rows.append([*cells, f"{loss:+.2f} [{low:+.2f}, {high:+.2f}]" if one["certified"] else "", holds])
    certified = [one for one in result["presets"] if one["certified"]]
    held = sum(one["holds"] for one in certified)
    head = ["benchmark", "margin, points", "FLOPs, %", "loss on further questions, points", "holds"]
    return (
        f"{markdown(head, rows)}\n\n{held} of {len(certified)} certified presets hold, "
        f"with n = {min(one['n'] for one in result['presets']):,} further questions a benchmark; "
        f"{result['device']}; commit {result['commit']}."
    )


def main(arguments: list[str] | None = None) -> int:
    """Ask the questions that are missing and print the table."""
    parser = command.parser("bench.certify.further", __doc__)
    parser.add_argument("--presets", type=Path, default=Path("presets"), metavar="DIR")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="scores, to resume from")
    parser.add_argument("--write", action="store_true", help="put the table in docs/results/main_job.md")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        found = by_benchmark(options.presets)
        scores = ask(found, options.out, options.questions, options.processes)
    except (himap.HimapError, ValueError) as error:
        return command.fail(error)
    result = document(found, scores)
    if options.write:
        pages.write("main_job", further=report(result))
    command.show(result if options.json else report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
