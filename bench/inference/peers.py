"""Two other pruning methods, written plainly from their papers' descriptions, to be timed beside himap.

Like their published code, both need batches without padding whose images begin at the same token.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from himap import PruningConfig

# From attention averaged over heads (batch, n, n) and the image's slice to a score per image token.
Score = Callable[[Tensor, slice], Tensor]


def instruction_sum(attention: Tensor, image: slice) -> Tensor:
    """Return φ_sh: the attention of the tokens behind the image to each image token (HiMAP, Eq. 8)."""
    return attention[:, image.stop :, image].sum(1)


def image_sum(attention: Tensor, image: slice) -> Tensor:
    """Return φ_dp: the attention of all image tokens to each image token (HiMAP's published code)."""
    return attention[:, image, image].sum(1)


def last_token(attention: Tensor, image: slice) -> Tensor:
    """Return the attention of the last token to each image token (FastV)."""
    return attention[:, -1, image]


SCORES: Mapping[str, Score] = {"instruction": instruction_sum, "intra_column": image_sum, "last_token": last_token}


@dataclass
class _Cutter:
    """Drops image tokens in front of some layers, ranked by the attention matrix of the layer before."""

    start: int
    n_image: int
    kept: Mapping[int, tuple[int, Score]]
    matrix: Tensor | None = None
    remaining: Tensor | None = None
    rope: tuple[Tensor, ...] = ()
    image: slice = field(init=False)

    def see(self, module: Any, args: Any, output: tuple[Tensor, Tensor]) -> None:
        """Store the attention matrix of the layer in front of a cut."""
        self.matrix = output[1]

    def enter(self, layer: int, module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Cut the inputs of a layer while a prompt is read; later tokens pass through."""
        hidden = args[0]
        if layer == 0:
            self.remaining, self.rope, self.image = None, (), slice(self.start, self.start + self.n_image)
        if hidden.shape[1] == 1:
            return args, kwargs
        if layer in self.kept:
            hidden = self._cut(layer, hidden)
        if self.remaining is not None:
            m = hidden.shape[1]
            mask = kwargs.get("attention_mask")
            # The remaining tokens are in order, so their causal mask is the corner of the whole one.
            kwargs["attention_mask"] = None if mask is None else mask[..., :m, :m]
            self.rope = self.rope or tuple(_pick(t, self.remaining) for t in kwargs["position_embeddings"])
            kwargs["position_embeddings"] = self.rope
            kwargs["position_ids"] = None
        return (hidden, *args[1:]), kwargs

    def _cut(self, layer: int, hidden: Tensor) -> Tensor:
        keep, score = self.kept[layer]
        assert self.matrix is not None, "the layer in front of a cut keeps its attention"
        scores = score(self.matrix.float().mean(1), self.image)
        self.matrix = None
        best = scores.topk(keep, dim=-1).indices.sort(-1).values + self.image.start
        slots = torch.arange(hidden.shape[1], device=hidden.device).expand(len(hidden), -1)
        index = torch.cat([slots[:, : self.image.start], best, slots[:, self.image.stop :]], 1)
        self.image = slice(self.image.start, self.image.start + keep)
        self.remaining, self.rope = index if self.remaining is None else self.remaining.gather(1, index), ()
        return hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[-1]))


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Return the entries of (..., batch or 1, n, d) at (batch, m) as (..., batch, m, d)."""
    rows = [values[..., min(row, values.shape[-3] - 1), :, :][..., at, :] for row, at in enumerate(index)]
    return torch.stack(rows, -3)


@contextmanager
def _hooked(decoder: Any, cutter: _Cutter) -> Iterator[None]:
    with ExitStack() as undo:
        for number, layer in enumerate(decoder.layers):
            hook = _entering(cutter, number)
            undo.callback(layer.register_forward_pre_hook(hook, with_kwargs=True).remove)
            if number + 1 in cutter.kept:
                undo.callback(layer.self_attn.register_forward_hook(cutter.see).remove)
        yield


def _entering(cutter: _Cutter, number: int) -> Callable[..., Any]:
    return lambda module, args, kwargs: cutter.enter(number, module, args, kwargs)


@contextmanager
def fastv(decoder: Any, start: int, n_image: int, k: int = 2, percent: float = 50) -> Iterator[None]:
    """Prune by FastV (arXiv 2403.06764): one cut, by the last token's row of layer k-1's attention.

    All layers use SDPA and a KV cache but that one, which computes its whole matrix (eager) as the published code
    does.
    """
    keep, _ = PruningConfig.fastv(k, percent).kept(n_image)
    layer = decoder.layers[k - 1]
    own = layer.self_attn.config
    eager = copy.copy(own)
    eager._attn_implementation = "eager"

    def causal(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        n = args[0].shape[1]
        if n > 1:  # SDPA needs no mask here, eager does
            least = torch.finfo(args[0].dtype).min
            full = torch.full((n, n), least, dtype=args[0].dtype, device=args[0].device)
            kwargs["attention_mask"] = full.triu(1)[None, None]
        return args, kwargs

    layer.self_attn.config = eager
    handle = layer.register_forward_pre_hook(causal, with_kwargs=True)
    try:
        with _hooked(decoder, _Cutter(start, n_image, {k: (keep, last_token)})):
            yield
    finally:
        handle.remove()
        layer.self_attn.config = own


@contextmanager
def published(decoder: Any, start: int, n_image: int, config: PruningConfig) -> Iterator[None]:
    """Prune by HiMAP as published: eager attention in every layer, ranked from whole matrices.

    Call the model with `output_attentions=True` (all matrices are kept), `use_cache=False` and batch 1. The criteria
    must be among `SCORES`.
    """
    left = dict(zip((config.k1, config.k2), config.kept(n_image), strict=True))
    kept = {cut.layer: (left[cut.layer], SCORES[cut.criterion]) for cut in config.cuts}
    before = decoder.config._attn_implementation
    decoder.config._attn_implementation = "eager"
    try:
        with _hooked(decoder, _Cutter(start, n_image, kept)):
            yield
    finally:
        decoder.config._attn_implementation = before
