"""The sizes of the images and videos of a prompt, as a family reads them from the arguments of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grids:
    """The sizes of images and videos in tokens, in prompt order over the whole batch.

    Attributes:
        image: `(images, 3)` frames (1), rows and columns of every image; None if unknown.
        video: `(videos, 3)` frames, rows and columns of every video; None if unknown.
        frames: number of frames of every video whose tokens stand in one run, where `video` is unknown.
    """

    image: Tensor | None = None
    video: Tensor | None = None
    frames: int = 1

    @classmethod
    def of_call(cls, config: Any, inputs: Mapping[str, Any]) -> Grids:
        """Read the sizes from the arguments of a model's call; `config` is that of the model."""
        pixels = inputs.get("pixel_values_videos")
        # Other forms than (videos, frames, channels, height, width) come with grids, or as a run of tokens a frame.
        frames = pixels.shape[1] if isinstance(pixels, Tensor) and pixels.ndim == 5 else 1
        vision = getattr(config, "vision_config", None)
        merge = getattr(vision, "spatial_merge_size", None)
        if not merge:
            return cls(frames=frames)
        temporal = getattr(vision, "temporal_merge_size", 1)
        image = _in_tokens(inputs.get("image_grid_thw"), (1, merge, merge))
        return cls(image, _in_tokens(inputs.get("video_grid_thw"), (temporal, merge, merge)))

    def or_else(self, around: Grids, image: Tensor, video: Tensor, copies: int) -> Grids:
        """Return these sizes, and those of the call around where they are unknown.

        Args:
            around: the sizes of a call with one row for every `copies` successive rows of this one.
            image: `(batch, slots)` bool, the image tokens.
            video: `(batch, slots)` bool, the video tokens.
            copies: how often each row stands.
        """
        ours, theirs, masks = (self.image, self.video), (around.image, around.video), (image, video)
        sizes = [
            repeat_rows(other, mask[::copies].sum(1), copies) if own is None and other is not None else own
            for own, other, mask in zip(ours, theirs, masks, strict=True)
        ]
        return replace(self, image=sizes[0], video=sizes[1], frames=max(self.frames, around.frames))


def _in_tokens(patches: Any, merged: tuple[int, int, int]) -> Tensor | None:
    if not isinstance(patches, Tensor):
        return None
    return torch.stack([patches[:, i] // merged[i] for i in range(3)], 1)


def repeat_rows(grids: Tensor, tokens: Tensor, copies: int) -> Tensor:
    """Return the grids of a batch in which every row stands several times in succession.

    Args:
        grids: `(images, 3)` sizes of the images of all rows, in order.
        tokens: `(rows,)` number of image tokens of each row.
        copies: how often each row stands.
    """
    if copies == 1:
        return grids
    ends = grids.prod(1).cumsum(0).to(tokens.device)
    rows = torch.searchsorted(tokens.cumsum(0), ends).tolist()
    order = [i for row in range(len(tokens)) for _ in range(copies) for i, own in enumerate(rows) if own == row]
    return grids[order]
