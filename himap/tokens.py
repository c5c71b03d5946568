"""The tokens in front of a decoder layer, and the tokens that a cut leaves.

Tensors stay on the model's device. The token counts of each row are read to the host once a prompt, so that no
later step waits for the device to learn a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

QueryRows = Literal["instruction", "image", "text", "last", "none"]

PAD, SYSTEM, IMAGE, INSTRUCTION = 0, 1, 2, 3


@dataclass(frozen=True)
class TokenSet:
    """The tokens at one depth, in prompt order; after a cut, shorter rows are padded on the left.

    Attributes:
        role: `(batch, slots)` PAD, SYSTEM (text before or between images), IMAGE or INSTRUCTION (every text
            token after the last image token).
        position: `(batch, slots)` slot in the prompt as it was passed, padding counted.
        prompt_index: `(batch, slots)` index in the row's own prompt, padding not counted.
        prompt_ids: `(batch, prompt slots)` token ids of the whole prompt, -1 at padding.
        n_system, n_image, n_instruction: number of tokens of each role, one a row.
    """

    role: Tensor
    position: Tensor
    prompt_index: Tensor
    prompt_ids: Tensor
    n_system: tuple[int, ...]
    n_image: tuple[int, ...]
    n_instruction: tuple[int, ...]

    @classmethod
    def from_prompt(cls, image: Tensor, attention_mask: Tensor | None, ids: Tensor | None) -> TokenSet:
        """Return the full set of a prompt, and wait for the device; arguments as in `read`."""
        return cls.read(image, attention_mask, ids)()

    @classmethod
    def read(cls, image: Tensor, attention_mask: Tensor | None, ids: Tensor | None) -> Callable[[], TokenSet]:
        """Start reading a prompt.

        Args:
            image: `(batch, slots)` bool, true at image tokens.
            attention_mask: `(batch, slots)`, zero at padding; None for a prompt without padding.
            ids: `(batch, slots)` token ids; None for a prompt of embeddings.

        Returns:
            A function that returns the full set. It waits only for the copy of the counts to the host, which
            has already started, and not for the work that the device received later.
        """
        slots = torch.arange(image.shape[1], device=image.device).expand_as(image)
        valid = torch.ones_like(image) if attention_mask is None else attention_mask.to(image.device).bool()
        image = image & valid
        end = torch.where(image, slots + 1, 0).amax(1, keepdim=True)
        role = torch.where((slots >= end) & (end > 0), INSTRUCTION, SYSTEM).masked_fill(image, IMAGE)
        role = role.masked_fill(~valid, PAD)
        counts = _copy_to_host(torch.stack([(role == kind).sum(1) for kind in (SYSTEM, IMAGE, INSTRUCTION)]))
        prompt_index = valid.long().cumsum(1) - 1
        prompt_ids = (image.long() if ids is None else ids.to(image.device)).masked_fill(~valid, -1)
        return lambda: cls(role, slots, prompt_index, prompt_ids, *(tuple(row) for row in counts()))

    def to(self, device: torch.device) -> TokenSet:
        """Return the set on another device."""
        if self.role.device == device:
            return self
        names = ("role", "position", "prompt_index", "prompt_ids")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def rows(self, rows: Sequence[int]) -> TokenSet:
        """Return the set with these rows of the batch, in this order; a row may stand several times."""
        index = list(rows)
        role, position, prompt_index, prompt_ids = (
            tensor[index] for tensor in (self.role, self.position, self.prompt_index, self.prompt_ids)
        )
        n_system, n_image, n_instruction = (
            tuple(counts[i] for i in index) for counts in (self.n_system, self.n_image, self.n_instruction)
        )
        return TokenSet(role, position, prompt_index, prompt_ids, n_system, n_image, n_instruction)

    @property
    def slots(self) -> int:
        """Width of the set, padding counted."""
        return self.role.shape[1]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of tokens in each row."""
        return tuple(map(sum, zip(self.n_system, self.n_image, self.n_instruction, strict=True)))

    @property
    def padded(self) -> bool:
        """Whether any slot of any row is padding."""
        return min(self.lengths) < self.slots

    def slots_of(self, rows: QueryRows) -> tuple[Tensor, Tensor]:
        """Return the slots of the tokens of a kind.

        Returns:
            index: `(batch, r)` slots, ascending; r is the largest count of any row.
            present: `(batch, r)` bool, false where a row has fewer tokens of that kind.
        """
        if rows == "last":
            slots = torch.arange(self.slots, device=self.role.device)
            last = torch.where(self.role > PAD, slots, 0).amax(1, keepdim=True)
            return last, torch.ones_like(last, dtype=torch.bool)
        if rows == "text":
            absent = ((self.role == PAD) | (self.role == IMAGE)).to(torch.uint8)
            counts = tuple(map(sum, zip(self.n_system, self.n_instruction, strict=True)))
        else:
            counts, role = (self.n_image, IMAGE) if rows == "image" else (self.n_instruction, INSTRUCTION)
            absent = (self.role != role).to(torch.uint8)
        index = absent.sort(dim=1, stable=True).indices[:, : max(counts)]
        return index, absent.gather(1, index) == 0

    def _on_device(self, counts: tuple[int, ...]) -> int | Tensor:
        """Return one number a row, to compare with `(batch, slots)`, without waiting for the device."""
        if len(set(counts)) == 1:
            return counts[0]
        return torch.tensor(counts).to(self.role.device, non_blocking=True)[:, None]

    def drop(self, scores: Tensor, dropped: Sequence[int]) -> tuple[Tensor, TokenSet]:
        """Drop the lowest-scoring image tokens of each row; all other tokens stay, in order.

        Args:
            scores: `(batch, slots)`; only the scores of image tokens are read. Ties keep the earlier token.
            dropped: number of image tokens that each row loses.

        Returns:
            index: `(batch, m)` the slots that stay; rows that keep fewer than m tokens are filled on the left
                with slots that become padding.
            tokens: the remaining set, m slots wide.
        """
        n_image = tuple(n - d for n, d in zip(self.n_image, dropped, strict=True))
        image = self.role == IMAGE
        rank = ranks(scores.masked_fill(~image, -torch.inf))
        stays = (self.role > PAD) & (~image | (rank < self._on_device(n_image)))
        width = max(map(sum, zip(self.n_system, n_image, self.n_instruction, strict=True)))
        index = stays.to(torch.uint8).sort(dim=1, stable=True).indices[:, self.slots - width :]
        remaining = replace(
            self,
            role=torch.where(stays.gather(1, index), self.role.gather(1, index), PAD),
            position=self.position.gather(1, index),
            prompt_index=self.prompt_index.gather(1, index),
            n_image=n_image,
        )
        return index, remaining


def _copy_to_host(counts: Tensor) -> Callable[[], list[list[int]]]:
    """Start copying a small matrix to the host; return a function that waits for that copy alone."""
    if counts.device.type != "cuda":
        return counts.tolist
    host = torch.empty(counts.shape, dtype=counts.dtype, pin_memory=True).copy_(counts, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(counts.device))

    def wait() -> list[list[int]]:
        copied.synchronize()
        values: list[list[int]] = host.tolist()
        return values

    return wait


def ranks(scores: Tensor) -> Tensor:
    """Return each slot's rank in its row, `(batch, slots)`; the highest score has rank 0, ties keep their order."""
    order = scores.sort(dim=1, descending=True, stable=True).indices
    slots = torch.arange(scores.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, slots)


def gather_slots(values: Tensor, index: Tensor) -> Tensor:
    """Gather slots per row: `(..., batch or 1, slots, d)` at `(batch, m)` gives `(..., batch, m, d)`."""
    index = index.to(values.device)
    batch = index.shape[0]
    if batch == 1:
        return values.index_select(-2, index[0])
    values = values.expand(*values.shape[:-3], batch, *values.shape[-2:])
    return values[..., torch.arange(batch, device=values.device)[:, None], index, :]
