"""The row and column of each image token in its image, for the spatial criteria."""

from __future__ import annotations

import torch
from torch import Tensor

from himap.tokens import IMAGE, TokenSet


def layout(tokens: TokenSet, grids: Tensor | None) -> Tensor:
    """Return the row and column of every image token, without reading a value from the device.

    Args:
        tokens: the full set of a prompt.
        grids: `(images, 2)` rows and columns of tokens of every image, in prompt order, over the whole batch.
            None if the family does not provide them: then every unbroken run of n image tokens is one image
            in rows of ⌈√n⌉ tokens, and the last row may be shorter.

    Returns:
        `(batch, slots, 2)` int64, undefined at slots without an image token.
    """
    image = tokens.role == IMAGE
    offset, width = _in_runs(image) if grids is None else _in_grids(image, grids.to(image.device))
    return torch.stack([offset // width, offset % width], -1)


def repeat_rows(grids: Tensor, tokens: Tensor, copies: int) -> Tensor:
    """Return the grids of a batch in which every row stands several times in succession.

    Args:
        grids: `(images, 2)` sizes of the images of all rows, in order.
        tokens: `(rows,)` number of image tokens of each row.
        copies: how often each row stands.
    """
    ends = grids.prod(1).cumsum(0).to(tokens.device)
    rows = torch.searchsorted(tokens.cumsum(0), ends).tolist()
    order = [i for row in range(len(tokens)) for _ in range(copies) for i, own in enumerate(rows) if own == row]
    return grids[order]


def _in_runs(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return each token's index in its unbroken run of image tokens, and the row width of that run."""
    begins = image & ~torch.nn.functional.pad(image, (1, 0))[:, :-1]
    run = begins.long().cumsum(1)
    length = torch.zeros(run.shape[0], run.shape[1] + 1, dtype=torch.long, device=run.device)
    length = length.scatter_add(1, run, image.long()).gather(1, run)
    slots = torch.arange(image.shape[1], device=image.device)
    offset = slots - torch.where(begins, slots, 0).cummax(1).values
    return offset, length.clamp(min=1).double().sqrt().ceil().long()


def _in_grids(image: Tensor, grids: Tensor) -> tuple[Tensor, Tensor]:
    """Return each token's index in its image, and the row width of that image."""
    order = (image.flatten().long().cumsum(0) - 1).clamp(min=0)
    sizes = grids.prod(1)
    ends = sizes.cumsum(0)
    number = torch.searchsorted(ends, order, right=True).clamp(max=len(grids) - 1)
    offset = order - (ends - sizes)[number]
    return offset.view(image.shape), grids[:, 1][number].view(image.shape)
