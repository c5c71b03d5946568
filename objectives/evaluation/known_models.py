"""The paper's models: where their weights are published, and which embedded mini stands in for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MINIS = Path(__file__).resolve().parents[2] / "minis" / "checkpoints"  # shipped with this package


@dataclass(frozen=True)
class Known:
    """One of the paper's models; full weights need `gigabytes` of GPU memory, the FastV baseline cuts at `fastv_k`."""

    hub_id: str
    mini: str
    gigabytes: float
    fastv_k: int = 2

    @property
    def folder(self) -> Path:
        """The folder of the embedded mini."""
        return MINIS / self.mini


KNOWN = {
    "qwenvl": Known("Qwen/Qwen2.5-VL-7B-Instruct", "qwenvl-mini", 20),
    "llava-7b": Known("llava-hf/llava-1.5-7b-hf", "llava-mini", 18),
    "llava-13b": Known("llava-hf/llava-1.5-13b-hf", "llava-mini", 32, fastv_k=3),
}
