"""The user's own questions: what is taken, and what is said of every kind of bad row."""

from __future__ import annotations

import io
import json
import math
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from objectives.benchmarks import Question
from objectives.benchmarks.custom import METRICS, OwnBenchmark, anls, metric
from objectives.benchmarks.rules.free_number import read_number
from objectives.data.images import image_size, load_image
from objectives.data.own_file import BadRowsError, read_own
from objectives.data.source import Source, load_questions
from objectives.errors import DataError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "questions.jsonl"
GOOD = {"id": "1", "image": "a.png", "question": "What is it?", "answer": "cat"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data root with a good image, a truncated one, a bomb, and one outside."""
    root = tmp_path / "root"
    root.mkdir()
    Image.new("RGB", (8, 6), "red").save(root / "a.png")
    noise = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(noise, "JPEG")
    (root / "cut.jpg").write_bytes(noise.getvalue()[: len(noise.getvalue()) // 2])
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"0" * 99)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    (root / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    (root / "text.png").write_text("no image")
    Image.new("1", (5000, 5000)).save(root / "large.png")
    Image.new("RGB", (8, 6)).save(tmp_path / "outside.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    return root


def write(folder: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path = folder / "questions.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.mark.parametrize(
    ("row", "name", "problem"),
    [
        (b"nonsense", "exact_match", "not JSON"),
        (b'{"id": "2"', "exact_match", "not JSON"),
        (b"[1]", "exact_match", "got a list; expected a JSON object"),
        (b'{"id": "\xff"}', "exact_match", "not UTF-8"),
        (b"[" * 5000, "exact_match", "nested too deeply"),
        ({k: v for k, v in GOOD.items() if k != "id"}, "exact_match", "lacks 'id'"),
        ({k: v for k, v in GOOD.items() if k != "image"}, "exact_match", "lacks 'image'"),
        ({k: v for k, v in GOOD.items() if k != "question"}, "exact_match", "lacks 'question'"),
        ({k: v for k, v in GOOD.items() if k != "answer"}, "exact_match", "lacks 'answer'"),
        (GOOD | {"answers": ["cat"]}, "exact_match", "has both 'answer' and 'answers'"),
        (GOOD | {"question": "  "}, "exact_match", "'question' is empty"),
        (GOOD | {"question": 5}, "exact_match", "'question' is a number; expected text"),
        (GOOD | {"answer": None}, "exact_match", "'answer' is null; expected text"),
        (GOOD | {"answer": True}, "exact_match", "'answer' is a truth value"),
        (GOOD | {"image": []}, "exact_match", "'image' is empty"),
        (GOOD | {"id": "\ud800"}, "exact_match", "half a character"),
        (GOOD | {"image": "gone.png"}, "exact_match", "there is no image"),
        (GOOD | {"image": "cut.jpg"}, "exact_match", "truncated"),
        (GOOD | {"image": "bomb.png"}, "exact_match", "too large"),
        (GOOD | {"image": "text.png"}, "exact_match", "is not an image"),
        (GOOD | {"image": "."}, "exact_match", "there is no image"),
        (GOOD | {"image": "../outside.png"}, "exact_match", "outside the data root"),
        (GOOD | {"image": "/etc/passwd"}, "exact_match", "outside the data root"),
        (GOOD | {"image": "link.png"}, "exact_match", "outside the data root"),
        (GOOD | {"image": "a\0b"}, "exact_match", "is no path"),
        (GOOD | {"choices": ["dog", "bus"]}, "exact_match", "'cat' is not among the choices dog, bus"),
        (GOOD | {"choices": ["dog", "bus"]}, "multiple_choice", "'cat' is not among the choices dog, bus"),
        (GOOD | {"choices": ["cat", "cat"]}, "multiple_choice", "2 to 26 different ones"),
        (GOOD | {"choices": ["cat", " Cat"]}, "multiple_choice", "2 to 26 different ones"),
        (GOOD | {"answer": math.nan}, "exact_match", "'answer' holds nan, which is no number"),
        (GOOD | {"answer": math.inf}, "number", "'answer' holds inf, which is no number"),
        ({**GOOD, "answer": math.nan} | {"choices": ["a", -math.inf]}, "vqa", "'answer' holds nan"),
        (GOOD | {"id": math.nan}, "exact_match", "'id' holds nan"),
        (GOOD | {"choices": ["one", "two", math.nan]}, "multiple_choice", "'choices' holds nan"),
        (GOOD | {"category": math.nan}, "exact_match", "'category' holds nan"),
        (GOOD | {"question": math.nan}, "exact_match", "'question' is a number; expected text"),
        (GOOD | {"image": math.nan}, "exact_match", "'image' is a number; expected text"),
        (b'{"id": 1e999, "image": "a.png", "question": "?", "answer": "a"}', "exact_match", "'id' holds inf"),
        (GOOD | {"answer": None}, "exact_match", "'answer' is null; expected text"),
        (GOOD | {"answer": True}, "yes_no", "'answer' is a truth value; expected text"),
        (GOOD | {"answer": 1}, "yes_no", "expected yes or no"),
        (GOOD | {"answer": "nan"}, "number", "got answer 'nan'; expected a number"),
        (GOOD | {"question": "a" * 100_001}, "exact_match", "'question' has 100,001 letters; expected at most 100,000"),
        (GOOD | {"image": ["a.png"] * 65}, "exact_match", "got 65 images; expected at most 64"),
        (GOOD | {"image": ["large.png"] * 5}, "exact_match", "its images have 125,000,000 pixels together; at most"),
        (b'{"id": "1", "id": "2"}', "exact_match", "the field 'id' stands twice"),
        (GOOD | {"image": "gone\n\x1b[2J.png"}, "exact_match", "there is no image"),
        (GOOD | {"answer": "z" * 99_999, "choices": ["dog", "bus"]}, "exact_match", "among the choices dog, bus"),
        (GOOD | {"image": "z" * 5000}, "exact_match", "too long"),
        (GOOD, "multiple_choice", "lacks 'choices'"),
        (GOOD, "yes_no", "expected yes or no"),
        (GOOD, "number", "expected a number"),
    ],
)
def test_bad_rows(folder: Path, row: Any, name: str, problem: str) -> None:
    questions, bad = read_own(write(folder, row), name)
    assert questions == []
    assert [item.line for item in bad] == [1]
    assert problem in bad[0].problem and bad[0].problem.isprintable() and len(bad[0].problem) <= 305


def test_a_duplicate_id_is_the_second_ones_fault(folder: Path) -> None:
    questions, bad = read_own(write(folder, GOOD, GOOD | {"question": "And?"}, GOOD | {"id": 1}), "exact_match")
    assert [q.text for q in questions] == ["What is it?"]
    assert [item.line for item in bad] == [2, 3]
    assert "id '1' was there before" in bad[0].problem


def test_all_bad_rows_are_reported_at_once_the_first_twenty_in_full(folder: Path) -> None:
    path = write(folder, GOOD, *[b"x"] * 25)
    with pytest.raises(BadRowsError) as raised:
        load_questions(Source(data=path, metric="exact_match"), "all", None)
    message = str(raised.value).splitlines()
    assert "25 of 26 rows" in message[0] and "--on-bad skip" in message[0]
    assert len(message) == 22 and message[1].startswith("  line 2: not JSON") and message[-1] == "  and 5 more"
    assert len(raised.value.bad) == 25


def test_skipping_reads_on_and_keeps_the_bad_rows(folder: Path) -> None:
    source = Source(data=write(folder, b"x", GOOD, b"y"), metric="exact_match", skip_bad=True)
    result = load_questions(source, "all", None)
    assert [q.id for q in result.questions] == ["1"]
    assert [item.line for item in result.skipped] == [1, 3]


def test_nothing_left_is_an_error_also_when_skipping(folder: Path) -> None:
    with pytest.raises(BadRowsError):
        load_questions(Source(data=write(folder, b"x"), metric="exact_match", skip_bad=True), "all", None)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file(folder: Path, content: bytes) -> None:
    (folder / "questions.jsonl").write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        read_own(folder / "questions.jsonl", "exact_match")


def test_files_and_folders_that_are_not_there(folder: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_own(folder / "gone.jsonl", "exact_match")
    with pytest.raises(DataError, match="there is no folder"):
        read_own(write(folder, GOOD), "exact_match", folder / "gone")


def test_good_rows_in_all_their_forms(folder: Path) -> None:
    rows = [
        GOOD | {"id": 7, "answer": 3.5, "image": ["a.png", "a.png"], "category": "x", "more": {}},
        {"id": "b", "image": str(folder / "a.png"), "question": "?", "answers": ["one", 1]},
        GOOD | {"id": "c", "choices": ["dog", "cat"]},
    ]
    (first, second, third), bad = read_own(write(folder, *rows, b"\r"), "exact_match")
    assert not bad
    assert (first.id, first.answers, first.category, len(first.images)) == ("7", ("3.5",), "x", 2)
    assert second.answers == ("one", "1") and third.choices == ("dog", "cat")
    assert load_image(first.image).size == image_size(first.image) == (8, 6)


def test_the_text_nan_is_a_text(folder: Path) -> None:
    row = GOOD | {"id": "nan", "answer": "nan", "choices": ["nan", "inf"], "category": "nan"}
    ((question,), bad) = read_own(write(folder, row), "exact_match")
    assert (question.id, question.answers, question.choices, bad) == ("nan", ("nan",), ("nan", "inf"), [])


@pytest.mark.parametrize(
    ("number", "text"), [(5.0, "5"), (-0.0, "0"), (1e15, "1000000000000000"), (2.5, "2.5"), (1e16, "1e+16"), (5, "5")]
)
def test_a_whole_number_has_no_decimals(folder: Path, number: float, text: str) -> None:
    """A table with gaps writes 5 as 5.0, which no model answers."""
    (question,), _ = read_own(write(folder, GOOD | {"answer": number, "choices": [number, 7]}), "exact_match")
    assert (question.answers, question.choices) == ((text,), (text, "7"))
    _, bad = read_own(write(folder, GOOD | {"id": 1.0}, GOOD | {"id": 1}), "exact_match")
    assert "id '1' was there before" in bad[0].problem


def test_a_byte_order_mark_is_no_fault(folder: Path) -> None:
    assert read_own(write(folder, b"\xef\xbb\xbf" + json.dumps(GOOD).encode()), "exact_match")[1] == []


def scored(name: str, answer: str, *truths: str, choices: tuple[str, ...] = (), folder: Path) -> float:
    row = {"id": "1", "image": "a.png", "question": "?", "answers": list(truths)} | (
        {"choices": list(choices)} if choices else {}
    )
    (question,), bad = read_own(write(folder, row), name)
    assert not bad
    return OwnBenchmark("mine", "Mine", metric(name)).score(question, answer)


@pytest.mark.parametrize(
    ("name", "answer", "truths", "score"),
    [
        ("exact_match", " CAT. ", ("cat",), 1),
        ("exact_match", "a cat", ("cat",), 0),
        ("exact_match", "dog", ("cat", "dog"), 1),
        ("exact_match", "Cafe\u0301", ("caf\u00e9",), 1),
        ("anls", "Cafe\u0301", ("caf\u00e9",), 1),
        ("vqa_accuracy", "The cat", ("cat",), 1),
        ("vqa_accuracy", "cat", ("cat", "dog", "dog"), 1 / 3),
        ("vqa_accuracy", "Two", (*["two"] * 3, *["3"] * 7), 0.9),
        ("yes_no", "Yes, it is.", ("yes",), 1),
        ("yes_no", "I think no", ("no",), 1),
        ("yes_no", "nothing", ("no",), 0),
        ("number", "about 104 km", ("100",), 1),
        ("number", "106", ("100",), 0),
        ("number", "-1,050.5", ("-1050.5",), 1),
        ("number", "none", ("100",), 0),
        ("number=0.1", "109", ("100",), 1),
        ("anls", "Hello World", ("hello world",), 1),
        ("anls", "hello", ("hallo", "bye"), 0.8),
        ("anls", "xyz", ("hello",), 0),
        ("Exact-Match", "cat", ("cat",), 1),
    ],
)
def test_metrics(folder: Path, name: str, answer: str, truths: tuple[str, ...], score: float) -> None:
    assert scored(name, answer, *truths, folder=folder) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("B", 1),
        ("b", 1),
        ("(B) cat", 1),
        ("B. cat", 1),
        ("cat", 1),
        ("Cat.", 1),
        ("The answer is B.", 1),
        ("A", 0),
        ("Because", 0),
        ("dog", 0),
        ("", 0),
        ("E", 0),
    ],
)
@pytest.mark.parametrize("truth", ["cat", "B"])
def test_multiple_choice(folder: Path, truth: str, answer: str, score: float) -> None:
    assert scored("multiple_choice", answer, truth, choices=("dog", "cat", "bus"), folder=folder) == score


def test_cider_scores_the_set(folder: Path) -> None:
    rows = [
        {"id": "1", "image": "a.png", "answers": ["a red star", "the star"]},
        {"id": "2", "image": "a.png", "answer": "two dogs run far"},
    ]
    result = load_questions(Source(data=write(folder, *rows), metric="cider"), "all", None)
    answers = ["two dogs run far" if q.id == "2" else "nothing" for q in result.questions]
    assert sorted(result.benchmark.scores(result.questions, answers)) == pytest.approx([0, 1])
    assert result.benchmark.metrics(result.questions, answers)["cider"] == pytest.approx(500)
    assert result.benchmark.prompt(result.questions[0]).startswith("Provide a one-sentence caption")


@pytest.mark.parametrize("name", ["accuracy", "", "number=x", "number=-1", "anls=3"])
def test_unknown_metrics(name: str) -> None:
    with pytest.raises(DataError, match="metric"):
        metric(name)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,200 km", 1200), ("3, 4", None), ("-.5", -0.5), ("1e3", 1000), ("12%", 12), ("none", 0), ("1e999", None)],
)
def test_numbers_in_texts(text: str, value: float | None) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [("", "", 1), ("", "a", 0), ("kitten", "sitting", 4 / 7), ("ab", "ac", 0.5), ("abc", "axy", 0), ("ä☃", "Ä☃", 1)],
)
def test_anls_is_the_similarity_from_one_half_up(one: str, other: str, value: float) -> None:
    question = Question("1", "", "", ("zzzzzz", other))
    assert anls(question, one) == pytest.approx(value)


@pytest.mark.parametrize("name", METRICS)
def test_the_shipped_example_is_clean(name: str) -> None:
    if name in ("exact_match", "vqa_accuracy", "anls", "cider"):
        questions, bad = read_own(EXAMPLE, name)
        assert len(questions) == 10 and not bad
    else:  # its answers are no choices, truths or numbers alone
        assert read_own(EXAMPLE, name)[1]


_FIELDS = st.sampled_from(["id", "image", "question", "answer", "answers", "choices", "category"])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a.png", "../outside.png", "cut.jpg", "yes", "A", "cat", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
_ROWS = st.dictionaries(_FIELDS, _VALUES).map(lambda row: json.dumps(GOOD | row).encode())
_LINES = _ROWS | st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(_LINES, min_size=10, max_size=10), st.sampled_from(list(METRICS)))
def test_two_thousand_fuzzed_lines_end_in_rows_or_in_reasons(lines: list[bytes], name: str) -> None:
    """Whatever stands there, it is a question, a bad row with one line of reason, or an empty file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        Image.new("RGB", (4, 4)).save(folder / "a.png")
        path = write(folder, *lines)
        try:
            questions, bad = read_own(path, name)
        except DataError as error:
            assert "is empty" in str(error)
            return
    rows = [line for line in path_lines(lines) if line.strip()]
    assert len(questions) + len(bad) == len(rows)
    assert all(item.problem and "\n" not in item.problem for item in bad)
    if questions:
        own = OwnBenchmark("mine", "Mine", metric(name))
        answers = [own.target(q) for q in questions]
        assert all(0 <= value <= 1 + 1e-9 for value in own.scores(questions, answers))
        assert all(isinstance(own.prompt(q), str) for q in questions)


def path_lines(lines: list[bytes]) -> list[bytes]:
    """The lines as the file has them: a fuzzed one may hold several."""
    return b"\n".join(lines).removeprefix(b"\xef\xbb\xbf").split(b"\n")
