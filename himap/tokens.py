"""Which tokens stand in front of a decoder layer, and what a cut leaves of them.

All bookkeeping is tensors on the model's device plus, per row of the batch, counts on the host. The counts
are read once per prompt, so that no later step has to ask the device for a shape, and without a stall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

Rows = Literal["instruction", "image", "text", "last", "none"]

PAD, SYSTEM, IMAGE, INSTRUCTION = 0, 1, 2, 3


@dataclass(frozen=True)
class TokenSet:
    """The tokens present at one depth, in prompt order; shorter rows are padded on the left after a cut.

    Attributes:
        role: (batch, slots) PAD, SYSTEM (text before or between images), IMAGE or INSTRUCTION (every text
            token after the last image token).
        position: (batch, slots) slot in the prompt as it was passed, padding counted.
        rank: (batch, slots) index in the row's own prompt, padding not counted.
        fingerprint: (batch, slots0) token ids of the whole prompt with padding set to -1, for seeded
            criteria.
        n_system, n_image, n_instruction: tokens present, one number a row.
    """

    role: Tensor
    position: Tensor
    rank: Tensor
    fingerprint: Tensor
    n_system: tuple[int, ...]
    n_image: tuple[int, ...]
    n_instruction: tuple[int, ...]

    @classmethod
    def from_prompt(cls, image: Tensor, attention_mask: Tensor | None, ids: Tensor | None) -> TokenSet:
        """The full set of a prompt; arguments as in `read`. Waits for the device."""
        return cls.read(image, attention_mask, ids)()

    @classmethod
    def read(cls, image: Tensor, attention_mask: Tensor | None, ids: Tensor | None) -> Callable[[], TokenSet]:
        """Start reading a prompt.

        Args:
            image: (batch, slots) bool, true at image tokens.
            attention_mask: (batch, slots), zero at padding; None for a prompt without padding.
            ids: (batch, slots) token ids, or None if the prompt came as embeddings.

        Returns:
            What gives the full set. It waits for the counts only, which were sent to the host when reading
            started, and not for what the device was given to do since.
        """
        slots = torch.arange(image.shape[1], device=image.device).expand_as(image)
        valid = torch.ones_like(image) if attention_mask is None else attention_mask.to(image.device).bool()
        image = image & valid
        end = torch.where(image, slots + 1, 0).amax(1, keepdim=True)
        role = torch.where((slots >= end) & (end > 0), INSTRUCTION, SYSTEM).masked_fill(image, IMAGE)
        role = role.masked_fill(~valid, PAD)
        kinds = [(role == kind).sum(1) for kind in (SYSTEM, IMAGE, INSTRUCTION)]
        counts = _sent_to_host(torch.stack(kinds))
        rank = valid.long().cumsum(1) - 1
        fingerprint = (image.long() if ids is None else ids.to(image.device)).masked_fill(~valid, -1)
        return lambda: cls(role, slots, rank, fingerprint, *(tuple(row) for row in counts()))

    def to(self, device: torch.device) -> TokenSet:
        """The set on the device of the layer that needs it."""
        if self.role.device == device:
            return self
        names = ("role", "position", "rank", "fingerprint")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    @property
    def slots(self) -> int:
        """Width of the set, empty slots counted."""
        return self.role.shape[1]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens present, one number a row."""
        return tuple(map(sum, zip(self.n_system, self.n_image, self.n_instruction, strict=True)))

    @property
    def padded(self) -> bool:
        """True if any slot of any row holds no token."""
        return min(self.lengths) < self.slots

    def rows(self, kind: Rows) -> tuple[Tensor, Tensor]:
        """Slots of the tokens of a kind.

        Returns:
            index: (batch, r) slots, ascending, r being the largest count of any row.
            present: (batch, r) bool, false where a row has fewer tokens of that kind.
        """
        if kind == "last":
            slots = torch.arange(self.slots, device=self.role.device)
            last = torch.where(self.role > PAD, slots, 0).amax(1, keepdim=True)
            return last, torch.ones_like(last, dtype=torch.bool)
        if kind == "text":
            absent = ((self.role == PAD) | (self.role == IMAGE)).to(torch.uint8)
            counts = tuple(map(sum, zip(self.n_system, self.n_instruction, strict=True)))
        else:
            counts, wanted = (self.n_image, IMAGE) if kind == "image" else (self.n_instruction, INSTRUCTION)
            absent = (self.role != wanted).to(torch.uint8)
        index = absent.sort(dim=1, stable=True).indices[:, : max(counts)]
        return index, absent.gather(1, index) == 0

    def _per_row(self, counts: tuple[int, ...]) -> int | Tensor:
        """A number a row, to compare (batch, slots) with; waits for no device."""
        if len(set(counts)) == 1:
            return counts[0]
        return torch.tensor(counts).to(self.role.device, non_blocking=True)[:, None]

    def drop(self, scores: Tensor, dropped: Sequence[int]) -> tuple[Tensor, TokenSet]:
        """Drop each row's lowest-scoring image tokens; everything else stays, in order.

        Args:
            scores: (batch, slots); only the values at image tokens are read. Ties keep the earlier token.
            dropped: how many image tokens each row loses.

        Returns:
            index: (batch, m) the slots that stay; rows that keep fewer than m tokens are filled on the left
                with slots that hold nothing any more.
            tokens: the set that is left, m slots wide.
        """
        n_image = tuple(n - d for n, d in zip(self.n_image, dropped, strict=True))
        image = self.role == IMAGE
        ranked = scores.masked_fill(~image, -torch.inf).sort(dim=1, descending=True, stable=True).indices
        slots = torch.arange(self.slots, device=ranked.device).expand_as(ranked)
        place = torch.empty_like(ranked).scatter_(1, ranked, slots)
        limit = self._per_row(n_image)
        stays = (self.role > PAD) & (~image | (place < limit))
        lengths = [sum(row) for row in zip(self.n_system, n_image, self.n_instruction, strict=True)]
        width = max(lengths)
        index = stays.to(torch.uint8).sort(dim=1, stable=True).indices[:, self.slots - width :]
        role = torch.where(stays.gather(1, index), self.role.gather(1, index), PAD)
        left = TokenSet(
            role=role,
            position=self.position.gather(1, index),
            rank=self.rank.gather(1, index),
            fingerprint=self.fingerprint,
            n_system=self.n_system,
            n_image=n_image,
            n_instruction=self.n_instruction,
        )
        return index, left


def _sent_to_host(counts: Tensor) -> Callable[[], list[list[int]]]:
    """Start copying a small matrix to the host; what is returned waits for that copy alone."""
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


def gather_slots(values: Tensor, index: Tensor) -> Tensor:
    """Pick slots per row: (..., batch or 1, slots, d) and (batch, m) give (..., batch, m, d)."""
    index = index.to(values.device)
    batch = index.shape[0]
    if batch == 1:
        return values.index_select(-2, index[0])
    values = values.expand(*values.shape[:-3], batch, *values.shape[-2:])
    return values[..., torch.arange(batch, device=values.device)[:, None], index, :]
