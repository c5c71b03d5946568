"""Which weights a `--model` means on this machine: the full checkpoint or the embedded mini."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import AutoConfig, PretrainedConfig

from himap import PruningConfig, families
from minis import checkpoint
from objectives.evaluation.models import weights_digest
from objectives.flops import DecoderShape
from search.errors import UsageError
from storage.records import Origin


@dataclass(frozen=True)
class Known:
    """One of the paper's models: hub id, embedded mini, memory that the full weights need, FastV's K."""

    hub_id: str
    mini: str
    gigabytes: float
    fastv_k: int = 2


KNOWN = {
    "qwenvl": Known("Qwen/Qwen2.5-VL-7B-Instruct", "qwenvl-mini", 20),
    "llava-7b": Known("llava-hf/llava-1.5-7b-hf", "llava-mini", 18),
    "llava-13b": Known("llava-hf/llava-1.5-13b-hf", "llava-mini", 32, fastv_k=3),
}


@dataclass(frozen=True)
class Target:
    """A model as asked for, and the weights that stand for it here.

    `name` is what the store calls it; `kind` is "embedded mini" or "full weights"; `why` explains an
    automatic choice in one sentence, "" where there was none.
    """

    name: str
    source: str
    kind: str
    digest: str
    shape: DecoderShape
    fastv_k: int
    family: str = ""
    why: str = ""

    @property
    def landmarks(self) -> list[tuple[Origin, PruningConfig]]:
        """The settings that every study measures first, those that fit this model's depth.

        The paper's two differ in their second cut, at layer 8 for short answers and 15 for long ones; a
        shallower model takes the longer one's at its last layer. The controls drop as much as the paper's
        first, in the same places.
        """
        paper, last = PruningConfig.paper(), self.shape.layers - 1
        known: list[tuple[Origin, PruningConfig]] = [
            ("dense", PruningConfig.dense()),
            ("fastv", PruningConfig.fastv(self.fastv_k)),
            ("paper", paper),
            ("paper_long", replace(paper, k2=max(paper.k2, min(15, last)))),
        ]
        for name in ("random", "uniform", "downsample"):
            known.append((name, replace(paper, phi_shallow=name, phi_deep=name)))
        return [(origin, config) for origin, config in known if config.k2 <= last]


def resolve(model: str, weights: str) -> Target:
    """The target of `--model MODEL --weights auto|mini|full|PATH|HUB-ID`.

    Raises:
        UsageError: no such model, or weights that are not here.
    """
    known = KNOWN.get(model)
    if known is None and weights in ("mini", "full"):
        names = ", ".join(KNOWN)
        raise UsageError(f"--weights {weights} goes with --model {names}; for {model!r} leave it out")
    if known is None:
        return _target(model, _place(model if weights == "auto" else weights), "full weights", 2)
    mini, full = str(checkpoint.path(known.mini)), known.hub_id
    if weights == "mini":
        return _target(model, mini, "embedded mini", 2)
    if weights == "full":
        return _target(model, full, "full weights", known.fastv_k)
    if weights != "auto":
        return _target(model, _place(weights), "full weights", known.fastv_k)
    obstacle = _obstacle(known)
    if obstacle:
        return _target(model, mini, "embedded mini", 2, f"{full} is not used because {obstacle}")
    return _target(model, full, "full weights", known.fastv_k, f"{full} is on this machine and fits its GPU")


def _place(source: str) -> str:
    """`source` if it is a folder or has the form of a hub id."""
    if Path(source).is_dir() or re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        return source
    names = ", ".join(KNOWN)
    raise UsageError(f"unknown model {source!r}; expected one of {names}, a checkpoint's folder, or a hub id")


def _obstacle(known: Known) -> str:
    """Why the full weights cannot be used here, or ""."""
    if not _cached(known.hub_id):
        return "its weights are not on this machine"
    if not torch.cuda.is_available():
        return "there is no GPU"
    memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    return "" if memory >= known.gigabytes else f"the GPU has {memory:.0f} GB and it needs {known.gigabytes:.0f}"


def _cached(hub_id: str) -> bool:
    """Whether all weight files are on this machine."""

    def here(name: str) -> str | None:
        path = try_to_load_from_cache(hub_id, name)
        return path if isinstance(path, str) else None

    index = here("model.safetensors.index.json")
    if index is None:
        return here("model.safetensors") is not None
    return all(here(name) for name in set(json.loads(Path(index).read_text())["weight_map"].values()))


def _check_reachable(hub_id: str) -> None:
    """One request, so that a misspelled or unreachable hub id does not wait for retries."""
    if isinstance(try_to_load_from_cache(hub_id, "config.json"), str):
        return
    try:
        HfApi().model_info(hub_id, timeout=10)
    except Exception as error:  # the hub client raises those of its HTTP library too
        raise _not_there(hub_id, error) from error


def _family(source: str, config: PretrainedConfig) -> str:
    """Return the transformers class of the checkpoint, one that can be pruned."""
    classes = config.architectures or ["no model"]
    family = next((name for name in classes if name in families.supported()), None)
    if family is None:
        expected = " or ".join(families.supported())
        raise UsageError(f"{source!r} holds {', '.join(classes)}; the search needs {expected}")
    return family


def _not_there(source: str, error: Exception) -> UsageError:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    names = ", ".join(KNOWN)
    return UsageError(
        f"no vision-language checkpoint at {source!r} ({first}); "
        f"expected one of {names}, a folder, or a hub id that this machine can reach"
    )


def _target(name: str, source: str, kind: str, fastv_k: int, why: str = "") -> Target:
    if not Path(source).is_dir() and kind == "full weights":
        _check_reachable(source)
    try:
        config = AutoConfig.from_pretrained(source)
        family = _family(source, config)
        shape = DecoderShape.from_config(config)
        digest = weights_digest(source)
    except (OSError, ValueError, AttributeError) as error:
        raise _not_there(source, error) from error
    label = Path(name).name if Path(name).exists() else name
    return Target(label, source, kind, digest, shape, fastv_k, family, why)
