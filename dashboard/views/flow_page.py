"""Flow: in which layers the image informs the text, and in which it only informs itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.analysis.stored_flows import read_all
from dashboard.figures.layer_flows import ratio_figure, saliency_figure
from dashboard.views.widgets import picture
from dashboard.wording.formatting import plain

FOLDER = Path("flow")


def show(*, dark: bool) -> None:
    """Draw the page of the flows in the folder that `objectives.flow` writes into."""
    flows = read_all(FOLDER)
    if not flows:
        st.subheader("No information flow measured yet", anchor=False)
        st.markdown("Measure it in this folder, in another terminal; the flows in `flow/` appear here:")
        st.code(
            "python -m objectives.flow --model qwenvl --benchmark scienceqa --n 200", language="bash", wrap_lines=True
        )
        return
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
