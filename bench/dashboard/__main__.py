"""How long until the first front is on screen, with 100,000 trials in 20 studies, in a real browser.

python -m bench.dashboard [--trials 100000] [--studies 20] [--runs 5]

Writes the trials through the storage layer into a file of its own, starts the dashboard on it, and measures
in a headless Chromium from opening the address until the front's points are drawn: the first visit after the
start of the server, and further visits. A Streamlit page with nothing but a plotly chart of one point says
how much of that is the browser's and Streamlit's. Where optuna-dashboard is installed it is measured beside
it, on the same trials as Optuna studies in SQLite, from opening a study's address until its history is drawn.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.dashboard.peers import PEER, fill_optuna, serving_optuna
from bench.dashboard.serving import FLAGS, serving
from bench.dashboard.store import fill

GOAL = 2.0  # seconds
FRONT = ".js-plotly-plot .scatterlayer .trace path.point"
BARE = """
import plotly.graph_objects as go
import streamlit as st

st.plotly_chart(go.Figure(go.Scatter(x=[1], y=[1], mode="markers")))
"""
PEER_FRONT = ".js-plotly-plot .scatterlayer .trace path, .js-plotly-plot .gl-container canvas"


def say(line: str) -> None:
    """One line at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def first_drawn(address: str, selector: str, runs: int) -> list[float]:
    """Seconds from opening the address until the selector is on screen, each in a fresh browser profile."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for _ in range(runs):
            tab: Any = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            tab.set_default_timeout(300_000)
            start = time.perf_counter()
            tab.goto(address, wait_until="commit")
            tab.wait_for_selector(selector)
            seconds.append(time.perf_counter() - start)
            tab.context.close()
        browser.close()
    return seconds


def told(name: str, seconds: list[float]) -> str:
    """One line: the first visit, and the median of the further ones."""
    later = seconds[1:]
    rest = f"{statistics.median(later):5.2f} s (median of {len(later)})" if later else "-"
    return f"{name:18s} first visit {seconds[0]:6.2f} s   further visits {rest}"


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; 1 when the first front takes longer than the goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description="Time to the first front.")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    say(f"{options.trials} trials in {options.studies} studies; {machine}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        fill(f"sqlite:///{folder}/himap.db", options.trials, options.studies)
        size = Path(folder, "himap.db").stat().st_size / 1e6
        say(f"written in {time.perf_counter() - start:.0f} s, {size:.0f} MB")
        with serving(f"sqlite:///{folder}/himap.db") as address:
            ours = first_drawn(address, FRONT, options.runs)
        say(told("himap dashboard", ours))
        bare = Path(folder, "bare.py")
        bare.write_text(BARE)
        with serving("none", bare) as address:
            say(told("one point", first_drawn(address, FRONT, options.runs)))
        if PEER is None:
            say("optuna-dashboard is not installed here: pip install optuna-dashboard")
        else:
            fill_optuna(f"sqlite:///{folder}/himap.db", Path(folder, "optuna.db"))
            with serving_optuna(f"sqlite:///{folder}/optuna.db") as address:
                theirs = first_drawn(f"{address}/dashboard/studies/1", PEER_FRONT, options.runs)
            say(told("optuna-dashboard", theirs))
            say(f"ratio of first visits: {theirs[0] / ours[0]:.1f}")
    say(f"goal: {GOAL:.0f} s on the first visit: {'met' if ours[0] <= GOAL else 'missed'}")
    return 0 if ours[0] <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
