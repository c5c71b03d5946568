"""The rehearsal of too little memory: it fails as told, it counts, and a difference would show."""

from __future__ import annotations

import pytest

from bench import memory
from bench.memory import rehearse, table
from minis import checkpoint
from objectives.data.source import Source, load_questions
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.models import load


def test_answers_are_the_same_and_failures_happen(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(checkpoint.path("qwenvl-mini"), device="cpu")
    asked = load_questions(Source("pope"), "validation", 12)
    row = rehearse(loaded, asked)
    assert row["tenth"]["differ"] == row["failing"]["differ"] == 0 and row["answers"] == 72
    assert row["failing"]["failures"] > 0
    assert 0 < row["tenth"]["kept_mb"] <= row["all"]["kept_mb"] / 10
    document = {"pairs": [row], "model": "mini", "questions": 12, "device": "CPU", "commit": "abc"}
    assert "| pope |" in table(document) and "commit abc" in table(document)
    monkeypatch.setattr(memory, "CONFIGS", memory.CONFIGS[:1])
    honest = Evaluator._answer
    monkeypatch.setattr(
        Evaluator, "_answer", lambda self, batch: [f"{a}{len(batch.order)}" for a in honest(self, batch)]
    )
    assert rehearse(loaded, asked)["failing"]["differ"] > 0
