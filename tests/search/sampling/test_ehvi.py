"""The sampler that knows costs: its parts against plain computations, and what it asks for."""

from __future__ import annotations

import sys
from typing import Any

import moocore
import numpy as np
import optuna
import pytest
from scipy.stats import multivariate_normal

from himap import PruningConfig
from objectives.flops import DecoderShape
from search.sampling import ehvi
from search.sampling.ehvi import EHVISampler, FrontSteps, front_indices
from search.sampling.encoding import Axes
from search.sampling.gaussian_process import GaussianProcess, KernelParameters, fit
from search.sampling.problem import Goals
from search.sampling.space import SearchSpace
from search.studies.study import Study
from search.workers.trial_runner import costs
from tests.search.search_helpers import trial

LAYERS, TOKENS = 12, [144, 180]
SHAPE = DecoderShape(128, 352, LAYERS, 4, 4, 32)
SPACE = SearchSpace(LAYERS)
BASELINES: list[Any] = [
    ("dense", PruningConfig.dense()),
    ("fastv", PruningConfig.fastv()),
    ("paper", PruningConfig.paper()),
]


def some(n: int, seed: int = 0) -> tuple[Axes, np.ndarray]:
    axes = Axes(SPACE)
    return axes, axes.draw(n, np.random.default_rng(seed))


def flops_ratio(config: PruningConfig) -> float:
    return costs(SHAPE, TOKENS, [20, 30], config).flops_ratio


def test_rows_and_parameters_are_each_other_reversed() -> None:
    axes, rows = some(50)
    for row in rows:
        params = axes.params(row)
        assert SPACE.holds(SPACE.params(SPACE.config(params)))
        assert (axes.rows(axes.vector(params)[None])[0] == row).all()
    assert (axes.vectors(rows) == [axes.vector(axes.params(row)) for row in rows]).all()


def test_a_control_has_a_place_of_its_own_beside_the_space() -> None:
    axes = Axes(SPACE)
    inside, outside = (
        axes.vector(SPACE.params(PruningConfig(2, 50, 8, 75, *criteria)))
        for criteria in (("instruction", "intra_column"), ("random", "random"))
    )
    one, other = axes.points(inside[None]), axes.points(outside[None])
    assert (one.shares == other.shares).all()
    assert (one.shallow != other.shallow).any() and (one.deep != other.deep).any()
    assert SPACE.holds(axes.params(axes.rows(outside[None])[0]))
    coarse = Axes(SearchSpace(LAYERS, percent_step=20))
    assert coarse.params(coarse.rows(inside[None])[0])["r1"] in (40, 60)


def test_shares_are_what_a_configuration_leaves_in_each_layer() -> None:
    axes = Axes(SPACE)
    points = axes.points(axes.vector(SPACE.params(PruningConfig(2, 50, 8, 75)))[None])
    assert points.shares[0].tolist() == [1.0] * 2 + [0.5] * 6 + [0.125] * 4
    assert points.shallow[0].max() == 1.0  # half is dropped: there is most to choose
    assert 0 < points.deep[0].max() < 1.0


def test_neighbors_stay_in_the_space_and_differ_little() -> None:
    axes, rows = some(400)
    near = axes.neighbors(rows, np.random.default_rng(1))
    every = [axes.params(row) for row in near]
    assert all(SPACE.holds(SPACE.params(SPACE.config(params))) for params in every)
    assert 0.1 < (near != rows).mean() < 0.3
    assert ((near == rows).all(1)).mean() < 0.4


def test_a_few_trials_determine_what_every_configuration_costs() -> None:
    """All token counts and texts of a benchmark together, to within the rounding of token counts."""
    axes, rows = some(200)
    ratios = np.array([flops_ratio(SPACE.config(axes.params(row))) for row in rows])
    observations = [observed(axes.params(row), 0.5, ratio) for row, ratio in zip(rows[:6], ratios, strict=False)]
    cost_model = ehvi._CostModel(axes.points(axes.vectors(rows[:6])), ratios[:6], observations)
    cost, allowed = cost_model.predict(axes.points(axes.vectors(rows)))
    assert np.abs(cost - ratios).max() < 0.01
    assert allowed.all()


def observed(params: dict[str, Any], accuracy: float, cost: float, **constraints: float) -> Any:
    return optuna.trial.create_trial(
        params=params, distributions=SPACE.distributions, values=[accuracy, cost], constraints=constraints
    )


