"""Compare: all studies at a glance, configurations of other studies, and the paper's table beside ours."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from dashboard.analysis import paper
from dashboard.analysis.cross_study import cross_results, suggestions
from dashboard.analysis.study_view import Pair, View, best_within_flops, within_one_point
from dashboard.context import Context
from dashboard.figures.settings_matrix import settings_figure
from dashboard.views import empty
from dashboard.views.widgets import picture, table
from dashboard.wording.descriptions import configuration_text, pair_label
from dashboard.wording.formatting import plain
from storage import StudySummary
from storage.pareto import hypervolume


def show(context: Context) -> None:
    """Draw the page of all studies."""
    st.subheader("Studies", anchor=False)
    with st.spinner("Reading all studies"):
        rows = [_row(context, study) for study in context.studies]
    table(pd.DataFrame(rows))
    if not any(row["certified"] for row in rows):
        empty.no_certificate()
    views = {pair: context.view(study) for pair, study in context.latest_studies().items() if study.complete}
    st.subheader("Configurations of other studies", anchor=False)
    _cross_results(views, dark=context.dark)
    st.subheader("The paper beside ours", anchor=False)
    _paper(views)


def _row(context: Context, study: StudySummary) -> dict[str, object]:
    view = context.view(study)
    dense, near, half = view.dense, within_one_point(view), best_within_flops(view.complete)
    return {
        "model": study.key.model,
        "benchmark": study.key.questions,
        "phase": context.phase(study),
        "questions": study.key.n_questions,
        "seed": study.key.seed,
        "trials": study.trials,
        "pruned": study.pruned,
        "failures": study.failed,
        "front_size": len(view.front),
        "certified": len(view.certified),
        "hypervolume": hypervolume(view.complete),
        "dense_percent": 100 * dense.accuracy if dense else None,
        "half_percent": 100 * half.accuracy if half else None,
        "near_percent": 100 * near.flops_ratio if near else None,
        "weights": study.key.weights,
        "space": study.key.space,
    }


def _cross_results(views: dict[Pair, View], *, dark: bool) -> None:
    if len(views) < 2:
        st.markdown(
            "This table needs complete trials of a second model or benchmark; `python -m search.launch` makes them."
        )
        return
    models = {model for model, _ in views}
    names = {pair: pair[1] if len(models) == 1 else pair_label(pair) for pair in views}
    picture(settings_figure(cross_results(views), names, dark=dark), "settings")
    st.caption(
        "Each row takes the cheapest configuration of one study that is within one point of dense; each column is a "
        "study that may have measured it. A cell shows its accuracy against dense and its share of dense's FLOPs "
        "there; ≈ marks the estimate of a pruned trial. What is not measured is not guessed: a launch with a larger "
        "--budget measures these configurations first (a warm start)."
    )
    with st.expander("The configurations"):
        for pair, trial in suggestions(views).items():
            st.markdown(plain(f"{pair_label(pair)}: {configuration_text(trial)}"))


def _paper(views: dict[Pair, View]) -> None:
    frame = paper.table(views)
    if not len(frame):
        st.markdown(
            "The store has no complete trial of a model and a benchmark that the paper reports; "
            f"`{empty.SEARCH_COMMAND}` makes them."
        )
        return
    st.dataframe(frame, hide_index=True, column_config=_paper_columns())
    st.caption(
        f"Paper: {paper.SOURCE}; MME in score points, the rest in %. Ours: accuracy in % of the same configurations "
        "on the validation questions and the weights of this store. The mini models answer generated questions: "
        "compare the changes, not the accuracies. FLOPs are by Eq. 10 in both."
    )


def _paper_columns() -> dict[str, Any]:
    columns: dict[str, Any] = {"model": TextColumn("Model"), "benchmark": TextColumn("Benchmark")}
    for side, title in (("paper", "Paper: dense"), ("our", "Ours: dense")):
        for name, label in (("dense", title), ("fastv", "FastV"), ("himap", "HiMAP")):
            columns[f"{side}_{name}"] = NumberColumn(label, format="%.1f")
        columns[f"{side}_change"] = NumberColumn("Change", format="%+.1f", help="HiMAP minus dense")
        columns[f"{side}_flops"] = NumberColumn("FLOPs", format="%.1f %%", help="HiMAP's share of dense, by Eq. 10")
    return columns
