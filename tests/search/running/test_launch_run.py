"""`search.run` from Python: what it returns, what its callback gets, and that it prints nothing."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import himap
import search
from search import Progress, SearchConfig, SearchResult, launch
from search.running import launch_run
from search.workers.jobs import Job, Outcome
from storage import open_store
from storage.pareto import front
from tests.search.search_helpers import ScriptedPool, measured


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """What a pool without workers is handed; on mme its measurements fail."""
    monkeypatch.chdir(tmp_path)
    handed: list[Job] = []

    def answer(job: Job) -> Outcome:
        handed.append(job)
        return Outcome(job, reason="an image is gone") if job.benchmark == "mme" else measured(job)

    monkeypatch.setattr(launch_run, "Pool", lambda *_: nullcontext(ScriptedPool(answer)))
    return handed


def config(tiny: Path, budget: int, *benchmarks: str) -> SearchConfig:
    options: dict[str, Any] = {"questions": 20, "workers": 1, "sampler": "random", "certify": False}
    return SearchConfig(str(tiny), budget, benchmarks or ["pope"], **options)


def test_it_returns_trials_front_and_preset(tiny: Path, jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    result = search.run(config(tiny, 8))
    (study,) = result.studies
    assert not result.stopped and not study.message
    assert [trial.number for trial in study.trials] == list(range(8))
    assert study.front == front(study.trials)
    assert 0 < study.hypervolume < 1
    assert study.preset == Path("presets/tiny-pope.yaml")
    assert himap.load_preset(study.preset) in {trial.config for trial in study.front}
    with open_store("sqlite:///himap.db", readonly=True) as store:
        assert tuple(store.trials(store.studies()[0].id)) == study.trials
    assert capsys.readouterr() == ("", "")


def test_the_callback_gets_each_trial_after_it_is_stored(tiny: Path, jobs: list[Job]) -> None:
    phases: Counter[str] = Counter()

    def on_progress(progress: Progress) -> None:
        phases[progress.phase] += 1
        if progress.run is not None:
            with open_store("sqlite:///himap.db", readonly=True) as store:
                assert len(store.trials(progress.run.study_id)) == len(progress.run.trials)

    search.run(config(tiny, 8), on_progress)
    assert (phases["measuring"], phases["trial"]) == (1, 8)
    again = len(jobs)
    search.run(config(tiny, 8), on_progress)
    assert (phases["measuring"], phases["trial"], len(jobs)) == (1, 8, again)


def test_the_callback_can_stop_it_and_the_same_call_resumes(tiny: Path, jobs: list[Job]) -> None:
    def stop_at_three(progress: Progress) -> None:
        if progress.run is not None and len(progress.run.trials) == 3:
            progress.stop()

    result: SearchResult = search.run(config(tiny, 9), stop_at_three)
    assert result.stopped
    assert 3 <= len(result.studies[0].trials) < 9
    resumed = search.run(config(tiny, 9))
    assert not resumed.stopped
    assert [trial.number for trial in resumed.studies[0].trials] == list(range(9))


def test_an_abandoned_study_says_why_and_the_others_end(tiny: Path, jobs: list[Job]) -> None:
    good, bad = search.run(config(tiny, 12, "pope", "mme")).studies
    assert (len(good.trials), good.abandoned, good.message) == (12, False, "")
    assert bad.abandoned and bad.preset is None
    assert "the last one with: an image is gone" in bad.message


def test_the_command_prints_json_alone(tiny: Path, jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--benchmark", "pope", "--questions", "20", "--workers", "1", "--sampler", "random"]
    assert launch.main(["--model", str(tiny), "--budget", "4", *options, "--json"]) == 0
    out, err = capsys.readouterr()
    (study,) = json.loads(out)["studies"]
    assert (study["benchmark"], study["trials"]) == ("pope", 4)
    assert "preset: presets/tiny-pope.yaml" in err


def test_dense_corrects_the_estimate(tiny: Path, jobs: list[Job]) -> None:
    messages: list[tuple[str, int]] = []
    search.run(config(tiny, 8), lambda one: messages.append((one.message, len(one.runs[0].trials))))
    corrected = [number for message, number in messages if message.startswith("estimate   dense took")]
    assert corrected == [1]
