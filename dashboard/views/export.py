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
from storage.confirmation import MARGIN
from storage.pareto import NOT_WORSE, WITHIN_MARGINS, OperatingPoint, cheapest_within
from storage.presets import preset_filename
from storage.records import Trial

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


def choices(view: View) -> dict[str, tuple[OperatingPoint, Trial]]:
    """Return the operating points to choose from, by name.

    Those come first that test questions certified, by rising FLOPs. Several points may have the same trial.
    """
    certified = {number for number, one in view.confirmed.items() if one.certifies()}
    held = [t for t in view.complete if t.number in certified and t.origin != "dense"]
    points: list[tuple[str, Trial | None, float]] = [
        (f"trial {trial.number}, certified within 1 point", trial, MARGIN)
        for trial in sorted(held, key=lambda trial: trial.flops)
    ]
    points += [(p.name, cheapest_within(view.front, view.dense, p.margin), p.margin) for p in WITHIN_MARGINS]
    points.append((NOT_WORSE.name, cheapest_within(view.front, view.dense, 0.0), MARGIN))
    points.append(("most accurate", view.front[-1] if view.front else None, MARGIN))
    chosen = view.trial(context.chosen_number(view))
    if chosen is not None and chosen.complete:
        points.append((f"the chosen one, {words.trial_title(chosen)}", chosen, MARGIN))
    return {
        text.sentence(name): (OperatingPoint("", name, margin), trial)
        for name, trial, margin in points
        if trial is not None
    }


def csv(trials: list[Trial]) -> bytes:
    """Every trial with every field but its scores, one row each; numbers in the units of the store."""
    frame = pd.DataFrame([tables.flat(trial) for trial in trials])
    return frame.to_csv(index=False).encode()


def _preset(view: View) -> None:
    found = choices(view)
    if not found:
        st.markdown("No trial is finished yet.")
        return
    name = st.radio("Setting", list(found), key=f"place {view.key.name}", label_visibility="collapsed")
    point, trial = found[name]
    trial_table(view, trial)
    preset = study_view.preset(view, trial, point)
    content = preset.yaml()
    st.download_button(
        "Download preset (YAML)",
        content,
        file_name=preset_filename(view.key.model, view.key.questions, f"trial-{trial.number}"),
        mime="application/yaml",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        key="preset",
    )
    verdict = text.plain(text.sentence(preset.certificate.verdict))
    if trial.number not in view.confirmed:
        st.warning(
            "An estimate on validation questions, not certified on held-out ones. The best of many noisy "
            "estimates flatters itself.",
            icon=":material/help:",
        )
    elif preset.certificate.certified:
        st.success(verdict, icon=":material/verified:")
    else:
        st.error(verdict, icon=":material/cancel:")
    with st.expander("Preview"):
        st.code(content, language="yaml")


def command(url: str, view: View) -> str:
    """What confirms this study's useful settings, ready for a shell, without the password of the URL."""
    parts = ["python", "-m", "search.export", "--storage", empty.without_password(url)]
    asked = ["--benchmark", view.key.benchmark]
    parts += ["--model", view.key.model, *(view.questions.arguments if view.questions else asked)]
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
    return preset_filename(view.key.model, view.key.questions).removesuffix("yaml") + ending
