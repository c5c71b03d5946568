"""The image-text-to-text classes of transformers that cannot be pruned, each with its reason."""

from __future__ import annotations

_CROSS = "its decoder reads the image through cross-attention, so no image token is in the sequence"
_QUERIES = "a Q-Former hands over a few query tokens, and it has a generate of its own"
_ENCODER = "its text model is an encoder and a decoder"
_INDEXER = "its attention selects keys with an indexer, whose choices count the tokens of the whole prompt"
_STATES = "its layers hand on states that count the tokens of the whole prompt"

REFUSED: dict[str, str] = {
    "Blip2ForConditionalGeneration": _QUERIES,
    "BlipForConditionalGeneration": _CROSS,
    "DiffusionGemmaForBlockDiffusion": "it denoises blocks of text with a generate of its own",
    "Dots3NoteForConditionalGeneration": _INDEXER,
    "EvollaForProteinText2Text": "it reads proteins, not images",
    "Florence2ForConditionalGeneration": _ENCODER,
    "Gemma3nForConditionalGeneration": "later layers read the keys of earlier ones, which hold other tokens",
    "GitForCausalLM": "it puts the image in front of the text without placeholders",
    "Glm5NextForConditionalGeneration": _INDEXER,
    "Granite4VisionForConditionalGeneration": "it adds image features between layers, for the whole prompt",
    "HYV4VLForConditionalGeneration": _INDEXER,
    "IdeficsForVisionText2Text": _CROSS,
    "Inkling2ForConditionalGeneration": _STATES,
    "Inkling2LoopForConditionalGeneration": _STATES,
    "InklingForConditionalGeneration": "its attention counts distances by slots, which a cut renumbers",
    "InstructBlipForConditionalGeneration": _QUERIES,
    "InstructBlipVideoForConditionalGeneration": _QUERIES,
    "Kosmos2ForConditionalGeneration": "a mask by position marks its 64 image tokens, and it has a generate of its own",
    "Kosmos2_5ForConditionalGeneration": "a mask by position marks its image tokens, and their positions are absolute",
    "Llama4ForConditionalGeneration": "its forward raises an error in transformers 5.24, with images and without",
    "MiniMaxM3SparseForConditionalGeneration": "its attention selects blocks of positions of the whole prompt",
    "Mistral4ForCausalLM": "it is a text model; Mistral3ForConditionalGeneration takes its decoder",
    "MistralLarge4ForConditionalGeneration": _INDEXER,
    "MllamaForConditionalGeneration": _CROSS,
    "NemotronH_Omni_Reasoning_V3": "its layers are a mixer, attention or a feed-forward part alone, without positions",
    "PI0ForConditionalGeneration": "it samples robot actions and generates no text",
    "PPFormulaNetForConditionalGeneration": _ENCODER,
    "Pix2StructForConditionalGeneration": _ENCODER,
    "Qwen4ExpForConditionalGeneration": _INDEXER,
    "T5Gemma2ForConditionalGeneration": _ENCODER,
    "UdopForConditionalGeneration": _ENCODER,
    "UnlimitedOcrForConditionalGeneration": "its cache keeps a window of new tokens beside the prompt",
    "VisionEncoderDecoderModel": _ENCODER,
}
