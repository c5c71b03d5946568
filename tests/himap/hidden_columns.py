"""The family-blind reference: the model's own forward over the full length, in which dropped columns are hidden.

Nothing is gathered and there is no cache. From layer K on, a plain softmax attention hides the columns of the dropped
tokens, and a recurrent mixer runs on the rows of the kept tokens alone, which is the definition of a pruned one. The
model computes positions, masks, caps and everything else itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from himap import PruningConfig
from tests.himap.tiny_models import IMAGE_ID

NAME = "hidden_columns"
SUPPRESSED = [90, 91, 92, 93]  # a generated placeholder of an image would need an image
MIXERS = ("linear_attn", "conv")


def _scores(criterion: str, weights: Tensor, image: list[int]) -> dict[int, float]:
    """Return the paper's sums of one row's attention `(slots, slots)`."""
    length = weights.shape[0]
    rows = {"instruction": range(image[-1] + 1, length), "last_token": [length - 1], "intra_column": image}[criterion]
    return {v: sum(weights[i, v].item() for i in rows) for v in image}


class HiddenColumns:
    """The reference of one prompt (one row, no padding) on one model.

    Args:
        config: cuts that rank by "instruction", "last_token" or "intra_column".
    """

    def __init__(self, model: Any, prompt: dict[str, Tensor], config: PruningConfig) -> None:
        self.model, self.prompt, self.config = model, prompt, config
        self.decoder = next(
            m for m in model.modules() if m is not model and hasattr(m, "layers") and _is_text(model, m)
        )
        self.image = [i for i, token in enumerate(prompt["input_ids"][0].tolist()) if token == IMAGE_ID]
        self.kept: dict[int, list[int]] = {}
        self.weights: dict[int, Tensor] = {}
        self.logits([])

    def _present(self, layer: int) -> list[int]:
        """Return the image tokens that a layer sees; rank where its cut has just been reached."""
        present = self.image
        for cut in self.config.cuts:
            if cut.layer > layer:
                break
            if cut.layer not in self.kept:
                source = max(index for index in self.weights if index < cut.layer)
                scores = _scores(cut.criterion, self.weights[source], present) if present else {}
                ranking = sorted(present, key=lambda v: (-scores[v], v))
                self.kept[cut.layer] = sorted(ranking[: len(present) - cut.dropped(len(present))])
            present = self.kept[cut.layer]
        return present

    def _hidden(self, layer: int) -> list[int]:
        return sorted(set(self.image) - set(self._present(layer)))

    def _attend(self, module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **kwargs: Any) -> Any:
        length, groups = query.shape[2], query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        allowed = torch.ones(length, length, dtype=torch.bool).tril() if mask is None else mask[0, 0].clone()
        hidden = self._hidden(module.layer_idx)
        allowed[:, hidden] = False
        allowed[hidden, hidden] = True
        scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5
        logits = (query @ key.transpose(-1, -2)) * scaling
        if (cap := kwargs.get("softcap")) is not None:
            logits = torch.tanh(logits / cap) * cap
        logits = logits.masked_fill(~allowed, -torch.inf)
        if (sinks := kwargs.get("s_aux")) is not None:
            logits = torch.cat([logits, sinks[None, :, None, None].expand(*logits.shape[:3], 1)], -1)
        weights = logits.softmax(-1)[..., :length]
        self.weights[module.layer_idx] = weights[0].double().mean(0)
        return (weights @ value).transpose(1, 2), None

    def _mix(self, layer: int, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Wrap a recurrent mixer to run on the rows of the kept tokens alone."""

        def wrapped(hidden_states: Tensor, **kwargs: Any) -> Tensor:
            gone = set(self._hidden(layer))
            rows = [i for i in range(hidden_states.shape[1]) if i not in gone]
            output = torch.zeros_like(hidden_states)
            output[:, rows] = forward(hidden_states=hidden_states[:, rows], **kwargs)
            return output

        return wrapped

    @contextmanager
    def _attached(self) -> Iterator[None]:
        config = self.decoder.config
        before = config._attn_implementation
        AttentionInterface.register(NAME, self._attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        with ExitStack() as undo:
            undo.callback(setattr, config, "_attn_implementation", before)
            config._attn_implementation = NAME
            for index, layer in enumerate(self.decoder.layers):
                for mixer in (getattr(layer, name) for name in MIXERS if hasattr(layer, name)):
                    mixer.forward = self._mix(index, mixer.forward)
                    undo.callback(delattr, mixer, "forward")
            yield

    @torch.no_grad()
    def logits(self, new_ids: list[int]) -> Tensor:
        """Return logits `(slots, vocabulary)` of the prompt and new tokens, rows of dropped tokens included."""
        prompt = dict(self.prompt)
        for name, fill in (("input_ids", new_ids), ("attention_mask", [1] * len(new_ids))):
            prompt[name] = torch.cat([prompt[name], torch.tensor([fill], dtype=prompt[name].dtype)], 1)
        for name in {"mm_token_type_ids", "token_type_ids"} & prompt.keys():
            generated = int(self.model.config.model_type == "paligemma")  # its type 0 is the bidirectional prefix
            prompt[name] = nn.functional.pad(prompt[name], (0, len(new_ids)), value=generated)
        with self._attached():
            logits: Tensor = self.model(**prompt, use_cache=False).logits[0]
        return logits

    def generate(self, steps: int) -> tuple[list[int], list[Tensor]]:
        """Return greedy new tokens, without those that are suppressed, and the logits of each."""
        ids: list[int] = []
        logits: list[Tensor] = []
        for _ in range(steps):
            logits.append(self.logits(ids)[-1])
            allowed = logits[-1].clone()
            allowed[SUPPRESSED] = -torch.inf
            ids.append(int(allowed.argmax()))
        return ids, logits


def _is_text(model: Any, module: Any) -> bool:
    return getattr(module, "config", None) is model.config.get_text_config(decoder=True)
