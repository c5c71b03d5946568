"""Say what a search will need, from configuration, processor and questions alone: no weights, no store, no workers."""

from __future__ import annotations

from dataclasses import replace

import torch

from objectives.evaluation.checkpoints import Target, resolve
from objectives.evaluation.devices import device
from objectives.evaluation.footprint import footprint
from objectives.evaluation.models import dtype_of
from objectives.evaluation.prompt_check import PromptCheck
from search.config import SearchConfig
from search.errors import UsageError
from search.estimating.estimate import Estimate, estimate
from search.inputs.questions import StudyQuestions, searched_questions
from search.running.further import FurtherQuestions, Wanted
from search.workers.cluster import Cluster

SHARE = 0.4  # of a device's peak: what the search's evaluator is taken to reach


def dry_run(config: SearchConfig, device_name: str, share: float = SHARE) -> tuple[Estimate, list[str]]:
    """Return what a search will need, and lines on its model and on what its questions can certify.

    Args:
        device_name: "here", or one of `objectives.evaluation.devices.DEVICES`.
        share: part of the device's peak that the model is assumed to reach.

    Raises:
        UsageError: a share of nothing or of more than everything.
        ObjectiveError: the model or the questions cannot be used, or no such device.
    """
    if not 0 < share <= 1:
        raise UsageError(f"got --share {100 * share:g}; expected a percentage above 0 and at most 100")
    target = resolve(config.model, config.weights, config.gpus_of_a_worker, config.dtype)
    check = PromptCheck(target.weights)
    questions = searched_questions(check, config.sources(), config.questions)
    wanted = Wanted(config.margins, config.level, config.pool, config.latency_batch)
    further = FurtherQuestions(wanted, questions if config.certify else [], check.problem)
    here = device_name == "here" and config.address is None
    workers = Cluster(None, config.gpus_per_worker).workers(config.workers) if here else config.workers or 1
    lines = [
        f"model      {config.model}",
        f"weights    {target.kind}: {target.weights}",
        *(line for part in questions for line in part.lines()),
        *further.opening_lines(),
        *(f"certify    {name}: nothing, {reason}" for name, reason in further.reasons.items()),
    ]
    return estimated(config, target, check, questions, further, device_name, workers, share), lines


def estimated(
    config: SearchConfig,
    target: Target,
    check: PromptCheck,
    questions: list[StudyQuestions],
    further: FurtherQuestions,
    device_name: str,
    workers: int,
    share: float = SHARE,
) -> Estimate:
    """Return the estimate of a search whose questions are loaded; see `dry_run`."""
    on_cpu = device_name == "here" and not torch.cuda.is_available()
    dtype = dtype_of(target.weights, "cpu" if on_cpu else "cuda", target.dtype)
    speed = device(device_name, dtype)
    if on_cpu:
        speed = replace(speed, memory=speed.memory / workers)
    made = footprint(target.weights, dtype)
    return estimate(config, target, check, questions, further.at_best(), made, speed, workers, share)
