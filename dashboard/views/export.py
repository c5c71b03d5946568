"""Export: choose a setting, confirm it, take it along; trials as CSV, the front as HTML, SVG or PNG."""

from __future__ import annotations

import shlex

import pandas as pd
import streamlit as st

from dashboard import context
from dashboard.analysis import study_view
from dashboard.analysis.study_view import COSTS, View
from dashboard.context import Context
from dashboard.figures import front
from dashboard.views import empty
from dashboard.views.widgets import table, trial_table
from dashboard.wording import tables, text, words
from storage import StudySummary
from storage.pareto import cheapest_within
from storage.presets import preset_filename, preset_yaml
from storage.records import Trial

WITHIN = {
    0.005: "Cheapest within 0.5 points of dense",
    0.01: "Cheapest within 1 point of dense",
    0.02: "Cheapest within 2 points of dense",
    0.0: "Cheapest not worse than dense",
}
FORMATS = {"png": "PNG", "svg": "SVG"}


def show(here: Context, study: StudySummary) -> None:
    """The page for one study."""
    view = here.view(study)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("A preset", anchor=False)
        _preset(view)
    with right:
        st.subheader("Confirm", anchor=False)
        _confirm(here, view)
    st.subheader("The front as a picture", anchor=False)
    _picture(here, study)
    st.subheader("Trials", anchor=False)
    st.download_button(
        "All trials (CSV)",
        lambda: csv(here.trials(study)),
        file_name=_named(view, "csv"),
        mime="text/csv",
        icon=":material/table:",
        on_click="ignore",
        key="csv",
    )


def places(view: View) -> dict[str, Trial]:
    """Useful settings by name, those first that test questions confirmed, by rising FLOPs; several names may
    mean the same one."""
    surely = {number for number, one in view.confirmed.items() if one.within()}
    held = [t for t in view.complete if t.number in surely and t.origin != "dense"]
    found: dict[str, Trial | None] = {
        f"Trial {trial.number}, confirmed within 1 point": trial
        for trial in sorted(held, key=lambda trial: trial.flops)
    }
    found |= {name: cheapest_within(view.front, view.dense, drop) for drop, name in WITHIN.items()}
    found["Most accurate"] = view.front[-1] if view.front else None
    chosen = view.trial(context.chosen_number(view))
    if chosen is not None and chosen.complete:
        found[f"The chosen one, {words.trial_title(chosen)}"] = chosen
    return {name: trial for name, trial in found.items() if trial is not None}


def csv(trials: list[Trial]) -> bytes:
    """Every trial with every field but its scores, one row each; numbers in the units of the store."""
    frame = pd.DataFrame([tables.flat(trial) for trial in trials])
    return frame.to_csv(index=False).encode()


def _preset(view: View) -> None:
    found = places(view)
    if not found:
        st.markdown("No trial is finished yet.")
        return
    name = st.radio("Setting", list(found), key=f"place {view.key.name}", label_visibility="collapsed")
    trial = found[name]
    trial_table(view, trial)
    within = next((drop for drop, place in WITHIN.items() if place == name and drop), 0.01)
    promise = study_view.promised(view, trial, name[:1].lower() + name[1:], within)
    preset = preset_yaml(view.key, trial, promise, view.sources)
    st.download_button(
        "Download preset (YAML)",
        preset,
        file_name=preset_filename(view.key, trial),
        mime="application/yaml",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        key="preset",
    )
    if promise is None:
        st.warning(
            "An estimate on validation questions, not confirmed on held-out ones. The best of many noisy "
            "estimates flatters itself.",
            icon=":material/help:",
        )
    elif promise.confirmed:
        st.success(text.plain(text.sentence(promise.verdict)), icon=":material/verified:")
    else:
        st.error(text.plain(text.sentence(promise.verdict)), icon=":material/cancel:")
    with st.expander("Preview"):
        st.code(preset, language="yaml")


def command(url: str, view: View) -> str:
    """What confirms this study's useful settings, ready for a shell, without the password of the URL."""
    parts = ["python", "-m", "search.export", "--storage", empty.without_password(url)]
    asked = ["--benchmark", view.key.benchmark]
    parts += ["--model", view.key.model, *(view.questions.words if view.questions else asked)]
    parts += ["--out", "presets/"]
    return shlex.join(parts)


def _confirm(here: Context, view: View) -> None:
    st.markdown(
        "Measure the useful places of the front again on the test split, which the search never saw, paired "
        "with dense. In this folder, in another terminal:"
    )
    st.code(command(here.url, view), language="bash", wrap_lines=True)
    if not view.confirmed:
        st.markdown("Nothing of this study is confirmed yet. Results appear here by themselves.")
        return
    st.markdown("**Confirmed so far**")
    table(tables.confirmation_table(view))


def _picture(here: Context, study: StudySummary) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = st.segmented_control("Cost", list(COSTS), format_func=lambda name: COSTS[name].label, key="picture cost")
        kind = st.segmented_control("Format", list(FORMATS), format_func=FORMATS.__getitem__, key="picture format")
        view = here.view(study, cost or "flops_ratio")
        figure = front.front_figure(view).update_layout(
            paper_bgcolor="#ffffff",
            plot_bgcolor="#ffffff",
            height=460,
            margin={"l": 70, "r": 20, "t": 40, "b": 64},
            font={"family": "Helvetica, Arial, sans-serif", "size": 14},
        )
        st.download_button(
            "Interactive page (HTML)",
            lambda: figure.to_html(include_plotlyjs=True, full_html=True),
            file_name=_named(view, "html"),
            mime="text/html",
            icon=":material/html:",
            on_click="ignore",
            key="html",
        )
    saved = {
        "format": kind or "png",
        "filename": _named(view, "")[:-1],
        "width": 960,
        "height": 540,
        "scale": 1 if kind == "svg" else 3,
    }
    st.plotly_chart(
        figure,
        key="picture",
        theme=None,
        config={"displaylogo": False, "displayModeBar": True, "toImageButtonOptions": saved},
    )
    st.caption(f"The camera in the picture's corner saves it as {FORMATS[kind or 'png']}, on white, for a paper.")


def _named(view: View, ending: str) -> str:
    return preset_filename(view.key).removesuffix("yaml") + ending
