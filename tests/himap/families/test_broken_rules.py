"""The family-blind comparison fails where any rule of a family is broken; each is broken once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from himap.verification.verify import TOLERANCE
from tests.himap.broken_rules import RULES, comparison, deviations


@cache
def equals(name: str) -> bool:
    return max(deviations(comparison(name))) <= TOLERANCE


@pytest.mark.parametrize(("break_rule", "name"), RULES, ids=lambda value: getattr(value, "__name__", value))
def test_the_comparison_fails_where_a_rule_is_broken(
    break_rule: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert equals(name)
    break_rule(monkeypatch)
    assert any(deviation > TOLERANCE for deviation in deviations(comparison(name)))
