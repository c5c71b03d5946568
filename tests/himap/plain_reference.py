"""The plain reference of the method: no token is dropped, no cache, one row, eager attention.

Every decoder layer runs over the full length. From layer K on, a mask hides the columns of the dropped tokens.
The rankings are loops over the paper's sums on full attention matrices.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from himap import PruningConfig
from tests.himap.tiny_models import IMAGE_ID


def _scores(criterion: str, attention: Tensor, image: list[int], text_after: list[int]) -> dict[int, float]:
    rows = {"instruction": text_after, "last_token": [attention.shape[0] - 1], "intra_column": image}[criterion]
    return {v: sum(attention[i, v].item() for i in rows) for v in image}


class Reference:
    """The reference of one prompt on one model.

    Args:
        prompt: one row without padding.
        kept: image positions left after k1 and k2, for criteria that are not computed here (random).
    """

    def __init__(
        self, model: Any, prompt: dict[str, Tensor], config: PruningConfig, kept: tuple[list[int], ...] = ()
    ) -> None:
        self.config, self.model = config, model
        self.decoder = getattr(model.model, "language_model", None) or model.model.text_model
        ids = prompt["input_ids"][0].tolist()
        self.ids = ids
        self.image = [i for i, token in enumerate(ids) if token == IMAGE_ID]
        self.text_after = [i for i in range(len(ids)) if self.image and i > self.image[-1]]
        self.kept: dict[int, list[int]] = dict(zip((config.k1, config.k2), kept, strict=False))
        self.embeds, self.positions, self.features = self._decoder_inputs(prompt)

    def _decoder_inputs(self, prompt: dict[str, Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the decoder's embeddings, its rotary positions, and the features of DeepStack."""
        inputs: dict[str, Any] = {}

        def decoder_hook(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            inputs.update(embeds=kwargs["inputs_embeds"], features=kwargs.get("deepstack_visual_embeds") or [])

        def rotary_hook(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            inputs["positions"] = kwargs["position_ids"] if "position_ids" in kwargs else args[1]

        handles = [
            self.decoder.register_forward_pre_hook(decoder_hook, with_kwargs=True),
            self.decoder.rotary_emb.register_forward_pre_hook(rotary_hook, with_kwargs=True),
        ]
        with torch.no_grad():
            self.model(**prompt)
        for handle in handles:
            handle.remove()
        return inputs["embeds"], inputs["positions"], inputs["features"]

    def _allowed(self, length: int, layer: int) -> Tensor:
        """Return the mask `(length, length)` of the dense model, by the rule of its family."""
        family, config = type(self.model).__name__, self.decoder.config
        allowed = torch.ones(length, length, dtype=torch.bool).tril()
        if family.startswith("PaliGemma"):
            allowed[: len(self.ids), : len(self.ids)] = True
        if family.startswith("Gemma3"):
            for i in self.image:
                for j in self.image:
                    allowed[i, j] |= self._same_image(i, j)
        kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * len(self.decoder.layers)
        window = getattr(config, "sliding_window", None)
        if window and kinds[layer] == "sliding_attention":
            allowed = allowed.triu(1 - window)
        return allowed

    def _same_image(self, i: int, j: int) -> bool:
        low, high = min(i, j), max(i, j)
        return all(k in self.image for k in range(low, high + 1))

    def _rope(self, hidden: Tensor, positions: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        if "layer_type" in inspect.signature(self.decoder.rotary_emb.forward).parameters:
            kind = self.decoder.config.layer_types[layer]
            cos, sin = self.decoder.rotary_emb(hidden, positions, kind)
        else:
            cos, sin = self.decoder.rotary_emb(hidden, position_ids=positions)
        return cos, sin

    def _hidden_columns(self, layer: int) -> set[int]:
        gone: set[int] = set()
        for k in (self.config.k1, self.config.k2):
            if k in self.kept and layer >= k:
                gone |= set(self.image) - set(self.kept[k])
        return gone

    def _rank(self, layer: int, attention: Tensor) -> None:
        """Choose the tokens that layer K keeps, after layer K-1."""
        config = self.config
        shallow = (config.k1, config.r1, config.phi_shallow)
        for k, percent, criterion in (shallow, (config.k2, config.r2, config.phi_deep)):
            if layer != k - 1 or k in self.kept:
                continue
            present = [v for v in self.image if v not in self._hidden_columns(layer)]
            if percent == 0:
                self.kept[k] = present
                continue
            scores = _scores(criterion, attention.double(), present, self.text_after)
            dropped = int(len(present) * percent / 100 + 1e-9)
            ranking = sorted(present, key=lambda v: (-scores[v], v))
            self.kept[k] = sorted(ranking[: len(present) - dropped])

    @torch.no_grad()
    def logits(self, new_ids: list[int]) -> Tensor:
        """Return logits `(slots, vocabulary)` of the prompt and new tokens, rows of dropped tokens included."""
        extra = torch.tensor([new_ids], dtype=torch.long)
        hidden = torch.cat([self.embeds, self.model.get_input_embeddings()(extra)], dim=1)
        steps = torch.arange(1, len(new_ids) + 1)
        after = self.positions[..., -1:] + steps
        if self.positions.shape[0] == 3:
            after = self.positions.amax((0, 2), keepdim=True).expand(3, 1, 1) + steps
        positions = torch.cat([self.positions, after], dim=-1)
        length = hidden.shape[1]
        before, self.decoder.config._attn_implementation = self.decoder.config._attn_implementation, "eager"
        weights: dict[str, Tensor] = {}
        try:
            for index, layer in enumerate(self.decoder.layers):
                allowed = self._allowed(length, index)
                for column in self._hidden_columns(index):
                    allowed[:, column] = False
                    allowed[column, column] = True
                mask = torch.zeros(length, length).masked_fill(~allowed, torch.finfo(torch.float32).min)

                def record(module: Any, args: Any, output: Any) -> None:
                    weights["attention"] = output[1]

                handle = layer.self_attn.register_forward_hook(record)
                rope = self._rope(hidden, positions, index)
                hidden = layer(hidden, attention_mask=mask[None, None], position_embeddings=rope)
                handle.remove()
                for number, token in enumerate(self.image if index < len(self.features) else ()):
                    hidden[0, token] += self.features[index][number]
                if not new_ids:
                    self._rank(index, weights["attention"][0].mean(0))
        finally:
            self.decoder.config._attn_implementation = before
        logits: Tensor = self.model.lm_head(self.decoder.norm(hidden))[0]
        return logits

    def generate(self, steps: int) -> tuple[list[int], list[Tensor]]:
        """Return greedy new tokens and the logits of each, computed without a cache."""
        ids: list[int] = []
        logits: list[Tensor] = []
        for _ in range(steps):
            logits.append(self.logits(ids)[-1])
            ids.append(int(logits[-1].argmax()))
        return ids, logits
