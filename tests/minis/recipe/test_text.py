"""The minis' text: no unknown word, and descriptions that name what is there."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from minis.recipe import text
from minis.recipe.packing import Packer
from objectives.benchmarks import BENCHMARKS
from objectives.benchmarks.captions import PROMPT, description
from objectives.data.embedded import scene_questions
from objectives.scenes import SPLITS, Scene, Thing, make_scene

SCENE = Scene(
    split="train",
    index=0,
    rows=4,
    columns=5,
    things=(
        Thing("star", "red", False, 0, 1),
        Thing("sign", "yellow", False, 1, 4, "bus"),
        Thing("letter", "red", True, 2, 0, "K"),
        Thing("star", "blue", True, 3, 2),
    ),
    seed=1,
)


def test_the_caption_goes_in_raster_order() -> None:
    assert description(SCENE) == "small red star, yellow sign bus, large red letter K, large blue star"


def test_the_list_by_kind_counts_every_kind_and_says_where() -> None:
    rows = text.list_by_kind(SCENE).split("; ")
    assert [row.split()[0] for row in rows] == [
        "circle",
        "square",
        "triangle",
        "star",
        "cross",
        "ring",
        "diamond",
        "moon",
        "letter",
        "sign",
    ]
    assert rows[3] == "star 2 red r1 c2, blue r4 c3"
    assert rows[8:] == ["letter 1 red r3 c1", "sign 1 yellow r2 c5"]
    assert rows[0] == "circle 0 "


def test_the_list_by_color_counts_every_color_and_says_what() -> None:
    rows = text.list_by_color(SCENE).split("; ")
    assert [row.split()[0] for row in rows] == ["red", "green", "blue", "yellow", "purple", "orange", "cyan", "white"]
    assert rows[0] == "red 2 small star, large letter K"
    assert rows[2:4] == ["blue 1 large star", "yellow 1 small sign bus"]
    assert rows[1] == "green 0 "


def test_attributes_say_everything_about_a_thing() -> None:
    assert text.attributes(SCENE.things[1]) == ["sign", "yellow", "small", "r2", "c5", "bus"]
    assert text.attributes(SCENE.things[3]) == ["star", "blue", "large", "r4", "c3"]


def test_the_kind_of_a_rule_is_found() -> None:
    assert text.ruled_kind("stop means star. What color is the stop?") == "star"
    assert text.ruled_kind("What color is the star?") is None


def test_a_rule_question_comes_with_each_of_its_easier_relatives(packer: Packer) -> None:
    """For the same question: as asked, option told, kind told, kind told and open, open, and reasoned."""
    chosen = next(
        (scene, question)
        for scene in (make_scene("train", i) for i in range(50))
        for question in scene_questions(BENCHMARKS["aokvqa"], scene)
    )[1]
    rng = np.random.default_rng(0)
    seen = {tuple(packer.question_block(BENCHMARKS["aokvqa"], chosen, rng).tokens) for _ in range(200)}
    assert len(seen) == 6


@pytest.mark.parametrize("split", SPLITS)
def test_every_word_is_known(tokenizer: PreTrainedTokenizerFast, split: str) -> None:
    texts = []
    for index in range(300):
        scene = make_scene(split, index)
        texts += [description(scene), text.list_by_kind(scene), text.list_by_color(scene)]
        texts += [" ".join(text.attributes(thing)) for thing in scene.things]
        for benchmark in BENCHMARKS.values():
            for question in scene_questions(benchmark, scene):
                texts += [benchmark.prompt(question), " ".join((*question.answers, *question.choices))]
    unknown = [s for s, ids in zip(texts, tokenizer(texts)["input_ids"], strict=True) if tokenizer.unk_token_id in ids]
    assert not unknown


def test_an_unknown_word_is_marked(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer("giraffe")["input_ids"] == [tokenizer.unk_token_id]


def test_blocks_hold_no_unknown_word(packer: Packer) -> None:
    rng = np.random.default_rng(0)
    for index in range(60):
        for block in packer.blocks(make_scene("train", index), 2, rng):
            assert packer.tokenizer.unk_token_id not in block.tokens


def test_both_minis_share_one_vocabulary() -> None:
    llava, qwen = (text.build_tokenizer(name).get_vocab() for name in ("llava-mini", "qwenvl-mini"))
    assert llava == qwen


def test_the_fixed_endings_are_one_token_each(tokenizer: PreTrainedTokenizerFast) -> None:
    for ending in {benchmark.suffix for benchmark in BENCHMARKS.values()}:
        assert len(tokenizer(ending)["input_ids"]) == 1


def test_every_answer_fits_in_the_new_tokens_allowed(tokenizer: PreTrainedTokenizerFast) -> None:
    for index in range(60):
        scene = make_scene("validation", index)
        for benchmark in BENCHMARKS.values():
            for question in scene_questions(benchmark, scene):
                assert len(tokenizer(benchmark.target(question))["input_ids"]) <= benchmark.max_new_tokens


def test_the_listing_alternates_with_the_draw(packer: Packer) -> None:
    """One listing a time, by kind or by color, beside the caption."""
    chosen = set()
    for seed in range(8):
        caption, listing, *_ = packer.blocks(SCENE, 1, np.random.default_rng(seed))
        assert PROMPT in packer.tokenizer.convert_ids_to_tokens(caption.tokens)
        chosen |= {text.BY_KIND, text.BY_COLOR} & set(packer.tokenizer.convert_ids_to_tokens(listing.tokens))
    assert chosen == {text.BY_KIND, text.BY_COLOR}
