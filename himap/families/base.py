"""What the engine has to know about a model family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn


class Family(ABC):
    """Finds the parts of one transformers model. Holds no state of a run and changes nothing.

    The engine expects of the family's decoder that each layer is called as `layer(hidden_states,
    attention_mask=, position_embeddings=(cos, sin), position_ids=, past_key_values=, ...)`, returns a tensor,
    and hands further keyword arguments on to its attention function.
    """

    model_class: ClassVar[str]

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """The module whose forward receives `input_ids` and merges the image features in."""

    @property
    @abstractmethod
    def decoder(self) -> Any:
        """The language model, with `.layers` and `.config`."""

    @abstractmethod
    def image_mask(self, inputs: Mapping[str, Any]) -> Tensor | None:
        """Where the image tokens are.

        Args:
            inputs: keyword arguments of the backbone's forward.

        Returns:
            (batch, slots) bool, or None if the inputs do not say.
        """

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The decoder layers, in order."""
        layers: Sequence[nn.Module] = self.decoder.layers
        return layers
