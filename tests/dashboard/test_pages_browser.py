"""A real browser opens every page: directly, below a path of a reverse proxy, and after sign-in."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import himap
from bench.dashboard.serving import CHROMIUM, ROOT, free_port, running, serving
from dashboard.app import TITLES, url_path
from storage import open_store
from tests.dashboard.generated_store import fill, searched, study_key
from tests.dashboard.reverse_proxy import reverse_proxy
from tests.dashboard.test_dashboard_browser import POINT, opened

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
pytest.importorskip("authlib", reason="pip install authlib httpx")
jwk = pytest.importorskip("joserfc.jwk")
jwt = pytest.importorskip("joserfc.jwt")
KEY = jwk.RSAKey.generate_key(2048, {"kid": "k"})
DRAWN = "!document.querySelector('[data-testid=stStatusWidget], [data-testid=stSpinner], [data-testid=stSkeleton]')"
EMAIL = "ada@example.org"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_has_an_error_or_is_wider_than_the_screen(searched_store: str, scheme: str, width: int) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with serving(searched_store) as address:
        for title in TITLES:
            with opened(f"{address}/{url_path(title) if title != 'Fronts' else ''}", **options) as tab:
                tab.wait_for_selector("h1")
                tab.wait_for_timeout(1500)
                tab.wait_for_function(DRAWN)
                assert not tab.locator("[data-testid=stException]").count(), title
                assert tab.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width, title


def server(port: int, storage: str, *options: str) -> list[str]:
    words = ["--server.port", str(port), "--server.headless", "true", *options]
    return [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(ROOT / "dashboard/app.py"),
        *words,
        "--",
        "--storage",
        storage,
    ]


def test_everything_works_below_a_path_of_a_reverse_proxy(searched_store: str, tmp_path: Path) -> None:
    port, strays = free_port(), list[str]()
    command = server(port, searched_store, "--server.baseUrlPath", "himap")
    with (
        running(command, f"http://127.0.0.1:{port}", "/himap/_stcore/health", ROOT),
        reverse_proxy(port, "/himap/", strays) as proxy,
    ):
        with opened(f"http://localhost:{proxy}/himap/") as tab:
            tab.wait_for_selector(POINT)
            tab.get_by_text("All complete trials (11)").wait_for()
            with open_store(searched_store) as store:
                fill(store, study_key("aokvqa", seed=1), [searched(14, seed=2)[13]])
            tab.get_by_text("All complete trials (12)").wait_for()  # a live update
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


class Provider(BaseHTTPRequestHandler):
    """An OpenID Connect provider that lets one person in without asking."""

    nonce = ""

    def do_GET(self) -> None:
        place = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(place.query))
        issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        if place.path == "/authorize":
            type(self).nonce = query["nonce"]
            self.send_response(302)
            self.send_header("Location", f"{query['redirect_uri']}?code=c&state={query['state']}")
            self.end_headers()
        elif place.path == "/jwks":
            self._json({"keys": [KEY.as_dict(private=False)]})
        else:
            endpoints = {"authorization": "authorize", "token": "token"}
            self._json(
                {
                    "issuer": issuer,
                    "jwks_uri": f"{issuer}/jwks",
                    "id_token_signing_alg_values_supported": ["RS256"],
                    **{f"{name}_endpoint": f"{issuer}/{path}" for name, path in endpoints.items()},
                }
            )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        claims = {"iss": issuer, "aud": "himap", "sub": "1", "email": EMAIL, "nonce": type(self).nonce}
        claims |= {"iat": int(time.time()), "exp": int(time.time()) + 600}
        token = jwt.encode({"alg": "RS256", "kid": KEY.kid}, claims, KEY)
        self._json({"access_token": "a", "token_type": "Bearer", "id_token": token})

    def _json(self, document: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def provider() -> Iterator[str]:
    """Serve the provider, and yield its address."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()


@pytest.mark.parametrize(("listed", "enters"), [("@example.org", True), ("bob@example.org", False)])
def test_only_who_is_signed_in_and_listed_sees_the_store(
    searched_store: str, tmp_path: Path, listed: str, enters: bool
) -> None:
    port = free_port()
    (tmp_path / ".streamlit").mkdir()
    with provider() as issuer:
        (tmp_path / ".streamlit" / "secrets.toml").write_text(
            f'[auth]\nredirect_uri = "http://localhost:{port}/oauth2callback"\ncookie_secret = "{"x" * 40}"\n'
            f'client_id = "himap"\nclient_secret = "s"\n'
            f'server_metadata_url = "{issuer}/.well-known/openid-configuration"\n[access]\nemails = ["{listed}"]\n'
        )
        command = server(port, searched_store, "--server.address", "0.0.0.0")
        with (
            running(command, f"http://localhost:{port}", "/_stcore/health", tmp_path),
            opened(f"http://localhost:{port}") as tab,
        ):
            tab.get_by_role("button", name="Sign in").wait_for()
            tab.wait_for_timeout(1000)
            assert "Fronts" not in tab.inner_text("body") and not tab.locator(POINT).count()
            tab.get_by_role("button", name="Sign in").click()
            if enters:
                tab.wait_for_selector(POINT)
                tab.get_by_text(EMAIL).wait_for()
                tab.get_by_role("button", name="Sign out").click()
                tab.get_by_role("button", name="Sign in").wait_for()
            else:
                tab.get_by_text("may not see this dashboard").wait_for()
                assert not tab.locator(POINT).count()
