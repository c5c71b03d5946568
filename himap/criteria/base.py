"""What a criterion is, and what it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from himap.errors import HimapError
from himap.tokens import Rows, TokenSet

Need = Literal["keys", "values", "hidden", "layout", "visible"]


@dataclass(frozen=True)
class Observed:
    """What a criterion asked to see; reading anything else raises HimapError.

    Attributes:
        keep: image tokens that each row of the batch will keep, on the host.
        tensors: what there is, by the name of the property below.
    """

    keep: tuple[int, ...]
    tensors: Mapping[str, Tensor]

    def _get(self, name: str) -> Tensor:
        if name not in self.tensors:
            asked = ", ".join(self.tensors) or "nothing"
            raise HimapError(f"a criterion read {name!r} but was given {asked}; name it in its `rows` or `needs`")
        return self.tensors[name]

    @property
    def attention(self) -> Tensor:
        """Softmax rows, float32, of the r tokens that `rows` names, zero in rows that are padding:
        (batch, r, slots), the mean over heads; with `per_head` (batch, heads, r, slots).
        """
        return self._get("attention")

    @property
    def keys(self) -> Tensor:
        """(batch, kv_heads, slots, d) after rotary embedding, in the model's dtype."""
        return self._get("keys")

    @property
    def values(self) -> Tensor:
        """(batch, kv_heads, slots, d), in the model's dtype."""
        return self._get("values")

    @property
    def hidden(self) -> Tensor:
        """(batch, slots, channels) the residual stream in front of the cut, in the model's dtype."""
        return self._get("hidden")

    @property
    def visible(self) -> Tensor:
        """(batch, r, slots) bool: the slots that each of the r rows of `rows` attends to; nothing in rows
        that are padding.
        """
        return self._get("visible")

    @property
    def layout(self) -> Tensor:
        """(batch, slots, 2) int64 row and column of each image token in its image, see `himap.engine.layout`."""
        return self._get("layout")


class Criterion(ABC):
    """Ranks image tokens; the higher the score, the longer a token stays, and ties keep the earlier one.

    A criterion declares what it needs, and the engine computes only that, in the layer in front of the cut:

    - `rows`: the query rows whose attention it reads ("none": no attention at all); `per_head` asks for
      every head's rows in place of their mean.
    - `needs`: of "keys", "values", "hidden", "layout" and "visible".

    A score must not depend on the other rows of the batch nor on padding, must be the same every time, and
    must not ask the device for a value (no `.item()`, no boolean indexing): `himap.testing` holds the tests.
    """

    rows: ClassVar[Rows] = "none"
    per_head: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def score(self, tokens: TokenSet, seen: Observed) -> Tensor:
        """Score every slot; only the scores of image tokens are read.

        Args:
            tokens: the tokens in front of the cut.
            seen: what the criterion declared that it needs.

        Returns:
            (batch, slots) float32, without NaN.
        """
