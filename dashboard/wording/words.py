"""Trials, studies and where numbers come from, in words. Not escaped: `dashboard.text` does that."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dashboard.analysis.study_view import LANDMARKS, Cost, View
from dashboard.wording import text
from storage.confirmation import Confirmation
from storage.presets import ESTIMATE
from storage.records import StudySummary, Trial


def cost_text(trial: Trial, cost: Cost) -> str:
    """The cost of a trial in words."""
    value = getattr(trial, cost.field)
    if cost.unit == "ms":
        return text.milliseconds(value)
    return text.percent(value) if cost.unit == "%" else text.amount(value, cost.unit)


def configuration_text(trial: Trial) -> str:
    """The configuration in one line: where, how much, by which criterion."""
    shallow = f"K1 {trial.config.k1}, drop {text.number(trial.config.r1)} % by {trial.config.phi_shallow}"
    deep = f"K2 {trial.config.k2}, drop {text.number(trial.config.r2)} % by {trial.config.phi_deep}"
    deep_left = trial.config.r2 if trial.tokens_after_k1 > 0 else 0
    parts = [part for part, rate in ((shallow, trial.config.r1), (deep, deep_left)) if rate > 0]
    return "; ".join(parts) or "nothing dropped"


def tokens_text(trial: Trial) -> str:
    """How many image tokens run in the three parts of the decoder."""
    counts = (trial.image_tokens, trial.tokens_after_k1, trial.tokens_after_k2)
    return " → ".join(text.number(count) for count in counts)


def details(trial: Trial) -> list[tuple[str, str]]:
    """Everything to know about one complete trial, as pairs of name and text (not yet escaped)."""
    interval = f"{100 * trial.accuracy_low:.1f}–{100 * trial.accuracy_high:.1f}"
    known = math.isfinite(trial.accuracy_low) and math.isfinite(trial.accuracy_high)
    accuracy = f"{text.percent(trial.accuracy)}" + (f" ({interval})" if known else "")
    estimate = "" if trial.complete else ", an estimate: stopped early"
    latency = text.milliseconds(trial.latency_ms, trial.latency_low_ms, trial.latency_high_ms)
    device = f" on {trial.device}" if trial.device else ""
    timed = math.isfinite(trial.latency_ms)
    seeded = [("Seed", str(trial.config.seed))] if "random" in (trial.config.phi_shallow, trial.config.phi_deep) else []
    return [
        ("K1", f"layer {trial.config.k1}, drop {text.number(trial.config.r1)} % by {trial.config.phi_shallow}"),
        ("K2", f"layer {trial.config.k2}, drop {text.number(trial.config.r2)} % by {trial.config.phi_deep}"),
        *seeded,
        ("Tokens", tokens_text(trial)),
        ("Accuracy", f"{accuracy}, n = {trial.n}{estimate}"),
        ("True FLOPs", f"{text.amount(trial.flops, 'FLOPs')}, {text.percent(trial.flops_ratio)} of dense"),
        ("Paper FLOPs", text.amount(trial.paper_flops, " multiply-adds")),
        ("Latency", latency + device if timed else "not measured: the search times its front"),
    ]


def trial_title(trial: Trial) -> str:
    """`Trial 17`, with the landmark's name where it is one."""
    name = LANDMARKS.get(trial.origin)
    return f"Trial {trial.number}" + (f", {name}" if name else "")


def confirmation_text(confirmation: Confirmation) -> str:
    """What the held-out measurement says, in one line."""
    return (
        f"{text.percent(confirmation.accuracy)} on {confirmation.n} {confirmation.split} questions, "
        f"{text.points(confirmation.difference)} to dense "
        f"({100 * confirmation.difference_low:+.1f} to {100 * confirmation.difference_high:+.1f}): "
        f"{confirmation.verdict().partition(':')[0]}"
    )


def pair_label(pair: tuple[str, str]) -> str:
    """A model and a benchmark."""
    return f"{pair[0]} · {pair[1]}"


def study_label(summary: StudySummary) -> str:
    """A study among those of its pair."""
    key = summary.key
    return (
        f"seed {key.seed}, {key.n_questions} questions, weights {key.weights_digest[:8]}, "
        f"space {key.space}, {summary.trials} trials"
    )


def short_study_label(summary: StudySummary) -> str:
    """A study in the legend of a figure."""
    return f"seed {summary.key.seed}, n = {summary.key.n_questions}, {summary.key.space}"


def provenance(view: View) -> str:
    """The caption under the front: where the numbers come from and how far to trust them. Not escaped."""

    def joined(values: Iterable[str]) -> str:
        return ", ".join(sorted({value for value in values if value})) or "unknown"

    counts = sorted({trial.n for trial in view.complete})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "0"
    return (
        f"Measured on {joined(trial.device for trial in view.complete)}. "
        f"n = {n} questions of {view.key.questions}, {view.key.split} split. "
        "Bars: 95 % confidence interval of one configuration over these questions. "
        f"Commit {joined(trial.commit for trial in view.complete)}, "
        f"weights {view.key.weights_digest}, seed {view.key.seed}. "
        f"{_confirmed(view)}"
    )


def _confirmed(view: View) -> str:
    """How many points are more than estimates."""
    if not view.confirmed:
        return f"Each point is a {ESTIMATE}."
    return f"Confirmed on held-out data: {len(view.confirmed)}. Each other point is a {ESTIMATE}."
