"""The result of a search as tables and as a JSON document."""

from __future__ import annotations

import math
from typing import Any

from rich import box
from rich.table import Table

from search.certifying.certified import CertifiedSetting
from search.reporting.presets import preset_trial
from search.reporting.result import SearchResult, StudyResult
from search.sampling.problem import Goals
from storage import Trial
from storage.records import SPEEDUP

_FRONT_FIELDS = (
    *("k1", "r1", "k2", "r2", "phi_shallow", "phi_deep"),
    *("paper_flops", "flops", "flops_ratio", "accuracy", "accuracy_low", "accuracy_high", "n", "latency_ms", *SPEEDUP),
)


def document(result: SearchResult) -> dict[str, Any]:
    """Return the machine-readable result; `seconds` are what workers spent on a study, over all launches."""
    return {"studies": [_study(study) for study in result.studies]}


def _study(study: StudyResult) -> dict[str, Any]:
    trials = study.trials
    return {
        "model": study.key.model,
        "benchmark": study.key.questions,
        "questions": _questions(study),
        "trials": len(trials),
        "failed": sum(t.failed for t in trials),
        "pruned": sum(t.state == "pruned" for t in trials),
        "reused": sum(t.reused for t in trials),
        "seconds": round(sum(t.seconds for t in trials if not t.failed), 1),
        "hypervolume": study.hypervolume,
        "front": [{name: value for name, value in t.flat().items() if name in _FRONT_FIELDS} for t in study.front],
        "certified": [_certified(setting) for setting in study.certified],
    }


def _certified(setting: CertifiedSetting) -> dict[str, Any]:
    """Return what is deployed within one margin; dense, with the reason, where nothing cheaper is certified.

    Margin and bound are parts of 1.
    """
    verdict, trial = setting.verdict, setting.trial
    speed = None if setting.latency is None else setting.latency.headline
    return {
        "margin": verdict.margin,
        "certified": verdict.number is not None,
        "reason": verdict.reason,
        "trial": trial.number,
        **trial.config.as_dict(),
        "flops_ratio": trial.flops_ratio,
        "bound": None if math.isnan(verdict.bound) else verdict.bound,
        "test_questions": verdict.n,
        "preset": str(setting.preset),
        "timed": None if speed is None else speed.model_dump(),
        "device": None if setting.latency is None else setting.latency.device,
    }


def _questions(study: StudyResult) -> dict[str, Any] | None:
    """Return where questions that are not embedded come from, and how many rows of a file were left out."""
    source = study.source
    if source is None:
        return None
    return {"options": source.options, "n": study.key.n_questions, "left_out": len(source.skipped)}


def table(study: StudyResult, goals: Goals) -> Table:
    """Return the front with the baselines and what is certified, by rising FLOPs; the rows of presets are marked."""
    members = study.front
    estimate = preset_trial(study.trials, goals)
    chosen = [one.trial for one in study.certified] or ([] if estimate is None else [estimate])
    presets = {trial.number for trial in chosen if trial.origin != "dense" or not study.certified}
    others = [t for t in study.trials if t.complete and (t.is_baseline or t.number in presets) and t not in members]
    n = max((t.n for t in study.trials), default=0)
    title = f"{study.key.model} / {study.key.questions} ({n} validation questions, 95 % intervals)"
    grid = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("", "FLOPs %", "accuracy %", "K1", "R1 %", "K2", "R2 %", "φ shallow", "φ deep", "ms", "speed-up"):
        grid.add_column(name, justify="right" if name not in ("", "φ shallow", "φ deep") else "left")
    for trial in sorted([*members, *others], key=lambda t: (t.flops_ratio, t.accuracy)):
        role = "front" if trial in members else ""
        role = f"{role} {trial.origin}".strip() if trial.origin != "sampler" else role
        grid.add_row(f"{role} (preset)".strip() if trial.number in presets else role, *_cells(trial))
    return grid


def _cells(trial: Trial) -> list[str]:
    interval = f"[{100 * trial.accuracy_low:.1f}, {100 * trial.accuracy_high:.1f}]"
    shallow, deep = trial.config.r1 > 0, trial.config.r2 > 0 and trial.tokens_after_k1 > 0
    return [
        f"{100 * trial.flops_ratio:.1f}",
        f"{100 * trial.accuracy:.1f} {interval}",
        *([str(trial.config.k1), f"{trial.config.r1:g}"] if shallow else ["-", "0"]),
        *([str(trial.config.k2), f"{trial.config.r2:g}"] if deep else ["-", "0"]),
        trial.config.phi_shallow if shallow else "-",
        trial.config.phi_deep if deep else "-",
        *_speed(trial),
    ]


def _speed(trial: Trial) -> list[str]:
    milliseconds = f"{trial.latency_ms:.1f}" if trial.latency_ms > 0 else "-"
    if not trial.speedup > 0:
        return [milliseconds, "-"]
    return [milliseconds, f"{trial.speedup:.2f} [{trial.speedup_low:.2f}, {trial.speedup_high:.2f}]"]
