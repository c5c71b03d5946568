"""How each column of a table is called and written. The values keep the units of the store."""

from __future__ import annotations

from typing import Any

from streamlit.column_config import CheckboxColumn, DatetimeColumn, NumberColumn, TextColumn

COLUMNS: dict[str, Any] = {
    "number": NumberColumn("Trial", format="%d", width="small"),
    "origin": TextColumn("Role", width="small"),
    "front": CheckboxColumn("Front", width="small"),
    "reason": TextColumn("Reason", width="large"),
    "flops_ratio_percent": NumberColumn("Of dense", format="%.1f %%", help="True FLOPs as a part of dense"),
    "accuracy_percent": NumberColumn("Accuracy", format="%.1f %%"),
    "to_dense_points": NumberColumn("To dense", format="%+.1f", help="Accuracy minus that of dense, points"),
    "k1": NumberColumn("K1", width="small"),
    "r1": NumberColumn("R1 %", format="%.1f", width="small"),
    "k2": NumberColumn("K2", width="small"),
    "r2": NumberColumn("R2 %", format="%.1f", width="small"),
    "phi_shallow": TextColumn("φ shallow"),
    "phi_deep": TextColumn("φ deep"),
    "flops": NumberColumn("True FLOPs", format="engineering"),
    "paper_flops": NumberColumn("Paper FLOPs", format="engineering", help="Eq. 10, multiply-adds"),
    "latency_ms": NumberColumn("Latency ms", format="%.1f", help="Median per prompt"),
    "image_tokens": NumberColumn("Tokens", format="%.1f", help="Image tokens, mean over questions"),
    "tokens_after_k1": NumberColumn("After K1", format="%.1f"),
    "tokens_after_k2": NumberColumn("After K2", format="%.1f"),
    "accuracy_low_percent": NumberColumn("Low", format="%.1f %%", help="Lower end of the 95 % interval"),
    "accuracy_high_percent": NumberColumn("High", format="%.1f %%", help="Upper end of the 95 % interval"),
    "n": NumberColumn("n", width="small"),
    "seed": NumberColumn("Seed", format="%d"),
    "device": TextColumn("Device"),
    "seconds": NumberColumn("Seconds", format="%.1f"),
    "commit": TextColumn("Commit"),
    "created_at": DatetimeColumn("Finished (UTC)", format="YYYY-MM-DD HH:mm:ss"),
}
