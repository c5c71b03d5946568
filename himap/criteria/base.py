"""What a criterion is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from himap.tokens import Rows, TokenSet


class Criterion(ABC):
    """Ranks image tokens; the higher the score, the longer a token stays.

    A criterion names the query rows it needs in `rows`. The engine computes the attention of only those rows,
    in the layer in front of the cut, and none at all for "none". A score must not depend on the other rows of
    the batch nor on padding.
    """

    rows: ClassVar[Rows] = "none"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def score(self, tokens: TokenSet, attention: Tensor | None) -> Tensor:
        """Score every slot; only the scores of image tokens are read.

        Args:
            tokens: the tokens in front of the cut.
            attention: (batch, heads, r, slots) float32 softmax rows of the r tokens named by `rows`, zero in
                rows that are padding; None if `rows` is "none".

        Returns:
            (batch, slots) float32.
        """
