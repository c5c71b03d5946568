"""The inference benchmark's figures as Markdown tables."""

from __future__ import annotations

from typing import Any

from bench.inference.methods import LABELS


def report(document: dict[str, Any]) -> str:
    """Where and how it was measured, then a table for each model and batch."""
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    head = (
        f"Measured on {document['device']}; {versions}; commit {document['commit']}; {document['rounds']} "
        f"rounds, median [quartiles]; clock: {document['clock']}; load average before "
        f"{document['load_before']:.1f}."
    )
    parts = [head, *(_model(model) for model in document["models"])]
    parts += [f"**{name}: not measured** (no GPU)." for name in document["not_measured"]]
    return "\n\n".join(parts)


def _model(model: dict[str, Any]) -> str:
    share = model["flops_share"]
    head = (
        f"**{model['model']}** ({model['weights']}, {model['dtype']}): {model['image_tokens']} image and "
        f"{model['text_tokens']} text tokens, {model['layers']} layers; an example generates "
        f"{model['new_tokens']} tokens; true FLOPs of dense: FastV {share['fastv']:.1%}, HiMAP "
        f"{share['himap']:.1%}. Vision tower, in no other figure: {model['tower_ms']:.0f} ms an image."
    )
    return "\n\n".join([head, *(_batch(batch) for batch in model["batches"])])


def _batch(found: dict[str, Any]) -> str:
    rows = [
        [f"batch {found['batch']}", "prefill, ms", "per new token, ms", "example, ms", "peak, MiB", "cache, MiB"],
        ["---"] * 6,
    ]
    for name, cell in found["ways"].items():
        if "error" in cell:
            rows.append([LABELS[name], f"not measured: {cell['error']}", "", "", "", ""])
            continue
        times = [_spread(cell.get(key)) for key in ("prefill_ms", "token_ms", "example_ms")]
        if cell["prompts_timed"] != found["batch"]:
            label = f"{LABELS[name]}; one prompt timed, times {found['batch']}"
        else:
            label = LABELS[name]
        rows.append([label, *times, f"{cell['peak_mib']:.1f}", f"{cell['cache_mib']:.1f}"])
    lines = ["\n".join(f"| {' | '.join(row)} |" for row in rows), ""]
    for key, what in (("prefill_ratios", "Prefill"), ("example_ratios", "Example")):
        ratios = ", ".join(f"{name} {_spread(value, 2)}" for name, value in found[key].items())
        lines.append(f"- {what}, ratio of times: {ratios}.")
    gains = ", ".join(f"{name} {_spread(value, 2)}" for name, value in found["gain_of_ideal"].items())
    lines.append(f"- Prefill speed-up over dense as a part of what the FLOPs allow: {gains}.")
    share, engine = _percent(found["scoring_share"]), _percent(found["engine_share"])
    lines.append(f"- Of HiMAP's prefill: ranking and cutting {share}, all of the engine's code {engine}.")
    return "\n".join(lines)


def _spread(value: dict[str, float] | None, digits: int = 1) -> str:
    if value is None:
        return ""
    return f"{value['median']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def _percent(value: dict[str, float]) -> str:
    return f"{value['median']:.1%} [{value['low']:.1%}, {value['high']:.1%}]"
