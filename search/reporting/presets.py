"""The preset that a search writes of each study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from himap import PresetError, read_preset
from search.sampling.problem import Goals
from search.studies.study_run import StudyRun
from storage import StudyKey, Trial
from storage.confirmation import HELD_OUT
from storage.pareto import cheapest_within, dense_trial, front
from storage.presets import preset_filename, preset_of


def preset_trial(trials: Sequence[Trial], goals: Goals | None = None) -> Trial | None:
    """Return the front member that a preset is made of; None where there is none.

    It is the cheapest within one point of dense, else the most accurate; of those within the limits of `goals`.
    """
    dense = dense_trial(trials)
    members = [t for t in front(trials) if goals is None or goals.within(t, dense)]
    return cheapest_within(members, dense) or (members[-1] if members else None)


def write_preset(folder: Path, run: StudyRun) -> Path | None:
    """Write a study's preset, an estimate, and return its path; None where the study has nothing to offer.

    A file that an export made of the same configuration and weights stays as it is.
    """
    trial = preset_trial(run.trials, run.study.goals)
    if trial is None:
        return None
    path = folder / preset_filename(run.key.model, run.key.questions)
    if _was_exported(path, run.key, trial):
        return path
    preset = preset_of(run.key, trial, sources=run.sources, family=run.family, layers=run.study.space.layers)
    return preset.write(path)


def _was_exported(path: Path, key: StudyKey, trial: Trial) -> bool:
    try:
        preset = read_preset(path)
    except PresetError:
        return False
    same = preset.config == trial.config and preset.model.weights_digest == key.weights_digest
    return same and any(measured.split == HELD_OUT for measured in preset.measured)
