"""Videos: their tokens are image tokens, together or frame by frame, and the model's own forward agrees."""

from __future__ import annotations

from functools import cache
from inspect import signature
from typing import Any

import pytest
import torch

import himap
from himap import PruningConfig, families
from himap.families.tested import TESTED, VIDEOS
from himap.verification.reference import HiddenColumns
from himap.verification.verify import TOLERANCE, ReferenceComparison, configurations
from tests.himap import tiny_videos
from tests.himap.exactness import CONFIGS, assert_close, generate
from tests.himap.tiny_classes import build
from tests.himap.tiny_models import Prompt, padded_batch

STEPS = 5
CELLS = {4: [(0, 0), (0, 1), (1, 0), (1, 1)], 8: [(y, x) for y in (0, 1) for x in range(4)], 1: [(0, 0)]}


@cache
def model(name: str) -> Any:
    return tiny_videos.VIDEOS[name][0]()


def prompt(name: str, seed: int = 1) -> Prompt:
    return tiny_videos.VIDEOS[name][1](seed)


def kept(name: str, row: Prompt, config: PruningConfig, **options: Any) -> tuple[list[int], himap.Pruning]:
    """Return the visual tokens that reach the last layer, numbered from 0, and the record."""
    with himap.prune(model(name), config, **options) as pruning, torch.no_grad():
        model(name)(**row)
    visual = families.find(model(name)).image_mask(row)
    assert visual is not None
    slots = visual[0].nonzero().flatten().tolist()
    return [slots.index(slot) for slot in pruning.positions[0].tolist() if slot in slots], pruning


@pytest.mark.parametrize("name", tiny_videos.VIDEOS)
@pytest.mark.parametrize("config", ["paper-like", "swapped"])
def test_a_pruned_video_equals_the_models_own_forward(name: str, config: str) -> None:
    row, sizes = prompt(name), tiny_videos.VIDEOS[name][2]
    reference = HiddenColumns(families.find(model(name)), row, CONFIGS[config])
    ids, expected = reference.generate(STEPS)
    with himap.prune(model(name), CONFIGS[config]) as pruning:
        new_ids, logits = generate(model(name), row)
    assert new_ids[0].tolist() == ids
    assert_close(logits[0], torch.stack(expected))
    assert pruning.image_tokens == [sum(sizes)] == [len(reference.image)]
    assert pruning.kept == [CONFIGS[config].kept(sum(sizes))]


@pytest.mark.parametrize("name", tiny_videos.VIDEOS)
def test_a_padded_batch_of_videos_equals_its_rows(name: str) -> None:
    config = CONFIGS["paper-like"]
    short = prompt(name, 2)
    rows = [prompt(name), {key: value[:, 2:] if key in PER_TOKEN else value for key, value in short.items()}]
    with himap.prune(model(name), config), torch.no_grad():
        logits = model(name)(**padded_batch(rows)).logits[:, -1]
    for row, actual in zip(rows, logits, strict=True):
        assert_close(actual, HiddenColumns(families.find(model(name)), row, config).logits([])[-1])


PER_TOKEN = ("input_ids", "attention_mask", "mm_token_type_ids")


@pytest.mark.parametrize("name", tiny_videos.VIDEOS)
def test_each_frame_keeps_its_share(name: str) -> None:
    """Within a frame the criterion decides; the total and the logits are those of the reference."""
    row, sizes = prompt(name), tiny_videos.VIDEOS[name][2]
    config = PruningConfig.fastv(k=3)
    order, pruning = kept(name, row, config, video="per_frame")
    assert len(order) == config.kept(sum(sizes))[0]
    frames = [[n for n in order if sum(sizes[:i]) <= n < sum(sizes[: i + 1])] for i in range(len(sizes))]
    assert all(abs(len(frame) - size / 2) <= 0.5 for frame, size in zip(frames, sizes, strict=True))
    reference = HiddenColumns(families.find(model(name)), row, config)
    attention = reference.weights[2][-1]
    for i, frame in enumerate(frames):
        numbers = range(sum(sizes[:i]), sum(sizes[: i + 1]))
        best = sorted(numbers, key=lambda n: -float(attention[reference.image[n]]))[: len(frame)]
        assert sorted(best) == frame
    reference.kept = {3: [reference.image[n] for n in order]}
    with himap.prune(model(name), config, video="per_frame"):
        _, logits = generate(model(name), row)
    assert_close(logits[0, 0], reference.logits([])[-1])
    assert pruning.kept[0][0] == len(order)


