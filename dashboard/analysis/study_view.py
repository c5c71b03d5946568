"""What the pages show, worked out from trials. Pure: no Streamlit, no SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from himap.presets import Preset
from storage.confirmation import Confirmation
from storage.pareto import OperatingPoint, cheapest_within
from storage.pareto import front as pareto_front
from storage.presets import HeldOut, preset_of
from storage.records import QuestionSource, StudyKey, StudySummary, Trial

_MEMBER = OperatingPoint("member", "member of the front")
LANDMARKS: dict[str, str] = {
    "dense": "dense",
    "fastv": "FastV",
    "paper": "HiMAP paper",
    "paper_long": "HiMAP paper, long answers",
    "random": "random",
    "uniform": "uniform",
    "downsample": "downsample",
}
CONTROLS = ("random", "uniform", "downsample")
STATES: dict[str, str] = {"complete": "measured to the end", "pruned": "stopped early, estimates"}


@dataclass(frozen=True)
class Cost:
    """One way to count what a configuration costs: a field of `Trial`, and the words for it."""

    field: str
    label: str
    axis: str
    unit: str  # "%" for a part of dense, "ms", else what follows the prefix, as in GFLOPs


COSTS: dict[str, Cost] = {
    cost.field: cost
    for cost in (
        Cost("flops", "True FLOPs", "Prefill FLOPs per prompt, text included", "FLOPs"),
        Cost("flops_ratio", "Share of dense", "Prefill FLOPs per prompt, share of dense", "%"),
        Cost("paper_flops", "Paper FLOPs", "Paper FLOPs (Eq. 10, multiply-adds of image tokens)", "MACs"),
        Cost("latency_ms", "Latency", "Latency per prompt, median", "ms"),
    )
}


@dataclass(frozen=True)
class View:
    """One study seen under one cost: its trials apart by state, the front by rising cost.

    `stopped` are those given up early, whose accuracy is an estimate on the questions asked so far; they
    never take part in the front. `confirmed` are re-measured configurations, by the number of their trial.
    `questions` says where questions come from that are not embedded.
    """

    key: StudyKey
    cost: Cost
    complete: tuple[Trial, ...]
    failed: tuple[Trial, ...]
    front: tuple[Trial, ...]
    stopped: tuple[Trial, ...] = ()
    confirmed: Mapping[int, Confirmation] = field(default_factory=dict)
    questions: QuestionSource | None = None
    family: str = ""
    layers: int = 0

    @property
    def landmarks(self) -> tuple[Trial, ...]:
        """Dense, FastV, the paper's setting and random controls, as far as they are measured."""
        return tuple(trial for trial in self.complete if trial.origin in LANDMARKS)

    @property
    def sources(self) -> dict[str, QuestionSource]:
        """The same as a preset takes it."""
        return {} if self.questions is None else {self.key.questions: self.questions}

    @property
    def dense(self) -> Trial | None:
        """The unpruned model, once it is measured."""
        return next((trial for trial in self.complete if trial.origin == "dense"), None)

    def trial(self, number: int | None) -> Trial | None:
        """The complete or stopped trial of this number."""
        return next((trial for trial in (*self.complete, *self.stopped) if trial.number == number), None)


def build_view(
    key: StudyKey,
    trials: Sequence[Trial],
    cost: str = "flops",
    confirmations: Iterable[Confirmation] = (),
    questions: QuestionSource | None = None,
    family: str = "",
    layers: int = 0,
) -> View:
    """Sort the trials of a study into their states; `cost` is a key of `COSTS`."""
    states: dict[str, list[Trial]] = {"complete": [], "pruned": [], "failed": []}
    for trial in trials:
        states[trial.state].append(trial)
    front = pareto_front(states["complete"], cost=cost)
    return View(
        key,
        COSTS[cost],
        tuple(states["complete"]),
        tuple(states["failed"]),
        tuple(front),
        tuple(states["pruned"]),
        confirmed_trials(states["complete"], confirmations),
        questions,
        family,
        layers,
    )


def confirmed_trials(trials: Iterable[Trial], confirmations: Iterable[Confirmation]) -> dict[int, Confirmation]:
    """The confirmation of each trial that has one: of the same configuration, whatever study it came from."""
    known = {one.config.canonical(): one for one in confirmations}
    return {trial.number: known[config] for trial in trials if (config := trial.config.canonical()) in known}


def preset(view: View, trial: Trial, point: OperatingPoint = _MEMBER) -> Preset:
    """Return the preset of a trial, certified or not by held-out questions, or an estimate without them."""
    confirmation = view.confirmed.get(trial.number)
    held_out = None if confirmation is None else HeldOut(point, {view.key.questions: confirmation})
    return preset_of(view.key, trial, held_out, view.sources, family=view.family, layers=view.layers)


def best_within_flops(trials: Iterable[Trial], ratio: float = 0.5) -> Trial | None:
    """The most accurate trial at no more than `ratio` of dense's true FLOPs; of equals the cheapest."""
    able = [trial for trial in trials if trial.complete and trial.flops_ratio <= ratio]
    return max(able, key=lambda trial: (trial.accuracy, -trial.flops_ratio, -trial.number), default=None)


def suggested(view: View) -> Trial | None:
    """What to show before anything is chosen: cheapest within one point of dense, else the most accurate."""
    return cheapest_within(view.front, view.dense) or (view.front[-1] if view.front else None)


def pairs(studies: Iterable[StudySummary]) -> dict[tuple[str, str], list[StudySummary]]:
    """Studies by (model, benchmark), in each pair the last written first."""
    grouped: dict[tuple[str, str], list[StudySummary]] = {}
    for summary in studies:
        grouped.setdefault((summary.key.model, summary.key.questions), []).append(summary)
    return {
        pair: sorted(grouped[pair], key=lambda summary: summary.updated_at, reverse=True) for pair in sorted(grouped)
    }
