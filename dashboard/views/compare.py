"""Compare: all studies at a glance, what borrowing a setting costs, and the paper's table beside ours."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from dashboard.analysis import history, paper, study_view, transfer
from dashboard.context import Context
from dashboard.figures.transfer import transfer_figure
from dashboard.views.widgets import picture, table
from dashboard.wording import text, words
from storage import StudySummary
from storage.pareto import cheapest_within


def show(here: Context) -> None:
    """The page of all studies."""
    st.subheader("Studies", anchor=False)
    with st.spinner("Reading all studies"):
        rows = [_row(here, study) for study in here.studies]
    table(pd.DataFrame(rows))
    latest = {pair: of_pair[0] for pair, of_pair in study_view.pairs(here.studies).items()}
    views = {pair: here.view(study) for pair, study in latest.items() if study.complete}
    st.subheader("Borrowed settings", anchor=False)
    _transfers(here, views)
    st.subheader("The paper beside ours", anchor=False)
    _paper(views)


def _row(here: Context, study: StudySummary) -> dict[str, object]:
    view = here.view(study)
    dense, near = view.dense, cheapest_within(view.front, view.dense)
    half = study_view.best_within_flops(view.complete)
    return {
        "model": study.key.model,
        "benchmark": study.key.questions,
        "questions": study.key.n_questions,
        "seed": study.key.seed,
        "trials": study.trials,
        "pruned": study.pruned,
        "failures": study.failed,
        "front_size": len(view.front),
        "confirmations": len(view.confirmed),
        "hypervolume": history.hypervolume(view.complete),
        "dense_percent": 100 * dense.accuracy if dense else None,
        "half_percent": 100 * half.accuracy if half else None,
        "near_percent": 100 * near.flops_ratio if near else None,
        "weights": study.key.weights_digest[:8],
        "space": study.key.space,
    }


def _transfers(here: Context, views: dict[tuple[str, str], study_view.View]) -> None:
    if len(views) < 2:
        st.markdown("Needs two pairs with finished trials.")
        return
    models = {model for model, _ in views}
    names = {pair: pair[1] if len(models) == 1 else words.pair_label(pair) for pair in views}
    picture(transfer_figure(transfer.transfers(views), names, dark=here.dark), "warm_start")
    st.caption(
        "Accuracy to dense and share of its FLOPs, where a pair has measured the other's cheapest setting "
        "within one point of dense; ≈ marks an estimate of a stopped trial. Nothing is filled in: a launch "
        "with a larger --budget measures what is missing first."
    )
    with st.expander("The settings"):
        for pair, setting in transfer.settings_of(views):
            st.markdown(text.plain(f"{words.pair_label(pair)}: {words.configuration_text(setting)}"))


def _paper(views: dict[tuple[str, str], study_view.View]) -> None:
    frame = paper.table(views)
    if not len(frame):
        st.markdown("None of the paper's pairs is in this store.")
        return
    st.dataframe(frame, hide_index=True, column_config=_paper_columns())
    st.caption(
        f"Paper: {paper.SOURCE}; MME in score points, the rest in %. Ours: validation accuracy of the same "
        "settings in %, on the questions and weights of this store. The minis answer generated questions: "
        "compare the changes, not the accuracies. FLOPs are by Eq. 10 in both."
    )


def _paper_columns() -> dict[str, Any]:
    columns: dict[str, Any] = {"model": TextColumn("Model"), "benchmark": TextColumn("Benchmark")}
    for side, title in (("paper", "Paper: dense"), ("our", "Ours: dense")):
        for name, label in (("dense", title), ("fastv", "FastV"), ("himap", "HiMAP")):
            columns[f"{side}_{name}"] = NumberColumn(label, format="%.1f")
        columns[f"{side}_change"] = NumberColumn("Change", format="%+.1f", help="HiMAP less dense")
        columns[f"{side}_flops"] = NumberColumn("FLOPs", format="%.1f %%", help="Eq. 10, of dense")
    return columns
