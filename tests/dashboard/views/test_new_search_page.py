"""The page that queues a search: what it offers, checks, says beforehand and submits."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard.access import plans, queue
from dashboard.access.options import read_options
from dashboard.analysis.new_search import NewSearch, known_models
from dashboard.views.new_search_page import METRICS
from objectives.benchmarks.custom import METRICS as SCORERS
from search.config import SearchConfig
from search.launch import config_values, parser
from tests.dashboard.app_pages import checked, words

Page = Callable[..., AppTest]
MARKUP = "<img src=x onerror=alert(1)> **b** [l](javascript:alert(1)) | `c`"
STUDY = {"name": "pope", "questions": 120, "certifiable": {"questions": 2000, "margin": 0.26}, "reason": ""}
ANSWER: dict[str, Any] = {
    **{"weights": "embedded mini", "studies": [STUDY], "bad": [], "answers": 7200, "test_answers": 8000},
    **{"hours": 0.5, "memory_gb": 2.2, "workers": 2, "where": "this machine: CPU"},
}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> tuple[list[list[str]], dict[str, Any]]:
    """The commands that the page asks for plans, and the answer that they get."""
    asked: list[list[str]] = []
    answer = dict(ANSWER)

    def run(module: str, options: Sequence[str]) -> Any:
        assert module == plans.PLAN
        asked.append(list(options))
        return json.loads(json.dumps(answer))

    monkeypatch.setattr(plans, "run_json", run)
    plans.plan.clear()
    return asked, answer


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The options of the searches that the page submits."""
    jobs: list[list[str]] = []

    def run(module: str, options: Sequence[str]) -> Any:
        assert module == queue.SUBMIT
        jobs.append(list(options))
        return {"job": {"id": len(jobs)}}

    monkeypatch.setattr(queue, "run_json", run)
    return jobs


def questions(image: str = "0.png") -> bytes:
    rows = [{"id": str(i), "image": image, "question": MARKUP, "answer": "cat"} for i in range(10)]
    buffer, picture = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("q.jsonl", "\n".join(map(json.dumps, rows)))
        packed.writestr("0.png", picture.getvalue())
    return buffer.getvalue()


def test_an_empty_store_is_searched_with_two_clicks(
    page: Page, database: str, planned: tuple[list[list[str]], dict[str, Any]], submitted: list[list[str]]
) -> None:
    assert [button.label for button in page("--storage", database).button] == ["New search"]
    app = page("--storage", database, title="New search")
    assert "at best certified within 0.26 points, by 2,000 test questions" in words(app)
    assert "7,200, and about 8,000 to certify" in words(app) and "about 30 min" in words(app)
    assert "about 2.2 GB" in words(app) and "this machine: CPU; 2 worker(s)" in words(app)
    checked(app.button[0].click().run())
    words_of_job = ["--model", "qwenvl", "--budget", "60", "--benchmark", "pope", "--storage", database, "--json"]
    assert submitted == [[*words_of_job, "--by=test@example.com"]]  # whom AppTest signs in
    assert "Job 1 is queued" in app.success[0].value


def test_own_questions_are_kept_checked_and_submitted_without_bad_rows(
    page: Page,
    database: str,
    planned: tuple[list[list[str]], dict[str, Any]],
    submitted: list[list[str]],
    tmp_path: Path,
) -> None:
    asked, answer = planned
    answer["bad"] = [{"word": "line", "line": 3, "problem": MARKUP}]
    app = page("--storage", database, "--models", str(tmp_path), title="New search")
    checked(app.segmented_control(key="new_source").set_value("My own questions").run())
    assert app.button[0].disabled and "Choose questions first" in words(app)
    checked(app.file_uploader(key="new_files").upload("q.zip", questions(), "application/zip").run())
    (data,) = (tmp_path / "uploads").glob("*/q.jsonl")
    assert asked[-1][4:8] == ["--data", str(data), "--metric", "exact_match"]
    assert "1 row(s) cannot be used" in app.error[0].value and MARKUP in words(app)
    assert app.button[0].disabled
    assert not any("<img" in element.value and "\\<img" not in element.value for element in app.markdown)
    checked(app.checkbox(key="new_skip").check().run())
    checked(app.button[0].click().run())
    assert submitted[0][8:10] == ["--on-bad", "skip"]


def test_a_hostile_upload_is_one_line(
    page: Page, database: str, planned: tuple[list[list[str]], dict[str, Any]], tmp_path: Path
) -> None:
    app = page("--storage", database, title="New search")
    checked(app.segmented_control(key="new_source").set_value("My own questions").run())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(f"../{MARKUP}.jsonl", b"{}")
    checked(app.file_uploader(key="new_files").upload("q.zip", buffer.getvalue(), "application/zip").run())
    assert "leads out of its folder" in app.error[0].value and "\\<img" in app.error[0].value
    assert list((tmp_path / "uploads").iterdir()) == [] and app.button[0].disabled


def test_a_session_that_may_only_read_has_no_form(page: Page, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.access.permission.can_write", lambda: False)
    assert not page("--storage", database, title="New search").button
    assert not page("--storage", database).button


def test_models_are_the_known_ones_those_of_the_folder_and_only_then_of_the_hub(
    page: Page, database: str, planned: tuple[list[list[str]], dict[str, Any]], tmp_path: Path
) -> None:
    for name in ("mine", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert list(known_models(tmp_path)) == ["qwenvl", "llava-7b", "llava-13b", str(tmp_path / "mine")]
    assert not page("--storage", database, title="New search").text_input
    app = page("--storage", database, "--allow-hub", "--address", "head:6379", title="New search")
    checked(app.text_input(key="new_hub").set_value("--x/y").run())
    assert "expected owner/name" in app.error[0].value and app.button[0].disabled
    checked(app.text_input(key="new_hub").set_value("owner/model").run())
    assert planned[0][-1][:2] == ["--model", "owner/model"]
    assert planned[0][-1][-5:-1] == ["--address", "head:6379", "--storage", database]


def test_every_choice_reaches_the_configuration() -> None:
    own = NewSearch("qwenvl", 30, data=Path("/u/q.jsonl"), metric="anls", skip_bad=True, margins=(1.0, 3.0))
    config = SearchConfig(**config_values(parser().parse_args(own.options())))
    assert (config.data, config.metric, config.on_bad, config.margins) == ("/u/q.jsonl", "anls", "skip", (1.0, 3.0))
    goals = NewSearch("qwenvl", 30, ("pope",), certify=False, costs=("flops", "latency"), max_drop=2, max_flops=50.5)
    config = SearchConfig(**config_values(parser().parse_args(goals.options())))
    assert (config.certify, config.objectives) == (False, ("accuracy", "flops", "latency"))
    assert (config.max_drop, config.max_flops, config.max_latency) == (2, 50.5, None)


def test_the_page_names_every_metric_and_uploads_lie_beside_the_store(tmp_path: Path) -> None:
    assert list(METRICS) == list(SCORERS)
    assert read_options(["--storage", f"sqlite:///{tmp_path}/a.db"]).uploads == tmp_path / "uploads"
    assert read_options(["--storage", "postgresql://h/d"]).uploads == Path.cwd() / "uploads"
    assert read_options(["--uploads", str(tmp_path / "x")]).uploads == tmp_path / "x"
