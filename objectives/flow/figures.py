"""Draw the paper's figures from a stored flow, as PNG and SVG, with matplotlib and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from objectives.errors import ObjectiveError

_COLORS = {
    "system": "#888888",
    "image": "#3057c9",
    "instruction": "#c9472f",
    "intra_visual": "#3057c9",
    "visual_textual": "#c9472f",
    "random": "#888888",
}
_SYMBOLS = {
    "system": "S_sys",
    "image": "S_img",
    "instruction": "S_ins",
    "intra_visual": "S_vv",
    "visual_textual": "S_vt",
}
_BLOCKED = {"visual_textual": "visual-textual", "intra_visual": "intra-visual", "random": "random rows"}


def check_matplotlib() -> None:
    """Raise ObjectiveError where matplotlib is missing, so that nobody measures for hours first."""
    if find_spec("matplotlib") is None:
        raise ObjectiveError(
            "figures need matplotlib, which is not installed; install it: pip install 'himap-search[dev]'"
        )


def draw(document: Mapping[str, Any], stem: Path) -> list[Path]:
    """Draw a complete flow in four panels into `stem`.png and `stem`.svg, and return their paths."""
    import matplotlib.pyplot as plt  # optional

    summary, key = document["summary"], document["key"]
    figure, panels = plt.subplots(2, 2, figsize=(10, 6.6), layout="constrained")
    _lines(panels[0, 0], summary["saliency"], ("system", "image", "instruction"), _SYMBOLS)
    panels[0, 0].set(title="Flow out of each modality", ylabel="saliency per token", yscale="log")
    _lines(panels[0, 1], summary["saliency"], ("intra_visual", "visual_textual"), _SYMBOLS)
    panels[0, 1].set(title="Among image tokens, image to text", ylabel="saliency per image token")
    _consistency(panels[1, 0], summary)
    _bias(panels[1, 1], summary["bias_ratio"])
    for panel in panels.flat:
        panel.set(xlabel="layer", xlim=(-0.3, summary["layers"] - 0.7))
        panel.grid(alpha=0.3)
    figure.suptitle(f"{key['model']} / {key['benchmark']} ({document['weights']}), n = {key['n']}")
    figure.supxlabel(
        f"{key['split']} questions, 95 % intervals; {document['device']}; "
        f"commit {document['commit'] or 'unknown'}; weights {key['weights_digest'][:8]}",
        fontsize=8,
    )
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=110)
    plt.close(figure)
    return paths


def _lines(
    panel: Any, values: Mapping[str, Sequence[Mapping[str, float]]], names: Sequence[str], labels: Mapping[str, str]
) -> None:
    """Draw one line per name, with its interval as a band."""
    for name in names:
        rows = values[name]
        mean, low, high = (np.array([row[part] for row in rows]) for part in ("mean", "low", "high"))
        layers = np.arange(len(rows))
        panel.plot(layers, mean, color=_COLORS[name], label=labels[name], marker="o", ms=3, lw=1.4)
        panel.fill_between(layers, low, high, color=_COLORS[name], alpha=0.2, lw=0)
    panel.legend(fontsize=8)


def _consistency(panel: Any, summary: Mapping[str, Any]) -> None:
    """Draw single layers as lines, and the first and the last layers together as marks at the edges."""
    by_layer = {
        flow: [row["consistency"] for row in summary["disruption"] if (row["where"], row["flow"]) == ("layer", flow)]
        for flow in _BLOCKED
    }
    _lines(panel, by_layer, tuple(_BLOCKED), _BLOCKED)
    k, last = summary["ends"], summary["layers"] - 1
    for where, x, mark in (("first", (k - 1) / 2, "<"), ("last", last - (k - 1) / 2, ">")):
        for row in summary["disruption"]:
            if row["where"] == where:
                color = _COLORS[row["flow"]]
                panel.plot(x, row["consistency"]["mean"], mark, color=color, ms=9, mec="black", mew=0.5)
    panel.set(title=f"Same answer, one layer blocked (◄ first {k}, ► last {k})", ylabel="share")


def _bias(panel: Any, ratio: Sequence[Mapping[str, float] | None]) -> None:
    known = [(layer, value) for layer, value in enumerate(ratio) if value is not None]
    mean = np.array([value["mean"] for _, value in known])
    spans = [mean - [value["low"] for _, value in known], [value["high"] for _, value in known] - mean]
    panel.errorbar([layer for layer, _ in known], mean, yerr=spans, color="#2f8f4e", marker="o", ms=3, lw=1.4)
    panel.axhline(0, color="black", lw=0.8)
    panel.set(title="Bias ratio D (above 0: intra-visual)", ylabel="log(E_vv / E_vt)")
