"""The forms in which people have questions: JSON lines, a JSON list, LLaVA's conversations, and tables as text.

Every form becomes rows with the fields of `own_file`, which checks them. An item of a file, such as a line, is one
row, or one for each turn of a conversation.
"""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import io
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from himap.files import read_bounded
from objectives.benchmarks.base import OPTION_LETTER, SHORT_ANSWER
from objectives.data.own_arrow import arrow_records, parquet_records
from objectives.errors import DataError
from objectives.json_files import parse

Row = dict[str, Any]  # a text in `image` is a path, bytes are those of an image file
FORMS = "JSON lines, a .json list, .csv, .tsv, .parquet or a saved datasets folder"
MEDIA = ("image", "image_path", "video")
COLUMNS = (*MEDIA, "id", "index", "question", "hint", "answer", "answers", "choices", "category")
_LETTERS = string.ascii_uppercase  # columns of options
_MOST_TABLE = 2**31  # bytes of a table as text, whose images may stand in it
_MOST_FIELD = 2**27  # letters of a field
_LONGEST_NAME = 64  # letters; VLMEvalKit's limit between the index of a row and an image in base64
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,")
_MAGIC = ("/9j/", "iVBOR", "R0lGOD", "UklGR", "SUkq", "TU0A")  # how JPEG, PNG, GIF, WebP and TIFF begin in base64
_PLACEHOLDER = re.compile(r"\s*<(?:image|video)>\s*")
_OPTION = re.compile(r"([A-Z])\. (\S.*)")


class RefusedRowError(Exception):
    """The reason why a row cannot be used."""


def read_items(path: Path) -> tuple[str, Iterator[tuple[int, list[Row] | RefusedRowError]]]:
    """Return what an item of the file is called, and each item's number with its rows, or why it has none.

    Raises:
        DataError: the file cannot be read, or has none of the forms; also while the items are read.
    """
    if path.is_dir():
        return "row", _numbered(_table_rows(arrow_records(path, _wanted)))
    if path.suffix.lower() == ".parquet":
        return "row", _numbered(_table_rows(parquet_records(path, _wanted)))
    if path.suffix.lower() in (".csv", ".tsv"):
        content = _content(path, _MOST_TABLE)
        return "line", _with_references(_table(path, content))
    content = _content(path)
    if path.suffix.lower() == ".json" and content.lstrip().startswith(b"["):
        return "entry", _list(path, content)
    return "line", ((n, _line(line)) for n, line in enumerate(content.split(b"\n"), 1) if line.strip())


def _content(path: Path, most: int | None = None) -> bytes:
    try:
        content = read_bounded(path) if most is None else read_bounded(path, most)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); expected {FORMS}") from None
    return content.removeprefix(b"\xef\xbb\xbf")


def _wanted(column: str) -> bool:
    return column in COLUMNS or column in _LETTERS


def _line(line: bytes) -> list[Row] | RefusedRowError:
    try:
        return _object_rows(parse(line.decode()))
    except UnicodeDecodeError as error:
        return RefusedRowError(f"not UTF-8 text (byte {error.start})")
    except ValueError as error:
        return RefusedRowError(f"not JSON: {error}")
    except RefusedRowError as refused:
        return refused


def _list(path: Path, content: bytes) -> Iterator[tuple[int, list[Row] | RefusedRowError]]:
    try:
        values = parse(content.decode())
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    for number, value in enumerate(values, 1):
        try:
            yield number, _object_rows(value)
        except RefusedRowError as refused:
            yield number, refused


def _object_rows(row: Any) -> list[Row]:
    if not isinstance(row, dict):
        raise RefusedRowError(f"got {kind(row)}; expected a JSON object")
    if "conversations" in row:
        return _turns(row)
    return [row | {"image": _embedded(row["image"])} if "image" in row else row]


def _embedded(image: Any) -> Any:
    """Return images that are written as data URIs as bytes; paths stay."""
    if isinstance(image, list):
        return [_embedded(one) for one in image]
    start = _DATA_URI.match(image) if isinstance(image, str) else None
    return _decoded(image[start.end() :]) if start else image


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedRowError(f"'image' is broken base64 ({error})") from None


