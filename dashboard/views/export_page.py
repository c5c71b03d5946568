"""Export: choose an operating point, certify it, download its preset; trials as CSV, the front as a picture."""

from __future__ import annotations

import streamlit as st

from dashboard.analysis.new_search import MARGINS, USUAL_MARGINS
from dashboard.analysis.study_view import View, certify_options, preset
from dashboard.context import Context, chosen_number
from dashboard.figures.front import front_figure
from dashboard.views import empty
from dashboard.views.job_panel import follow, latest, submit_button
from dashboard.views.widgets import COST_NAMES, command, preset_download, segments, table, trial_table
from dashboard.wording.descriptions import trial_title
from dashboard.wording.formatting import capitalized, sentence
from dashboard.wording.trial_tables import csv, held_out_table
from storage import StudySummary
from storage.pareto import OperatingPoint, operating_points
from storage.presets import ESTIMATE, preset_filename
from storage.records import Trial

MOST_ACCURATE = OperatingPoint("most-accurate", "most accurate")
FORMATS = {"png": "PNG", "svg": "SVG"}


def show(context: Context, study: StudySummary) -> None:
    """Draw the page for one study."""
    view = context.view(study)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("A preset", anchor=False)
        _preset(view)
    with right:
        st.subheader("Certify", anchor=False)
        _certify(context, view)
    st.subheader("The front as a picture", anchor=False)
    _picture(context, study)
    st.subheader("Trials", anchor=False)
    st.download_button(
        "All trials (CSV)",
        lambda: csv(context.trials(study)),
        file_name=_file_name(view, "csv"),
        mime="text/csv",
        icon=":material/table:",
        on_click="ignore",
        key="csv",
    )


def export_choices(view: View) -> dict[str, tuple[OperatingPoint, Trial]]:
    """Return the operating points to choose from, by name, each with its trial; several may have the same.

    Those come first that held-out questions certify, by rising FLOPs.
    """
    choices = [
        (OperatingPoint("certified", f"trial {trial.number}, certified within 1 point"), trial)
        for trial in view.certified_trials
    ]
    choices += operating_points(view.front, view.dense) if view.dense else []
    choices += [(MOST_ACCURATE, trial) for trial in view.front[-1:]]
    chosen = view.trial(chosen_number(view.key))
    if chosen is not None and chosen.complete:
        choices.append((OperatingPoint("chosen", f"your choice: {trial_title(chosen)}"), chosen))
    return {capitalized(point.name): (point, trial) for point, trial in choices}


def _preset(view: View) -> None:
    choices = export_choices(view)
    name = st.radio("Operating point", list(choices), key=f"point {view.key.name}", label_visibility="collapsed")
    point, trial = choices[name]
    trial_table(view, trial)
    content = preset(view, trial, point)
    preset_download(view, trial, content, key="preset")
    if trial.number not in view.confirmations:
        st.warning(
            f"{capitalized(ESTIMATE)}. The best of many noisy estimates looks better than it is.",
            icon=":material/help:",
        )
    elif content.certificate.certified:
        st.success(sentence(content.certificate.verdict), icon=":material/verified:")
    else:
        st.error(sentence(content.certificate.verdict), icon=":material/cancel:")


def _certify(context: Context, view: View) -> None:
    st.markdown(
        "Test the best settings against dense on held-out questions that the search never saw, by a plan that is "
        "stored first. A search has done so unless it ran with `--no-certify`."
    )
    margins = st.multiselect("Margins, in points", MARGINS, default=USUAL_MARGINS, key="margins")
    options = [*certify_options(view), "--margins", *(f"{margin:g}" for margin in sorted(margins))]
    job = latest(context.store, "export", options)
    busy = not margins or (job is not None and job.state in ("queued", "running"))
    submit_button("Certify", context.url, "export", options, busy=busy, icon=":material/verified:")
    if job is not None:
        follow(context.url, context.store, job.id)
    if margins:
        with st.expander("The same from a shell, in this folder"):
            command(("python", "-m", "search.export", "--storage", context.url, *options), context.url)
    if not view.confirmations:
        st.markdown("No setting of this study has a certificate yet; results appear here by themselves.")
        return
    st.markdown("**Measured on held-out questions**")
    table(held_out_table(view))


def _picture(context: Context, study: StudySummary) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = segments("Cost", COST_NAMES, "picture_cost")
        kind = segments("Format", FORMATS, "picture_format")
        view = context.view(study, cost)
        figure = front_figure(view).update_layout(
            paper_bgcolor="#ffffff",
            plot_bgcolor="#ffffff",
            height=460,
            margin={"l": 70, "r": 20, "t": 40, "b": 80},
            font={"family": "Helvetica, Arial, sans-serif", "size": 14},
        )
        st.download_button(
            "Interactive page (HTML)",
            lambda: figure.to_html(include_plotlyjs=True, full_html=True),
            file_name=_file_name(view, "html"),
            mime="text/html",
            icon=":material/html:",
            on_click="ignore",
            key="html",
        )
    image = {"format": kind, "filename": _file_name(view, "")[:-1], "width": 960, "height": 540}
    options = {**image, "scale": 1 if kind == "svg" else 3}
    config = {"displaylogo": False, "displayModeBar": True, "toImageButtonOptions": options}
    if not view.front:
        empty.no_front(view)
        return
    st.plotly_chart(figure, key="picture", theme=None, config=config)
    st.caption(f"The camera in the picture's corner saves it as {FORMATS[kind]}, on white, for a paper.")


def _file_name(view: View, ending: str) -> str:
    return preset_filename(view.key.model, view.key.questions).removesuffix("yaml") + ending
