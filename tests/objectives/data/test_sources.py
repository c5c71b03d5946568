"""Questions from official files, the hub and scenes: one class, one prompt, one scorer; and fair subsets."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from objectives.benchmarks import EVERY_BENCHMARK, Question
from objectives.data import hub
from objectives.data.images import load_image
from objectives.data.source import Source, load_questions
from objectives.data.subsets import ordered, shared_images, splits_of, subset, whole_groups
from objectives.errors import DataError

N = 24  # images of each hand-made benchmark


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(path)


def make_vqav2(root: Path) -> None:
    sample = [{"question_id": i, "image_id": i, "question": f"What is {i}?"} for i in range(N)]
    answers = [{"answer": "cat"}] * 10
    notes = [{"question_id": i, "image_id": i, "answer_type": "other", "answers": answers} for i in range(N)]
    dump(root / "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": sample})
    dump(root / "v2_mscoco_val2014_annotations.json", {"annotations": notes})
    for i in range(N):
        picture(root / "val2014" / f"COCO_val2014_{i:012d}.jpg")


def make_textvqa(root: Path) -> None:
    rows = [
        {"question_id": i, "image_id": f"i{i}", "question": f"Word {i}?", "answers": ["cat"] * 10} for i in range(N)
    ]
    dump(root / "TextVQA_0.5.1_val.json", {"data": rows})
    ocr = [{"image_id": f"i{i}", "ocr_tokens": ["CAT", "X"]} for i in range(N)]
    dump(root / "TextVQA_Rosetta_OCR_v0.2_val.json", {"data": ocr})
    for i in range(N):
        picture(root / "train_images" / f"i{i}.jpg")


def make_pope(root: Path) -> None:
    ask = "Is there a {} in the image?"
    for strategy in ("random", "popular", "adversarial"):
        rows = [
            {"question_id": 2 * i + j, "image": f"x{i}.jpg", "text": ask.format(w), "label": label}
            for i in range(N)
            for j, (w, label) in enumerate([("cat", "yes"), (strategy, "no")])
        ]
        root.mkdir(parents=True, exist_ok=True)
        (root / f"coco_pope_{strategy}.json").write_text("\n".join(map(json.dumps, rows)))
    for i in range(N):
        picture(root / "val2014" / f"x{i}.jpg")


def make_mme(root: Path) -> None:
    for category in ("existence", "artwork"):
        images = root / category / "images" if category == "artwork" else root / category
        texts = root / category / "questions_answers_YN" if category == "artwork" else root / category
        texts.mkdir(parents=True)
        for i in range(N // 2):
            picture(images / f"{i}.jpg")
            lines = "Is it? Please answer yes or no.\tYes\nIs it not? Please answer yes or no.\tNo\n"
            (texts / f"{i}.txt").write_text(lines)


def make_scienceqa(root: Path) -> None:
    problem = {"question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": "Look.", "image": "image.png"}
    problems = {str(i): problem | {"split": "test"} for i in range(N)}
    dump(root / "problems.json", problems | {"text": problem | {"split": "test", "image": None}})
    dump(root / "pid_splits.json", {"test": [*problems, "text"], "train": []})
    for i in range(N):
        picture(root / "test" / str(i) / "image.png")


def make_aokvqa(root: Path) -> None:
    rows = [
        {
            "question_id": f"q{i}",
            "image_id": i,
            "question": "Why?",
            "choices": ["bus", "cat"],
            "correct_choice_idx": 1,
            "direct_answers": ["cat"] * 10,
            "difficult_direct_answer": False,
        }
        for i in range(N)
    ]
    dump(root / "aokvqa_v1p0_val.json", rows)
    for i in range(N):
        picture(root / "val2017" / f"{i:012d}.jpg")


def make_nocaps(root: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.jpg", "domain": "near-domain"} for i in range(N)]
    notes = [{"image_id": i, "caption": f"a cat number {i} sits down {k}"} for i in range(N) for k in "ab"]
    dump(root / "nocaps_val_4500_captions.json", {"images": images, "annotations": notes})
    for i in range(N):
        picture(root / "val" / f"{i}.jpg")


def make_flickr30k(root: Path) -> None:
    images = [
        {"filename": f"{i}.jpg", "split": "test", "sentences": [{"raw": f"cat {i} is here today"}]} for i in range(N)
    ]
    dump(root / "dataset_flickr30k.json", {"images": [*images, {"filename": "t.jpg", "split": "train"}]})
    for i in range(N):
        picture(root / "flickr30k-images" / f"{i}.jpg")


MAKE = {
    "vqav2": make_vqav2,
    "textvqa": make_textvqa,
    "pope": make_pope,
    "mme": make_mme,
    "scienceqa": make_scienceqa,
    "aokvqa": make_aokvqa,
    "aokvqa-direct": make_aokvqa,
    "nocaps": make_nocaps,
    "flickr30k": make_flickr30k,
}
PROMPTS = {
    "vqav2": "What is 7?\nAnswer the question using a single word or phrase.",
    "textvqa": "Word 7?\nReference OCR token: CAT, X\nAnswer the question using a single word or phrase.",
    "pope": "Is there a cat in the image?\nAnswer the question using a single word or phrase.",
    "mme": "Is it?\nAnswer the question using a single word or phrase.",
    "scienceqa": "Context: Look.\nWhich?\nA. x\nB. y\nAnswer with the option's letter from the given choices directly.",
    "aokvqa": "Why?\nA. bus\nB. cat\nAnswer with the option's letter from the given choices directly.",
    "aokvqa-direct": "Why?\nAnswer the question using a single word or phrase.",
    "nocaps": "Provide a one-sentence caption for the provided image.",
    "flickr30k": "Provide a one-sentence caption for the provided image.",
}


@pytest.fixture(params=list(EVERY_BENCHMARK))
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """Each benchmark with hand-made official files, in a folder of its name."""
    MAKE[request.param](tmp_path / request.param)
    return Source(request.param, data_root=tmp_path)


def test_official_files_give_questions_with_images(real: Source) -> None:
    result = load_questions(real, "all", None)
    assert len({q.id for q in result.questions}) == len(result.questions) >= N
    assert {load_image(q.image).size for q in result.questions} == {(8, 6)}
    inner = (real.data_root or Path()) / real.benchmark
    assert load_questions(Source(real.benchmark, data_root=inner), "all", None).questions == result.questions


def test_they_run_through_the_class_of_the_embedded_ones(real: Source) -> None:
    result = load_questions(real, "all", None)
    assert type(result.benchmark) is type(EVERY_BENCHMARK[real.benchmark])
    assert result.benchmark.max_new_tokens >= 16
    assert PROMPTS[real.benchmark] in {result.benchmark.prompt(q) for q in result.questions}
    targets = [result.benchmark.target(q) for q in result.questions]
    assert all(0.5 < s <= 1.0 + 1e-9 for s in result.benchmark.scores(result.questions, targets))


def test_validation_and_test_share_no_image(real: Source) -> None:
    halves = [{q.image for q in load_questions(real, split, None).questions} for split in ("validation", "test")]
    assert all(halves) and not halves[0] & halves[1]
    assert halves[0] | halves[1] == {q.image for q in load_questions(real, "all", None).questions}


def test_a_larger_subset_begins_with_the_smaller_one(real: Source) -> None:
    small, large = (load_questions(real, "all", n).questions for n in (8, 16))
    assert large[: len(small)] == small and len(large) == 16
    assert all(Counter(q.group for q in large)[q.group] == 2 for q in large if q.group)


def test_a_missing_image_is_reported_before_anything_runs(real: Source) -> None:
    for path in (real.data_root or Path()).rglob("*.[jp][pn]g"):
        path.unlink()
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=r"cannot be used[^$]* there is no image"):
            load_questions(replace(real, skip_bad=skip_bad), "all", 5)


def test_only_the_images_of_a_subset_are_looked_for(real: Source) -> None:
    kept = {q.image for q in load_questions(real, "validation", 4).questions}
    for path in (real.data_root or Path()).rglob("*.[jp][pn]g"):
        if str(path.resolve()) not in kept:
            path.unlink()
    if real.benchmark != "mme":  # whose release tells formats only by the files
        assert {q.image for q in load_questions(real, "validation", 4).questions} == kept


def test_scenes_are_the_source_without_a_root() -> None:
    result = load_questions(Source("pope"), "validation", 21)
    assert (result.key, result.origin, len(result.questions)) == ("pope", "embedded scenes", 20)
    with pytest.raises(DataError, match="have no end"):
        load_questions(Source("pope"), "test", None)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"benchmark": "pope", "data": Path("x")},
        {"data": Path("x")},
        {"benchmark": "pope", "metric": "anls"},
        {"benchmark": "pope", "hub": True, "data_root": Path("x")},
    ],
)
def test_sources_that_contradict_themselves(fields: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Source(**fields)


def test_a_root_without_the_files(tmp_path: Path) -> None:
    for name in EVERY_BENCHMARK:
        with pytest.raises(DataError, match="found no"):
            load_questions(Source(name, data_root=tmp_path), "all", None)
        with pytest.raises(DataError, match="there is no folder"):
            load_questions(Source(name, data_root=tmp_path / "gone"), "all", None)


def many(sizes: dict[str, int]) -> list[Question]:
    return [
        Question(f"{c}-{i}-{k}", f"{c}{i}", "?", ("a",), category=c, group=f"{c}{i}")
        for c, n in sizes.items()
        for i in range(n)
        for k in "xy"
    ]


def test_subsets_are_stratified() -> None:
    chosen = subset(many({"a": 300, "b": 100, "c": 100}), "all", 100)
    assert Counter(q.category for q in chosen) == pytest.approx({"a": 60, "b": 20, "c": 20}, abs=2)


def test_an_order_does_not_depend_on_that_of_the_file() -> None:
    sample = many({"a": 30, "b": 20})
    groups = [sample[i : i + 2] for i in range(0, len(sample), 2)]
    assert ordered(sample) == ordered([q for group in reversed(groups) for q in group])


def test_an_image_stays_in_its_split_whatever_else_there_is() -> None:
    sample = many({"a": 400})
    assert splits_of(sample)[:10] == splits_of(many({"a": 5}))
    assert 0.4 < splits_of(sample).count("test") / len(sample) < 0.6


def test_questions_that_share_an_image_are_in_one_split() -> None:
    """Ten chains of five questions, linked by images that neighbors share; each question in the chain has an
    image of its own, too, so that by first images alone half of them would be elsewhere."""
    chains = [
        [Question(f"{c}-{i}", f"{c}-own-{i}", "?", ("a",), more_images=(f"{c}-{i}", f"{c}-{i + 1}")) for i in range(5)]
        for c in range(10)
    ]
    sample = [chain[i] for i in (3, 0, 4, 2, 1) for chain in chains]
    result = dict(zip((q.id for q in sample), splits_of(sample), strict=True))
    assert all(len({result[q.id] for q in chain}) == 1 for chain in chains)
    assert set(result.values()) == {"validation", "test"}
    assert shared_images(sample) == shared_images(sample[::-1])[::-1]


def test_own_questions_are_split_the_same_wherever_they_lie(tmp_path: Path) -> None:
    """By contents: under another folder and other names, and twice there, an image stays in its split."""
    rows = [{"id": i, "image": f"{i}.png", "question": "?", "answer": "a"} for i in range(12)]
    for folder, name in (("here", "{}.png"), ("there", "moved/{}.png")):
        (tmp_path / folder / "moved").mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (8, 6), (i // 2, 0, 0)).save(tmp_path / folder / name.format(i))
        lines = [json.dumps(row | {"image": name.format(row["id"])}) for row in rows]
        (tmp_path / folder / "mine.jsonl").write_text("\n".join(lines))
    here, there = (Source(data=tmp_path / name / "mine.jsonl", metric="exact_match") for name in ("here", "there"))
    halves = [
        [[q.id for q in load_questions(source, split, None).questions] for split in ("validation", "test")]
        for source in (here, there)
    ]
    assert halves[0] == halves[1] and all(halves[0])
    twins = [{str(int(i) ^ 1) for i in half} for half in halves[0]]
    assert twins == [set(half) for half in halves[0]]
    assert load_questions(here, "all", None).key == load_questions(there, "all", None).key


def test_whole_groups() -> None:
    sample = many({"a": 3})
    assert [len(whole_groups(sample, n)) for n in (1, 2, 3, 4, 5, 9)] == [2, 2, 2, 4, 4, 6]
    with pytest.raises(ValueError, match="subset of 0"):
        whole_groups(sample, 0)


class Rows(list[dict[str, Any]]):
    """What this project uses of a `datasets.Dataset`."""

    column_names = ("image", "question")
    read = 0

    def remove_columns(self, names: list[str]) -> list[dict[str, Any]]:
        return [{k: v for k, v in super(Rows, self).__getitem__(i).items() if k not in names} for i in range(len(self))]

    def __getitem__(self, index: Any) -> Any:
        Rows.read += 1
        return super().__getitem__(index)


def test_the_hub_gives_the_same_questions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a stand-in for `datasets`; images of the chosen questions alone are read, and kept as files."""
    rows = Rows(
        {
            "question_id": str(2 * i + j),
            "question": f"Is there a {w}?",
            "answer": a,
            "category": "random",
            "image_source": f"x{i}",
            "image": Image.new("RGB", (8, 6)),
        }
        for i in range(20)
        for j, (w, a) in enumerate([("cat", "yes"), ("dog", "no")])
    )
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda *_, **__: rows))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    hub._dataset.cache_clear()
    hub.hub_questions.cache_clear()
    result = load_questions(Source("pope", hub=True), "test", 6)
    assert len(result.questions) == 6 == Rows.read
    assert {load_image(q.image).size for q in result.questions} == {(8, 6)}
    assert all(tmp_path in Path(q.image).parents for q in result.questions)
    assert load_questions(Source("pope", hub=True), "test", 6).questions == result.questions
    assert Rows.read == 6
    rows._fingerprint = "of a later revision"  # type: ignore[attr-defined]
    later = load_questions(Source("pope", hub=True), "test", 6).questions
    assert Rows.read == 12 and not {q.image for q in later} & {q.image for q in result.questions}
    hub._dataset.cache_clear()
    hub.hub_questions.cache_clear()


def test_without_datasets_or_a_network_the_hub_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    hub._dataset.cache_clear()
    hub.hub_questions.cache_clear()
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=unreachable))
    with pytest.raises(DataError, match=r"cannot load lmms-lab/MME from the hub \(no route\)"):
        load_questions(Source("mme", hub=True), "test", 6)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="pip install datasets"):
        load_questions(Source("mme", hub=True), "test", 6)


def test_a_digest_tells_other_questions_from_embedded_ones(tmp_path: Path) -> None:
    make_pope(tmp_path / "pope")
    scenes = load_questions(Source("pope"), "validation", 2)
    files = load_questions(Source("pope", data_root=tmp_path), "all", 2)
    assert (scenes.key, scenes.digest) == ("pope", "")
    assert files.key == f"pope@{files.digest}" and len(files.digest) == 8
