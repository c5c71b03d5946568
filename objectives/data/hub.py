"""Load a benchmark's usual dataset from the Hugging Face hub, with the optional package `datasets`."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from typing import Any

from himap.errors import first_line
from objectives.benchmarks.base import Hub, PublishedBenchmark, Question
from objectives.benchmarks.labels import BROKEN_ROW, read_each
from objectives.data.images import viewed
from objectives.data.kept_images import cache_folder
from objectives.errors import DataError


@lru_cache(maxsize=2)
def hub_questions(chosen: PublishedBenchmark) -> list[Question]:
    """Load all questions of the dataset; `image` names a record until `keep_image` has fetched it.

    Raises:
        DataError: `datasets` is not installed, the hub cannot be reached, or the records have another form.
    """
    rows = _dataset(chosen.hub)
    texts = rows.remove_columns([name for name in ("image", "decoded_image") if name in rows.column_names])
    try:
        questions = read_each(chosen.row, texts, chosen.hub.id)
    except BROKEN_ROW as error:
        raise DataError(f"{chosen.hub.id} has records of another form ({error})") from error
    return [replace(question, image=question.image or f"hub-{i}") for i, question in enumerate(questions)]


def keep_image(chosen: PublishedBenchmark, question: Question, record: int) -> Question:
    """Write the image of a record into the cache, and return its question with the path."""
    return replace(question, image=_file(chosen.hub, _dataset(chosen.hub), record))


def _file(hub: Hub, rows: Any, index: int) -> str:
    state = getattr(rows, "_fingerprint", "")  # other records under the same numbers have another one
    folder = cache_folder() / "images" / hub.id.replace("/", "--") / (hub.config or "default") / hub.split / state
    path = folder / f"{index}.png"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        image = rows[index]["image"]
        if image is None:
            raise DataError(f"{hub.id}: record {index} has no image")
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        viewed(image, f"{hub.id}: image {index}").save(unfinished, "PNG")
        unfinished.replace(path)
    return str(path)


@lru_cache(maxsize=4)
def _dataset(hub: Hub) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError("the hub's datasets need the package datasets; pip install datasets") from None
    try:
        return datasets.load_dataset(hub.id, hub.config or None, split=hub.split)
    except Exception as error:  # that library raises those of its HTTP and file libraries too
        raise DataError(
            f"cannot load {hub.id} from the hub ({first_line(error)}); give its files by --data-root"
        ) from error
