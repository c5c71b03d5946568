"""The same questions in every form that people have, and what is said of broken rows of each."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from objectives.benchmarks import Question
from objectives.data.images import load_image
from objectives.data.own_file import read_own
from objectives.data.source import Source, load_questions
from objectives.errors import DataError

COLORS = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with an image of each color; the cache is beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "root"
    root.mkdir()
    for color in COLORS:
        (root / f"{color}.png").write_bytes(png(color))
    return root


def png(color: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), color).save(file, "PNG")
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of few bytes whose header states 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"0" * 99)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rows() -> list[dict[str, Any]]:
    return [
        {"id": str(i), "image": f"{color}.png", "question": 'Which\ncolor, "exactly"?', "answer": color}
        | {"choices": list(COLORS), "category": "colors"}
        for i, color in enumerate(COLORS, 1)
    ]


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def json_lines(root: Path, given: list[dict[str, Any]]) -> Path:
    return text(root / "q.jsonl", "\n".join(map(json.dumps, given)))


def json_list(root: Path, given: list[dict[str, Any]]) -> Path:
    return text(root / "q.json", json.dumps(given))


def uris(root: Path, given: list[dict[str, Any]]) -> Path:
    return json_lines(root, [r | {"image": f"data:image/png;base64,{coded(png(r['answer']))}"} for r in given])


def comma_separated(root: Path, given: list[dict[str, Any]]) -> Path:
    return table(root / "q.csv", [r | {"choices": json.dumps(r["choices"])} for r in given], ",")


def semicolons(root: Path, given: list[dict[str, Any]]) -> Path:
    return table(root / "q.csv", [r | {"choices": json.dumps(r["choices"])} for r in given], ";")


def vlmevalkit(root: Path, given: list[dict[str, Any]]) -> Path:
    keys = dict(zip(COLORS, "ABC", strict=True))
    records = [
        {"index": r["id"], "image": coded(png(r["answer"])), "question": r["question"]}
        | dict(zip("ABC", r["choices"], strict=True))
        | {"answer": keys[r["answer"]], "category": r["category"], "l2-category": "unread"}
        for r in given
    ]
    return table(root / "q.tsv", records, "\t")


def llava(root: Path, given: list[dict[str, Any]]) -> Path:
    options = "".join(f"\n{letter}. {color}" for letter, color in zip("ABC", COLORS, strict=True))
    suffix = "\nAnswer with the option's letter from the given choices directly."
    items = [
        {"id": r["id"], "image": r["image"], "category": r["category"]}
        | {
            "conversations": [
                {"from": "human", "value": f"<image>\n{r['question']}{options}{suffix}"},
                {"from": "gpt", "value": r["answer"]},
            ]
        }
        for r in given
    ]
    return json_list(root, items)


def parquet_file(root: Path, given: list[dict[str, Any]]) -> Path:
    path = root / "q.parquet"
    parquet.write_table(pa.Table.from_pylist([embedded(r) for r in given]), path)
    return path


def saved(root: Path, given: list[dict[str, Any]]) -> Path:
    """The layout of `datasets.Dataset.save_to_disk`; its answers are numbers of classes."""
    folder = root / "saved"
    folder.mkdir()
    features = {"answer": {"names": list(COLORS), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    records = pa.Table.from_pylist([embedded(r) | {"answer": COLORS.index(r["answer"])} for r in given])
    records = records.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, records.schema) as s,
    ):
        s.write_table(records)
    text(folder / "state.json", json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    text(folder / "dataset_info.json", json.dumps({"features": features}))
    return folder


def embedded(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"image": {"bytes": png(row["answer"]), "path": None}, "unread": b"x"}


def table(path: Path, records: list[dict[str, Any]], delimiter: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


FORMS = [json_lines, json_list, uris, comma_separated, semicolons, vlmevalkit, llava, parquet_file, saved]


def without_paths(questions: list[Question]) -> list[Question]:
    return [replace(q, image="") for q in questions]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_questions(root: Path, form: Callable[[Path, Any], Path]) -> None:
    expected, _ = read_own(json_lines(root, rows()), "multiple_choice")
    path = form(root, rows())
    questions, bad = read_own(path, "multiple_choice", root)
    assert (without_paths(questions), bad) == (without_paths(expected), [])
    assert [load_image(q.image).getpixel((0, 0)) for q in questions] == [
        load_image(q.image).getpixel((0, 0)) for q in expected
    ]
    digest = load_questions(Source(data=path, metric="multiple_choice", data_root=root), "all", None).digest
    (root / "again").mkdir()
    lines = json_lines(root / "again", rows())
    assert digest == load_questions(Source(data=lines, metric="multiple_choice", data_root=root), "all", None).digest


BROKEN = [
    ("gone.png", "there is no image"),
    ("../outside.png", "outside the data root"),
    ("/etc/passwd", "outside the data root"),
    ("data:image/png;base64,iVBO*", "broken base64"),
    (f"data:image/png;base64,{coded(bomb())}", "too large"),
    (f"data:image/png;base64,{coded(b'no image')}", "is not an image"),
]


@pytest.mark.parametrize("form", [json_lines, json_list, comma_separated, llava])
@pytest.mark.parametrize(("image", "problem"), BROKEN)
def test_a_broken_image_is_refused_with_its_number(root: Path, form: Any, image: str, problem: str) -> None:
    given = rows()
    given[1]["image"] = image
    questions, (bad,) = read_own(form(root, given), "multiple_choice")
    assert [q.id for q in questions] == ["1", "3"]
    assert problem in bad.problem
    # the quoted question has a line break, so that the second record of the table starts at its fourth line
    assert (bad.word, bad.line) == {"q.jsonl": ("line", 2), "q.json": ("entry", 2), "q.csv": ("line", 4)}[
        form(root, given).name
    ]


@pytest.mark.parametrize(
    ("content", "problem"), [(bomb(), "too large"), (png("red")[:50], "truncated"), (b"no image", "is not an image")]
)
def test_a_broken_image_inside_a_file_is_refused_and_not_kept(root: Path, content: bytes, problem: str) -> None:
    record = rows()[0] | {"image": {"bytes": content, "path": None}}
    parquet.write_table(pa.Table.from_pylist([record, embedded(rows()[1])]), root / "q.parquet")
    questions, (bad,) = read_own(root / "q.parquet", "exact_match")
    assert (bad.word, bad.line, len(questions)) == ("row", 1, 1) and problem in bad.problem
    assert len([path for path in (root.parent / "cache").rglob("*") if path.is_file()]) == 1


def test_base64_of_a_table(root: Path) -> None:
    """Broken base64 is refused; an index stands for the image of a former row."""
    good = coded(png("red"))
    records = [
        {"index": "a", "image": good, "question": "?", "answer": "red"},
        {"index": "b", "image": "a", "question": "?", "answer": "red"},
        {"index": "c", "image": good[:-3], "question": "?", "answer": "red"},
        {"index": "d", "image": f"{good[:40]}*{good[40:]}", "question": "?", "answer": "red"},
        {"index": "e", "image": coded(bomb()), "question": "?", "answer": "red"},
        {"index": "f", "image": f"['{good}', 'green.png']", "question": "?", "answer": "red"},
    ]
    questions, bad = read_own(table(root / "q.tsv", records, "\t"), "exact_match")
    assert [(q.id, len(q.images)) for q in questions] == [("a", 1), ("b", 1), ("f", 2)]
    assert questions[0].image == questions[1].image == questions[2].image
    assert [b.line for b in bad] == [4, 5, 6]
    assert "broken base64" in bad[0].problem and "broken base64" in bad[1].problem and "too large" in bad[2].problem


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1,red.png,?", "got 3 columns; expected 4"),
        ('1,red.png,"?"x,red', "not a record of the table"),
        ('1,"red.png,?,red', "not a record of the table: unexpected end"),
        (",red.png,?,", "lacks 'answer'"),
        ('1,"[red.png",?,red', "'image' is no list"),
        ("1,red.png,\udcff,red", "not UTF-8"),
    ],
)
def test_a_broken_record_of_a_table(root: Path, line: str, problem: str) -> None:
    content = f"id,image,question,answer\n{line}".encode("utf-8", "surrogateescape")
    (root / "q.csv").write_bytes(content)
    questions, (bad,) = read_own(root / "q.csv", "exact_match")
    assert (questions, bad.line) == ([], 2) and problem in bad.problem


def test_a_table_without_ids_numbers_its_lines(root: Path) -> None:
    path = text(root / "q.csv", "image,question,answer\nred.png,?,red\n\nblue.png,?,blue\n")
    assert [q.id for q in read_own(path, "exact_match")[0]] == ["2", "4"]


def test_a_conversation_is_a_question_a_turn(root: Path) -> None:
    """Each is asked alone; one that is broken refuses the whole conversation, whose number is the entry's."""
    turns = [("<image>\nWhat?\nAnswer the question using a single word or phrase.", "red"), ("Really?", "yes")]
    item = {
        "id": 7,
        "image": "red.png",
        "conversations": [
            {"from": speaker, "value": value}
            for pair in turns
            for speaker, value in zip(("human", "gpt"), pair, strict=True)
        ],
    }
    empty = item | {"id": 8, "conversations": [*item["conversations"][:3], {"from": "gpt", "value": " "}]}  # type: ignore[index]
    odd = item | {"id": 9, "conversations": item["conversations"][1:]}  # type: ignore[index]
    two = item | {"id": 10, "image": ["red.png", "blue.png"]}
    questions, bad = read_own(json_list(root, [item, empty, odd, two]), "exact_match")
    assert [(q.id, q.text, q.answers) for q in questions] == [("7-1", "What?", ("red",)), ("7-2", "Really?", ("yes",))]
    assert [(b.word, b.line) for b in bad] == [("entry", 2), ("entry", 3), ("entry", 4)]
    assert "'answer' is empty" in bad[0].problem and "alternation" in bad[1].problem and "1 times" in bad[2].problem


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("q.parquet", b"PAR1 no", "expected a Parquet file"),
        ("q.json", b"[1, 2", "is not JSON"),
        ("q.json", b"[]", "is empty"),
        ("q.csv", b"", "is empty"),
        ("q.csv", b"a,b\n1,2\n", "has the columns a, b"),
        ("q.csv", b"id,image,image\n", "two columns of one name"),
        ("saved/state.json", b"{}", "expected a folder that datasets saved"),
        (
            "saved/state.json",
            b'{"_data_files": [{"filename": "../../x.arrow"}]}',
            "expected a folder that datasets saved",
        ),
        ("saved/dataset_dict.json", b"{}", "holds several splits"),
        ("saved/other", b"", "expected a folder that datasets saved"),
    ],
)
def test_files_of_no_form(root: Path, name: str, content: bytes, problem: str) -> None:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_own(root / name.partition("/")[0], "exact_match")


def test_parquet_that_unpacks_to_gigabytes_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectives.data.own_arrow._MOST_UNPACKED", 1000)
    with pytest.raises(DataError, match="at most 1,000 are read"):
        read_own(parquet_file(root, rows() * 9), "exact_match")


def test_rows_that_were_left_out_before_are_not_read(root: Path) -> None:
    questions, bad = read_own(parquet_file(root, rows()), "exact_match", left_out={2})
    assert ([q.id for q in questions], bad) == (["1", "3"], [])
