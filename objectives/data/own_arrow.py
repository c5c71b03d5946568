"""Read records of Parquet files and of folders that `datasets` saved, a few at a time, without that package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from himap.errors import first_line
from objectives.errors import DataError

Wanted = Callable[[str], bool]
_AT_ONCE = 8  # records; each may hold images
_MOST_UNPACKED = 2**31  # bytes of a group of rows, by what the file says of it


def parquet_records(path: Path, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Yield the records of a Parquet file, only the columns that are wanted.

    Raises:
        DataError: no such file, not Parquet, or with groups of rows beyond 2 GiB.
    """
    pyarrow = _pyarrow()
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        groups = [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]
        if any(size > _MOST_UNPACKED for size in groups):
            raise DataError(f"{path} has a group of rows of {max(groups):,} bytes; at most {_MOST_UNPACKED:,} are read")
        names = [name for name in file.schema_arrow.names if wanted(name)]
        _check_columns(path, file.schema_arrow.names, names)
        classes = _classes(file.schema_arrow)
        for batch in file.iter_batches(_AT_ONCE, columns=names):
            yield from _records(batch, classes)
    except (pyarrow.ArrowException, OSError, MemoryError) as error:
        raise DataError(f"cannot read {path} ({first_line(error)}); expected a Parquet file") from error


def arrow_records(folder: Path, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Yield the records of a folder that `datasets` saved (`save_to_disk`), only the columns that are wanted.

    Raises:
        DataError: another folder, one of several splits, or damaged files.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = ", ".join(sorted(path.parent.name for path in folder.glob("*/state.json")))
        raise DataError(f"{folder} holds several splits of a dataset ({splits}); give the folder of one of them")
    pyarrow = _pyarrow()
    try:
        listed = json.loads((folder / "state.json").read_text(encoding="utf-8"))["_data_files"]
        files = [folder / Path(one["filename"]).name for one in listed]
        for file in files:
            with pyarrow.memory_map(str(file)) as mapped, pyarrow.ipc.open_stream(mapped) as reader:
                names = [name for name in reader.schema.names if wanted(name)]
                _check_columns(folder, reader.schema.names, names)
                classes = _classes(reader.schema)
                for batch in reader:
                    for start in range(0, batch.num_rows, _AT_ONCE):
                        yield from _records(batch.select(names).slice(start, _AT_ONCE), classes)
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot read {folder} ({first_line(error)}); expected a folder that datasets saved (save_to_disk)"
        ) from error


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise DataError("Parquet files and saved datasets need the package pyarrow; pip install pyarrow") from None
    return pyarrow


def _check_columns(path: Path, columns: list[str], known: list[str]) -> None:
    if not known:
        raise DataError(f"{path} has the columns {', '.join(columns)[:200]}; expected question, answer and image")


def _classes(schema: Any) -> dict[str, list[str]]:
    """Return the names of the classes of columns whose numbers stand for them, as `datasets` notes them."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        labels = {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: names for name, names in labels.items() if isinstance(names, list)}


def _records(batch: Any, classes: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    for record in batch.to_pylist():
        for name, names in classes.items():
            if isinstance(index := record.get(name), int) and 0 <= index < len(names):
                record[name] = names[index]
        yield record
