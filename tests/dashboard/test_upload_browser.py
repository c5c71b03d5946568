"""A real browser uploads ten questions with images, submits a search of them, and sees the job."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.dashboard.serving import CHROMIUM, chromium, serving
from storage import JobQueue, open_store

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
pytest.importorskip("playwright.sync_api", reason="pip install playwright")

MARKUP = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script> [a](javascript:alert(1))"


def zipped(path: Path, *, bad: bool) -> Path:
    rows = [{"id": f"{i}", "image": f"img/{i}.png", "question": "What color?", "answer": "red"} for i in range(10)]
    if bad:
        rows[2]["image"] = rows[3]["id"] = rows[4]["question"] = MARKUP
        rows[5] |= {"id": MARKUP}
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("mine/q.jsonl", "\n".join(map(json.dumps, rows)))
        for i in range(10):
            picture = io.BytesIO()
            Image.new("RGB", (64, 64), (25 * i, 0, 0)).save(picture, "PNG")
            packed.writestr(f"mine/img/{i}.png", picture.getvalue())
    return path


def upload(tab: Any, path: Path) -> None:
    tab.locator("input[type=file]").set_input_files(str(path))
    tab.get_by_text("Before it starts").wait_for()


def test_ten_questions_are_uploaded_checked_submitted_and_seen(database: str, tmp_path: Path) -> None:
    with serving(database) as address, chromium() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 1400})
        tab.set_default_timeout(120_000)
        tab.goto(address)
        tab.get_by_role("button", name="New search").click()
        tab.get_by_text("My own questions").click()
        tab.get_by_text("Choose questions first").wait_for()
        upload(tab, zipped(tmp_path / "bad.zip", bad=True))
        tab.get_by_text("row(s) cannot be used").wait_for()
        assert "<script>document.title='run'</script>" in tab.locator("table").first.inner_text()
        assert tab.title() != "run" and not tab.locator("table img, table script, a[href^=javascript]").count()
        tab.get_by_role("button", name="Remove").first.click()
        tab.get_by_text("Choose questions first").wait_for()
        upload(tab, zipped(tmp_path / "good.zip", bad=False))
        tab.get_by_role("button", name="Start search").click()
        tab.get_by_text("Job 1 is queued").wait_for()
        tab.locator("[data-testid=stMain]").get_by_role("link", name="Jobs").click()
        tab.get_by_text("q.jsonl").first.wait_for()
    with open_store(database) as store:
        (job,) = JobQueue(store).jobs()
    request = json.loads(job.request)
    data = Path(request["data"])
    assert (job.kind, job.state, request["metric"]) == ("search", "queued", "exact_match")
    assert data.is_relative_to(tmp_path / "uploads") and len(list((data.parent / "img").iterdir())) == 10
