"""The minis' text: a word-level tokenizer, the two chat templates, and descriptions of a scene.

Both minis share one vocabulary, so that both can start from one decoder. The benchmarks' fixed prompt endings
are single tokens, so that text is as small a part of a prompt as it is at full size.
"""

from __future__ import annotations

import re

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from objectives.benchmarks import BENCHMARKS
from objectives.benchmarks.base import OPTION_LETTER, SHORT_ANSWER
from objectives.benchmarks.captions import PROMPT
from objectives.data.embedded import scene_questions
from objectives.scenes import COLORS, KINDS, LETTERS, WORDS, Scene, Thing, make_scene

BY_KIND = "List the objects by kind."
BY_COLOR = "List the objects by color."
_QWEN = ("im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
_MARKS = ("<pad>", "<unk>", "<s>", "</s>", "<image>", *(f"<|{name}|>" for name in _QWEN))
_FIXED = ("USER:", "ASSISTANT:", SHORT_ANSWER, OPTION_LETTER, PROMPT, BY_KIND, BY_COLOR)

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
    """Return the tokenizer of `llava-mini` or `qwenvl-mini`; they differ in their special tokens only."""
    qwen = name == "qwenvl-mini"
    video = {"video_token": "<|video_pad|>"} if qwen else {}
    vocabulary = {word: i for i, word in enumerate([*_MARKS, *_FIXED, *_words()])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = _splitter()
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


def _splitter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])


def _words() -> list[str]:
    """Return every word that questions, answers and descriptions can contain, in a stable order."""
    words = {"user", "assistant", "system", "small", "large", *KINDS, *COLORS, *LETTERS, *WORDS}
    words |= set(",0123456789:;")
    words |= {f"{axis}{i}" for axis in "rc" for i in range(1, 6)}
    split = _splitter()
    for index in range(600):
        scene = make_scene("train", index)
        for benchmark in BENCHMARKS.values():
            for question in scene_questions(benchmark, scene):
                text = benchmark.prompt(question).replace(benchmark.suffix, "")
                words |= {word for word, _ in split.pre_tokenize_str(f"{text} {' '.join(question.answers)}")}
    return sorted(words)


def attributes(thing: Thing) -> list[str]:
    """Return the words that describe a thing: kind, color, size, row, column and its text."""
    return [thing.kind, thing.color, thing.size, *_cell(thing).split(), *thing.text.split()]


def _cell(thing: Thing) -> str:
    return f"r{thing.row + 1} c{thing.column + 1}"


def list_by_kind(scene: Scene) -> str:
    """Return for every kind the count, then color and cell of each thing."""
    rows = []
    for kind in KINDS:
        things = scene.having(kind=kind)
        rows.append(f"{kind} {len(things)} {', '.join(f'{t.color} {_cell(t)}' for t in things)}")
    return "; ".join(rows)


def list_by_color(scene: Scene) -> str:
    """Return for every color the count, then size, kind and text of each thing."""
    rows = []
    for color in COLORS:
        things = scene.having(color=color)
        rows.append(f"{color} {len(things)} {', '.join(f'{t.size} {t.kind} {t.text}'.strip() for t in things)}")
    return "; ".join(rows)


def ruled_kind(question: str) -> str | None:
    """Return the kind that the rule in `question` maps its code word to; None without a rule."""
    rule = re.match(r"\w+ means (\w+)\.", question)
    return rule[1] if rule else None
