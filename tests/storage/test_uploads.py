"""Uploads are kept below their folder and within the limits, or refused without a trace."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from storage.uploads import UploadError, UploadLimits, keep_upload

ROW = b'{"id": "1", "image": "images/a.png", "question": "What?", "answer": "cat"}\n'


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, content in entries:
            packed.writestr(name, content, method)
    return buffer.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_a_zip_and_the_same_single_files_take_one_folder(tmp_path: Path) -> None:
    notes = [("__MACOSX/mine/._a.png", b"x"), ("mine/.DS_Store", b"x"), ("mine/run.py", b"x")]
    content = zipped(("mine/", b""), ("mine/q.jsonl", ROW), ("mine/images/a.png", b"png"), *notes)
    kept = keep_upload(tmp_path / "up", [("q.zip", content)])
    assert kept.data.read_bytes() == ROW and (kept.data.parent / "images" / "a.png").read_bytes() == b"png"
    assert (kept.images, kept.left_out) == (1, ("mine/run.py",))
    again = keep_upload(tmp_path / "up", [("mine/q.jsonl", ROW), ("mine/images/a.png", b"png")])
    assert again.data == kept.data
    other = keep_upload(tmp_path / "up", [("mine/q.jsonl", ROW), ("mine/images/a.png", b"another")])
    assert other.data != kept.data
    assert len(files_below(tmp_path)) == 4


@pytest.mark.parametrize(
    "name",
    [
        *("../x.png", "a/../../x.png", "/etc/x.png", "..\\x.png", "C:\\x.png", "c:x.png", "\\\\host\\x.png"),
        *("a\nb.png", "\u202ex.png", "x" * 300 + ".png", "a/" * 600 + "x.png", "b.png/c.png"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    entries = [("q.jsonl", ROW), ("b.png", b""), (name, b"x")]
    for files in (entries, [("q.zip", zipped(*entries))]):
        with pytest.raises(UploadError):
            keep_upload(tmp_path / "up", files)
        assert files_below(tmp_path) == [] and list((tmp_path / "up").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(("q.jsonl", ROW), (link("a.png"), b"/etc/passwd")), "is a link"),
        (zipped(("q.jsonl", ROW), ("a.png", b"")).replace(b"a.png", b"q.png")[:-30], "cannot be unpacked"),
        (zipped(("q.jsonl", ROW), method=zipfile.ZIP_LZMA), "packed in a way"),
        (zipped(("q.jsonl", bytes(3_000_000))), "MB unpacked"),
        (zipped(*((f"{i}.png", b"") for i in range(30)), ("q.jsonl", ROW)), "more than 10 files"),
        (zipped(("a.png", b"")), "got none"),
        (zipped(("q.jsonl", ROW), ("b.csv", ROW)), "got 'q.jsonl', 'b.csv'"),
        (zipped(("q.jsonl", ROW), ("./q.jsonl", ROW)), "two files of the name"),
        (zipped(("q.jsonl", ROW * 99)).replace(zipped(("q.jsonl", ROW * 99))[38:60], bytes(22)), "cannot be unpacked"),
        (b"", "cannot be unpacked"),
    ],
)
def test_a_hostile_or_broken_zip_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UploadError, match=message):
        keep_upload(tmp_path / "up", [("q.zip", content)], UploadLimits(size=2_000_000, files=10))
    assert list((tmp_path / "up").iterdir()) == []


def test_a_zip_that_lies_about_its_size_is_read_to_the_limit_alone(tmp_path: Path) -> None:
    content = zipped(("q.jsonl", bytes(3_000_000)))
    lying = content.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != content
    with pytest.raises(UploadError):
        keep_upload(tmp_path / "up", [("q.zip", lying)], UploadLimits(size=2_000_000))
    assert files_below(tmp_path) == []


def test_only_so_many_uploads_are_kept(tmp_path: Path) -> None:
    limits = UploadLimits(uploads=2)
    for answer in (b"1", b"2"):
        keep_upload(tmp_path, [("q.jsonl", ROW + answer)], limits)
    with pytest.raises(UploadError, match="holds 2 uploads"):
        keep_upload(tmp_path, [("q.jsonl", ROW + b"3")], limits)
    assert len(list(tmp_path.iterdir())) == 2
