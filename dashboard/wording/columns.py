"""The title and format of each column of the tables. The values keep the units of the store."""

from __future__ import annotations

from typing import Any

from streamlit.column_config import CheckboxColumn, DatetimeColumn, NumberColumn, TextColumn

from dashboard.wording.descriptions import PHASES

COLUMNS: dict[str, Any] = {
    "number": NumberColumn("Trial", format="%d", width="small"),
    "origin": TextColumn("Role", width="small"),
    "front": CheckboxColumn("Front", width="small"),
    "held_out": TextColumn("Held out", help="What questions that the search never saw say of the loss against dense"),
    "reason": TextColumn("Reason", width="large"),
    "flops_ratio_percent": NumberColumn("Of dense", format="%.1f %%", help="True FLOPs as a share of dense"),
    "accuracy_percent": NumberColumn("Accuracy", format="%.1f %%"),
    "to_dense_points": NumberColumn("vs dense", format="%+.1f", help="Accuracy minus that of dense, in points"),
    "k1": NumberColumn("K1", width="small"),
    "r1": NumberColumn("R1 %", format="%.1f", width="small"),
    "k2": NumberColumn("K2", width="small"),
    "r2": NumberColumn("R2 %", format="%.1f", width="small"),
    "phi_shallow": TextColumn("φ shallow"),
    "phi_deep": TextColumn("φ deep"),
    "flops": NumberColumn("True FLOPs", format="engineering"),
    "paper_flops": NumberColumn("Paper FLOPs", format="engineering", help="Eq. 10, multiply-adds"),
    "latency_ms": NumberColumn(
        "Latency ms", format="%.1f", help="To the first token of a prompt: dense's by the speed-up"
    ),
    "speedup": NumberColumn("Speed-up", format="%.2f", help="Over dense, timed in turns: median of the ratios"),
    "speedup_low": NumberColumn("Speed-up from", format="%.2f", help="Lower end of the speed-up's 95 % interval"),
    "speedup_high": NumberColumn("Speed-up to", format="%.2f", help="Upper end of the speed-up's 95 % interval"),
    "figure": TextColumn(
        "Time", help="To the first token, image features given or from pixels, or of each further token"
    ),
    "batch": NumberColumn("Batch", format="%d", width="small"),
    "ms": NumberColumn("ms", format="%.1f", width="small", help="Median over repeats"),
    "dense_ms": NumberColumn("Dense ms", format="%.1f", width="small", help="Median over the same repeats"),
    "repeats": NumberColumn("Repeats", format="%d", width="small"),
    "image_tokens": NumberColumn("Image tokens", format="%.1f", help="Mean over questions"),
    "tokens_after_k1": NumberColumn("After K1", format="%.1f"),
    "tokens_after_k2": NumberColumn("After K2", format="%.1f"),
    "accuracy_low_percent": NumberColumn("Low", format="%.1f %%", help="Lower end of the 95 % interval"),
    "accuracy_high_percent": NumberColumn("High", format="%.1f %%", help="Upper end of the 95 % interval"),
    "n": NumberColumn("n", width="small"),
    "seed": NumberColumn("Seed", format="%d"),
    "device": TextColumn("Device"),
    "seconds": NumberColumn("Seconds", format="%.1f"),
    "commit": TextColumn("Commit"),
    "to_dense_low": NumberColumn("From", format="%+.1f", help="Lower end of its 95 % interval"),
    "to_dense_high": NumberColumn("To", format="%+.1f", help="Upper end of its 95 % interval"),
    "split": TextColumn("Split", width="small"),
    "count": NumberColumn("Trials", format="%d", width="small"),
    "phase": TextColumn("Phase", width="small", help="\n".join(f"{name}: {text}" for name, text in PHASES.items())),
    "model": TextColumn("Model"),
    "benchmark": TextColumn("Benchmark"),
    "questions": NumberColumn("Questions", format="%d", width="small"),
    "trials": NumberColumn("Trials", format="%d", width="small"),
    "pruned": NumberColumn("Pruned", format="%d", width="small", help="Stopped early; no part of the front"),
    "failures": NumberColumn("Failed", format="%d", width="small"),
    "front_size": NumberColumn("On front", format="%d", width="small"),
    "certified": NumberColumn("Certified", format="%d", width="small", help="Within 1 point of dense"),
    "hypervolume": NumberColumn("Hypervolume", format="%.3f", help="Size of the area under the front"),
    "dense_percent": NumberColumn("Dense", format="%.1f %%"),
    "half_percent": NumberColumn("Best at ≤ 50 % FLOPs", format="%.1f %%"),
    "near_percent": NumberColumn("Within 1 point at", format="%.1f %%", help="Share of dense's true FLOPs"),
    "weights": TextColumn("Weights"),
    "space": TextColumn("Space"),
    "job": NumberColumn("Job", format="%d", width="small"),
    "state": TextColumn("State", width="small"),
    "kind": TextColumn("Kind", width="small"),
    "what": TextColumn("What", width="large"),
    "submitted_by": TextColumn("By"),
    "submitted_at": DatetimeColumn("Submitted (UTC)", format="YYYY-MM-DD HH:mm:ss"),
    "priority": NumberColumn("Priority", format="%d", width="small", help="Higher ones run first"),
    "message": TextColumn("Message", width="large"),
    "created_at": DatetimeColumn("Finished (UTC)", format="YYYY-MM-DD HH:mm:ss"),
}
