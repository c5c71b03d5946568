"""A study as the pages show it: trials by state, the front, baselines, what held-out questions say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from himap.config import PruningConfig
from himap.errors import ConfigError
from himap.presets import Preset
from storage.commands import DEFAULT_STORAGE, export_command, model_options, shell_command
from storage.confirmation import Confirmation
from storage.pareto import OperatingPoint, cheapest_within, dense_trial
from storage.pareto import front as pareto_front
from storage.presets import HeldOut, preset_of
from storage.records import QuestionSource, StudyKey, StudySummary, Trial

Pair = tuple[str, str]  # a model and a benchmark; they may have several studies
_MEMBER = OperatingPoint("member", "member of the front")
BASELINE_NAMES: dict[str, str] = {
    "dense": "dense",
    "fastv": "FastV",
    "paper": "HiMAP paper",
    "paper_long": "HiMAP paper, long answers",
    "random": "random",
    "uniform": "uniform",
    "downsample": "downsample",
}
CONTROLS = ("random", "uniform", "downsample")
STATES: dict[str, str] = {"complete": "complete", "pruned": "pruned (stopped early)"}


@dataclass(frozen=True)
class Cost:
    """One way to count what a configuration costs: a field of `Trial`, with its names and its unit.

    The unit is "%" for a share of dense, "ms", or what follows the prefix, as in "GFLOPs".
    """

    field: str
    label: str
    axis: str
    unit: str


COSTS: dict[str, Cost] = {
    cost.field: cost
    for cost in (
        Cost("flops", "True FLOPs", "Prefill FLOPs per prompt, text included", "FLOPs"),
        Cost("flops_ratio", "Share of dense", "Prefill FLOPs per prompt, share of dense", "%"),
        Cost("paper_flops", "Paper FLOPs", "Paper FLOPs (Eq. 10, multiply-adds of image tokens)", "MACs"),
        Cost("latency_ms", "Latency", "Time to the first token of a prompt", "ms"),
    )
}


@dataclass(frozen=True)
class View:
    """One study under one cost: its trials by state, and the front by rising cost.

    The accuracy of a `pruned` trial is an estimate on the questions asked before it was stopped; it never joins the
    front. `confirmations` are measurements on held-out questions, by the number of the trial. `questions` is where
    questions come from that are not embedded. `raw` are accuracies on the search's own questions, by number, where
    those of the trials are posterior means.
    """

    key: StudyKey
    cost: Cost
    complete: tuple[Trial, ...]
    failed: tuple[Trial, ...]
    front: tuple[Trial, ...]
    pruned: tuple[Trial, ...] = ()
    confirmations: Mapping[int, Confirmation] = field(default_factory=dict)
    questions: QuestionSource | None = None
    raw: Mapping[int, float] = field(default_factory=dict)
    family: str = ""
    layers: int = 0
    weights: str = ""
    url: str = DEFAULT_STORAGE

    @property
    def baselines(self) -> tuple[Trial, ...]:
        """The complete trials of baselines: dense, FastV, the paper's settings, the controls."""
        return tuple(trial for trial in self.complete if trial.is_baseline)

    @property
    def dense(self) -> Trial | None:
        """The unpruned model, once it is measured."""
        return dense_trial(self.complete)

    @property
    def certified(self) -> set[int]:
        """The numbers of the trials that held-out questions certify."""
        return {number for number, result in self.confirmations.items() if result.certifies()}

    @property
    def certified_trials(self) -> list[Trial]:
        """The complete trials other than dense that held-out questions certify, by rising FLOPs."""
        certified = self.certified
        held_out = (trial for trial in self.complete if trial.number in certified and trial.origin != "dense")
        return sorted(held_out, key=lambda trial: trial.flops)

    def trial(self, number: int | None) -> Trial | None:
        """Return the complete or pruned trial of this number."""
        return next((trial for trial in (*self.complete, *self.pruned) if trial.number == number), None)


