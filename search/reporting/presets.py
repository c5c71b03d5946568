"""The preset that a search writes of each study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from himap import Preset, PresetError, read_preset
from search.config import SearchConfig
from search.inputs.questions import source_options
from search.sampling.problem import Goals
from search.studies.study_run import StudyRun
from storage import QuestionSource, Trial
from storage.commands import export_command, model_options
from storage.confirmation import HELD_OUT
from storage.pareto import cheapest_within, dense_trial, front
from storage.presets import preset_of, preset_path


def preset_trial(trials: Sequence[Trial], goals: Goals | None = None) -> Trial | None:
    """Return the front member that a preset is made of; None where there is none.

    It is the cheapest within one point of dense, else the most accurate; of those within the limits of `goals`.
    """
    dense = dense_trial(trials)
    members = [t for t in front(trials) if goals is None or goals.within(t, dense)]
    return cheapest_within(members, dense) or (members[-1] if members else None)


def certify_command(config: SearchConfig, sources: Sequence[QuestionSource | None]) -> str:
    """Return the command that certifies a search's presets in the folder where it ran."""
    weights = "" if config.weights == "auto" else config.weights
    model = model_options(config.model, weights, config.dtype)
    return export_command(config.storage, model, source_options(sources), config.presets)


def write_preset(folder: Path, run: StudyRun, command: str = "") -> Path | None:
    """Write a study's preset, an estimate, and return its path; None where the study has nothing to offer.

    A file that an export made of the same weights stays as it is: an estimate of the same configuration is left out,
    one of another configuration goes to `MODEL-BENCHMARK-estimate.yaml` beside it.

    Args:
        command: certifies the preset.
    """
    trial = preset_trial(run.trials, run.study.goals)
    if trial is None:
        return None
    path = preset_path(folder, run.key, run.key.questions)
    if (exported := _exported(path)) is not None:
        if exported.config == trial.config:
            return path
        path = preset_path(folder, run.key, run.key.questions, "estimate")
    sources = {} if run.source is None else {run.key.questions: run.source}
    layers = run.study.space.layers
    preset = preset_of(run.key, trial, sources=sources, family=run.family, layers=layers, command=command)
    return preset.write(path)


def _exported(path: Path) -> Preset | None:
    """Return the preset of a file if it was measured on held-out questions."""
    try:
        preset = read_preset(path)
    except PresetError:
        return None
    return preset if any(measured.split == HELD_OUT for measured in preset.measured) else None
