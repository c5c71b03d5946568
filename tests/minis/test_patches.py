"""The dense labels: what every image token shows."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedTokenizerFast

from minis.patches import ALL, CLASSES, FORM, LOOK, TEXTS, halves, labels, owners, words
from minis.vision import grid
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


def test_every_thing_tells_its_form_and_its_look(name: str) -> None:
    for index in range(60):
        scene = make_scene("train", index)
        height, width = grid(name, scene)
        owner, center = owners(scene, height, width)
        said = halves(owner, center, width)
        assert (said[center] == FORM).all()
        for number in range(len(scene.things)):
            assert set(said[owner == number].tolist()) == {FORM, LOOK}


def test_labels_say_half_of_what_the_owner_is(name: str) -> None:
    for index in range(20):
        scene = make_scene("train", index)
        height, width = grid(name, scene)
        owner, center = owners(scene, height, width)
        said = halves(owner, center, width)
        found = labels(scene, height, width)
        assert found.shape == (height * width, len(CLASSES))
        for token, (kind, color, size, text, *cell, at_center) in enumerate(found.tolist()):
            if owner[token] < 0:
                assert [kind, color, size, text, *cell, at_center] == [0, *[-100] * 6]
                continue
            thing = scene.things[owner[token]]
            assert [*cell, at_center] == [thing.row, thing.column, center[token]]
            unsaid = [classes - 1 for classes in CLASSES[:4]]
            if said[token] == FORM:
                assert (KINDS[kind - 1], TEXTS[text]) == (thing.kind, thing.text)
                assert [color, size] == unsaid[1:3]
            else:
                assert (COLORS[color], bool(size)) == (thing.color, thing.large)
                assert [kind, text] == [unsaid[0], unsaid[3]]


def test_words_are_half_the_owner_and_the_center_is_marked(tokenizer: PreTrainedTokenizerFast) -> None:
    scene = make_scene("train", 0)
    thing = scene.things[1]
    cell = [f"r{thing.row + 1}", f"c{thing.column + 1}"]
    owner, center = np.array([-1, 1, 1, 1]), np.array([False, False, True, False])
    said = words(scene, owner, center, np.array([LOOK, LOOK, FORM, ALL]))
    assert said == [
        ["<image>"],
        ["<image>", thing.color, thing.size, *cell],
        ["<image>", thing.kind, *thing.text.split(), *cell, "<|image_pad|>"],
        ["<image>", thing.kind, thing.color, thing.size, *cell, *thing.text.split()],
    ]
    ids = [tokenizer.convert_tokens_to_ids(token) for token in said]
    assert tokenizer.unk_token_id not in {i for token in ids for i in token}
