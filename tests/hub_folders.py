"""Folders as the hub ships the paper's models, with random weights: the true files, names and ids, a small width.

Values are those of Qwen/Qwen2.5-VL-7B-Instruct and llava-hf/llava-1.5-7b-hf as public copies hold them; their chat
templates are of revisions cc59489 and b234b80. Not compared with the hub: the values of llava-1.5-13b-hf, the numbers
of shards of 13B and Qwen, and Qwen's tokenizer_config.json. They are in the older notation that these files have: a
flat configuration, `rope_scaling` of type "mrope", `torch_dtype`, and weights under names that transformers renames.
Widths and depths are small; heads keep their width. The hub's
vocabularies are replaced by their bytes or letters and by filler, so that special tokens keep their ids.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForImageTextToText

from objectives.evaluation.known_models import KNOWN

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LAYERS = 12
SHARDS = {"qwenvl": 5, "llava-7b": 3, "llava-13b": 6}  # as on the hub
_CLIP_MEAN, _CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]

_QWEN_TOKENS = [  # from 151643 on; the last eight are no special tokens
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>"),
    *("<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
]
_QWEN_TEMPLATE = (
    "{% set pictures = namespace(n=0) %}{% for message in messages %}"
    "{% if loop.first and message.role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' or 'image' in part or 'image_url' in part %}{% set pictures.n = pictures.n + 1 %}"
    "{% if add_vision_id %}Picture {{ pictures.n }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'video' or 'video' in part %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'] | upper }}: {% endif %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ part['text'] + ' ' }}{% endgeneration %}"
    "{% else %}{{ part['text'] + ' ' }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def hub_folder(name: str, cache: Path) -> Path:
    """Write the checkpoint of `qwenvl`, `llava-7b` or `llava-13b` as the hub's cache holds it; return its folder."""
    repository = cache / f"models--{KNOWN[name].hub_id.replace('/', '--')}"
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    files, tokenizer = (
        (_qwen_files(), _qwen_tokenizer()) if name == "qwenvl" else (_llava_files(name), _llama_tokenizer())
    )
    for file, content in files.items():
        (folder / file).write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    tokenizer.save(str(folder / "tokenizer.json"))
    _save_weights(folder, SHARDS[name])
    return folder


