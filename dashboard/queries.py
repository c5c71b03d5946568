"""What the page shows, worked out from trials. Pure: no Streamlit, no SQL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashboard import text
from storage.pareto import cheapest_within
from storage.pareto import front as pareto_front
from storage.presets import ESTIMATE
from storage.records import StudyKey, StudySummary, Trial

LANDMARKS: dict[str, str] = {
    "dense": "dense",
    "fastv": "FastV",
    "paper": "HiMAP paper",
    "random": "random",
}


@dataclass(frozen=True)
class Cost:
    """One way to count what a configuration costs: a field of `Trial`, and the words for it."""

    field: str
    label: str
    axis: str
    unit: str  # "%" for a part of dense, else what follows the prefix, as in GFLOPs


COSTS: dict[str, Cost] = {
    cost.field: cost
    for cost in (
        Cost("flops", "True FLOPs", "Prefill FLOPs per prompt, text included", "FLOPs"),
        Cost("flops_ratio", "Share of dense", "Prefill FLOPs per prompt, share of dense", "%"),
        Cost("paper_flops", "Paper FLOPs", "Paper FLOPs (Eq. 10, multiply-adds of image tokens)", "MACs"),
    )
}


@dataclass(frozen=True)
class View:
    """One study seen under one cost: its trials apart by role, the front by rising cost."""

    key: StudyKey
    cost: Cost
    complete: tuple[Trial, ...]
    failed: tuple[Trial, ...]
    front: tuple[Trial, ...]

    @property
    def landmarks(self) -> tuple[Trial, ...]:
        """Dense, FastV, the paper's setting and random controls, as far as they are measured."""
        return tuple(trial for trial in self.complete if trial.origin in LANDMARKS)

    @property
    def dense(self) -> Trial | None:
        """The unpruned model, once it is measured."""
        return next((trial for trial in self.complete if trial.origin == "dense"), None)

    def trial(self, number: int | None) -> Trial | None:
        """The complete trial of this number."""
        return next((trial for trial in self.complete if trial.number == number), None)


def build_view(key: StudyKey, trials: Sequence[Trial], cost: str = "flops") -> View:
    """Sort the trials of a study into their roles; `cost` is a key of `COSTS`."""
    complete = tuple(trial for trial in trials if trial.complete)
    failed = tuple(trial for trial in trials if not trial.complete)
    return View(key, COSTS[cost], complete, failed, tuple(pareto_front(complete, cost=cost)))


def best_within_flops(trials: Iterable[Trial], ratio: float = 0.5) -> Trial | None:
    """The most accurate trial at no more than `ratio` of dense's true FLOPs; of equals the cheapest."""
    able = [trial for trial in trials if trial.complete and trial.flops_ratio <= ratio]
    return max(able, key=lambda trial: (trial.accuracy, -trial.flops_ratio, -trial.number), default=None)


def suggested(view: View) -> Trial | None:
    """What to show before anything is chosen: cheapest within one point of dense, else the most accurate."""
    return cheapest_within(view.front, view.dense) or (view.front[-1] if view.front else None)


def cost_text(trial: Trial, cost: Cost) -> str:
    """The cost of a trial in words."""
    value = getattr(trial, cost.field)
    return text.percent(value) if cost.unit == "%" else text.amount(value, cost.unit)


def configuration_text(trial: Trial) -> str:
    """The configuration in one line: where, how much, by which criterion."""
    shallow = f"K1 {trial.k1}, drop {text.number(trial.r1)} % by {trial.phi_shallow}"
    deep = f"K2 {trial.k2}, drop {text.number(trial.r2)} % by {trial.phi_deep}"
    deep_left = trial.r2 if trial.tokens_after_k1 > 0 else 0
    parts = [part for part, rate in ((shallow, trial.r1), (deep, deep_left)) if rate > 0]
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
    device = f" on {trial.device}" if trial.device else ""
    seeded = [("Seed", str(trial.seed))] if "random" in (trial.phi_shallow, trial.phi_deep) else []
    return [
        ("K1", f"layer {trial.k1}, drop {text.number(trial.r1)} % by {trial.phi_shallow}"),
        ("K2", f"layer {trial.k2}, drop {text.number(trial.r2)} % by {trial.phi_deep}"),
        *seeded,
        ("Tokens", tokens_text(trial)),
        ("Accuracy", f"{accuracy}, n = {trial.n}"),
        ("True FLOPs", f"{text.amount(trial.flops, 'FLOPs')}, {text.percent(trial.flops_ratio)} of dense"),
        ("Paper FLOPs", text.amount(trial.paper_flops, " multiply-adds")),
        (
            "Latency",
            text.milliseconds(trial.latency_ms, trial.latency_low_ms, trial.latency_high_ms) + device,
        ),
    ]


def trial_title(trial: Trial) -> str:
    """`Trial 17`, with the landmark's name where it is one."""
    name = LANDMARKS.get(trial.origin)
    return f"Trial {trial.number}" + (f", {name}" if name else "")


def study_label(summary: StudySummary) -> str:
    """A study among those of its pair."""
    key = summary.key
    return (
        f"seed {key.seed}, {key.n_questions} questions, weights {key.weights_digest[:8]}, "
        f"space {key.space}, {summary.trials} trials"
    )


def pairs(studies: Iterable[StudySummary]) -> dict[tuple[str, str], list[StudySummary]]:
    """Studies by (model, benchmark), in each pair the last written first."""
    grouped: dict[tuple[str, str], list[StudySummary]] = {}
    for summary in studies:
        grouped.setdefault((summary.key.model, summary.key.benchmark), []).append(summary)
    return {
        pair: sorted(grouped[pair], key=lambda summary: summary.updated_at, reverse=True)
        for pair in sorted(grouped)
    }


def provenance(view: View) -> str:
    """The caption under the front: where the numbers come from and how far to trust them. Not escaped."""

    def joined(values: Iterable[str]) -> str:
        return ", ".join(sorted({value for value in values if value})) or "unknown"

    counts = sorted({trial.n for trial in view.complete})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "0"
    return (
        f"Measured on {joined(trial.device for trial in view.complete)}. "
        f"n = {n} questions of {view.key.benchmark}, {view.key.split} split. "
        "Bars: 95 % confidence interval of one configuration over these questions. "
        f"Commit {joined(trial.commit for trial in view.complete)}, "
        f"weights {view.key.weights_digest}, seed {view.key.seed}. "
        f"Each point is a {ESTIMATE}."
    )
