"""A real browser signs in at a provider of OpenID Connect: skipped without Authlib."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.dashboard.serving import CHROMIUM, free_port, running, server
from tests.dashboard.test_dashboard_browser import POINT, opened

if CHROMIUM is None:
    pytest.skip("no Chromium here: apt-get install chromium", allow_module_level=True)
pytest.importorskip("authlib", reason="pip install 'himap-search[sign-in]'")
jwk = pytest.importorskip("joserfc.jwk")
jwt = pytest.importorskip("joserfc.jwt")
KEY = jwk.RSAKey.generate_key(2048, {"kid": "k"})
EMAIL = "ada@example.org"


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
