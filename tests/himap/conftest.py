"""One model of each family for all tests here; every test must leave it as it was."""

from __future__ import annotations

import pytest
import tiny_models
from tiny_models import Subject


@pytest.fixture(scope="session")
def llava() -> Subject:
    prompts = [tiny_models.llava_prompt(*sizes) for sizes in ((1, 4, 6), (2, 2, 9), (3, 7, 3))]
    return Subject(tiny_models.llava(), prompts, tiny_models.llava)


@pytest.fixture(scope="session")
def qwen() -> Subject:
    sizes = ((1, 4, 6, (4, 6)), (2, 2, 9, (3, 3)), (3, 7, 3, (5, 4)))
    return Subject(tiny_models.qwen(), [tiny_models.qwen_prompt(*size) for size in sizes], tiny_models.qwen)


@pytest.fixture(params=["llava", "qwen"])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(request.param)
    return found
