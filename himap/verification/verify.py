"""Compare a pruned model with the masked reference on random prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from himap import families
from himap.config import PruningConfig
from himap.engine.attach import prune
from himap.errors import InputError, UnsupportedModelError
from himap.families.family import Family
from himap.verification.prompts import Prompt, prompt_maker
from himap.verification.reference import HiddenColumns

TOLERANCE = 1e-4
STEPS = 2
SIZES = ((4, 6), (2, 9), (7, 3))
_WORDS = 80


@dataclass(frozen=True)
class FamilyVerification:
    """What a comparison saw.

    Attributes:
        deviation: largest difference of a logit from the masked reference.
        effect: largest difference of a logit from the dense model; far above the deviation if cuts do anything.
    """

    deviation: float
    effect: float


def verify(model: nn.Module, *, video: bool = False) -> FamilyVerification:
    """Compare a model, pruned, with its own full-length forward in which the dropped tokens are hidden.

    The prompts are random: one row, two images, a padded batch and a later turn of text, under two configurations.

    Args:
        model: any transformers model whose structure `himap.prune` accepts, in float32.
        video: put videos in place of the images.

    Raises:
        UnsupportedModelError: the structure is not accepted, or the pruned model differs from the reference.
        InputError: the model is not in float32, where a ranking could differ by rounding alone, or transformers is
            older than 5.18, whose models take no encoded images.
    """
    if transformers.__version__.startswith("5.17."):
        raise InputError(
            f"got transformers {transformers.__version__}; expected 5.18 or newer, whose models take encoded images; "
            "do: pip install --upgrade transformers"
        )
    family = families.find(model, untested=True)
    if (dtype := next(family.decoder.parameters()).dtype) != torch.float32:
        raise InputError(
            f"got a model in {dtype}; expected torch.float32; load it with dtype=torch.float32 to verify it"
        )
    comparison = ReferenceComparison(family, video)
    deviation = max(max(comparison.all(config)) for config in configurations(family))
    if not deviation <= TOLERANCE:
        raise UnsupportedModelError(
            f"{type(model).__name__} pruned differs from the masked reference by {deviation:.1e}; expected at most "
            f"{TOLERANCE:.0e}"
        )
    return FamilyVerification(deviation, comparison.effect(configurations(family)[0]))


def configurations(family: Family) -> list[PruningConfig]:
    """Return cuts at the first layers that can rank, in two orders of the criteria."""
    first, second = family.cut_layers[0], next(k for k in family.cut_layers if k > family.cut_layers[0] + 1)
    return [PruningConfig(first, 50, second, 50), PruningConfig(first, 40, second, 60, "intra_column", "last_token")]


class ReferenceComparison:
    """The calls in which a pruned model is compared with the reference, on prompts with images or with videos."""

    def __init__(self, family: Family, video: bool = False) -> None:
        self.family, self._maker = family, prompt_maker(family, video)
        self.arguments = self._maker.arguments
        size = family.decoder.config.vocab_size
        self._suppressed = list(range(_WORDS, size))
        self.prompts = [self._maker.prompt(seed, *sizes) for seed, sizes in enumerate(SIZES, 1)]

    def all(self, config: PruningConfig) -> list[float]:
        """Return the deviation of one row, of two images, of a padded batch, and of a later turn."""
        two = self._maker.prompt(5, 3, 4, 6)
        return [
            self.rows([self.prompts[0]], config),
            self.rows([two], config),
            self.rows(self.prompts, config),
            self.turn(config),
        ]

    def reference(self, prompt: Prompt, config: PruningConfig) -> HiddenColumns:
        """Return the reference of one row."""
        return HiddenColumns(self.family, self.arguments(prompt), config)

    @torch.no_grad()
    def rows(self, prompts: list[Prompt], config: PruningConfig) -> float:
        """Return the deviation of the logits of greedy new tokens; infinity if a token differs."""
        batch = prompts[0] if len(prompts) == 1 else self._maker.batch(prompts)
        with prune(self.family.model, config, untested=True):
            output = self.family.model.generate(
                **self.arguments(batch),
                max_new_tokens=STEPS,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
                suppress_tokens=self._suppressed,
                eos_token_id=None,
            )
        logits = torch.stack(output.logits, 1)
        worst = 0.0
        for row, prompt in enumerate(prompts):
            ids, expected = self.reference(prompt, config).generate(STEPS, self._suppressed)
            if output.sequences[row, -STEPS:].tolist() != ids:
                return float("inf")
            worst = max(worst, _distance(logits[row], torch.stack(expected)))
        return worst

    @torch.no_grad()
    def turn(self, config: PruningConfig) -> float:
        """Return the deviation of the logits of three tokens on the cache of a prompt."""
        turn, arguments = [5, 17, 33], self.arguments(self.prompts[1])
        with prune(self.family.model, config, untested=True):
            cache = _cache(self.family.model(**arguments, use_cache=True))
            ids = torch.tensor([turn], device=arguments["input_ids"].device)
            logits = self.family.model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0]
        return _distance(logits, self.reference(self.prompts[1], config).logits(turn)[-len(turn) :])

    @torch.no_grad()
    def effect(self, config: PruningConfig) -> float:
        """Return how far the cuts move the last logits of a prompt."""
        arguments = self.arguments(self.prompts[0])
        dense = self.family.model(**arguments, use_cache=False).logits[0, -1]
        with prune(self.family.model, config, untested=True):
            pruned = self.family.model(**self.arguments(self.prompts[0]), use_cache=False).logits[0, -1]
        return _distance(pruned, dense)


def _cache(output: Any) -> Any:
    return output.cache if "cache" in output else output.past_key_values


def _distance(actual: Tensor, expected: Tensor) -> float:
    return (actual - expected).abs().max().item()
