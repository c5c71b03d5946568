"""A made-up flow whose numbers are known: no model is run for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from objectives.flow.results import KIND, SCHEMA
from objectives.flow.summary import summary

QUESTIONS, LAYERS, ENDS = 40, 12, 2


def record(turn: int = 6, seed: int = 0) -> dict[str, Any]:
    """As the paper has it: visual-textual flow in the first layers, intra-visual flow behind `turn`."""
    rng = np.random.default_rng(seed)
    text = np.array([9.0, 7.0, 3.0] + [0.05] * (LAYERS - 3))
    visual = np.array([1.0] * 3 + [2.0] * (LAYERS - 4) + [0.0])
    saliency = {}
    for i in range(QUESTIONS):
        noise = rng.uniform(0.8, 1.2, (5, LAYERS))
        means = {
            "system": np.ones(LAYERS),
            "image": text + visual,
            "instruction": np.ones(LAYERS),
            "intra_visual": visual,
            "visual_textual": text,
        }
        saliency[str(i)] = {name: (one * row).tolist() for (name, one), row in zip(means.items(), noise, strict=True)}
    blocks = {}
    places = [("first", range(ENDS)), ("last", range(LAYERS - ENDS, LAYERS)), ("all", range(LAYERS))]
    places += [("layer", range(layer, layer + 1)) for layer in range(LAYERS)]
    for where, layers in places:
        for flow in ("visual_textual", "intra_visual", "random"):
            blocks[f"{flow} {where} {list(layers)}"] = _block(flow, where, list(layers), turn, rng)
    plain = {name: [1.0] * QUESTIONS for name in ("consistency", "jaccard", "score")} | {"shift": [0.0] * QUESTIONS}
    return {"saliency": saliency, "disruption": blocks, "plain": plain}


def _block(flow: str, where: str, layers: list[int], turn: int, rng: np.random.Generator) -> dict[str, Any]:
    wrong = QUESTIONS // 2 if flow == "visual_textual" and where in ("first", "all") else 0
    same = [0.0] * wrong + [1.0] * (QUESTIONS - wrong)
    size = 0.2
    if flow == "intra_visual":
        size = 0.1 if layers[0] < turn else 0.4
        size = 0.0 if layers == [LAYERS - 1] else size
    shift = (size * rng.uniform(0.8, 1.2, QUESTIONS)).tolist()
    return {
        "flow": flow,
        "where": where,
        "layers": layers,
        "consistency": same,
        "jaccard": same,
        "shift": shift,
        "score": same,
    }


def document(**options: int) -> dict[str, Any]:
    """A complete stored flow."""
    measured = record(**options)
    key = {
        "model": "qwenvl",
        "weights_digest": "0123456789abcdef",
        "benchmark": "scienceqa",
        "split": "validation",
        "n": QUESTIONS,
    }
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "key": key,
        "complete": True,
        "title": "ScienceQA",
        "weights": "embedded mini",
        "questions": "embedded scenes",
        "device": "none",
        "commit": "",
        "record": measured,
        "summary": summary(measured),
    }
