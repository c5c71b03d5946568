"""The inference benchmark's figures as Markdown tables."""

from __future__ import annotations

from typing import Any

from bench.inference.methods import LABELS
from minis.tables import markdown


def report(document: dict[str, Any]) -> str:
    """Return where and how it was measured, then a table for each model and batch."""
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    head = (
        f"Measured on {document['device']}; {versions}; commit {document['commit']}; {document['rounds']} "
        f"rounds, median [quartiles]; clock: {document['clock']}; load average before {document['load']:.1f}."
    )
    missing = [f"**{name}: not measured** (no GPU)." for name in document["not_measured"]]
    return "\n\n".join([head, *(_model(model) for model in document["models"]), *missing])


def _model(model: dict[str, Any]) -> str:
    share = model["flops_share"]
    head = (
        f"**{model['model']}** ({model['weights']}, {model['dtype']}): {model['image_tokens']} image and "
        f"{model['text_tokens']} text tokens, {model['layers']} layers; an example generates "
        f"{model['new_tokens']} tokens; true FLOPs of dense: FastV {share['fastv']:.1%}, HiMAP "
        f"{share['himap']:.1%}. Vision tower, in no other figure: {model['tower_ms']:.0f} ms an image."
    )
    return "\n\n".join([head, *(_batch(batch) for batch in model["batches"])])


def _batch(batch: dict[str, Any]) -> str:
    head = [f"batch {batch['batch']}", "prefill, ms", "per new token, ms", "example, ms", "peak, MiB", "cache, MiB"]
    rows = []
    for name, cell in batch["methods"].items():
        if "error" in cell:
            rows.append([LABELS[name], f"not measured: {cell['error']}", "", "", "", ""])
            continue
        once = cell["prompts_timed"] != batch["batch"]
        label = f"{LABELS[name]}; one prompt timed, times {batch['batch']}" if once else LABELS[name]
        times = [_spread(cell.get(key)) for key in ("prefill_ms", "token_ms", "example_ms")]
        rows.append([label, *times, f"{cell['peak_mib']:.1f}", f"{cell['cache_mib']:.1f}"])
    lines = [markdown(head, rows), ""]
    for key, what in (
        ("prefill_ratios", "Prefill, ratio of times"),
        ("example_ratios", "Example, ratio of times"),
        ("gain_of_ideal", "Prefill speed-up over dense as a part of what the FLOPs allow"),
    ):
        lines.append(f"- {what}: {', '.join(f'{name} {_spread(value, 2)}' for name, value in batch[key].items())}.")
    share, engine = _percent(batch["scoring_share"]), _percent(batch["engine_share"])
    return "\n".join([*lines, f"- Of HiMAP's prefill: ranking and cutting {share}, all of the engine's code {engine}."])


def _spread(value: dict[str, float] | None, digits: int = 1) -> str:
    if value is None:
        return ""
    return f"{value['median']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def _percent(value: dict[str, float]) -> str:
    return f"{value['median']:.1%} [{value['low']:.1%}, {value['high']:.1%}]"
