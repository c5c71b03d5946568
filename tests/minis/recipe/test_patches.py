"""The dense labels: what every image token shows."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerFast

from minis.recipe.patches import CLASSES, TEXTS, labels, owners, words
from minis.recipe.vision import grid
from objectives.scenes import COLORS, KINDS, make_scene, place


def test_every_thing_is_seen_and_has_one_center(name: str) -> None:
    for index in range(40):
        scene = make_scene("train", index)
        height, width = grid(name, scene)
        owner, center = owners(scene, height, width)
        assert owner.shape == center.shape == (height * width,)
        assert set(owner) - {-1} == set(range(len(scene.things)))
        assert sorted(owner[center]) == list(range(len(scene.things)))


def test_a_center_lies_where_the_thing_is_drawn(name: str) -> None:
    scene = make_scene("train", 4)
    height, width = grid(name, scene)
    owner, center = owners(scene, height, width)
    for token in np.flatnonzero(center):
        x, y = place(scene)[owner[token], :2]
        row, column = divmod(int(token), width)
        assert (column, row) == (int(x * width / (24 * scene.columns)), int(y * height / (24 * scene.rows)))


def test_labels_say_what_the_owner_is(name: str) -> None:
    for index in range(20):
        scene = make_scene("train", index)
        height, width = grid(name, scene)
        owner, center = owners(scene, height, width)
        targets = labels(scene, height, width)
        assert targets.shape == (height * width, len(CLASSES))
        for token, row in enumerate(targets.tolist()):
            if owner[token] < 0:
                assert row == [0, -100, -100, -100, -100, -100, -100]
                continue
            thing = scene.things[owner[token]]
            assert (KINDS[row[0] - 1], COLORS[row[1]], bool(row[2])) == (thing.kind, thing.color, thing.large)
            assert (TEXTS[row[3]], row[4], row[5], bool(row[6])) == (thing.text, thing.row, thing.column, center[token])
            assert all(value < classes for value, classes in zip(row, CLASSES, strict=True))


def test_words_are_the_owners_and_the_center_is_marked(tokenizer: PreTrainedTokenizerFast) -> None:
    scene = make_scene("train", 0)
    thing = scene.things[1]
    row_tokens = words(scene, np.array([-1, 1, 1]), np.array([False, False, True]))
    own = [thing.kind, thing.color, thing.size, f"r{thing.row + 1}", f"c{thing.column + 1}", *thing.text.split()]
    assert row_tokens == [["<image>"], ["<image>", *own], ["<image>", *own, "<|image_pad|>"]]
    ids = [tokenizer.convert_tokens_to_ids(token) for token in row_tokens]
    assert tokenizer.unk_token_id not in {i for token in ids for i in token}
