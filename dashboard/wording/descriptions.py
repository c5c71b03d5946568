"""Trials, studies and the origin of numbers in words. Not escaped: `formatting.plain` does that."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dashboard.analysis.study_view import BASELINE_NAMES, Pair, View
from dashboard.wording.formatting import amount, milliseconds, number, percent, points, speedup
from storage.confirmation import MARGIN, Confirmation
from storage.confirmation import points as margin_points
from storage.phase import Phase
from storage.presets import ESTIMATE
from storage.records import StudySummary, Trial

PHASES: dict[Phase, str] = {
    "waiting": "No process works on this study; run its search again to resume it, or certify it on the page Export.",
    "exploring": "A process measures trials on the search's questions.",
    "refining": "A process asks the best trials further validation questions.",
    "certifying": "A process tests the best trials on held-out questions, by a stored plan.",
    "done": "The study is measured on held-out questions; a larger --budget explores on.",
}


def configuration_text(trial: Trial) -> str:
    """Return the configuration in one line: where it drops how much, by which criterion."""
    config = trial.config
    shallow = f"K1 {config.k1}, drop {number(config.r1)} % by {config.phi_shallow}"
    deep = f"K2 {config.k2}, drop {number(config.r2)} % by {config.phi_deep}"
    deep_rate = config.r2 if trial.tokens_after_k1 > 0 else 0
    return "; ".join(part for part, rate in ((shallow, config.r1), (deep, deep_rate)) if rate > 0) or "nothing dropped"


def details(trial: Trial) -> list[tuple[str, str]]:
    """Return everything to know about a measured trial, as pairs of name and text."""
    config, tokens = trial.config, (trial.image_tokens, trial.tokens_after_k1, trial.tokens_after_k2)
    known = math.isfinite(trial.accuracy_low) and math.isfinite(trial.accuracy_high)
    interval = f" ({100 * trial.accuracy_low:.1f}–{100 * trial.accuracy_high:.1f})" if known else ""
    estimate = "" if trial.complete else ", an estimate: pruned (stopped early)"
    latency = milliseconds(trial.latency_ms, trial.latency_low_ms, trial.latency_high_ms)
    if math.isfinite(trial.speedup):
        latency += f", {speedup(trial.speedup, trial.speedup_low, trial.speedup_high)}"
    latency += f" on {trial.device}" if trial.device else ""
    seed = [("Seed", str(config.seed))] if "random" in (config.phi_shallow, config.phi_deep) else []
    return [
        ("K1", f"layer {config.k1}, drop {number(config.r1)} % by {config.phi_shallow}"),
        ("K2", f"layer {config.k2}, drop {number(config.r2)} % by {config.phi_deep}"),
        *seed,
        ("Image tokens", " → ".join(map(number, tokens))),
        ("Accuracy", f"{percent(trial.accuracy)}{interval}, n = {trial.n}{estimate}"),
        ("True FLOPs", f"{amount(trial.flops, 'FLOPs')}, {percent(trial.flops_ratio)} of dense"),
        ("Paper FLOPs", amount(trial.paper_flops, " multiply-adds")),
        ("Latency", latency if math.isfinite(trial.latency_ms) else "not measured: the search times its front"),
    ]


def trial_title(trial: Trial) -> str:
    """Return `Trial 17`, with the name of the baseline that it is."""
    name = BASELINE_NAMES.get(trial.origin)
    return f"Trial {trial.number}" + (f", {name}" if name else "")


def certificate_text(view: View, trial: Trial) -> str:
    """Return what is known of a trial's loss: "certified within 1 point", "not certified" or "estimated"."""
    result = view.confirmations.get(trial.number)
    return "estimated" if result is None else short_verdict(result)


def short_verdict(result: Confirmation) -> str:
    """Return "certified within 1 point", or within its own bound, or "not certified", without the figures."""
    if MARGIN < result.bound < 1:
        return f"certified within {margin_points(result.bound)}"
    return result.verdict().partition(":")[0]


def held_out_text(result: Confirmation) -> str:
    """Return what held-out questions say, in one line."""
    return (
        f"{percent(result.accuracy)} on {result.n} {result.split} questions, {points(result.difference)} against dense "
        f"({100 * result.difference_low:+.1f} to {100 * result.difference_high:+.1f}): {short_verdict(result)}"
    )


def pair_label(pair: Pair) -> str:
    """Return a model and a benchmark as one name."""
    return " · ".join(pair)


def study_label(summary: StudySummary) -> str:
    """Return what tells a study from others of the same model and benchmark."""
    key = summary.key
    return (
        f"seed {key.seed}, {key.n_questions} questions, weights {key.weights}, "
        f"space {key.space}, {summary.trials} trials"
    )


def short_study_label(summary: StudySummary) -> str:
    """Return the same for the legend of a figure."""
    dtype = "" if summary.key.dtype == "auto" else f", {summary.key.dtype}"
    return f"seed {summary.key.seed}, n = {summary.key.n_questions}, {summary.key.space}{dtype}"


def provenance(view: View) -> str:
    """Return the caption under the front: where the numbers come from and how far to trust them."""

    def joined(values: Iterable[str]) -> str:
        return ", ".join(sorted({value for value in values if value})) or "unknown"

    counts = sorted({trial.n for trial in view.complete}) or [0]
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    held_out = f"Measured on held-out questions: {len(view.confirmations)}, certified: {len(view.certified)}. "
    rest = f"{held_out}Each other" if view.confirmations else "Each"
    return (
        f"Measured on {joined(trial.device for trial in view.complete)}. "
        f"n = {n} questions of {view.key.questions}, {view.key.split} split. "
        "Bars: 95 % confidence interval of one configuration over these questions. "
        f"Commit {joined(trial.commit for trial in view.complete)}, "
        f"weights {view.key.weights_digest}, dtype {view.key.dtype}, seed {view.key.seed}. "
        f"{rest} point is {ESTIMATE}."
    )
