"""Measure the time to the first front on screen, with 100,000 trials in 20 studies, in a real browser.

    python -m bench.dashboard [--trials 100000] [--studies 20] [--runs 5]

Writes generated trials through the storage layer into a SQLite file, starts the dashboard on it, and measures in a
headless Chromium from opening the address until the front's points are drawn: at the first visit after the server
starts, and at further visits. A Streamlit page with a chart of one point shows the share of browser and Streamlit.
Where optuna-dashboard is installed, it is measured on the same trials as Optuna studies in SQLite, from opening a
study's address until its history is drawn.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import command
from bench.command import show
from bench.dashboard.peers import PEER, fill_optuna, serving_optuna
from bench.dashboard.serving import chromium, serving
from bench.dashboard.store import fill
from bench.measuring import timed
from objectives.evaluation.cores import available_cores

GOAL = 1.5  # times a page with one point
FRONT = ".js-plotly-plot .scatterlayer .trace path.point"
BARE = """
import plotly.graph_objects as go
import streamlit as st

st.plotly_chart(go.Figure(go.Scatter(x=[1], y=[1], mode="markers")))
"""
PEER_FRONT = ".js-plotly-plot .scatterlayer .trace path, .js-plotly-plot .gl-container canvas"


def first_drawn(address: str, selector: str, runs: int) -> list[float]:
    """Return the seconds from opening the address until the selector is on screen, each in a fresh profile."""
    seconds = []
    with chromium() as browser:
        for _ in range(runs):
            tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            tab.set_default_timeout(300_000)

            def visit(tab: Any = tab) -> None:
                tab.goto(address, wait_until="commit")
                tab.wait_for_selector(selector)

            seconds.append(timed(visit)[1])
            tab.context.close()
    return seconds


def line(name: str, seconds: list[float]) -> str:
    """Return one line: the first visit, and the median of the further ones."""
    later = seconds[1:]
    rest = f"{statistics.median(later):5.2f} s (median of {len(later)})" if later else "-"
    return f"{name:18s} first visit {seconds[0]:6.2f} s   further visits {rest}"


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; exit code 1 when the first visit takes longer than the goal."""
    parser = command.parser("bench.dashboard", __doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    machine = f"{platform.machine()}, {available_cores()} cores, load {os.getloadavg()[0]:.1f}"
    show(f"{options.trials} trials in {options.studies} studies; {machine}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        database, bare = Path(folder, "himap.db"), Path(folder, "bare.py")
        _, seconds = timed(fill, f"sqlite:///{database}", options.trials, options.studies)
        show(f"written in {seconds:.0f} s, {database.stat().st_size / 1e6:.0f} MB")
        with serving(f"sqlite:///{database}") as address:
            ours = first_drawn(address, FRONT, options.runs)
        show(line("himap dashboard", ours))
        bare.write_text(BARE)
        with serving("none", bare) as address:
            bare_seconds = first_drawn(address, FRONT, options.runs)
        show(line("one point", bare_seconds))
        if PEER is None:
            show("optuna-dashboard is not installed here: pip install optuna-dashboard")
        else:
            fill_optuna(f"sqlite:///{database}", Path(folder, "optuna.db"))
            with serving_optuna(f"sqlite:///{folder}/optuna.db") as address:
                theirs = first_drawn(f"{address}/dashboard/studies/1", PEER_FRONT, options.runs)
            show(line("optuna-dashboard", theirs))
            show(f"ratio of first visits: {theirs[0] / ours[0]:.1f}")
    first, later = ours[0] / bare_seconds[0], statistics.median(ours) / statistics.median(bare_seconds)
    show(f"times one point: first visit {first:.2f}, all visits {later:.2f}")
    show(f"goal: {GOAL} on the first visit: {'met' if first <= GOAL else 'missed'}")
    return 0 if first <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
