"""How a layer turns the products of queries and keys into attention: scaling, a soft cap, sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from himap.errors import UnsupportedModelError

SOFTCAP, SINKS = "softcap", "s_aux"  # as transformers' attention functions call them


@dataclass(frozen=True)
class LogitRule:
    """The rule of one layer.

    Attributes:
        scaling: factor of the products.
        softcap: the scaled products x become softcap * tanh(x / softcap); None for no cap.
        sinks: `(heads,)` the logit of a column without a value, which takes its share of every softmax; None
            without one.
    """

    scaling: float
    softcap: float | None = None
    sinks: Tensor | None = None

    @classmethod
    def of_call(cls, query: Tensor, kwargs: Mapping[str, Any]) -> LogitRule:
        """Read the rule from the keyword arguments of an attention function."""
        return cls(kwargs.get("scaling") or query.shape[-1] ** -0.5, kwargs.get(SOFTCAP), kwargs.get(SINKS))

    @property
    def plain(self) -> bool:
        """Whether SDPA computes it."""
        return self.softcap is None and self.sinks is None

    def weights(self, products: Tensor, visible: Tensor) -> Tensor:
        """Return the softmax of products `(batch, heads, rows, keys)`, which it overwrites; zero where not visible."""
        logits = products.mul_(self.scaling)
        if self.softcap is not None:
            logits = logits.div_(self.softcap).tanh_().mul_(self.softcap)
        logits.masked_fill_(~visible, torch.finfo(logits.dtype).min)
        if self.sinks is None:
            return logits.softmax(-1)
        sink = self.sinks.to(logits).view(1, -1, 1, 1).expand(*logits.shape[:-1], 1)
        return torch.cat([logits, sink], -1).softmax(-1)[..., :-1]


def refuse_other_logits(kwargs: Mapping[str, Any]) -> None:
    """Refuse an attention call that caps its logits or has sinks, where SDPA stands in for it.

    Raises:
        UnsupportedModelError: the message names the argument.
    """
    for name in (SOFTCAP, SINKS):
        if kwargs.get(name) is not None:
            raise UnsupportedModelError(
                f"got attention with {name}; expected plain softmax attention; the flow of this decoder is not defined"
            )
