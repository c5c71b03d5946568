"""A real browser behind a reverse proxy that passes on what lies below a path."""

from __future__ import annotations

from pathlib import Path

import pytest

import himap
from bench.dashboard.serving import CHROMIUM, ROOT, free_port, running, server
from dashboard.app import TITLES, url_path
from storage import open_store
from tests.dashboard.generated_store import fill, searched, study_key
from tests.dashboard.reverse_proxy import reverse_proxy
from tests.dashboard.test_dashboard_browser import POINT, opened
from tests.dashboard.test_pages_browser import DRAWN

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)


def test_everything_works_below_a_path_of_a_reverse_proxy(searched_store: str, tmp_path: Path) -> None:
    port, strays = free_port(), list[str]()
    command = server(port, searched_store, "--server.baseUrlPath", "himap")
    with (
        running(command, f"http://127.0.0.1:{port}", "/himap/_stcore/health", ROOT),
        reverse_proxy(port, "/himap/", strays) as proxy,
    ):
        with opened(f"http://localhost:{proxy}/himap/") as tab:
            tab.wait_for_selector(POINT)
            tab.get_by_text("All complete trials (12)").wait_for()
            with open_store(searched_store) as store:
                fill(store, study_key("aokvqa", seed=1), [searched(14, seed=2)[13]])
            tab.get_by_text("All complete trials (13)").wait_for()  # a live update
            for title in TITLES:
                tab.get_by_role("link", name=title, exact=True).click()
                tab.wait_for_function(
                    f"location.pathname.startsWith('/himap/{'' if title == 'Fronts' else url_path(title)}')"
                )
                tab.wait_for_timeout(1000)
                tab.wait_for_function(DRAWN)
            tab.get_by_role("link", name="Export", exact=True).click()
            with tab.expect_download() as download:
                tab.get_by_role("button", name="Download preset").first.click()
            download.value.save_as(tmp_path / "preset.yaml")
            himap.load_preset(tmp_path / "preset.yaml")
            tab.get_by_role("link", name="Trial", exact=True).click()
            tab.wait_for_function("location.pathname == '/himap/trial' && location.search.includes('study=')")
            link, trial = tab.url, tab.locator("table th").first.inner_text()
        with opened(link) as tab:
            tab.wait_for_function(f"document.querySelector('table th')?.innerText == '{trial}'")
    assert strays == []
