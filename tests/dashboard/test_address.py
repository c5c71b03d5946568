"""The address holds the view: a copied link or a reload shows it again, and says what of it is gone."""

from __future__ import annotations

from typing import Any

import pytest

from storage import open_store
from tests.dashboard.app_pages import checked, words
from tests.dashboard.generated_store import fill, searched, study_key

POPE, OLDER = study_key("pope").name, study_key("aokvqa").name


def test_a_copied_link_opens_the_same_view(page: Any, searched_store: str) -> None:
    app = page("--storage", searched_store)
    assert app.query_params == {"study": study_key("aokvqa", seed=1).name}  # defaults are left out
    checked(app.selectbox(key="pair").set_value(("qwenvl-mini", "pope")).run())
    app.session_state["chosen_trial"] = {POPE: 2}
    app.segmented_control(key="cost").set_value("paper_flops")
    app.segmented_control(key="scale").set_value("log")
    app.multiselect(key="criteria").set_value(["instruction", "random"])
    app.multiselect(key="beside").set_value([("qwenvl-mini", "aokvqa")])
    copied = dict(checked(app.run()).query_params)
    assert copied == {
        "study": POPE,
        "trial": "2",
        "cost": "paper_flops",
        "scale": "log",
        "criteria": ["instruction", "random"],
        "beside": "qwenvl-mini · aokvqa",
    }
    other = page("--storage", searched_store, **copied)
    assert not other.warning
    assert other.selectbox(key="pair").value == ("qwenvl-mini", "pope")
    assert other.segmented_control(key="cost").value == "paper_flops"
    assert other.segmented_control(key="scale").value == "log"
    assert other.multiselect(key="criteria").value == ["instruction", "random"]
    assert other.multiselect(key="beside").value == [("qwenvl-mini", "aokvqa")]
    assert other.query_params == copied
    checked(other.multiselect(key="beside").set_value([]).run())
    assert "| Trial 2, HiMAP paper |" in words(other)


def test_a_link_names_one_of_several_studies_and_the_trial_that_is_looked_at(page: Any, searched_store: str) -> None:
    app = page("--storage", searched_store, title="Trial", study=OLDER)
    (number,) = [one.value for one in app.number_input if one.label == "Any number"]
    assert app.query_params == {"study": OLDER, "trial": str(number)}


@pytest.mark.parametrize(
    ("gone", "note"),
    [
        ({"study": "qwenvl/x"}, "study qwenvl/x, which is not in this store"),
        ({"study": POPE, "trial": "39"}, "trial 39, which is not among the measured trials of this study"),  # failed
        ({"study": POPE, "trial": "½"}, "trial ½, which is not among the measured trials"),
        ({"cost": "**b**"}, "cost **b**, which the dashboard does not know"),
        ({"beside": "a · b"}, "a · b, which is not in this store"),
    ],
)
def test_a_link_to_what_is_gone_says_so(page: Any, searched_store: str, gone: dict[str, str], note: str) -> None:
    app = page("--storage", searched_store, **gone)
    assert f"The link names {note}" in words(app)
    assert "| Trial" in words(app)  # the default is shown
    assert len(checked(app.run()).warning) == 1  # a redraw keeps the note
    checked(app.segmented_control(key="cost").set_value("latency_ms").run())
    assert not app.warning


def test_a_link_waits_for_its_store(page: Any, database: str) -> None:
    app = page("--storage", database, study=POPE, trial="2")
    assert app.query_params == {"study": POPE, "trial": "2"}
    with open_store(database) as store:
        fill(store, study_key("aokvqa"), searched(8))
        fill(store, study_key("pope"), searched(8))
    checked(app.run())
    assert not app.warning
    assert app.selectbox(key="pair").value == ("qwenvl-mini", "pope")
    assert "| Trial 2, HiMAP paper |" in words(app)
