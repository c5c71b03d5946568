"""A real browser walks through the pages: skipped where Chromium or playwright is not installed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import himap
from bench.dashboard.serving import CHROMIUM, chromium, serving
from storage import StudyKey, open_store
from tests.dashboard.generated_store import fill, searched, study_key

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
BrowserTimeout = pytest.importorskip("playwright.sync_api", reason="pip install playwright").TimeoutError

CHART = ".st-key-front-box .js-plotly-plot"
RANGE = f"document.querySelector('{CHART}').layout.xaxis.range.join()"
PROBE = re.compile(
    r"/[\w-]+/_stcore/(health|host-config)$"
)  # Streamlit asks there first when a page is opened by its path
POINT = f"{CHART} .scatterlayer .trace path.point"


@pytest.fixture(scope="module")
def mini_key() -> StudyKey:
    """The study of a model that this machine has, so that it can be asked for tokens."""
    from minis.checkpoint import path
    from objectives.evaluation.models import weights_digest

    return replace(study_key("pope", model="qwenvl"), weights_digest=weights_digest(path("qwenvl-mini")))


def is_error(message: Any) -> bool:
    """Whether the console shows an error other than that Streamlit's server is not below the page's own path."""
    return message.type == "error" and not PROBE.search(message.location["url"])


def lost(request: Any) -> bool:
    """Whether a request failed, and was not cancelled because the tab opened another page."""
    return request.failure != "net::ERR_ABORTED"


@contextmanager
def opened(address: str, **options: Any) -> Iterator[Any]:
    """That address in a tab of a browser, and afterwards no error in its console."""
    with chromium() as browser:
        tab = browser.new_page(**{"viewport": {"width": 1280, "height": 1400}, **options})
        errors: list[str] = []
        tab.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
        tab.on("requestfailed", lambda request: errors.append(f"lost {request.url}") if lost(request) else None)
        tab.set_default_timeout(240_000)  # a chart takes minutes to come on a machine under full load
        tab.goto(address)
        try:
            yield tab
        except Exception as error:
            error.add_note(f"The page showed: {tab.inner_text('body')[-2000:]}")
            raise
        assert errors == []


@contextmanager
def searching(storage: str, key: StudyKey, first: int) -> Iterator[None]:
    """A writer that adds a trial every second or so, as a search does."""
    done = threading.Event()

    def write() -> None:
        with open_store(storage) as store:
            study = store.study(key)
            for trial in searched(first + 200)[first:]:
                if done.wait(1.0):
                    return
                store.add(study, trial)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def until(tab: Any, act: Callable[[], None], condition: str) -> None:
    """Do it again until it worked: a chart may be drawn anew under the mouse while a search runs."""
    for _ in range(20):
        with suppress(BrowserTimeout, TypeError):  # a chart that is just being replaced has no box
            act()
            tab.wait_for_function(condition, timeout=4000)
            return
    raise AssertionError(f"never became true: {condition}")


def test_a_search_is_watched_zoomed_chosen_from_looked_into_and_exported(
    database: str, mini_key: StudyKey, tmp_path: Path
) -> None:
    with open_store(database) as store:
        fill(store, study_key("aokvqa", model="qwenvl"), searched(20, seed=1))
        fill(store, mini_key, searched(40))
    with serving(database) as address, opened(f"{address}/?range=all") as tab:
        tab.wait_for_selector(POINT)
        tab.locator("[data-testid=stSelectbox] input").first.click()
        tab.get_by_text("qwenvl · pope").last.click()
        tab.get_by_text("All complete trials (39)").wait_for()
        with searching(database, mini_key, 40):
            _choose_paper_and_zoom(tab)
            _see_tokens(tab)
            exported = _export(tab, tmp_path)
    assert exported == himap.PruningConfig.paper()


def _choose_paper_and_zoom(tab: Any) -> None:
    tab.get_by_text(re.compile(r"All complete trials \((4[1-9]|5\d)\)")).wait_for()
    tab.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    square = tab.locator(f"{CHART} .scatterlayer .trace").nth(5).locator("path.point")

    def click() -> None:
        box = square.bounding_box()
        tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tab.wait_for_selector(".hoverlayer text:has-text('Trial 2, HiMAP paper')", timeout=4000)
        tab.mouse.down()
        tab.mouse.up()

    until(tab, click, "document.querySelector('table th').innerText == 'Trial 2, HiMAP paper'")

    def drag() -> None:
        plot = tab.locator(f"{CHART} .nsewdrag").first.bounding_box()
        tab.mouse.move(plot["x"] + 0.2 * plot["width"], plot["y"] + 0.2 * plot["height"])
        tab.mouse.down()
        tab.mouse.move(plot["x"] + 0.7 * plot["width"], plot["y"] + 0.8 * plot["height"], steps=3)
        tab.mouse.up()

    until(tab, drag, f"document.querySelector('{CHART}').layout.xaxis.autorange === false")
    tab.wait_for_timeout(2000)  # a drag that was repeated may still be on its way
    zoomed = tab.evaluate(RANGE)
    count = tab.get_by_role("tab").nth(1).inner_text()
    tab.wait_for_function(f"document.querySelectorAll('[role=tab]')[1].innerText != '{count}'")
    tab.wait_for_timeout(1000)
    assert tab.evaluate(RANGE) == zoomed  # new trials came in, and the zoom stayed


def _see_tokens(tab: Any) -> None:
    tab.get_by_role("link", name="Trial").click()
    tab.wait_for_function("document.querySelector('table th')?.innerText == 'Trial 2, HiMAP paper'")
    button = tab.get_by_role("button", name="Show surviving tokens").first
    until(tab, button.click, "!document.body.innerText.includes('This runs the model on the question')")
    answered = tab.locator("text=/After K2 = 8 by intra_column|search.tokens failed/").first
    answered.wait_for(timeout=180_000)
    assert answered.inner_text().startswith("After K2"), answered.inner_text()
    tab.wait_for_function("[...document.querySelectorAll('img')].filter(i => i.naturalWidth > 200).length >= 3")


def _export(tab: Any, folder: Path) -> himap.PruningConfig:
    tab.get_by_role("link", name="Export").click()
    tab.get_by_text("Your choice: Trial 2, HiMAP paper").first.click()
    tab.wait_for_function("document.querySelector('table th')?.innerText == 'Trial 2, HiMAP paper'")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download preset").first.click()
    assert download.value.suggested_filename == "qwenvl-pope-trial-2.yaml"
    download.value.save_as(folder / "preset.yaml")
    return himap.load_preset(folder / "preset.yaml")


def test_the_study_stays_chosen_from_page_to_page_and_by_a_copied_link(searched_store: str) -> None:
    chosen = "document.querySelector('[data-testid=stSelectbox] input')?.value"
    with serving(searched_store) as address, opened(address) as tab:
        tab.wait_for_selector(POINT)
        tab.locator("[data-testid=stSelectbox] input").first.click()
        tab.get_by_text("qwenvl-mini · pope").last.click()
        tab.get_by_text("All complete trials (59)").wait_for()
        for page, sign in (
            ("Search", "Parameter importance"),
            ("Compare", "Studies"),
            ("Fronts", "All complete trials (59)"),
        ):
            tab.get_by_role("link", name=page, exact=True).click()
            tab.get_by_text(sign).first.wait_for()
        tab.wait_for_function(f"{chosen} == 'qwenvl-mini · pope'")
        tab.get_by_role("link", name="Trial", exact=True).click()
        tab.wait_for_function("location.pathname == '/trial' && location.search.includes('trial=')")
        trial, link = tab.locator("table th").first.inner_text(), tab.url
        tab.reload()
        tab.wait_for_function(f"document.querySelector('table th')?.innerText == '{trial}'")
    with serving(searched_store) as address, opened(address + link[link.index("/trial") :]) as tab:
        tab.wait_for_function(f"document.querySelector('table th')?.innerText == '{trial}'")
        tab.wait_for_function(f"{chosen} == 'qwenvl-mini · pope'")


def test_nothing_is_redrawn_while_nothing_changes(searched_store: str) -> None:
    with serving(searched_store) as address, opened(address) as tab:
        tab.wait_for_selector(POINT)
        tab.wait_for_timeout(3000)
        tab.evaluate(
            "window.changes = 0; new MutationObserver(seen => window.changes += seen.length).observe("
            f"document.querySelector('{CHART}'), {{childList: true, subtree: true, attributes: true}})"
        )
        tab.wait_for_timeout(5000)
        assert tab.evaluate("window.changes") == 0  # looked at the store twice, redrew nothing
        with open_store(searched_store) as store:
            fill(store, study_key("aokvqa", seed=1), [searched(14, seed=2)[13]])
        tab.get_by_text("All complete trials (13)").wait_for()
