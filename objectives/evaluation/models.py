"""Load checkpoints: one path for embedded minis, local folders and hub ids."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, processing_utils
from transformers.models.auto.image_processing_auto import AutoImageProcessor  # 5.17 hides it from above
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.utils import import_utils
from transformers.utils.peft_utils import find_adapter_config_file

from himap.errors import first_line
from objectives.errors import ModelLoadError
from objectives.evaluation.cores import available_cores

_CHANGE_ANSWERS = (  # what transformers reads of a checkpoint's folder; logs of a training and our own files are none
    *("*.safetensors", "*.bin", "*.index.json", "config.json", "generation_config.json", "adapter_config.json"),
    *("*processor_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt"),
    *("*.model", "*.tiktoken", "tekken.json", "chat_template*", "additional_chat_templates/*"),
)
AUTO = "auto"
_WITHOUT_VIDEO = ("Qwen2VLProcessor", "Qwen2_5_VLProcessor", "Qwen3VLProcessor")  # which `ImageOnly` replaces


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to answer, the processor of its inputs, and where both come from: a folder or a hub id."""

    model: Any
    processor: Any
    weights: str

    @property
    def digest(self) -> str:
        """The digest of the weights; the first access reads the weight files, see `weights_digest`."""
        return weights_digest(self.weights)

    @property
    def device(self) -> torch.device:
        """Where the inputs go: the first device that computes."""
        return self.devices[0]

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices that compute, see `devices_of`."""
        return devices_of(self.model)

    def inputs(self, prompts: Sequence[str], images: Sequence[Sequence[Image.Image]]) -> dict[str, torch.Tensor]:
        """Return left-padded model inputs, one user turn per prompt: its images, at least one, then its text."""
        rows = [list(row) for row in images]
        turns = [user_turn(prompt, len(row)) for prompt, row in zip(prompts, rows, strict=True)]
        texts = [self.processor.apply_chat_template([turn], add_generation_prompt=True) for turn in turns]
        batch = self.processor(images=rows, text=texts, padding=True, return_tensors="pt")
        return dict(batch)


def devices_of(model: Any) -> tuple[torch.device, ...]:
    """Return the devices that a model computes on; layers that are kept on a CPU or a disk run on the first GPU."""
    parts = dict.fromkeys(getattr(model, "hf_device_map", {}).values())
    named = (f"cuda:{part}" if isinstance(part, int) else part for part in parts if part not in ("cpu", "disk"))
    gpus = tuple(map(torch.device, named))
    if gpus or not parts:
        return gpus or (model.device,)
    return (torch.device("cpu"),)


def user_turn(prompt: str, images: int = 1) -> dict[str, Any]:
    """Return a user turn as chat templates take it: images, then text."""
    return {"role": "user", "content": [{"type": "image"}] * images + [{"type": "text", "text": prompt}]}


def load(weights: str | Path, device: str | None = None, dtype: str = AUTO) -> LoadedModel:
    """Load a checkpoint from a folder or the hub for inference.

    A process that sees several GPUs spreads the model over them. Quantized weights stay as they are. Torch runs on no
    more threads than there are cores for this process, which it does not see in a container.

    Args:
        device: "cpu", "cuda" or "cuda:N"; None takes all GPUs that this process sees, else the CPU.
        dtype: see `dtype_of`.

    Raises:
        ModelLoadError: no checkpoint there, not an image-text-to-text one, or an adapter.
    """
    torch.set_num_threads(min(torch.get_num_threads(), available_cores()))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    spread, device = device is None and gpus > 1, device or ("cuda" if gpus else "cpu")
    try:
        check_no_adapter(weights)
        placed = "auto" if spread else {"": device} if _quantization(weights) else None
        model: Any = AutoModelForImageTextToText.from_pretrained(
            weights, dtype=dtype_of(weights, device, dtype), attn_implementation="sdpa", device_map=placed
        )
        processor = load_processor(weights)
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise ModelLoadError(
            f"cannot load a vision-language model from {str(weights)!r} ({first_line(error)}); "
            "expected a folder with a checkpoint, or a hub id that this machine can reach"
        ) from error
    if placed is None:
        model = model.to(device)
    return LoadedModel(model.eval(), processor, str(weights))


def dtype_of(weights: str | Path, device: str, dtype: str = AUTO) -> torch.dtype:
    """Return the dtype that a model computes in.

    Args:
        dtype: a name of torch's. "auto" is the checkpoint's; on a CPU float32, unless it is quantized.
    """
    if dtype != AUTO:
        named: torch.dtype = getattr(torch, dtype)
        return named
    if device == "cpu" and not _quantization(weights):
        return torch.float32
    own = AutoConfig.from_pretrained(weights).dtype
    return own if isinstance(own, torch.dtype) else torch.bfloat16


def _quantization(weights: str | Path) -> Any:
    return getattr(AutoConfig.from_pretrained(weights), "quantization_config", None)


def load_processor(weights: str | Path) -> Any:
    """Load the checkpoint's processor; without torchvision, one without video."""
    if import_utils.is_torchvision_available():
        return _left_padded(AutoProcessor.from_pretrained(weights))
    tokenizer = AutoTokenizer.from_pretrained(weights)
    image_processor = AutoImageProcessor.from_pretrained(weights, backend="pil")
    model_type = AutoConfig.from_pretrained(weights).model_type
    full = getattr(processing_utils.transformers_module, PROCESSOR_MAPPING_NAMES[model_type])
    return _left_padded(_without_video(full, weights, image_processor, tokenizer))


