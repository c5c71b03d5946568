"""Read answers in the forms that LLaVA, lmms-eval and the benchmarks' own tools write."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.benchmarks.base import OPTION_LETTER, SHORT_ANSWER
from objectives.benchmarks.labels import shown
from objectives.errors import DataError
from objectives.json_files import parse, read_json, read_rows, read_text

_TEXTS = (
    *("filtered_resps", "resps", "text", "answer", "pred", "prediction", "pred_answer", "response"),
    *("output", "caption", "model_answer", "multiple_choice", "direct_answer"),
)
_IDS = ("question_id", "id", "qid", "pid", "image_id", "img_id")
_PROMPTS = ("prompt", "question", "input", "text")
_LISTS = ("logs", "samples", "predictions", "answers", "annotations", "data")
_ENDINGS = (SHORT_ANSWER, OPTION_LETTER, "Please answer yes or no.", "<image>")


@dataclass(frozen=True)
class Answer:
    """One answer, with everything in its record that may identify the question.

    `text` is None where the record has no answer (null or NaN). `document` is the question itself, where the record
    carries it (lmms-eval's `doc`).
    """

    text: str | None
    ids: tuple[str, ...] = ()
    prompt: str = ""
    category: str = ""
    image: str = ""
    document: Mapping[str, Any] | None = None


def plain(prompt: str) -> str:
    """Return the question in a prompt without fixed endings, OCR tokens, case and spacing, for comparison."""
    if match := re.search(r"^OCR tokens: .*Question: (.*?) Short answer:", prompt, re.DOTALL):
        prompt = match[1]
    kept = "\n".join(line for line in prompt.split("\n") if not line.startswith("Reference OCR token:"))
    for ending in _ENDINGS:
        kept = kept.replace(ending, " ")
    return " ".join(kept.lower().split())


def read_answers(path: Path, benchmark: str) -> list[Answer]:
    """Read the answers in a file, or in all files of a folder.

    Raises:
        DataError: no such file, no answers in it, or no known form.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".txt", ".json", ".jsonl"))
        if not files:
            raise DataError(f"found no .txt, .json or .jsonl file of answers in {path}")
        return [answer for file in files for answer in read_answers(file, benchmark)]
    if path.suffix == ".txt" and "\t" in (text := read_text(path)):
        return [_tabbed(path, number, line) for number, line in enumerate(text.splitlines(), 1) if line]
    answers = [_answer(row, path, i, benchmark) for i, row in enumerate(_records(path), 1)]
    if all(answer.text is None for answer in answers):
        raise DataError(f"{path} holds no answers")
    return answers


def _tabbed(path: Path, number: int, line: str) -> Answer:
    """Read a line of the MME tool's results: image, question, truth, answer."""
    parts = line.split("\t")
    if len(parts) != 4:
        got = f"got {len(parts)} fields between tabs"
        raise DataError(f"{path} line {number}: {got}; expected image, question, truth and answer")
    truth = {"category": path.stem, "question_id": parts[0], "question": parts[1], "answer": parts[2]}
    return Answer(parts[3], (), parts[1], path.stem, parts[0], truth)


def _records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file, whatever they are wrapped in."""
    text = read_text(path).lstrip()
    if not text.startswith("{") or _is_lines(text):
        return read_rows(path)
    value = read_json(path)
    if any(name in value for name in _TEXTS[:4]) and any(name in value for name in _IDS):
        return [value]
    return list(_unwrapped(value, path))


def _is_lines(text: str) -> bool:
    """Return whether the first line is an object by itself."""
    try:
        return isinstance(parse(text.split("\n", 1)[0]), dict) and "\n" in text.strip()
    except ValueError:
        return False


def _unwrapped(value: dict[str, Any], path: Path) -> Iterator[dict[str, Any]]:
    if isinstance(value.get("results"), dict) and isinstance(value.get("outputs"), dict):
        for number, index in value["results"].items():  # LLaVA's and ScienceQA's own: the option chosen
            chosen = type(index) is int and 0 <= index < 26
            yield {"question_id": number, "text": chr(65 + index) if chosen else ""}
        return
    rows = next((value[name] for name in _LISTS if isinstance(value.get(name), list | dict)), value)
    if isinstance(rows, dict) and rows is not value and all(isinstance(v, list) for v in rows.values()):
        rows = [row for task in rows.values() for row in task]
    if isinstance(rows, dict):
        rows = [
            {"question_id": number, **(row if isinstance(row, dict) else {"text": row})} for number, row in rows.items()
        ]
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} holds no answers in a known form; expected that of LLaVA or lmms-eval")
    yield from rows


def _answer(row: Mapping[str, Any], path: Path, number: int, benchmark: str) -> Answer:
    document = row["doc"] if isinstance(row.get("doc"), dict) else None
    inner = next((v for v in row.values() if isinstance(v, dict) and "question_id" in v), {})
    about = {**inner, **(document or {}), **{k: v for k, v in row.items() if not isinstance(v, dict)}}
    own = ("direct_answer",) if benchmark.endswith("-direct") else ("multiple_choice",)
    name = next((name for name in (*own, *_TEXTS) if name in row), None)
    if name is None:
        has = ", ".join(sorted(map(str, row))[:12])
        raise DataError(f"{path} answer {number} has no text; expected one of text, answer, resps; it has {has}")
    category = str(about.get("category", "") or "")
    ids = [str(about[key]) for key in _IDS if about.get(key) is not None]
    ids += [f"{category}-{name}" for name in ids] if category else []
    prompt = next((about[key] for key in _PROMPTS if key != name and isinstance(about.get(key), str)), "")
    image = about.get("image") or about.get("image_source") or ""
    return Answer(_text(row[name], f"{path} answer {number}"), tuple(ids), prompt, category, str(image), document)


def _text(value: Any, place: str) -> str | None:
    """Return the answer in lmms-eval's nested lists, or the value itself; None for null, NaN and an empty list."""
    while isinstance(value, list):
        value = value[0] if value else None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{place} is {shown(value)}; expected text")
    return str(value)
