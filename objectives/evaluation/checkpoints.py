"""Resolve `--model` and `--weights` to weights on this machine: the full checkpoint or the embedded mini."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import AutoConfig, PretrainedConfig

from himap import families
from himap.errors import first_line
from himap.families.family import cut_layers
from objectives.errors import ModelLoadError
from objectives.evaluation.known_models import KNOWN, Known, check_named
from objectives.evaluation.models import AUTO, check_no_adapter, weights_digest
from objectives.flops import DecoderShape


@dataclass(frozen=True)
class Target:
    """A model as the user named it, and the weights that stand for it here.

    Attributes:
        name: the model's name in a store.
        weights: their folder or hub id.
        kind: "embedded mini" or "full weights".
        shape: the sizes of its decoder.
        cut_layers: the layers directly behind one that computes attention, see `himap.families.Family.cut_layers`.
        fastv_k: K of the FastV baseline.
        family: the transformers class of the model.
        why: one sentence that explains an automatic choice; "" where there was none.
        dtype: see `objectives.evaluation.models.dtype_of`.
    """

    name: str
    weights: str
    kind: str
    shape: DecoderShape
    cut_layers: tuple[int, ...]
    fastv_k: int
    family: str
    why: str = ""
    dtype: str = AUTO

    @property
    def place(self) -> str:
        """What --weights takes for these weights in any folder; "" where the model's name implies them."""
        if Path(self.weights).is_dir():
            return "" if self.kind == "embedded mini" else str(Path(self.weights).resolve())
        if self.name in KNOWN and self.weights == KNOWN[self.name].hub_id:
            return "full"
        return "" if self.weights == self.name else self.weights

    @property
    def digest(self) -> str:
        """The digest of the weights, see `weights_digest`."""
        return weights_digest(self.weights)


def resolve(model: str, weights: str = "auto", gpus: int = 1, dtype: str = AUTO) -> Target:
    """Return the target of `--model MODEL --weights auto|mini|full|PATH|HUB-ID`.

    Args:
        gpus: of a worker, whose memory together must hold full weights for "auto" to take them.
        dtype: see `objectives.evaluation.models.dtype_of`.

    Raises:
        ModelLoadError: no such model, or weights that are not here.
    """
    return replace(_resolved(model, weights, gpus), dtype=dtype)


def _resolved(model: str, weights: str, gpus: int) -> Target:
    known = KNOWN.get(model)
    check_named(model, weights)
    if known is None:
        return _target(model, model if weights == "auto" else weights, "full weights", 2)
    mini, full = str(known.folder), known.hub_id
    if weights == "mini":
        return _target(model, mini, "embedded mini", 2)
    if weights == "full":
        return _target(model, full, "full weights", known.fastv_k)
    if weights != "auto":
        return _target(model, weights, "full weights", known.fastv_k)
    obstacle = _obstacle(known, gpus)
    if obstacle:
        return _target(model, mini, "embedded mini", 2, f"{full} is not used because {obstacle}")
    return _target(model, full, "full weights", known.fastv_k, f"{full} is on this machine and fits its GPU(s)")


def _obstacle(known: Known, gpus: int) -> str:
    """Return why the full weights cannot be used here, or ""."""
    if not _cached(known.hub_id):
        return "its weights are not on this machine"
    if not torch.cuda.is_available():
        return "there is no GPU"
    taken = range(min(gpus, torch.cuda.device_count()))
    memory = sum(torch.cuda.get_device_properties(gpu).total_memory for gpu in taken) / 1e9
    held = "the GPU has" if gpus == 1 else f"a worker's {gpus} GPUs have"
    return "" if memory >= known.gigabytes else f"{held} {memory:.0f} GB and it needs {known.gigabytes:.0f}"


def _cached(hub_id: str) -> bool:
    """Return whether all weight files are on this machine."""

    def here(name: str) -> str | None:
        path = try_to_load_from_cache(hub_id, name)
        return path if isinstance(path, str) else None

    index = here("model.safetensors.index.json")
    if index is None:
        return here("model.safetensors") is not None
    return all(here(name) for name in set(json.loads(Path(index).read_text())["weight_map"].values()))


def _check_reachable(hub_id: str) -> None:
    """Send one request, so that a misspelled or unreachable hub id does not wait for retries."""
    if isinstance(try_to_load_from_cache(hub_id, "config.json"), str):
        return
    try:
        HfApi().model_info(hub_id, timeout=10)
    except Exception as error:  # the hub client raises those of its HTTP library too
        raise _not_there(hub_id, error) from error


def _family(weights: str, config: PretrainedConfig) -> str:
    """Return the transformers class of the checkpoint, one that can be pruned."""
    classes = config.architectures or ["no model"]
    family = next((name for name in classes if name in families.supported()), None)
    if family is None:
        raise ModelLoadError(
            f"{weights!r} holds {', '.join(classes)}; expected a class that himap.supported_models() lists"
        )
    return family


def _not_there(weights: str, error: Exception) -> ModelLoadError:
    names = ", ".join(KNOWN)
    return ModelLoadError(
        f"no vision-language checkpoint at {weights!r} ({first_line(error)}); "
        f"expected one of {names}, a folder, or a hub id that this machine can reach"
    )


def _target(name: str, weights: str, kind: str, fastv_k: int, why: str = "") -> Target:
    if not Path(weights).is_dir() and kind == "full weights":
        _check_reachable(weights)
    try:
        check_no_adapter(weights)
        config = AutoConfig.from_pretrained(weights)
        family = _family(weights, config)
        shape = DecoderShape.from_config(config)
        cuts = cut_layers(config.get_text_config(decoder=True))
    except (OSError, ValueError, AttributeError) as error:
        raise _not_there(weights, error) from error
    label = (Path(name).resolve().name if Path(name).exists() else "") or name
    label = label.encode("utf-8", "replace").decode()  # a file name need not be text
    return Target(label, weights, kind, shape, cuts, fastv_k, family, why)
