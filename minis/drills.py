"""Look-ups in text alone: a stated rule, and the letter of an option.

A-OKVQA needs both behind what the image tells. The look-up is an induction that forms only where a step holds
hundreds of them; without an image before it a look-up costs a tenth.
"""

from __future__ import annotations

import numpy as np

from minis import text
from minis.attention import CHUNK
from minis.packing import Batch, Block, Packer
from objectives.benchmarks.base import OPTION_LETTER, SHORT_ANSWER
from objectives.scenes import COLORS

_ROWS = 24


def drill_batch(packer: Packer, rng: np.random.Generator) -> Batch:
    """`_ROWS` sequences of one chunk, without an image, full of drills."""
    return packer.collate([_filled(packer, rng) for _ in range(_ROWS)], [0] * _ROWS, len(packer.before), 1)


def _filled(packer: Packer, rng: np.random.Generator) -> list[Block]:
    blocks: list[Block] = []
    while sum(len(block.tokens) for block in blocks) <= CHUNK:
        blocks.append(drill(packer, rng))
    return blocks[:-1]


def drill(packer: Packer, rng: np.random.Generator) -> Block:
    """Rules to list, or a meaning to find: as a word, as a word with its kind, or as the letter of an option.

    What is asked for is the kind itself, or, as in the benchmark, an object whose kind is told in front.
    """
    rules, form = text.rules(rng), rng.random()
    if form < 0.2:
        return packer.block(f"{text.stated(rules)} {text.BY_KIND}", text.list_rules(rules), True)
    kind, meaning = list(rules.items())[rng.integers(len(rules))]
    if rng.random() < 0.6:
        color = COLORS[rng.integers(len(COLORS))]
        asked = f"{kind}. {text.stated(rules)} What does the {color} object mean?"
    else:
        asked = f"{text.stated(rules)} What does a {kind} mean?"
    if form < 0.4:
        return packer.block(f"{asked}\n{SHORT_ANSWER}", meaning)
    if form < 0.5:
        return packer.block(asked, f"{kind} means {meaning}")
    if form < 0.6:
        asked = f"{meaning}. {asked}"
    options, letter = _choices(rules, meaning, rng)
    return packer.block(f"{asked}\n{options}{OPTION_LETTER}", letter)


def _choices(rules: dict[str, str], meaning: str, rng: np.random.Generator) -> tuple[str, str]:
    """Three options of the rules as lines, `meaning` among them, and its letter."""
    others = rng.permutation([other for other in rules.values() if other != meaning])[:2]
    options = rng.permutation([meaning, *others]).tolist()
    listed = "".join(f"{chr(65 + i)}. {option}\n" for i, option in enumerate(options))
    return listed, chr(65 + options.index(meaning))