@pytest.mark.parametrize("name", [name for name in tiny_videos.VIDEOS if name != "internvl"])
def test_the_spatial_controls_see_rows_and_columns_of_each_frame(name: str) -> None:
    """Three quarters dropped by `downsample` leave every second row and column of every frame, in `generate` too."""
    row, sizes = prompt(name), tiny_videos.VIDEOS[name][2]
    config = PruningConfig(2, 75, 4, 0, "downsample")
    expected = [
        sum(sizes[:i]) + n
        for i, size in enumerate(sizes)
        for n, (y, x) in enumerate(CELLS[size])
        if y % 2 == 0 and x % 2 == 0
    ][: config.kept(sum(sizes))[0]]
    assert kept(name, row, config)[0] == expected
    with himap.prune(model(name), config) as pruning, torch.no_grad():
        model(name)(**row)
        in_forward = pruning.positions
        beams = 1 if name == "glm4v" else 2  # transformers cannot repeat the video of a GLM-4V for a second beam
        model(name).generate(**row, max_new_tokens=1, num_beams=beams, do_sample=False)
        assert torch.equal(pruning.positions, in_forward.expand(beams, -1))


def test_the_rows_of_a_frame_that_is_written_as_an_image_come_from_the_grid_of_its_video() -> None:
    """Half of 2 x 4 tokens by `downsample`: without the grid of the video, 8 tokens would be rows of 3."""
    order, _ = kept("glm4v", prompt("glm4v"), PruningConfig(2, 50, 4, 0, "downsample"))
    assert order == [8 * frame + n for frame in range(3) for n in (0, 1, 2, 4)]


@pytest.mark.parametrize("name", ["qwen2_5_vl", "llava_onevision"])
def test_a_video_may_stay_text(name: str) -> None:
    row = prompt(name)
    with himap.prune(model(name), PruningConfig(2, 50, 4, 50), video="text") as pruning, torch.no_grad():
        model(name)(**row)
    images = int((row["input_ids"] == tiny_videos.IMAGE_ID).sum())
    assert pruning.image_tokens == [images]
    assert pruning.text_tokens == [row["input_ids"].shape[1] - images]


def test_another_word_for_video_is_refused() -> None:
    options: Any = {"video": "frames"}
    with (
        pytest.raises(himap.ConfigError, match="video must be one of visual, per_frame, text; got 'frames'"),
        himap.prune(model("qwen2_vl"), PruningConfig.dense(), **options),
    ):
        pass


def test_every_tested_class_that_reads_videos_is_tested_with_videos() -> None:
    backbones = {name: families.find(build(name)).backbone for name in TESTED}
    reading = [name for name, part in backbones.items() if "pixel_values_videos" in signature(part.forward).parameters]
    assert tuple(reading) == VIDEOS


@pytest.mark.parametrize("name", VIDEOS)
def test_a_pruned_class_equals_its_own_forward_on_videos(name: str) -> None:
    comparison = ReferenceComparison(families.find(build(name)), video=True)
    first, second = configurations(comparison.family)
    deviations = [comparison.rows(comparison.prompts[:2], first), comparison.rows(comparison.prompts[:1], second)]
    assert max(deviations) <= TOLERANCE
    assert comparison.effect(first) > 20 * TOLERANCE


def test_verify_takes_videos() -> None:
    verification = himap.verify(build("Qwen3VLForConditionalGeneration"), video=True)
    assert verification.deviation <= TOLERANCE < verification.effect
    with pytest.raises(himap.UnsupportedModelError, match="reads no pixel_values_videos"):
        himap.verify(build("LlavaForConditionalGeneration"), video=True)


def test_videos_in_embeddings_are_found() -> None:
    """A caller may pass placeholders as embeddings together with the frames."""
    row, net = prompt("llava_onevision"), model("llava_onevision")
    embeds = net.get_input_embeddings()(row["input_ids"])
    family = families.find(net)
    mask = family.image_mask({"inputs_embeds": embeds, "pixel_values_videos": row["pixel_values_videos"]})
    assert mask is not None
    assert torch.equal(mask, row["input_ids"] == tiny_videos.VIDEO_ID)
