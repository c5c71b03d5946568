"""A real browser walks through the page: skipped where Chromium or playwright is not installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from generated_store import fill, searched, study_key

from storage import open_store
from storage.presets import preset_yaml

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")


@pytest.fixture
def server(searched_store: str) -> Iterator[str]:
    """The address of a dashboard on that store, started as a user would, from another folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py")]
    command += ["--server.port", str(port), "--server.headless", "true", "--", "--storage", searched_store]
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
            break
        except OSError:
            assert process.poll() is None, "the server ended by itself"
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(timeout=20)


@pytest.fixture
def tab(server: str) -> Iterator[Any]:
    """The page in a browser, and afterwards no error in its console."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1280, "height": 1400})
        errors: list[str] = []
        opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        opened.on("requestfailed", lambda request: errors.append(f"failed to load {request.url}"))
        opened.set_default_timeout(60_000)
        opened.goto(server)
        yield opened
        assert errors == []
        browser.close()


def test_choose_a_point_take_its_preset_and_see_the_search_go_on(
    tab: Any, searched_store: str, tmp_path: Path
) -> None:
    label = tab.locator("table th").first
    tab.wait_for_selector(".js-plotly-plot .scatterlayer .trace path.point")
    before = label.inner_text()
    square = tab.locator(".js-plotly-plot .scatterlayer .trace").nth(5).locator("path.point")
    square.hover(force=True)
    tab.wait_for_selector(".hoverlayer text:has-text('Trial 2, HiMAP paper')")
    box = square.bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_function("document.querySelector('table th').innerText == 'Trial 2, HiMAP paper'")
    assert before != "Trial 2, HiMAP paper"
    with tab.expect_download() as download:
        tab.get_by_text("Download preset").click()
    assert download.value.suggested_filename == "qwenvl-mini-aokvqa-trial-2.yaml"
    download.value.save_as(tmp_path / "preset.yaml")
    key = study_key("aokvqa", seed=1)
    with open_store(searched_store) as store:
        study = store.study(key)
        text = preset_yaml(key, store.trials(study)[2])
        assert (tmp_path / "preset.yaml").read_text(encoding="utf-8") == text
        tab.wait_for_timeout(3000)
        tab.evaluate(
            "window.changes = 0; new MutationObserver(seen => window.changes += seen.length).observe("
            "document.querySelector('.js-plotly-plot'), {childList: true, subtree: true, attributes: true})"
        )
        tab.wait_for_timeout(5000)
        assert tab.evaluate("window.changes") == 0  # looked at the store twice, redrew nothing
        fill(store, key, [searched(14, seed=2)[13]])
    tab.get_by_text("All trials (13)").wait_for()
    assert label.inner_text() == "Trial 2, HiMAP paper"
