"""The paper's models: where their weights are published, and which embedded mini stands in for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from objectives.errors import ModelLoadError

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


def check_named(model: str, weights: str) -> None:
    """Refuse values of --model and --weights that name neither one of these models nor a folder or a hub id.

    Raises:
        ModelLoadError: they do not.
    """
    names = ", ".join(KNOWN)
    if model not in KNOWN and weights in ("mini", "full"):
        raise ModelLoadError(f"--weights {weights} goes with --model {names}; for {model!r} leave it out")
    if weights in ("mini", "full") or (weights == "auto" and model in KNOWN):
        return
    place = model if weights == "auto" else weights
    if not Path(place).is_dir() and not re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        raise ModelLoadError(f"unknown model {place!r}; expected one of {names}, a checkpoint's folder, or a hub id")
