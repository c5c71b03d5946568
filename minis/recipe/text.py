"""The minis' words: a word-level tokenizer, the two chat templates, and descriptions of a scene.

Both minis share one vocabulary, so that one pre-trained decoder can start both. The benchmarks' fixed
prompt endings are single tokens: text then weighs as little beside the image as it does at full size.
"""

from __future__ import annotations

import re

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from objectives.benchmarks import BENCHMARKS
from objectives.benchmarks.base import OPTION_LETTER, SHORT_ANSWER
from objectives.data.embedded import scene_questions
from objectives.scenes import COLORS, KINDS, LETTERS, WORDS, Scene, Thing, make_scene

CAPTION = "Provide a one-sentence caption for the provided image."
BY_KIND = "List the objects by kind."
BY_COLOR = "List the objects by color."
_MARKS = (
    "<pad>",
    "<unk>",
    "<s>",
    "</s>",
    "<image>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_FIXED = ("USER:", "ASSISTANT:", SHORT_ANSWER, OPTION_LETTER, CAPTION, BY_KIND, BY_COLOR)

LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}"
    "{% else %} ASSISTANT: {{ message['content'][0]['text'] }}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IMAGE_TOKEN = {"llava-mini": "<image>", "qwenvl-mini": "<|image_pad|>"}


def build_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of `llava-mini` or `qwenvl-mini`; the same vocabulary, other special tokens."""
    qwen = name == "qwenvl-mini"
    video = {"video_token": "<|video_pad|>"} if qwen else {}
    vocabulary = {word: i for i, word in enumerate([*_MARKS, *_FIXED, *_words()])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    backend.add_special_tokens(list(_MARKS))
    backend.add_tokens([AddedToken(text, normalized=False) for text in _FIXED])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token=None if qwen else "<s>",
        eos_token="<|im_end|>" if qwen else "</s>",
        padding_side="left",
        chat_template=QWEN_TEMPLATE if qwen else "<s>" + LLAVA_TEMPLATE,
        extra_special_tokens={"image_token": IMAGE_TOKEN[name]} | video,
    )


def _words() -> list[str]:
    """Every word that questions, answers and descriptions can contain, in a stable order."""
    words = {"user", "assistant", "system", "small", "large", *KINDS, *COLORS, *LETTERS, *WORDS}
    words |= set(",0123456789:;")
    words |= {f"{axis}{i}" for axis in "rc" for i in range(1, 6)}
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    for index in range(600):
        scene = make_scene("train", index)
        for benchmark in BENCHMARKS.values():
            for asked in scene_questions(benchmark, scene):
                text = benchmark.prompt(asked).replace(benchmark.suffix, "")
                words |= {word for word, _ in split.pre_tokenize_str(f"{text} {' '.join(asked.answers)}")}
    return sorted(words)


def attributes(thing: Thing) -> list[str]:
    """The words that say everything about a thing: kind, color, size, row, column and its text."""
    return [thing.kind, thing.color, thing.size, *_cell(thing).split(), *thing.text.split()]


def _cell(thing: Thing) -> str:
    return f"r{thing.row + 1} c{thing.column + 1}"


def caption(scene: Scene) -> str:
    """Everything in raster order: "small red star, yellow sign bus, ..."."""
    named = [(t.size if t.kind != "sign" else "", t.color, t.kind, t.text) for t in scene.things]
    return ", ".join(" ".join(filter(None, words)) for words in named)


def list_by_kind(scene: Scene) -> str:
    """A look-up by content: for every kind the count, then color and cell of each."""
    rows = []
    for kind in KINDS:
        found = scene.having(kind=kind)
        listed = ", ".join(f"{t.color} {_cell(t)}" for t in found)
        rows.append(f"{kind} {len(found)} {listed}")
    return "; ".join(rows)


def list_by_color(scene: Scene) -> str:
    """A look-up by content: for every color the count, then size, kind and text of each."""
    rows = []
    for color in COLORS:
        found = scene.having(color=color)
        listed = ", ".join(f"{t.size} {t.kind} {t.text}".strip() for t in found)
        rows.append(f"{color} {len(found)} {listed}")
    return "; ".join(rows)


def ruled_kind(question: str) -> str | None:
    """The kind that the code word asked for in `question` means by the rule it states, if it states one."""
    found = re.match(r"\w+ means (\w+)\.", question)
    return found[1] if found else None
