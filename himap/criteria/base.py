"""The interface of a ranking criterion, and the tensors that it reads.

To add a criterion, write one file and nothing else: `himap/criteria/my_criterion.py` with the class
`MyCriterion(Criterion)`. The file name is the criterion's name. `docs/pruning.md` shows an example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from himap.errors import HimapError
from himap.tokens import QueryRows, TokenSet

Need = Literal["keys", "values", "hidden", "layout", "given", "attending"]


@dataclass(frozen=True)
class CriterionInputs:
    """The tensors that a criterion declares; reading any other raises HimapError.

    Attributes:
        keep: number of image tokens that each row of the batch keeps.
        tensors: the declared tensors, by the name of the property that returns them.
    """

    keep: tuple[int, ...]
    tensors: Mapping[str, Tensor]

    def _get(self, name: str) -> Tensor:
        if name not in self.tensors:
            declared = ", ".join(self.tensors) or "nothing"
            raise HimapError(f"got a read of {name!r}; expected {declared}; add it to the criterion's rows or needs")
        return self.tensors[name]

    @property
    def received(self) -> Tensor:
        """Softmax attention that each slot receives, summed over the query rows in `rows`: float32 `(batch, slots)`.

        It is the mean over heads; with `per_head` it is `(batch, heads, slots)`.
        """
        return self._get("received")

    @property
    def given(self) -> Tensor:
        """Attention that each of the r query rows in `rows` gives to all image tokens: float32 `(batch, r)`."""
        return self._get("given")

    @property
    def attending(self) -> Tensor:
        """Number of query rows in `rows` that may attend to each slot: int64 `(batch, slots)`."""
        return self._get("attending")

    @property
    def keys(self) -> Tensor:
        """Keys after rotary embedding: `(batch, kv_heads, slots, d)` in the model's dtype."""
        return self._get("keys")

    @property
    def values(self) -> Tensor:
        """Values: `(batch, kv_heads, slots, d)` in the model's dtype."""
        return self._get("values")

    @property
    def hidden(self) -> Tensor:
        """Residual stream in front of the cut: `(batch, slots, channels)` in the model's dtype."""
        return self._get("hidden")

    @property
    def layout(self) -> Tensor:
        """Row and column of each image token in its image or frame: int64 `(batch, slots, 2)`."""
        return self._get("layout")


class Criterion(ABC):
    """A ranking of image tokens: the tokens with the highest scores stay, and ties keep the earlier token.

    A criterion declares what it needs. The engine computes only that, in the layer in front of the cut. A
    score must not depend on padding or on the other rows of the batch. It must be deterministic and must not
    read a value from the device (no `.item()`, no boolean indexing). `himap.testing` tests all of this.

    Attributes:
        rows: the query rows whose attention the criterion reads; "none" for no attention at all.
        per_head: whether it reads the attention of every head in place of the mean over heads.
        needs: the other tensors that it reads.
    """

    rows: ClassVar[QueryRows] = "none"
    per_head: ClassVar[bool] = False
    needs: ClassVar[frozenset[Need]] = frozenset()

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def score(self, tokens: TokenSet, inputs: CriterionInputs) -> Tensor:
        """Score every slot; only the scores of image tokens are read.

        Args:
            tokens: the tokens in front of the cut.
            inputs: the tensors that the criterion declares.

        Returns:
            `(batch, slots)` float32, without NaN.
        """
