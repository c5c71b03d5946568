"""The classes and decoders of transformers that the tests compare with the masked reference."""

from __future__ import annotations

TESTED = (
    "Gemma3ForConditionalGeneration",
    "Idefics3ForConditionalGeneration",
    "InternVLForConditionalGeneration",
    "Lfm2VlForConditionalGeneration",
    "LlavaForConditionalGeneration",
    "LlavaNextForConditionalGeneration",
    "LlavaOnevisionForConditionalGeneration",
    "Mistral3ForConditionalGeneration",
    "PaliGemmaForConditionalGeneration",
    "Qwen2VLForConditionalGeneration",
    "Qwen2_5_VLForConditionalGeneration",
    "Qwen3VLForConditionalGeneration",
    "Qwen3_5ForConditionalGeneration",
    "Qwen3_5MoeForConditionalGeneration",
    "SmolVLMForConditionalGeneration",
)
DECODERS = (
    "Gemma2Model",
    "Gemma3TextModel",
    "GemmaModel",
    "GptOssModel",
    "Lfm2Model",
    "LlamaModel",
    "Ministral3Model",
    "Mistral4Model",
    "MistralModel",
    "Qwen2Model",
    "Qwen2VLTextModel",
    "Qwen2_5_VLTextModel",
    "Qwen3Model",
    "Qwen3VLTextModel",
    "Qwen3_5MoeTextModel",
    "Qwen3_5TextModel",
)