def test_a_process_goes_through_its_points_and_is_unsure_far_off() -> None:
    axes, rows = some(40)
    points, values = axes.points(axes.vectors(rows)), np.random.default_rng(2).random(40)
    process = GaussianProcess(
        points, values, KernelParameters(length_scale=0.2, shallow=1.0, deep=1.0, noise_variance=1e-8)
    )
    mean, deviation = process.predict(points)
    assert mean == pytest.approx(values, abs=1e-3)
    assert deviation.max() < 1e-2
    far = process.predict(axes.points(axes.vectors(some(40, seed=3)[1])))[1]
    assert far.max() > 10 * deviation.max()


def test_the_likelihood_is_that_of_a_normal_distribution() -> None:
    """Up to a constant that every kernel shares; at the mean and variance that it was computed for."""
    axes, rows = some(12)
    points, values = axes.points(axes.vectors(rows)), np.random.default_rng(2).random(12)

    def plain(kernel: KernelParameters) -> float:
        process = GaussianProcess(points, values, kernel)
        places = process._features
        d = np.sqrt(5) * np.linalg.norm(places[:, None] - places, axis=-1)
        matrix = (1 + d + d**2 / 3) * np.exp(-d) + kernel.noise_variance * np.eye(12)
        normal = multivariate_normal(np.full(12, process._mean), process._variance * matrix)
        return float(normal.logpdf(values)) - process.likelihood

    kernels = [
        KernelParameters(),
        KernelParameters(length_scale=0.1, depth_scale=0.15),
        KernelParameters(shallow=1.0, noise_variance=0.1),
    ]
    assert [plain(kernel) for kernel in kernels] == pytest.approx([plain(KernelParameters())] * 3)


def test_fitting_finds_a_likelier_kernel() -> None:
    axes, rows = some(60)
    points = axes.points(axes.vectors(rows))
    values = points.shares[:, :3].mean(1)  # only the first layers matter
    start = GaussianProcess(points, values, KernelParameters(depth_scale=10.0, noise_variance=0.1))
    best, rng = start, np.random.default_rng(0)
    for _ in range(10):
        best = fit(points, values, best.kernel, rng)
    assert best.likelihood > start.likelihood + 10
    assert best.kernel.depth_scale < 10


def test_the_expected_gain_is_the_mean_gain_in_hypervolume() -> None:
    """Against exact hypervolumes of drawn accuracies, cut at the ceiling."""
    rng = np.random.default_rng(0)
    cost, accuracy = np.array([0.2, 0.4, 0.5, 0.7]), np.array([0.3, 0.6, 0.5, 0.9])
    front = FrontSteps(cost, accuracy, max_cost=1.0, floor=0.1, ceiling=0.95)
    assert front.members.tolist() == [0, 1, 3]
    mine = np.array([0.1, 0.3, 0.45, 0.8, 1.2])
    mean, deviation = np.array([0.2, 0.5, 0.9, 0.9, 0.9]), np.array([0.2, 0.1, 0.1, 0.3, 0.1])

    def volume(points: np.ndarray) -> float:
        return float(moocore.hypervolume(points * [1, -1], ref=[1.0, -0.1]))

    old = np.stack([cost, accuracy], 1)
    gains = []
    for c, m, d in zip(mine, mean, deviation, strict=True):
        drawn = np.minimum(rng.normal(m, d, 4000), 0.95)
        gains.append(np.mean([volume(np.vstack([old, [c, y]])) for y in drawn]) - volume(old))
    assert front.expected_gain(mine, mean, deviation) == pytest.approx(gains, abs=2e-3)
    assert front.expected_gain(mine, mean, deviation)[-1] == 0  # dearer than the reference point


def accuracy_of(config: PruningConfig) -> float:
    """The second criterion keeps what matters; what is dropped by half of the depth costs."""
    lost = config.r1 / 100 * (1.3 if config.phi_shallow != "last_token" else 0.4)
    late = config.r2 / 100 * max(0.0, 7 - config.k2) / 7
    return max(0.0, 0.95 - 0.5 * lost * (1 - config.k1 / LAYERS) ** 2 - 0.4 * late)


def searched(sampler: str, n: int, seed: int = 0, goals: Goals | None = None) -> list[Any]:
    study = Study(SPACE, BASELINES, TOKENS, sampler, seed, goals=goals)
    trials = []
    for _ in range(n):
        candidate = study.ask()
        if candidate is None:
            break
        config = candidate.config
        row = trial(
            candidate.number,
            config,
            candidate.origin,
            accuracy=accuracy_of(config),
            flops_ratio=flops_ratio(config),
            latency_ms=10 * flops_ratio(config),
        )
        study.tell(candidate, row)
        trials.append(row)
    return trials


def volume(trials: list[Any]) -> float:
    """The area above the reference point, 5 points below dense, as a part of the largest possible."""
    points = np.array([(t.flops_ratio, -t.accuracy) for t in trials])
    return float(moocore.hypervolume(points, ref=[1.0, -0.9])) / 0.05


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_more_than_tpe_in_as_many_trials(seed: int) -> None:
    assert volume(searched("ehvi", 30, seed)) > volume(searched("tpe", 30, seed)) + 0.03


