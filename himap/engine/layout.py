"""Where each image token lies: its image or frame, and its row and column there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from himap.families.grids import Grids
from himap.tokens import IMAGE, TokenSet, gather_slots


@dataclass(frozen=True)
class Layout:
    """The place of every image token; undefined at other slots.

    Attributes:
        cell: `(batch, slots, 2)` int64, row and column in its image or frame.
        frame: `(batch, slots)` int64, number of its image or frame in the row of the batch, from 1.
    """

    cell: Tensor
    frame: Tensor

    def at(self, position: Tensor) -> Layout:
        """Return the layout of the slots at `position`, `(batch, m)`."""
        return Layout(gather_slots(self.cell, position), gather_slots(self.frame[..., None], position)[..., 0])


def layout(tokens: TokenSet, grids: Grids, video: Tensor | None = None) -> Layout:
    """Return the place of every image token, without reading a value from the device.

    Args:
        tokens: the full set of a prompt.
        grids: the sizes of its images and videos. Where they are unknown, every unbroken run of n image tokens is
            one image in rows of ⌈√n⌉ tokens, and the last row may be shorter; a run of video tokens is divided evenly
            among `grids.frames`, and what is left over is a frame behind them.
        video: `(batch, slots)` bool, true at video tokens; None for a prompt without videos.
    """
    visual = tokens.role == IMAGE
    if video is None:
        offset, width = _places(visual, grids.image, 1)
    else:
        video = video.to(visual.device)
        offset, width = _places(visual & ~video, grids.image, 1)
        video_offset, video_width = _places(visual & video, grids.video, grids.frames)
        offset, width = torch.where(video, video_offset, offset), torch.where(video, video_width, width)
    frame = (visual & (offset == 0)).long().cumsum(1)
    return Layout(torch.stack([offset // width, offset % width], -1), frame)


def by_frame(scores: Tensor, tokens: TokenSet, frame: Tensor) -> Tensor:
    """Return scores that drop the same share of every image and frame.

    Args:
        scores: `(batch, slots)` of a criterion.
        tokens: the tokens in front of the cut.
        frame: `(batch, slots)` their frames, see `Layout.frame`.

    Returns:
        `(batch, slots)`: within a frame of n tokens the order of `scores`, rank i as -(i + 1/2) / n. The total of a
        row does not change. A frame keeps its share to within one token; of equal frames, the earlier ones keep more.
    """
    visual = tokens.role == IMAGE
    frame = torch.where(visual, frame, 0)
    order = scores.masked_fill(~visual, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    order = order.gather(1, frame.gather(1, order).sort(dim=1, stable=True).indices)  # by frame, in it by score
    sizes = torch.zeros(frame.shape[0], frame.shape[1] + 1, dtype=torch.long, device=frame.device)
    sizes = sizes.scatter_add(1, frame, torch.ones_like(frame))
    begins = (sizes.cumsum(1) - sizes).gather(1, frame.gather(1, order))
    number = torch.arange(frame.shape[1], device=frame.device) - begins
    rank = torch.empty_like(number).scatter_(1, order, number)
    return -(rank + 0.5) / sizes.gather(1, frame)


def _places(image: Tensor, grids: Tensor | None, frames: int) -> tuple[Tensor, Tensor]:
    return _in_runs(image, frames) if grids is None else _in_grids(image, grids.to(image.device))


def _in_runs(image: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Return each token's index in its part of an unbroken run of image tokens, and the row width of that part."""
    begins = image & ~torch.nn.functional.pad(image, (1, 0))[:, :-1]
    run = begins.long().cumsum(1)
    length = torch.zeros(run.shape[0], run.shape[1] + 1, dtype=torch.long, device=run.device)
    length = length.scatter_add(1, run, image.long()).gather(1, run) // frames
    slots = torch.arange(image.shape[1], device=image.device)
    offset = slots - torch.where(begins, slots, 0).cummax(1).values
    length = length.clamp(min=1)
    return offset % length, length.double().sqrt().ceil().long()


def _in_grids(image: Tensor, grids: Tensor) -> tuple[Tensor, Tensor]:
    """Return each token's index in its image or frame, and the row width of that."""
    order = (image.flatten().long().cumsum(0) - 1).clamp(min=0)
    sizes = grids.prod(1)
    ends = sizes.cumsum(0)
    number = torch.searchsorted(ends, order, right=True).clamp(max=len(grids) - 1)
    offset = (order - (ends - sizes)[number]) % grids[:, 1:].prod(1)[number]
    return offset.view(image.shape), grids[:, 2][number].view(image.shape)
