"""Flow: where the image enters the text and where it only talks to itself, and where the search cuts."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.analysis import stored_flows
from dashboard.figures import layer_flows
from dashboard.views.widgets import picture
from dashboard.wording import formatting

FOLDER = Path("flow")


def show(*, dark: bool) -> None:
    """The page of the flows in the folder that `objectives.flow` writes into."""
    flows = stored_flows.read_all(FOLDER)
    if not flows:
        st.subheader("No information flow measured yet", anchor=False)
        st.markdown("In this folder, in another terminal; the flows in `flow/` appear here:")
        st.code("python -m objectives.flow --model qwenvl --benchmark scienceqa --n 200", language="bash")
        return
    names = [f"{one.model} · {one.benchmark}, n = {one.n}, weights {one.weights[:8]}" for one in flows]
    chosen = flows[st.selectbox("Model and benchmark", range(len(flows)), format_func=names.__getitem__)]
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Saliency by layer", anchor=False)
        picture(layer_flows.saliency_figure(chosen, dark=dark), "saliency")
    with right:
        st.subheader("Bias ratio by layer", anchor=False)
        picture(layer_flows.ratio_figure(chosen, dark=dark), "ratio")
        st.caption(formatting.plain("Below 0, cutting image-to-text flow hurts more; above 0, cutting image-to-image."))
    st.subheader("The paper's claims", anchor=False)
    lines = [
        f"| {formatting.plain(claim)} | {formatting.plain(verdict)} |" for claim, verdict in stored_flows.claims(chosen)
    ]
    st.markdown("\n".join(["| Claim | Here |", "|---|---|", *lines]))
