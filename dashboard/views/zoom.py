"""Keep a chart's zoom when its data change: Streamlit replaces a changed chart and does not report its ranges.

An invisible component listens to the chart beside it and reports what was zoomed to. It runs in a fragment, so that
zooming redraws nothing; the next drawing of the chart starts from these ranges.
"""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

STATE = "zoom"
_SCRIPT = """
// Called again with new data, this must not leave an old timer running.
const timers = new Map();

export default function ({ data, setStateValue }) {
  clearInterval(timers.get(data.box));
  const listen = () => {
    const chart = document.querySelector(`.st-key-${data.box} .js-plotly-plot`);
    if (!chart || !chart.on || chart.himapScope === data.scope) return;
    const known = chart.himapScope !== undefined;
    chart.himapScope = data.scope;
    if (known) return;
    chart.on("plotly_relayout", (change) => {
      if (!Object.keys(change).some((name) => /^[xy]axis\\d*\\.(range|autorange)/.test(name))) return;
      const ranges = {};
      for (const name of Object.keys(chart.layout)) {
        const axis = chart.layout[name];
        if (/^[xy]axis\\d*$/.test(name) && axis.range && !axis.autorange) ranges[name] = [...axis.range];
      }
      setStateValue("ranges", { scope: chart.himapScope, ranges });
    });
  };
  timers.set(data.box, setInterval(listen, 50));
  return () => clearInterval(timers.get(data.box));
}
"""
_listener = st.components.v2.component("himap_zoom", js=_SCRIPT)


@st.fragment
def listen(box: str, scope: str) -> None:
    """Report the zoom of the chart in the container with the key `box`, as belonging to `scope`."""
    _listener(key=f"{STATE} {box}", data={"box": box, "scope": scope}, on_ranges_change=lambda: _remember(box))


def ranges(scope: str) -> dict[str, list[float]] | None:
    """Return the axes that were zoomed in this scope, each with its two limits; empty once all is shown again."""
    return st.session_state.get(STATE, {}).get(scope)


def _remember(box: str) -> None:
    zoomed = checked(st.session_state[f"{STATE} {box}"].ranges)
    if zoomed is not None:
        st.session_state[STATE] = {**st.session_state.get(STATE, {}), **zoomed}


def checked(message: Any) -> dict[str, dict[str, list[float]]] | None:
    """Return a message of the browser if it has the expected form, {scope: {axis: [low, high]}}."""
    if not isinstance(message, dict) or not isinstance(message.get("scope"), str):
        return None
    limits = message.get("ranges")
    if not isinstance(limits, dict):
        return None
    known = {name: pair for name, pair in limits.items() if name in ("xaxis", "yaxis") and _is_range(pair)}
    return {message["scope"]: {name: [float(limit) for limit in pair] for name, pair in known.items()}}


def _is_range(pair: Any) -> bool:
    numbers = isinstance(pair, list) and all(isinstance(limit, int | float) for limit in pair)
    return numbers and len(pair) == 2 and all(map(math.isfinite, pair))
