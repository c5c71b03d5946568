"""A real browser uploads questions, submits a search, cancels and resumes it, and downloads a preset."""

from __future__ import annotations

import io
import signal
import zipfile
from pathlib import Path

import pytest

import himap
from bench.dashboard.serving import CHROMIUM
from tests.dashboard.test_dashboard_browser import opened
from tests.search.search_helpers import start

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
EXAMPLES = Path(__file__).parents[2] / "examples"


def zipped() -> bytes:
    """Return the ten example questions with their images, as a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.write(EXAMPLES / "questions.jsonl", "questions.jsonl")
        for image in sorted((EXAMPLES / "images").iterdir()):
            packed.write(image, f"images/{image.name}")
    return file.getvalue()


def test_uploaded_questions_become_a_preset(tmp_path: Path) -> None:
    service = start(tmp_path, "-m", "search.service", "--storage", f"sqlite:///{tmp_path}/himap.db")
    assert service.stdout is not None
    address = [service.stdout.readline() for _ in range(2)][1].removeprefix("dashboard: ").strip()
    try:
        with opened(address) as tab:
            tab.get_by_role("button", name="New search").click()
            tab.get_by_text("My own questions").click()
            upload = {"name": "mine.zip", "mimeType": "application/zip", "buffer": zipped()}
            tab.locator("input[type=file]").set_input_files(upload)
            tab.get_by_text("not certified, only 6 test questions, at least 20").wait_for()
            budget = tab.get_by_role("spinbutton", name="Budget: trials a study")
            budget.fill("8")
            budget.press("Enter")
            tab.get_by_role("cell", name="32", exact=True).wait_for()
            tab.get_by_role("button", name="Start search").click()
            tab.get_by_text("Job 1 is queued").wait_for()
            tab.get_by_role("link", name="Jobs").last.click()
            tab.get_by_role("button", name="Cancel").click()
            tab.get_by_text("1 cancelled").wait_for()
            tab.get_by_role("button", name="Resume").click()
            tab.get_by_text("1 finished").wait_for()
            tab.get_by_role("link", name="Export").click()
            with tab.expect_download() as download:
                tab.get_by_role("button", name="Download preset").first.click()
            download.value.save_as(tmp_path / "preset.yaml")
    finally:
        service.send_signal(signal.SIGINT)
        service.communicate(timeout=60)
    assert himap.read_preset(tmp_path / "preset.yaml").measured[0].n == 4
