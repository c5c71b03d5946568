"""Ways on a real table: true losses, honest costs, and a comparison that resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.certify import __main__ as bench
from bench.certify.botorch_search import propose, setting_points
from bench.certify.population import JUDGED_WITHIN, MARGINS, Questions, TablePopulation
from bench.certify.tabulate import load_table
from bench.certify.ways import WAYS
from storage.pareto import dominated_area


@pytest.fixture(scope="module")
def population() -> TablePopulation:
    return TablePopulation(load_table(bench.DATA / "certify-qwenvl.npz"))


def test_what_breaks_its_margin_costs_as_much_as_dense(population: TablePopulation) -> None:
    good, bad = (
        int(np.argmin(np.where(population.losses <= 0.01, population.costs, 1))),
        int(population.losses.argmax()),
    )
    assert population.honest_cost(good, 0.01) == population.oracle(0.01) < 1
    assert population.honest_cost(bad, 0.01) == population.honest_cost(None, 0.01) == 1
    assert population.hypervolume(list(range(len(population.costs)))) == 1
    assert population.hypervolume([0]) == 0
    assert all(population.oracle(margin) <= population.certifiable(margin) < 1 for margin in MARGINS)


def test_all_configurations_answer_the_same_drawn_questions(population: TablePopulation) -> None:
    questions = Questions(population, seed=3)
    first, again = (questions.ask("test", 0, 4000, row) for row in (5, 5))
    assert first.tolist() == again.tolist()
    assert first.mean() == pytest.approx(population.scores[5].mean(), abs=0.03)
    assert questions.answers == {"validation": 0, "test": 8000}


def test_ours_keeps_its_margins(population: TablePopulation) -> None:
    result = WAYS["ours"](population, 0)
    assert set(result.delivered) == set(MARGINS)
    assert all(population.losses[row] <= m for m, row in result.delivered.items() if row is not None)
    assert result.certified


def test_botorch_proposes_a_setting_that_widens_a_smooth_front(population: TablePopulation) -> None:
    costs, points = population.costs, torch.tensor(setting_points(population))
    accuracies = 1 - 0.04 * (1 - costs) ** 2

    def area(rows: list[int]) -> float:
        return dominated_area([(costs[row], accuracies[row] - accuracies[0] + JUDGED_WITHIN) for row in rows])

    begin = list(range(0, len(costs), 12))
    proposed = propose(points, {row: float(accuracies[row]) for row in begin}, 0)
    assert proposed not in begin
    assert area([*begin, proposed]) > area(begin)


def test_a_killed_comparison_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, made = tmp_path / "runs.jsonl", []
    honest = bench.run

    def counted(*arguments: Any) -> dict[str, Any]:
        made.append(arguments[1:])
        return honest(*arguments)

    monkeypatch.setattr(bench, "run", counted)
    arguments = ["--seeds", "1", "--ways", "random + Pareto Testing", "--keep", str(kept)]
    assert bench.main(arguments) == 0
    assert len(made) == len(kept.read_text().splitlines()) == 4
    assert bench.main(arguments) == 0
    assert len(made) == 4
    assert "| random + Pareto Testing |" in capsys.readouterr().out
