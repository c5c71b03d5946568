"""Flow: in which layers the image informs the text, and in which it only informs itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.analysis.stored_flows import StoredFlow, read_all
from dashboard.figures.layer_flows import ratio_figure, saliency_figure
from dashboard.views.job_panel import follow, latest, submit_button
from dashboard.views.widgets import command, picture
from dashboard.wording.formatting import plain
from objectives.benchmarks import EVERY_BENCHMARK
from objectives.evaluation.known_models import KNOWN
from storage import Store

FOLDER = Path("flow")


def show(url: str, store: Store | None, *, dark: bool) -> None:
    """Draw the page of the flows in the folder that `objectives.flow` writes into.

    Args:
        store: holds the queue of jobs; None where it is missing or cannot be read.
    """
    flows = read_all(FOLDER)
    if not flows:
        st.subheader("No information flow measured yet", anchor=False)
        st.markdown(
            "A flow study measures in which layers attention carries the image into the answer, and where cuts of "
            "image tokens should therefore lose little. The flows in `flow/` appear here."
        )
        _start(url, store)
        return
    _stored(flows, dark=dark)
    with st.expander("Measure another model or benchmark", key="open another", on_change="rerun") as folded:
        if folded.open:
            _start(url, store)


def _stored(flows: list[StoredFlow], *, dark: bool) -> None:
    names = [f"{flow.model} · {flow.benchmark}, n = {flow.n}, weights {flow.weights[:8]}" for flow in flows]
    flow = flows[st.selectbox("Model and benchmark", range(len(flows)), format_func=names.__getitem__)]
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Saliency by layer", anchor=False)
        picture(saliency_figure(flow, dark=dark), "saliency")
        st.caption("How much the attention between two groups of tokens matters for the answer, per token.")
    with right:
        st.subheader("Bias ratio by layer", anchor=False)
        picture(ratio_figure(flow, dark=dark), "ratio")
        st.caption(
            "Below 0, blocking attention from image to text hurts more; above 0, blocking it among image tokens does."
        )
    st.subheader("The paper's claims", anchor=False)
    lines = [f"| {plain(claim)} | {plain(verdict)} |" for claim, verdict in flow.claims]
    st.markdown("\n".join(["| Claim | This model |", "|---|---|", *lines]))


def _start(url: str, store: Store | None) -> None:
    """Draw the choice of a flow study, the button that queues it, and how far it is."""
    searched = [study.key.model for study in store.studies()] if store is not None else []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.selectbox("Model", list(dict.fromkeys([*searched, *KNOWN])), key="flow model", width=260)
        benchmark = st.selectbox("Benchmark", list(EVERY_BENCHMARK), 4, key="flow benchmark", width=200)
        n = st.number_input("Questions", 2, 100_000, 200, key="flow questions", width=140)
    options = ["--model", model, "--benchmark", benchmark, "--n", str(n)]
    job = latest(store, "flow", options)
    busy = job is not None and job.state in ("queued", "running")
    submit_button("Measure the flow", url, "flow", options, busy=busy, icon=":material/play_arrow:")
    if job is not None and store is not None:
        follow(url, store, job.id)
    with st.expander("The same from a shell, in this folder"):
        command(("python", "-m", "objectives.flow", *options), url)
