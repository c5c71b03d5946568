"""The simulated level: the vectorized test is the one of a plan, and partial credits keep their level."""

from __future__ import annotations

import numpy as np
import pytest

from bench.certify import level
from bench.certify.level import chances, p_values
from search.certifying import evidence
from search.certifying.evidence import looks, looks_p_value


def test_the_vectorized_test_is_the_one_of_a_plan() -> None:
    parts, margin, pool = (0.3, 1.0), 0.02, 250
    chance = list(chances(parts, margin))[3]
    values = np.array([*parts, -0.3, -1.0, 0.0])
    assert chance @ values == pytest.approx(margin)
    counts = [np.random.default_rng(seed).multinomial(look, chance) for seed, look in ((1, 125), (2, 125))]
    losses = np.concatenate([np.repeat(values, one) for one in counts])

    class Drawn:
        """Draws these counts."""

        def __init__(self) -> None:
            self.left = list(counts)

        def multinomial(self, n: int, chance: np.ndarray, runs: int) -> np.ndarray:
            return self.left.pop(0)[None]

    drawn = p_values(parts, chance, pool, margin, Drawn(), 1)[0]
    assert min(drawn, 1) == pytest.approx(looks_p_value(losses, margin, looks(pool)))


def test_the_command_finds_no_rate_above_its_level(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(level, "POOLS", (125,))
    monkeypatch.setattr(level, "MARGINS", (0.02,))
    monkeypatch.setattr(level, "LEVELS", (0.05,))
    assert level.main(["--runs", "4000"]) == 0
    assert "| VQA |" in capsys.readouterr().out
    monkeypatch.setattr(evidence, "EXCESS", 0.5)
    assert level.main(["--runs", "4000"]) == 1