def _without_video(full: Any, weights: str | Path, image_processor: Any, tokenizer: Any) -> Any:
    """Return an instance of `full`, or of a subclass whose constructor takes no video processor."""
    settings, _ = full.get_processor_dict(weights)
    accepted = inspect.signature(full.__init__).parameters
    arguments = {key: value for key, value in settings.items() if key in accepted and not isinstance(value, dict)}
    arguments.setdefault("chat_template", tokenizer.chat_template)
    if "video_processor" not in accepted:
        return full(image_processor=image_processor, tokenizer=tokenizer, **arguments)
    if full.__name__ not in _WITHOUT_VIDEO:
        raise ModelLoadError(
            f"the {full.__name__} of {str(weights)!r} needs torchvision, which is not installed; "
            "install it: pip install torchvision"
        )

    class ImageOnly(full):
        def __init__(
            self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None
        ) -> None:
            self.image_token = getattr(tokenizer, "image_token", "<|image_pad|>")
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token = getattr(tokenizer, "video_token", "<|video_pad|>")
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            bare = processing_utils.ProcessorMixin.__init__
            bare(self, image_processor, tokenizer, chat_template=chat_template)

    return ImageOnly(image_processor, tokenizer, arguments["chat_template"])


def _left_padded(processor: Any) -> Any:
    processor.tokenizer.padding_side = "left"
    return processor


def check_no_adapter(weights: str | Path) -> None:
    """Refuse an adapter (LoRA and its like), which transformers applies only where peft is installed.

    Raises:
        ModelLoadError: the folder or hub id holds an adapter, alone or beside its model.
    """
    path = find_adapter_config_file(str(weights))
    if path is None:
        return
    beside = (Path(path).parent / "config.json").is_file()
    what = "an adapter beside its model" if beside else "an adapter without its model"
    raise ModelLoadError(
        f"{str(weights)!r} holds {what} (adapter_config.json); expected a whole checkpoint; merge the adapter into its "
        "model (merge_and_unload() of peft), save model and processor in one folder and give that"
    )


def weights_digest(weights: str | Path) -> str:
    """Return the SHA-256 of a folder's files that change answers, with their names; for a hub id, of its commit.

    They are the weights and the settings of model, processor, tokenizer, chat template and generation. A process
    reads them once, as long as their sizes and times stay the same.
    """
    folder = Path(weights)
    if not folder.is_dir():
        config = AutoConfig.from_pretrained(weights)
        return hashlib.sha256(f"{weights}@{getattr(config, '_commit_hash', None)}".encode()).hexdigest()
    paths = sorted({path for pattern in _CHANGE_ANSWERS for path in folder.glob(pattern) if path.is_file()})
    stats = [path.stat() for path in paths]
    files = [(p, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for p, s in zip(paths, stats, strict=True)]
    return _files_digest(folder, tuple(files))


@lru_cache(maxsize=16)
def _files_digest(folder: Path, files: tuple[tuple[Path, int, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, size, _, _ in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
