"""Hostile uploads: zips that lead elsewhere, bombs, links, broken images, markup in every text field."""

from __future__ import annotations

import io
import json
import random
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from bench.fuzz.case import Action
from bench.fuzz.values import any_text, changed, damaged
from objectives.data.own_file import BadRowsError
from objectives.data.source import Source, load_questions
from storage.uploads import UploadLimits, keep_upload

MARKUP = (
    *("<script>document.title='run'</script>", "<img src=x onerror=\"document.title='run'\">"),
    *("[a](javascript:alert(1))", "![a](http://127.0.0.1:1/x.png)", "$\\href{javascript:alert(1)}{x}$", "| a | b |"),
    *(":red[x]", "<svg/onload=alert(1)>", "`a`<b>", "&lt;script&gt;", "</table><iframe src=//x>", ":material/home:"),
)
_NAMES = (
    *(
        "../x.png",
        "a/../../x.png",
        "/tmp/x.png",
        "C:\\x.png",
        "..\\..\\x.png",
        "\\\\h\\s\\x.png",
        "x.png/../../../y.png",
    ),
    *("a\x00.png", "\ud800.png", "x" * 300 + ".png", "a/" * 700 + "x.png", "con.png", "x.pkl", "x.py", "q.jsonl/x.png"),
    *("./q.jsonl", "Q.JSONL", ".png", "...", "/", "", "a//b.png", "~/x.png", "$HOME/x.png", "__MACOSX/../../x.png"),
)
_LIMITS = UploadLimits(size=2_000_000, files=50)
_PLAIN = "kept elsewhere"


def upload(rng: random.Random, folder: Path) -> Action:
    """An upload of questions and images as a zip or as single files, some of its parts hostile or damaged."""
    rows: list[Any] = [_row(rng, number) for number in range(rng.randrange(1, 8))]
    rows = [changed(rng, row) if rng.random() < 0.1 else row for row in rows]
    table = "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows).encode("utf-8", "surrogatepass")
    entries: list[tuple[str, bytes]] = [("q.jsonl", table), ("0.png", _image(rng)), ("img/1.png", _image(rng))]
    entries += [(rng.choice(_NAMES), rng.choice([b"x", table])) for _ in range(rng.choice([0, 0, 0, 1, 2]))]
    entries += [(f"{number}.gif", b"") for number in range(rng.choice([0] * 9 + [100]))]
    if rng.random() < 0.1:
        entries.append(("big.bmp", bytes(3_000_000)))
    rng.shuffle(entries)
    files = entries if rng.random() < 0.2 else [("q.zip", _zip(rng, entries))]
    root, outside = folder / "uploads", folder / "outside.png"
    outside.write_text(_PLAIN)
    before = set(folder.rglob("*"))

    def action() -> None:
        try:
            kept = keep_upload(root, files, _LIMITS)
            _read(rng, kept.data)
        finally:
            _check_inside(folder, root, before, outside)

    return action


def _read(rng: random.Random, data: Path) -> None:
    """Read the questions as `search.plan` does; no image may lie outside of the upload."""
    metric = rng.choice(["exact_match", "vqa_accuracy", "yes_no", "multiple_choice", "number"])
    try:
        loaded = load_questions(Source(data=data, metric=metric, skip_bad=rng.random() < 0.5), "all", None)
    except BadRowsError as error:
        shown = [row.problem for row in error.bad]
    else:
        shown = [loaded.key, *(row.problem for row in loaded.skipped)]
        if any(not Path(image).is_relative_to(data.parent) for q in loaded.questions for image in q.images):
            raise AssertionError("a question has an image outside of its upload")
    if any("\n" in text or len(text) > 2_000 for text in shown):
        raise AssertionError(f"a reason of several lines: {shown}")


def _check_inside(folder: Path, root: Path, before: set[Path], outside: Path) -> None:
    """Raise AssertionError where something was written beside the uploads, is a link, or was left unfinished."""
    new = set(folder.rglob("*")) - before
    if beside := [path for path in new if path != root and not path.is_relative_to(root)]:
        raise AssertionError(f"wrote {beside[0]}")
    if left := [path for path in new if path.is_symlink() or (path.parent == root and path.name.startswith("."))]:
        raise AssertionError(f"left {left[0]}")
    if outside.read_text() != _PLAIN:
        raise AssertionError(f"changed {outside}")
    if sum(path.stat().st_size for path in new if path.is_file()) > _LIMITS.size:
        raise AssertionError("kept more than the limit")


def _row(rng: random.Random, number: int) -> dict[str, Any]:
    def text(usual: str) -> str:
        return rng.choice([*MARKUP, any_text(rng)]) if rng.random() < 0.4 else usual

    paths = ["img/1.png", "../../outside.png", "/etc/passwd", "../q.jsonl", "none.png", "file:///etc/passwd"]
    row = {"id": text(str(number)), "image": rng.choice(["0.png", "0.png", *paths, *MARKUP])}
    row |= {"question": text("What is it?"), "answer": text("cat"), "category": text("x")}
    return row | ({"choices": ["cat", text("dog")]} if rng.random() < 0.3 else {})


def _image(rng: random.Random) -> bytes:
    """Return an image: small, damaged, or with a header of a size that nobody can hold."""
    buffer = io.BytesIO()
    Image.new("RGB", (rng.choice([1, 8, 64]), 9)).save(buffer, rng.choice(["PNG", "GIF", "BMP", "TIFF", "JPEG"]))
    content = buffer.getvalue()
    if rng.random() < 0.2:
        buffer = io.BytesIO()
        Image.new("1", (1, 1)).save(buffer, "PNG")
        return buffer.getvalue().replace(
            b"IHDR\x00\x00\x00\x01\x00\x00\x00\x01", b"IHDR\x00\x0f\xff\xff\x00\x0f\xff\xff"
        )
    return damaged(rng, content) if rng.random() < 0.3 else content


def _zip(rng: random.Random, entries: list[tuple[str, bytes]]) -> bytes:
    """Return a zip, some with links, bombs, other methods, encrypted entries or lies about sizes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as packed:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, content in entries:
            entry = zipfile.ZipInfo(name.encode("utf-8", "replace").decode().replace("\x00", "\x01"))
            kind = rng.choice([stat.S_IFREG] * 30 + [0, 0, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
            entry.external_attr = (kind | 0o777) << 16
            entry.compress_type = rng.choice(
                [zipfile.ZIP_DEFLATED] * 20 + [zipfile.ZIP_STORED] * 5 + [zipfile.ZIP_LZMA]
            )
            packed.writestr(entry, content, entry.compress_type)
        if rng.random() < 0.05:
            packed.writestr("bomb.png", bytes(60_000_000), zipfile.ZIP_DEFLATED)
        if rng.random() < 0.05:
            packed.writestr("inner.zip", buffer.getvalue())
    content = buffer.getvalue()
    if rng.random() < 0.05:
        content = content.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
        )  # encrypted
    if rng.random() < 0.05:
        content = content.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    return damaged(rng, content) if rng.random() < 0.25 else content
