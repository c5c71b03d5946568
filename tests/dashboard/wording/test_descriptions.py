"""Trials in words."""

from __future__ import annotations

import math

import pytest

from dashboard.wording.descriptions import short_verdict
from storage.confirmation import Confirmation
from tests.storage.made_confirmation import FULL


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (0.005, "certified within 1 point"),
        (0.01, "certified within 1 point"),
        (0.02, "certified within 2 points"),
        (0.0213, "certified within 2.13 points"),
        (1.0, "not certified"),
        (math.nan, "not certified"),
    ],
)
def test_a_wider_certificate_names_its_bound(bound: float, text: str) -> None:
    assert short_verdict(Confirmation(**{**FULL, "bound": bound})) == text
