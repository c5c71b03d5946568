"""The training loop of every stage: Muon with AdamW, a trapezoidal schedule, checkpoints and curves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from objectives.json_files import json_text

log = logging.getLogger(__name__)
_WARMUP, _DECAY = 0.03, 0.3


@dataclass(frozen=True)
class Stage:
    """A module and its loss; `loss(step)` must depend on nothing but the weights and the step."""

    name: str
    module: nn.Module
    loss: Callable[[int], torch.Tensor]
    steps: int
    muon_lr: float = 6e-3
    adam_lr: float = 2e-3
    save_every: int = 100


def run(stage: Stage, folder: Path) -> None:
    """Train up to `stage.steps`; resume from the last checkpoint in `folder` if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{stage.name}.pt"
    optimizers = make_optimizers(stage)
    start, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        stage.module.load_state_dict(state["module"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        start, spent = state["step"], state["seconds"]
        log.info("%s: resuming at step %d of %d", stage.name, start, stage.steps)
    began = time.monotonic() - spent
    losses: list[float] = []
    for step in range(start, stage.steps):
        set_rate(optimizers, (step + 1) / stage.steps)
        loss = stage.loss(step)
        loss.backward()
        nn.utils.clip_grad_norm_(stage.module.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if (step + 1) % 20 == 0:
            seconds = time.monotonic() - began
            _record(folder, stage, step + 1, sum(losses) / len(losses), seconds)
            losses.clear()
        if (step + 1) % stage.save_every == 0 or step + 1 == stage.steps:
            _save(checkpoint, stage, optimizers, step + 1, time.monotonic() - began)


def make_optimizers(stage: Stage) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden matrices and AdamW for everything else that trains."""
    trained = [(n, p) for n, p in stage.module.named_parameters() if p.requires_grad]
    matrices = [p for n, p in trained if p.ndim == 2 and "embed" not in n and "head" not in n]
    hidden = {id(p) for p in matrices}
    others = [p for _, p in trained if id(p) not in hidden]
    return [
        torch.optim.Muon(matrices, lr=stage.muon_lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=stage.adam_lr, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def set_rate(optimizers: list[torch.optim.Optimizer], done: float) -> None:
    """Scale the learning rates at the part `done` of 1: linear warm-up, constant, then linear to zero."""
    factor = min(1.0, done / _WARMUP, (1 - done) / _DECAY + 1e-3)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("full_lr", group["lr"]) * factor


def _record(folder: Path, stage: Stage, step: int, loss: float, seconds: float) -> None:
    position = {"stage": stage.name, "step": step, "steps": stage.steps}
    row = {**position, "loss": round(loss, 4), "seconds": round(seconds)}
    with (folder / "curves.jsonl").open("a") as curves:
        curves.write(json_text(row) + "\n")
    left = seconds / step * (stage.steps - step)
    log.info("%s %d/%d loss %.4f, %.0f s left", stage.name, step, stage.steps, loss, left)


def _save(path: Path, stage: Stage, optimizers: list[torch.optim.Optimizer], step: int, seconds: float) -> None:
    state = {
        "module": stage.module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "seconds": seconds,
    }
    scratch = path.with_suffix(".tmp")
    torch.save(state, scratch)
    scratch.replace(path)
