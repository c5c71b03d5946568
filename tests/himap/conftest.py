"""One model of each family for all tests of himap; every test must restore it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.himap import tiny_families, tiny_models
from tests.himap.tiny_models import Subject


@pytest.fixture(scope="session")
def llava() -> Subject:
    prompts = [tiny_models.llava_prompt(*sizes) for sizes in ((1, 4, 6), (2, 2, 9), (3, 7, 3))]
    return Subject(tiny_models.llava(), prompts, tiny_models.llava)


@pytest.fixture(scope="session")
def qwen() -> Subject:
    sizes = ((1, 4, 6, (4, 6)), (2, 2, 9, (3, 3)), (3, 7, 3, (5, 4)))
    return Subject(tiny_models.qwen(), [tiny_models.qwen_prompt(*size) for size in sizes], tiny_models.qwen)


@pytest.fixture(scope="session")
def families() -> Callable[[str], Subject]:
    """The families beside LLaVA-1.5 and Qwen2.5-VL, each built on first use."""
    return cache(tiny_families.subject)


@pytest.fixture(params=["llava", "qwen", *tiny_families.FAMILIES])
def family_subject(request: pytest.FixtureRequest, families: Callable[[str], Subject]) -> Subject:
    """One model of each family that can be pruned."""
    if request.param in tiny_families.FAMILIES:
        return families(request.param)
    value: Subject = request.getfixturevalue(request.param)
    return value


@pytest.fixture(params=["llava", "qwen"])
def subject(request: pytest.FixtureRequest) -> Subject:
    value: Subject = request.getfixturevalue(request.param)
    return value
