"""Who may see the dashboard: by where it listens, by how it was started, by who has signed in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from bench.dashboard.serving import ROOT, free_port, running
from dashboard.access import permission

ADDRESSES = [("localhost", True), ("127.0.0.5", True), ("::1", True), ("unix:///run/d.sock", True)]
ADDRESSES += [("0.0.0.0", False), ("::", False), ("192.0.2.7", False), ("localhost.example.org", False), ("", False)]


@pytest.mark.parametrize(("address", "local"), ADDRESSES)
def test_other_machines_need_sign_in_or_read_only(address: str, local: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "get_option", lambda name: address)
    signs_in: list[str] = []
    monkeypatch.setattr(permission, "providers", lambda: signs_in)
    monkeypatch.setattr(permission, "find_spec", lambda name: object())
    monkeypatch.setattr(sys, "argv", ["app.py"])
    if local:
        permission.check()
        return
    with pytest.raises(ValueError, match="other machines reach; expected localhost, sign-in or read-only"):
        permission.check()
    monkeypatch.setattr(sys, "argv", ["app.py", "--read-only"])
    permission.check()
    monkeypatch.setattr(sys, "argv", ["app.py"])
    signs_in.append("")
    permission.check()
    monkeypatch.setattr(permission, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'himap-search\[sign-in\]'"):
        permission.check()


@pytest.mark.parametrize(
    ("person", "listed"),
    [
        ({"email": "Ada@Example.org"}, True),
        ({"email": "bob@team.example"}, True),
        ({"email": "bob@team.example", "email_verified": False}, False),
        ({"email": "eve@notteam.example"}, False),
        ({"email": "@team.example"}, False),
        ({"email": "ada@example.org.evil.example"}, False),
        ({"name": "ada@example.org"}, False),
    ],
)
def test_only_listed_people_enter(person: dict[str, Any], listed: bool) -> None:
    assert permission.is_listed(person, ["ada@example.org", "@team.example"]) is listed


def command(port: int, *more: str) -> list[str]:
    server = ["--server.port", str(port), "--server.headless", "true", "--server.address", "0.0.0.0"]
    return [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / "app.py"), *server, "--", *more]


def test_the_server_refuses_to_start_and_says_so_in_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(command(free_port()), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "append -- --read-only" in errors[0]
    assert "Traceback" not in ended.stderr
    port = free_port()
    with running(command(port, "--read-only"), f"http://127.0.0.1:{port}", "/_stcore/health", tmp_path):
        pass  # it has answered


def test_the_service_refuses_too(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "search.service", "--listen", "0.0.0.0", "--until-idle"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: got the address 0.0.0.0, which other machines reach;")
    ended = subprocess.run([*words, "--read-only"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0 and "dashboard: http://" in ended.stdout


def test_a_read_only_page_runs_no_model(page: Any, searched_store: str) -> None:
    sentence = "This dashboard is read-only and runs no model."
    for more, said in (([], False), (["--read-only"], True)):
        app = page("--storage", searched_store, *more, title="Trial")
        assert (sentence in [one.value for one in app.caption]) is said


def test_the_page_itself_refuses(page: Any, searched_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "is_local", lambda address: False)
    app = page("--storage", searched_store)
    assert "which other machines reach" in app.error[0].value
    assert not app.metric and not app.button