def build_view(
    key: StudyKey,
    trials: Sequence[Trial],
    cost: str = "flops",
    confirmations: Iterable[Confirmation] = (),
    questions: QuestionSource | None = None,
    raw: Mapping[int, float] | None = None,
    family: str = "",
    layers: int = 0,
    weights: str = "",
    url: str = DEFAULT_STORAGE,
) -> View:
    """Return the view of a study's trials.

    Args:
        cost: a key of `COSTS`.
        url: of the store; the rest as in `View` and `StudySummary`.
    """
    states: dict[str, list[Trial]] = {"complete": [], "pruned": [], "failed": []}
    for trial in trials:
        states[trial.state].append(trial)
    return View(
        key,
        COSTS[cost],
        tuple(states["complete"]),
        tuple(states["failed"]),
        tuple(pareto_front(states["complete"], cost=cost)),
        tuple(states["pruned"]),
        _by_trial(states["complete"], confirmations),
        questions,
        raw or {},
        family,
        layers,
        weights,
        url,
    )


def _by_trial(trials: Iterable[Trial], confirmations: Iterable[Confirmation]) -> dict[int, Confirmation]:
    """Return confirmations by the number of each trial of the same configuration, whatever study they came from.

    Of several the one that a plan certifies counts, then the one with the most questions.
    """
    ordered = sorted(confirmations, key=lambda result: (result.bound == result.bound, result.n))
    known = {canonical(result.config): result for result in ordered}
    if not known:
        return {}
    return {trial.number: known[config] for trial in trials if (config := canonical(trial.config)) in known}


@lru_cache(maxsize=2**16)
def canonical(config: PruningConfig) -> PruningConfig:
    """Return the canonical form of a configuration, or itself where only its search knows the criteria."""
    try:
        return config.canonical()
    except ConfigError:
        return config


def certify_command(url: str, view: View) -> str:
    """Return the command that certifies this study's operating points, ready for a shell, without a password."""
    return export_command(url, _model_options(view), _question_options(view))


def certify_options(view: View) -> list[str]:
    """Return the options of that command, without the store."""
    return [*_model_options(view), *_question_options(view), "--out", "presets/"]


def resume_command(url: str, view: View) -> str:
    """Return the command that resumes this study, up to 200 trials, ready for a shell, without a password."""
    key = view.key
    size = ["--questions", str(key.n_questions), "--seed", str(key.seed), "--budget", "200", "--storage", url]
    return shell_command("python", "-m", "search.launch", *_model_options(view), *_question_options(view), *size)


def _model_options(view: View) -> list[str]:
    return model_options(view.key.model, view.weights, view.key.dtype)


def _question_options(view: View) -> list[str]:
    return view.questions.arguments if view.questions else ["--benchmark", view.key.benchmark]


def preset(view: View, trial: Trial, point: OperatingPoint = _MEMBER) -> Preset:
    """Return the preset of a trial, certified or not by held-out questions, or an estimate without them."""
    result = view.confirmations.get(trial.number)
    held_out = None if result is None else HeldOut(point, {view.key.questions: result})
    sources = {} if view.questions is None else {view.key.questions: view.questions}
    command = certify_command(view.url, view)
    return preset_of(view.key, trial, held_out, sources, family=view.family, layers=view.layers, command=command)


def best_within_flops(trials: Iterable[Trial], ratio: float = 0.5) -> Trial | None:
    """Return the most accurate trial at no more than `ratio` of dense's true FLOPs; of equals the cheapest."""
    affordable = [trial for trial in trials if trial.complete and trial.flops_ratio <= ratio]
    return max(affordable, key=lambda trial: (trial.accuracy, -trial.flops_ratio, -trial.number), default=None)


def within_one_point(view: View) -> Trial | None:
    """Return the trial with the fewest FLOPs that is certified within one point of dense, else the front's estimate."""
    return next(iter(view.certified_trials), None) or cheapest_within(view.front, view.dense)


def suggested(view: View) -> Trial | None:
    """Return the cheapest trial within one point of dense, else the front's most accurate one."""
    return within_one_point(view) or (view.front[-1] if view.front else None)


def by_pair(studies: Iterable[StudySummary]) -> dict[Pair, list[StudySummary]]:
    """Return studies by model and benchmark, the last written of each first."""
    groups: dict[Pair, list[StudySummary]] = {}
    for summary in sorted(studies, key=lambda summary: summary.updated_at, reverse=True):
        groups.setdefault((summary.key.model, summary.key.questions), []).append(summary)
    return dict(sorted(groups.items()))