def _save_weights(folder: Path, shards: int) -> None:
    """Write random weights in the dtype of the configuration, under the hub's names, in shards with an index."""
    torch.manual_seed(5)
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_config(config, dtype=config.dtype)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if weight.ndim > 1 and "embed" not in key:
                weight.mul_(4.0)  # small weights answer every question with the same word
    weights = {_hub_key(key, config.model_type): value for key, value in model.state_dict().items()}
    names, index = sorted(weights), {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = names[i * len(names) // shards : (i + 1) * len(names) // shards]
        save_file({name: weights[name].contiguous() for name in part}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(value.numel() * value.element_size() for value in weights.values())
    document = {"metadata": {"total_size": total}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(document))


def _hub_key(key: str, model_type: str) -> str:
    """Return the hub's name of a weight; the published files are older than the names in transformers."""
    if model_type == "qwen2_5_vl":
        return key.replace("model.visual.", "visual.").replace("model.language_model.", "model.")
    key = re.sub(r"^model\.vision_tower\.", "vision_tower.vision_model.", key)
    key = re.sub(r"^model\.language_model\.", "language_model.model.", key)
    return re.sub(r"^lm_head", "language_model.lm_head", key).removeprefix("model.")


def _qwen_config() -> dict[str, Any]:
    vision = {"depth": 4, "hidden_size": 160, "intermediate_size": 320, "num_heads": 2, "out_hidden_size": 256}
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "vision_start_token_id": 151652,
        "vision_end_token_id": 151653,
        "vision_token_id": 151654,
        "image_token_id": 151655,
        "video_token_id": 151656,
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 512,
        "max_position_embeddings": 128000,
        "max_window_layers": 28,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": 2,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            **vision,
            "hidden_act": "silu",
            "in_chans": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1, 3],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "vocab_size": 152064,
    }


def _qwen_files() -> dict[str, Any]:
    special = {151643 + i: (token, i < 14) for i, token in enumerate(_QWEN_TOKENS)}
    return {
        "config.json": _qwen_config(),
        "generation_config.json": {
            "bos_token_id": 151643,
            "pad_token_id": 151643,
            "do_sample": True,
            "eos_token_id": [151645, 151643],
            "repetition_penalty": 1.05,
            "temperature": 0.000001,
            "transformers_version": "4.49.0",
        },
        "preprocessor_config.json": {
            "min_pixels": 3136,
            "max_pixels": 12845056,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": _CLIP_MEAN,
            "image_std": _CLIP_STD,
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2_5_VLProcessor",
        },
        "chat_template.json": {"chat_template": _QWEN_TEMPLATE},
        "tokenizer_config.json": {
            "add_bos_token": False,
            "add_prefix_space": False,
            "added_tokens_decoder": {str(i): _added(*token) for i, token in special.items()},
            "additional_special_tokens": _QWEN_TOKENS[1:14],
            "bos_token": None,
            "chat_template": _QWEN_TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "errors": "replace",
            "model_max_length": 131072,
            "pad_token": "<|endoftext|>",
            "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        },
        "vocab.json": _bytes_and_filler(),
        "merges.txt": "#version: 0.2\n",
    }


def _llava_config(name: str) -> dict[str, Any]:
    width = {"llava-7b": 256, "llava-13b": 384}[name]
    text: dict[str, Any] = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": LAYERS}
    text |= {"num_attention_heads": width // 128, "num_key_value_heads": width // 128}
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "ignore_index": -100,
        "image_token_index": 32000,
        "model_type": "llava",
        "pad_token_id": 32001,
        "projector_hidden_act": "gelu",
        "text_config": {
            **text,
            "_name_or_path": f"lmsys/vicuna-{name.removeprefix('llava-')}-v1.5",
            "architectures": ["LlamaForCausalLM"],
            "max_position_embeddings": 4096,
            "model_type": "llama",
            "rms_norm_eps": 1e-05,
            "torch_dtype": "float16",
            "vocab_size": 32064,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.36.0.dev0",
        "vision_config": {
            "hidden_size": 128,
            "image_size": 336,
            "intermediate_size": 256,
            "model_type": "clip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "patch_size": 14,
            "projection_dim": 768,
            "vocab_size": 32000,
        },
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": 32064,
    }


def _llava_files(name: str) -> dict[str, Any]:
    special = {0: "<unk>", 1: "<s>", 2: "</s>", 32000: "<image>", 32001: "<pad>"}
    marks = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    edges = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {
        "config.json": _llava_config(name),
        "generation_config.json": {
            "_from_model_config": True,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 32001,
            "transformers_version": "4.36.0.dev0",
        },
        "preprocessor_config.json": {
            "crop_size": {"height": 336, "width": 336},
            **dict.fromkeys(("do_center_crop", "do_convert_rgb", "do_normalize", "do_rescale", "do_resize"), True),
            "image_mean": _CLIP_MEAN,
            "image_processor_type": "CLIPImageProcessor",
            "image_std": _CLIP_STD,
            "processor_class": "LlavaProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": 336},
        },
        "processor_config.json": {
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": 14,
            "processor_class": "LlavaProcessor",
            "vision_feature_select_strategy": "default",
        },
        "chat_template.json": {"chat_template": _LLAVA_TEMPLATE},
        "chat_template.jinja": _LLAVA_TEMPLATE,
        "tokenizer_config.json": {
            "add_bos_token": True,
            "add_eos_token": False,
            "add_prefix_space": None,
            "added_tokens_decoder": {str(i): _added(token) for i, token in special.items()},
            **marks,
            "clean_up_tokenization_spaces": False,
            "extra_special_tokens": {"image_token": "<image>"},
            "image_token": "<image>",
            "legacy": False,
            "model_max_length": 1000000000000000019884624838656,
            "padding_side": "left",
            "processor_class": "LlavaProcessor",
            "sp_model_kwargs": {},
            "tokenizer_class": "LlamaTokenizer",
            "trust_remote_code": False,
            "use_default_system_prompt": False,
        },
        "special_tokens_map.json": {mark: {"content": token, **edges} for mark, token in marks.items()},
        "added_tokens.json": {"<image>": 32000, "<pad>": 32001},
    }


def _added(content: str, special: bool = True) -> dict[str, Any]:
    edges = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": content, **edges, "special": special}


def _bytes_and_filler() -> dict[str, int]:
    """The vocabulary below Qwen's special tokens: all bytes, then words that no text becomes."""
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    return {word: i for i, word in enumerate([*words, *(f"w{i}" for i in range(len(words), 151643))])}


def _qwen_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(_bytes_and_filler(), [], byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    for i, token in enumerate(_QWEN_TOKENS):
        tokenizer.add_tokens([AddedToken(token, normalized=False, special=i < 14)])
    return tokenizer


def _llama_tokenizer() -> Tokenizer:
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    vocabulary = {word: i for i, word in enumerate([*words, *(f"w{i}" for i in range(len(words), 32000))])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    start = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(start)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in ("<unk>", "<s>", "</s>")])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in ("<image>", "<pad>")])
    return tokenizer
