"""The naive definition of every criterion: one row, eager attention, float64, loops, dropped tokens removed.

It is independent of the engine, and uses only the configuration of himap.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from himap import PruningConfig
from tests.himap.tiny_models import IMAGE_ID


@dataclass(frozen=True)
class Layer:
    """The tensors of one layer on n tokens, and the indices of its image tokens, text tokens and instruction.

    Attention is `(heads, n, n)`, keys and values `(kv_heads, n, d)`, hidden states after the layer `(n, c)`.
    """

    attention: Tensor
    keys: Tensor
    values: Tensor
    hidden: Tensor
    image: list[int]
    text: list[int]
    instruction: list[int]
    cells: dict[int, tuple[int, int]]
    hashes: dict[int, int]

    @property
    def mean(self) -> Tensor:
        return self.attention.mean(0)


def cosine(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum() / math.sqrt(float((a * a).sum()) * float((b * b).sum())))


def instruction(layer: Layer, v: int) -> float:
    return sum(float(layer.mean[i, v]) for i in layer.instruction)


def last_token(layer: Layer, v: int) -> float:
    return float(layer.mean[-1, v])


def all_text(layer: Layer, v: int) -> float:
    return sum(float(layer.mean[i, v]) for i in layer.text) / len(layer.text)


def max_head(layer: Layer, v: int) -> float:
    return max(sum(float(head[i, v]) for i in layer.instruction) for head in layer.attention)


def intra_column(layer: Layer, v: int) -> float:
    return sum(float(layer.mean[i, v]) for i in layer.image)


def intra_row(layer: Layer, v: int) -> float:
    return sum(float(layer.mean[v, j]) for j in layer.image)


def intra_column_mean(layer: Layer, v: int) -> float:
    attending = [i for i in layer.image if i >= v]
    return sum(float(layer.mean[i, v]) for i in attending) / len(attending)


def value_norm(layer: Layer, v: int) -> float:
    group = len(layer.attention) // len(layer.values)
    heads = [
        sum(float(head[i, v]) for i in layer.instruction) * float(layer.values[h // group, v].abs().sum())
        for h, head in enumerate(layer.attention)
    ]
    return sum(heads) / len(heads)


def key_norm(layer: Layer, v: int) -> float:
    return -sum(math.sqrt(float((head[v] ** 2).sum())) for head in layer.keys) / len(layer.keys)


def duplication(layer: Layer, v: int) -> float:
    size = {i: math.sqrt(float((layer.keys[:, i] ** 2).sum())) for i in layer.image}
    pivots = sorted(layer.image, key=lambda i: (-size[i], i))[:4]
    if v in pivots:
        return 9.0 - pivots.index(v)
    return -max(cosine(layer.hidden[v], layer.hidden[p]) for p in pivots)


def uniform(layer: Layer, v: int) -> float:
    bayer = torch.zeros(1, 1, dtype=torch.long)
    while len(bayer) < 16:  # Bayer's recursion; no test image is larger
        bayer = torch.cat([torch.cat([4 * bayer, 4 * bayer + 2], 1), torch.cat([4 * bayer + 3, 4 * bayer + 1], 1)])
    return -float(bayer[layer.cells[v]])


def downsample(layer: Layer, v: int) -> float:
    row, column = (int(f"{number:04b}"[::-1], 2) for number in layer.cells[v])
    return -(1000.0 * max(row, column) + 10 * min(row, column) + (row > column))


def random(layer: Layer, v: int) -> float:
    return float(layer.hashes[v])


SCORES = {
    function.__name__: function
    for function in (
        instruction,
        last_token,
        all_text,
        max_head,
        intra_column,
        intra_row,
        intra_column_mean,
        value_norm,
        key_norm,
        duplication,
        uniform,
        downsample,
        random,
    )
}


def diversity(layer: Layer, keep: int) -> list[int]:
    def distance(a: int, b: int) -> float:
        return 1 - cosine(layer.hidden[a], layer.hidden[b])

    selected: list[int] = []
    while len(selected) < keep:
        candidates = [v for v in layer.image if v not in selected]
        nearest = {v: min(distance(v, u) for u in (selected or layer.image) if u != v) for v in candidates}
        selected.append(max(candidates, key=lambda v: (nearest[v], -v)))
    return selected


def kept_by(criterion: str, layer: Layer, keep: int) -> list[int]:
    """Return the image tokens that stay; ties keep the earlier token."""
    if criterion == "diversity":
        return sorted(diversity(layer, keep))
    score = {v: SCORES[criterion](layer, v) for v in layer.image}
    return sorted(sorted(layer.image, key=lambda v: (-score[v], v))[:keep])


MASK = (1 << 64) - 1


def mix(x: int) -> int:
    """Apply splitmix64's finalizer."""
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def random_hashes(ids: list[int], seed: int) -> dict[int, int]:
    golden = 0x9E3779B97F4A7C15
    row = sum(mix(token + mix(i * golden & MASK) & MASK) for i, token in enumerate(ids)) & MASK
    start = mix(row + 2 * seed + 1 & MASK)
    return {i: mix(start + i * golden & MASK) >> 40 for i in range(len(ids))}


