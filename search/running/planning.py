"""What a search would ask, certify at best and cost, and where it would run: known before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from objectives.data.own_file import BadRow, BadRowsError
from objectives.evaluation.checkpoints import Target, resolve
from objectives.evaluation.latency import device_name
from objectives.evaluation.prompt_check import PromptCheck
from search.config import SearchConfig
from search.inputs.questions import SPLIT, StudyQuestions, load_study_questions
from search.running.further import FurtherQuestions, Wanted
from search.workers.cluster import Cluster
from storage import Store, StoreMissingError, StudySummary, Trial, open_store

_RECENT = 50  # trials, by which the time of an answer is estimated


@dataclass(frozen=True)
class Certifiable:
    """What can be certified of one study at best: questions that are tested, and the smallest margin in points."""

    questions: int
    margin: float


@dataclass(frozen=True)
class StudyPlan:
    """One study of a search: its questions, and what they can certify.

    Attributes:
        questions: validation questions a trial.
        certifiable: None where presets stay estimates, for this `reason`.
    """

    name: str
    questions: int
    certifiable: Certifiable | None = None
    reason: str = ""


@dataclass(frozen=True)
class SearchPlan:
    """What a search would do.

    Attributes:
        weights: "embedded mini" or "full weights", and why where that was chosen.
        studies: none where no question can be used.
        bad: rows that cannot be used; the search leaves them out, or stops at them, as the configuration says.
        answers: that exploring and refining ask.
        test_answers: about as many follow to certify.
        hours: None where this device has measured no trial of the model.
        memory_gb: of the weights, and of what workers keep of images and layers; None where the weights are not here.
        workers: None for as many as the cluster has room for; `hours` then count one.
    """

    weights: str
    studies: tuple[StudyPlan, ...]
    bad: tuple[BadRow, ...]
    answers: int
    test_answers: int
    hours: float | None
    memory_gb: float | None
    workers: int | None
    where: str


def plan(config: SearchConfig) -> SearchPlan:
    """Return what a search would do; it measures nothing and writes nothing to the store.

    Raises:
        SearchError, ObjectiveError, StorageError: as `search.run`, except for rows that cannot be used.
    """
    target = resolve(config.model, config.weights, config.gpus_of_a_worker, config.dtype)
    check = PromptCheck(target.weights)
    parts, bad = _questions(config, check)
    wanted = Wanted(config.margins, config.level, config.pool)
    skipping = [replace(part, source=replace(part.source, skip_bad=True)) for part in parts]
    further = FurtherQuestions(wanted, skipping if config.certify else [], check.problem)
    best = {name: Certifiable(size, 100 * margin) for name, (size, margin) in further.at_best().items()}
    off = "" if config.certify else "certifying is off"
    studies = tuple(
        StudyPlan(part.key, part.n, best.get(part.key), further.reasons.get(part.key, off)) for part in parts
    )
    answers = sum((config.budget if config.certify else config.trials) * part.n for part in parts)
    test_answers = sum((1 + len(config.margins)) * one.questions for one in best.values())  # dense and one a margin
    workers = None if config.address and config.workers is None else _workers(config)
    device = _chip(device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu")))
    seconds = _seconds_an_answer(config, target, None if config.address else device)
    hours = None if seconds is None else (answers + test_answers) * seconds / (workers or 1) / 3600
    where = f"the Ray cluster at {config.address}" if config.address else f"this machine: {device}"
    weights = f"{target.kind}{f': {target.why}' if target.why else ''}"
    memory = _memory_gb(target, config, workers or 1)
    return SearchPlan(weights, studies, bad, answers, test_answers, hours, memory, workers, where)


def _questions(config: SearchConfig, check: PromptCheck) -> tuple[list[StudyQuestions], tuple[BadRow, ...]]:
    """Return the questions of all studies that can be asked, and the rows that cannot be used."""
    parts: list[StudyQuestions] = []
    bad: list[BadRow] = []
    for source in config.sources():
        try:
            part = load_study_questions(replace(source, skip_bad=True), SPLIT, config.questions, check.problem)
        except BadRowsError as error:  # there is no other row
            bad += error.bad
        else:
            parts.append(part)
            bad += part.loaded.skipped
    return parts, tuple(bad)


def _workers(config: SearchConfig) -> int:
    with Cluster(config.address, config.gpus_per_worker) as cluster:
        return cluster.workers(config.workers)


def _seconds_an_answer(config: SearchConfig, target: Target, device: str | None) -> float | None:
    """Return how long a worker took for an answer of this model the last times, on this device or on any."""
    try:
        with open_store(config.storage, readonly=True) as store:
            own = [one for one in store.studies() if (one.key.model, one.key.dtype) == (target.name, target.dtype)]
            trials = _latest(store, own, device)
    except StoreMissingError:
        return None
    answers = sum(trial.n for trial in trials)
    return sum(trial.seconds for trial in trials) / answers if answers else None


def _latest(store: Store, studies: Sequence[StudySummary], device: str | None) -> list[Trial]:
    for study in sorted(studies, key=lambda one: one.updated_at, reverse=True):
        measured = [
            trial
            for trial in store.trials(study.id, scores=False)
            if trial.n and math.isfinite(trial.seconds) and not trial.reused and device in (None, _chip(trial.device))
        ]
        if measured:
            return measured[-_RECENT:]
    return []


def _memory_gb(target: Target, config: SearchConfig, workers: int) -> float | None:
    folder = Path(target.weights)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder.is_dir() else 0
    return workers * (size + config.memory_mb * 2**20) / 1e9 if size else None


def _chip(device: str) -> str:
    """Return the name of a device without the number of threads that one process used."""
    return device.partition(",")[0]
