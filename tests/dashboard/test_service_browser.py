"""Real browsers upload questions, submit a search, cancel and resume it, certify it, and download presets."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

import himap
from bench.dashboard.serving import CHROMIUM
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.models import load
from storage import JobQueue, open_store
from tests.dashboard.test_dashboard_browser import opened
from tests.search.search_helpers import start, wait_for

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


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a service and its dashboard on a store in this folder."""
    service = start(folder, "-m", "search.service", "--storage", f"sqlite:///{folder}/himap.db")
    assert service.stdout is not None
    try:
        yield [service.stdout.readline() for _ in range(2)][1].removeprefix("dashboard: ").strip()
    finally:
        service.send_signal(signal.SIGINT)
        service.communicate(timeout=60)


def test_uploaded_questions_become_a_preset(tmp_path: Path) -> None:
    with served(tmp_path) as address, opened(address) as tab:
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
    assert himap.read_preset(tmp_path / "preset.yaml").measured[0].n == 4


def questions(folder: Path, count: int) -> Path:
    """Questions with an image each, which no answer of the model gets right, so that no setting loses any."""
    same = {"question": "What color is it?", "answer": "nobody knows"}
    rows = [{"id": str(i), "image": f"{i}.png", **same} for i in range(count)]
    for i in range(count):
        Image.new("RGB", (32, 32), (i % 256, i // 256, 0)).save(folder / f"{i}.png")
    file = folder / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_a_search_is_certified_in_one_browser_and_watched_in_another(tmp_path: Path) -> None:
    search = ["--model", "qwenvl", "--data", questions(tmp_path, 1200), "--metric", "exact_match", "--no-certify"]
    command = ["-m", "search.submit", *search, "--budget", "6", "--storage", f"sqlite:///{tmp_path}/himap.db"]
    submitted: subprocess.Popen[str] = start(tmp_path, *command)
    assert submitted.wait(timeout=120) == 0
    with served(tmp_path) as address:
        with open_store(f"sqlite:///{tmp_path}/himap.db") as store:
            wait_for(lambda: JobQueue(store).job(1).state not in ("queued", "running"))
            assert JobQueue(store).job(1).state == "finished", JobQueue(store).log(1)
        with opened(f"{address}/export") as tab:
            other = tab.context.browser.new_context().new_page()
            other.set_default_timeout(240_000)
            other.goto(f"{address}/jobs")
            other.get_by_text("1 finished").wait_for()
            tab.get_by_text("No setting of this study has a certificate yet").wait_for()
            tab.get_by_role("button", name="Certify").click()
            other.get_by_text("2 finished").wait_for()
            tab.get_by_text("Measured on held-out questions").wait_for()
            tab.get_by_text("certified within 1 point").first.click()
            with tab.expect_download() as download:
                tab.get_by_role("button", name="Download preset").first.click()
            download.value.save_as(tmp_path / "preset.yaml")
    preset = himap.read_preset(tmp_path / "preset.yaml")
    assert preset.certificate.certified and preset.certificate.margin_points <= 1
    with himap.prune(load(resolve("qwenvl", "mini").weights).model, tmp_path / "preset.yaml"):
        pass
