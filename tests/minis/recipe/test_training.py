"""The recipe: an interrupted run resumes bit for bit, and the vision encoder is fitted to the words."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from minis.recipe import loop, tune
from minis.recipe.architecture import build_model
from minis.recipe.language import symbols
from minis.recipe.patches import owners
from minis.recipe.text import attributes, build_tokenizer
from minis.recipe.vision import VisionEncoder, grid, same_grid
from objectives.scenes import make_scene


class Small(nn.Module):
    """A matrix for Muon, an embedding and a bias for AdamW."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(7, 8)
        self.inner = nn.Linear(8, 8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.inner(self.embed(ids)).tanh() @ self.embed.weight.T


def stage(module: Small, steps: int = 12, stop_at: int | None = None) -> loop.Stage:
    """Learns to say the next number; `stop_at` is where the process is interrupted."""

    def loss(step: int) -> torch.Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        ids = torch.randint(0, 7, (16,), generator=torch.Generator().manual_seed(step))
        return nn.functional.cross_entropy(module(ids), (ids + 1) % 7)

    return loop.Stage("small", module, loss, steps, save_every=5)


@pytest.mark.parametrize("stop_at", [5, 7, 10])
def test_an_interrupted_run_resumes_bit_for_bit(tmp_path: Path, stop_at: int) -> None:
    through, stopped, resumed = Small(), Small(), Small()
    loop.run(stage(through), tmp_path / "through")
    with pytest.raises(KeyboardInterrupt):
        loop.run(stage(stopped, stop_at=stop_at), tmp_path / "resumed")
    loop.run(stage(resumed), tmp_path / "resumed")
    for key, value in through.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    saved = [torch.load(tmp_path / run / "small.pt", weights_only=True) for run in ("through", "resumed")]
    assert saved[0]["step"] == saved[1]["step"] == 12
    for a, b in zip(saved[0]["optimizers"], saved[1]["optimizers"], strict=True):
        assert repr(a) == repr(b)


def test_the_resumed_run_starts_at_its_checkpoint(tmp_path: Path) -> None:
    rated: list[int] = []
    module = Small()
    with pytest.raises(KeyboardInterrupt):
        loop.run(stage(module, stop_at=8), tmp_path)
    again = stage(Small())

    def watched(step: int) -> torch.Tensor:
        rated.append(step)
        return again.loss(step)

    loop.run(replace(again, loss=watched), tmp_path)
    assert rated == list(range(5, 12))


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    module = Small()
    loop.run(stage(module), tmp_path)
    before = copy.deepcopy(module.state_dict())
    loop.run(stage(module, stop_at=0), tmp_path)
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in before.items())


def test_it_learns_and_records_its_curve(tmp_path: Path) -> None:
    loop.run(stage(Small(), steps=80), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [20, 40, 60, 80]
    assert {(row["stage"], row["steps"]) for row in rows} == {("small", 80)}
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_a_checkpoint_is_replaced_whole(tmp_path: Path) -> None:
    loop.run(stage(Small()), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small.pt"]


def test_the_rate_warms_up_holds_and_falls() -> None:
    """Of 100 steps: a third of the rate after 1, all of it from 3 to 70, a third after 90, none at 100."""
    module = Small()
    optimizers = loop.make_optimizers(loop.Stage("small", module, lambda step: torch.zeros(()), 100, 0.06, 0.02))
    seen = []
    for step in range(100):
        loop.set_rate(optimizers, (step + 1) / 100)
        seen.append([group["lr"] for optimizer in optimizers for group in optimizer.param_groups])
    for step, share in ((1, 1 / 3), (3, 1), (40, 1), (70, 1), (90, 1 / 3), (100, 0)):
        assert seen[step - 1] == pytest.approx([0.06 * share, 0.02 * share], abs=1e-4)


def misfit(encoder: VisionEncoder, targets: tune.Targets) -> float:
    """Return the share of the targets' variance that the encoder misses, on scenes that no fit has used."""
    scenes = same_grid(77_000_000, 8)
    with torch.no_grad():
        x, y = torch.cat(encoder(scenes)), torch.cat(targets(scenes))
    return float(((x - y) ** 2).mean() / y.var(dim=0).mean())


def test_fitting_the_encoder_brings_it_nearer_to_the_words(
    name: str, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "_FIT_SCENES", 24)
    copied: Any = copy.deepcopy(model)
    encoder, targets = VisionEncoder(name, copied), tune.word_targets(name, copied.model.language_model.embed_tokens)
    before = misfit(encoder, targets)
    tune.fit_encoder(encoder, targets)
    after = misfit(encoder, targets)
    assert after < before
    assert after < 1.0, "nearer than the mean of all words would be"
    if name == "llava-mini":
        assert encoder.last_linear is copied.model.multi_modal_projector.linear_2


def test_llava_minis_targets_are_the_other_minis_tokens() -> None:
    """A token of a thing has the mean of the other's tokens of that thing, a center that of the center's."""
    other = VisionEncoder("qwenvl-mini", build_model("qwenvl-mini", build_tokenizer("qwenvl-mini")))
    scene = make_scene("train", 5)
    with torch.no_grad():
        (tokens,), (targets,) = other([scene]), tune.encoder_targets(other)([scene])
    (theirs, their_center), (ours, our_center) = (owners(scene, *grid(n, scene)) for n in (other.name, "llava-mini"))
    assert targets.shape == (144, tokens.shape[1])
    for thing in range(-1, len(scene.things)):
        for at_center in {False, thing >= 0}:
            wanted = tokens[torch.from_numpy((theirs == thing) & (their_center == at_center))].mean(0)
            given = targets[torch.from_numpy((ours == thing) & (our_center == at_center))]
            assert torch.allclose(given, wanted.expand_as(given), atol=1e-5)


def test_a_symbolic_image_shows_every_thing_and_marks_one_center() -> None:
    for index in range(40):
        scene = make_scene("train", index)
        tokens = symbols(scene, np.random.default_rng(index))
        for thing in scene.things:
            here = [token for token in tokens if set(attributes(thing)) <= set(token)]
            assert 1 <= len(here) <= 4
            assert sum("<|image_pad|>" in token for token in here) == 1


def test_scenes_of_one_grid_are_of_one_size() -> None:
    scenes = same_grid(123, 10)
    assert len({(s.rows, s.columns) for s in scenes}) == 1
    assert len({s.index for s in scenes}) == 10 and scenes[0].index == 123
