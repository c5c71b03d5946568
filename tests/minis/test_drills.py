"""Drills: look-ups that the text alone answers."""

from __future__ import annotations

import re

import numpy as np

from minis import text
from minis.attention import CHUNK
from minis.drills import drill, drill_batch
from minis.packing import IGNORED, Packer


def words(packer: Packer, tokens: list[int]) -> list[str]:
    found: list[str] = packer.tokenizer.convert_ids_to_tokens(tokens)
    return found


def test_a_drill_follows_from_its_text(packer: Packer) -> None:
    """The answer is the meaning that the rules state for the kind asked for, or the letter that lists it."""
    forms = set()
    for seed in range(200):
        block = drill(packer, np.random.default_rng(seed))
        asked, answer = (
            words(packer, block.tokens[: block.answer]),
            words(packer, block.tokens[block.answer : -1]),
        )
        said = " ".join(asked)
        rules = dict(re.findall(r"(\w+) means (\w+)", said))
        if block.description:
            assert " ".join(answer).replace(" ;", ";") == text.list_rules(rules)
            forms.add("list")
            continue
        found = re.search(r"does a (\w+) mean", said) or re.search(r"(\w+) \. A \w+ means", said)
        assert found
        kind = found[1]
        options = dict(re.findall(r"\b([A-C]) \. (\w+)\b(?! means)", said[said.index("?") :]))
        reply = answer[0] if not options else options[answer[0]]
        meaning = reply if len(answer) == 1 else answer[2]
        assert meaning == rules[kind], said
        forms.add(("letter" if options else "open", len(answer)))
    assert forms == {"list", ("letter", 1), ("open", 1), ("open", 3)}


def test_a_batch_of_drills_has_no_image_and_hundreds_of_look_ups(packer: Packer) -> None:
    batch = drill_batch(packer, np.random.default_rng(0))
    assert batch.prefix == batch.before == len(packer.before)
    assert batch.ids.shape[1] == batch.prefix + CHUNK
    assert not (batch.ids == packer.image_id).any()
    assert (batch.labels != IGNORED).sum() > 100