def cells(ids: list[int], prompt: dict[str, Tensor]) -> dict[int, tuple[int, int]]:
    image = [i for i, token in enumerate(ids) if token == IMAGE_ID]
    grid = prompt.get("image_grid_thw")
    width = math.isqrt(len(image)) if grid is None else int(grid[0, 2]) // 2
    return {v: divmod(number, width) for number, v in enumerate(image)}


class Naive:
    """One model in float64 with eager attention."""

    def __init__(self, model: Any) -> None:
        self.model = copy.deepcopy(model).double()
        self.decoder = self.model.model.language_model
        self.decoder.config._attn_implementation = "eager"

    @torch.no_grad()
    def _embedded(self, prompt: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the first layer's hidden states, and cos and sin of the rotary embedding."""
        inputs: dict[str, Any] = {}

        def hook(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            inputs["hidden"], inputs["rope"] = args[0], kwargs["position_embeddings"]

        handle = self.decoder.layers[0].register_forward_pre_hook(hook, with_kwargs=True)
        self.model(**{k: v.double() if v.is_floating_point() else v for k, v in prompt.items()})
        handle.remove()
        return inputs["hidden"], inputs["rope"]

    @torch.no_grad()
    def kept(self, prompt: dict[str, Tensor], config: PruningConfig) -> list[list[int]]:
        """Return the image tokens left after k1 and after k2, as slots of the row."""
        ids: list[int] = prompt["input_ids"][0].tolist()
        hidden, (cos, sin) = self._embedded(prompt)
        present = list(range(len(ids)))
        result: list[list[int]] = []
        cuts = {config.k1: (config.r1, config.phi_shallow), config.k2: (config.r2, config.phi_deep)}
        for number in range(config.k2):
            layer = self.decoder.layers[number]
            hidden, tensors = self._run(layer, number, hidden, (cos, sin), present, prompt, config.seed)
            if number + 1 in cuts:
                percent, criterion = cuts[number + 1]
                stay = kept_by(criterion, tensors, len(tensors.image) - math.floor(len(tensors.image) * percent / 100))
                dropped = set(tensors.image) - set(stay)
                index = [i for i in range(len(present)) if i not in dropped]
                result.append([present[i] for i in stay])
                present = [present[i] for i in index]
                hidden, cos, sin = hidden[:, index], cos[:, index], sin[:, index]
        return result

    def _run(
        self,
        layer: Any,
        number: int,
        hidden: Tensor,
        rope: tuple[Tensor, Tensor],
        present: list[int],
        prompt: dict[str, Tensor],
        seed: int,
    ) -> tuple[Tensor, Layer]:
        weights: dict[str, Tensor] = {}

        def hook(module: Any, args: Any, output: Any) -> None:
            weights["attention"] = output[1][0]

        n = len(present)
        mask = torch.full((n, n), -torch.inf, dtype=torch.float64).triu(1)[None, None]
        cache = DynamicCache()
        handle = layer.self_attn.register_forward_hook(hook)
        hidden = layer(hidden, attention_mask=mask, position_embeddings=rope, past_key_values=cache)
        handle.remove()
        stored = cache.layers[number]
        ids: list[int] = prompt["input_ids"][0].tolist()
        image = [i for i, slot in enumerate(present) if ids[slot] == IMAGE_ID]
        grid, hashes = cells(ids, prompt), random_hashes(ids, seed)
        return hidden, Layer(
            attention=weights["attention"],
            keys=stored.keys[0],
            values=stored.values[0],
            hidden=hidden[0],
            image=image,
            text=[i for i in range(n) if i not in image],
            instruction=[i for i in range(n) if i > max(image)],
            cells={i: grid[present[i]] for i in image},
            hashes={i: hashes[present[i]] for i in image},
        )