def test_what_is_below_the_reference_point_is_not_sought() -> None:
    near, far = (
        [t.accuracy for t in searched("ehvi", 40, goals=Goals(reference=reference))[len(BASELINES) + 1 :]]
        for reference in (5.0, 100.0)
    )
    assert sum(value > 0.9 for value in near) > 1.5 * sum(value > 0.9 for value in far)


def test_limits_are_kept_and_the_front_is_sought_within_them() -> None:
    goals = Goals(max_drop=10, max_flops=60)
    trials = searched("ehvi", 40, goals=goals)[len(BASELINES) + 1 :]
    dense = trial(0, PruningConfig.dense(), "dense", accuracy=0.95, flops_ratio=1.0)
    assert max(t.flops_ratio for t in trials) < 0.605  # token counts are rounded, which costs do not foresee
    free = searched("ehvi", 40)[len(BASELINES) + 1 :]
    within, without = (sum(goals.within(t, dense) for t in item) for item in (trials, free))
    assert within > 1.5 * without > 0


def test_results_outside_of_the_space_count() -> None:
    """Controls show that nothing is lost from half of the FLOPs on, and all at a layer's worth of them."""
    controls: list[Any] = [
        ("dense", PruningConfig.dense()),
        ("random", PruningConfig(2, 50, 8, 75, "random", "random")),
        ("random", PruningConfig(1, 99, 2, 0, "random", "random")),
    ]
    study = Study(SPACE, controls, TOKENS, "ehvi", 0)
    for accuracy in (0.95, 0.95, 0.0):
        candidate = study.ask()
        assert candidate is not None
        ratio = flops_ratio(candidate.config)
        study.tell(candidate, trial(candidate.number, candidate.config, accuracy=accuracy, flops_ratio=ratio))
    low, high = flops_ratio(controls[2][1]), flops_ratio(controls[1][1])
    candidates = [study.ask() for _ in range(4)]
    assert all(low < flops_ratio(item.config) < high for item in candidates if item is not None)


def test_latency_can_be_the_cost() -> None:
    trials = searched("ehvi", 30, goals=Goals(("latency", "accuracy")))
    assert volume(trials) > volume(searched("random", 30))


def test_what_runs_is_not_asked_for_again_nor_its_neighbors_first() -> None:
    study = Study(SPACE, BASELINES, TOKENS, "ehvi", 0, workers=8)
    for _ in range(12):
        candidate = study.ask()
        assert candidate is not None
        config = candidate.config
        study.tell(
            candidate,
            trial(
                candidate.number,
                config,
                candidate.origin,
                accuracy=accuracy_of(config),
                flops_ratio=flops_ratio(config),
            ),
        )
    waiting = [study.ask() for _ in range(8)]
    configs = [candidate.config for candidate in waiting if candidate]
    assert len({study.effect_key(config) for config in configs}) == 8
    spread = [flops_ratio(config) for config in configs]
    assert max(spread) - min(spread) > 0.1  # they do not crowd about one point


def test_it_also_asks_where_the_front_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a benchmark is answered from 40 % of the FLOPs on, so that nothing gains above."""
    monkeypatch.setattr(sys.modules[__name__], "accuracy_of", lambda c: min(1.0, 2.5 * flops_ratio(c)))
    monkeypatch.setattr(ehvi, "_SETTLED", 10**9)

    def above() -> int:
        return sum(t.flops_ratio > 0.5 for t in searched("ehvi", 80)[25:])

    spread = above()
    monkeypatch.setattr(ehvi, "_EVERY", 10**9)
    assert spread >= above() + 4


def test_exploring_ends_where_nothing_is_left_to_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(searched("ehvi", 60)) == 60
    monkeypatch.setattr(sys.modules[__name__], "accuracy_of", lambda c: min(1.0, 2.5 * flops_ratio(c)))
    assert len(searched("ehvi", 47)) == 47
    assert len(searched("ehvi", 100)) < 60


def test_a_long_study_is_thinned_and_keeps_its_front(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = EHVISampler(SPACE, 0, 0, lambda _: True)
    axes, rows = some(60)
    observations = [observed(axes.params(row), i % 7 / 7, i % 11 / 11) for i, row in enumerate(rows)]
    assert sampler._thinned(observations) == observations
    monkeypatch.setattr(ehvi, "_MAX_OBSERVATIONS", 20)
    left = sampler._thinned(observations)
    assert len(left) == 20
    values = np.array([item.values for item in observations])
    front = [observations[i] for i in front_indices(values[:, 1], values[:, 0])]
    assert front
    assert all(item in left for item in front)