def _turns(item: Mapping[str, Any]) -> list[Row]:
    """Return a row for each question of LLaVA's conversation, which is asked without the turns before it."""
    turns = item["conversations"]
    texts = [str(turn["value"]) for turn in turns if _is_turn(turn)] if isinstance(turns, list) else []
    if not texts or len(texts) < len(turns) or [turn["from"] for turn in turns] != ["human", "gpt"] * (len(turns) // 2):
        raise RefusedRowError("'conversations' does not hold turns of human and gpt in alternation, each with a value")
    images = item.get("image")
    named = len(images) if isinstance(images, list) else int(images is not None)
    if (shown := sum(text.count("<image>") for text in texts)) != named:
        raise RefusedRowError(f"its turns hold {shown} times <image>; expected {named}, one for each image")
    if (shown := sum(text.count("<video>") for text in texts)) != (named := int(item.get("video") is not None)):
        raise RefusedRowError(f"its turns hold {shown} times <video>; expected {named}")
    shared = {name: item[name] for name in ("id", "category", "video") if name in item}
    if images is not None:
        shared["image"] = _embedded(images)
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    if len(pairs) > 1 and isinstance(item.get("id"), str | int):
        return [
            shared | {"id": f"{item['id']}-{number}", "answer": answer.strip()} | _asked(question)
            for number, (question, answer) in enumerate(pairs, 1)
        ]
    return [shared | {"answer": answer.strip()} | _asked(question) for question, answer in pairs]


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and "from" in turn and isinstance(turn.get("value"), str)


def _asked(text: str) -> Row:
    """Return the question of a turn without what a metric adds to it, and its options where it ends with them."""
    text = _PLACEHOLDER.sub("\n", text).strip()
    for instruction in (SHORT_ANSWER, OPTION_LETTER):
        text = text.removesuffix(instruction).rstrip()
    lines = text.split("\n")
    options: list[str] = []
    while len(lines) > 1 and _OPTION.fullmatch(lines[-1].strip()):
        options.insert(0, lines.pop())
    found = [_OPTION.fullmatch(line.strip()) for line in options]
    if len(found) < 2 or [match[1] for match in found if match] != list(_LETTERS[: len(found)]):
        return {"question": text}
    return {"question": "\n".join(lines), "choices": [match[2] for match in found if match]}


def _table(path: Path, content: bytes) -> Iterator[tuple[int, Row | RefusedRowError]]:
    """Read a table whose first line names its columns, with the number of the line at which each record starts."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", errors="surrogateescape", newline="")
    first = content.split(b"\n", 1)[0]
    delimiter = "\t" if b"\t" in first else ";" if b";" in first and b"," not in first else ","
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    before = csv.field_size_limit(_MOST_FIELD)  # of the process; images in base64 exceed the default
    try:
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) < len(names):
            raise DataError(
                f"{path} has two columns of one name; expected {', '.join(dict.fromkeys(names))[:200]} once each"
            )
        if names and not {"question", "answer", "answers", *MEDIA} & set(names):
            raise DataError(f"{path} has the columns {', '.join(names)[:200]}; expected question, answer and image")
        while True:
            start = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield start, RefusedRowError(f"not a record of the table: {error}")
                continue
            if any(cells):
                yield start, _record(names, cells)
    except csv.Error as error:
        raise DataError(f"{path} has no line with the names of its columns ({error})") from None
    finally:
        csv.field_size_limit(before)


def _record(names: list[str], cells: list[str]) -> Row | RefusedRowError:
    if len(cells) != len(names):
        return RefusedRowError(f"got {len(cells)} columns; expected {len(names)} as in the first line")
    if any("\udc80" <= letter <= "\udcff" for cell in cells if not cell.isascii() for letter in cell):
        return RefusedRowError("not UTF-8 text")
    return {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip() and _wanted(name)}


def _with_references(
    records: Iterator[tuple[int, Row | RefusedRowError]],
) -> Iterator[tuple[int, list[Row] | RefusedRowError]]:
    """Turn records into rows; an image may be the index of a former row that holds it, as in VLMEvalKit."""
    images: dict[str, Any] = {}
    for number, record in records:
        try:
            if isinstance(record, RefusedRowError):
                raise record
            row = _table_row(record, number)
            image = row.get("image")
            if isinstance(image, str) and image in images:
                row["image"] = images[image]
            elif isinstance(image, bytes) and "index" in record:
                images[row["id"]] = image
            yield number, [row]
        except RefusedRowError as refused:
            yield number, refused


def _table_rows(records: Iterator[Row]) -> Iterator[list[Row] | RefusedRowError]:
    for number, record in enumerate(records, 1):
        try:
            yield [_table_row({name: value for name, value in record.items() if value is not None}, number)]
        except RefusedRowError as refused:
            yield refused


def _numbered(items: Iterator[list[Row] | RefusedRowError]) -> Iterator[tuple[int, list[Row] | RefusedRowError]]:
    return enumerate(items, 1)


def _table_row(record: Row, number: int) -> Row:
    """Return a record of a table as a row; without a column of ids its number is its id."""
    row = {name: _cell(name, value) for name, value in record.items() if name not in _LETTERS}
    row.setdefault("id", row.pop("index", number))
    if "image_path" in row:
        path = row.pop("image_path")
        row.setdefault("image", path)
    if options := [record[letter] for letter in _LETTERS if letter in record]:
        row.setdefault("choices", options)
        if "".join(letter for letter in _LETTERS if letter in record) != _LETTERS[: len(options)]:
            raise RefusedRowError("its options have a gap; expected A, B, C and so on")
    if hint := row.pop("hint", None):
        row["question"] = f"{hint}\n{row.get('question', '')}"
    return row


def _cell(name: str, value: Any) -> Any:
    """Return the value of a cell: lists that are written as text, and images as their bytes."""
    if name in ("answers", "choices", "image", "image_path") and isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise RefusedRowError(f'{name!r} is no list; expected one such as ["red", "blue"]') from None
    return _image(value) if name == "image" else value


def _image(value: Any) -> Any:
    if isinstance(value, list):
        return [_image(one) for one in value]
    if isinstance(value, dict):  # as datasets saves images
        content, path = value.get("bytes"), value.get("path")
        return path if content is None else content
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_NAME and (value.startswith(_MAGIC) or "." not in value) and not _DATA_URI.match(value):
        return _decoded(value)
    return _embedded(value)


def kind(value: Any) -> str:
    """Return what a value of a row is, in words."""
    names = {"NoneType": "null", "bool": "a truth value", "int": "a number", "float": "a number", "str": "text"}
    return names.get(type(value).__name__, "a list" if isinstance(value, list) else "an object")
