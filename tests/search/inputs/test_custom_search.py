"""Searches on the user's own questions: what is asked, reported, recorded, certified, and never mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import himap
from himap import PruningConfig
from objectives import accuracy
from objectives.data.source import Source
from objectives.errors import DataError
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.prompt_check import PromptCheck
from search import export, verify
from search.config import SearchConfig
from search.errors import UsageError
from search.inputs.questions import Library, StudyQuestions, load_study_questions, searched_questions, source_options
from search.launch import main
from search.reporting.presets import write_preset
from search.running import launch_run
from search.studies.open_studies import open_runs
from search.studies.study_run import StudyRun
from search.workers.jobs import Job
from search.workers.trial_runner import TrialRunner
from storage import Store, open_store
from storage.records import Measurement
from tests.search.search_helpers import ROOT, outcomes, tiny_pool, trial

EXAMPLE = ROOT / "examples" / "questions.jsonl"
OWN = ["--data", "mine.jsonl", "--metric", "exact_match"]
CHEAP = PruningConfig(1, 90, 2, 0)


def row(number: int, **fields: Any) -> dict[str, Any]:
    question = {"id": str(number), "image": f"{number // 2}.png", "question": "What color is it?"}
    return {**question, "answer": ("red", "blue")[number % 2], **fields}


def write(rows: list[dict[str, Any]], more: str = "") -> None:
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, rows)) + f"\n{more}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_repeats: None) -> Path:
    """A working folder with mine.jsonl: 100 questions about 50 images."""
    monkeypatch.chdir(tmp_path)
    for i in range(50):
        Image.new("RGB", (96, 96), (5 * i, 90, 255 - 5 * i)).save(f"{i}.png")
    write([row(i) for i in range(100)])
    return tmp_path


def own(**fields: Any) -> Source:
    return Source(**{"data": Path("mine.jsonl"), "metric": "exact_match", **fields})


def load(source: Source, split: str = "validation", n: int = 20) -> StudyQuestions:
    return load_study_questions(source, split, n)


def opened(store: Store, tiny: Path, *questions: StudyQuestions) -> list[StudyRun]:
    """The studies of a search of the tiny checkpoint on these questions."""
    config = SearchConfig(str(tiny), 9, sampler="random")
    return open_runs(store, config, resolve(str(tiny)), questions, PromptCheck(tiny))


def key() -> str:
    return load(own()).key


def refused(capsys: pytest.CaptureFixture[str], call: Callable[[list[str]], int], *arguments: str) -> str:
    """The one line that a command answers."""
    assert call(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err.startswith("error: ") and err.count("\n") == 1
    return err


def test_an_image_that_is_damaged_during_a_search_fails_its_trials_and_no_others(tiny: Path, here: Path) -> None:
    """On real Ray: the questions were checked, and then a file changes before a worker reads it."""
    questions = load(own())
    damaged = Path(questions.loaded.questions[3].images[0])
    whole = damaged.read_bytes()
    with tiny_pool(tiny, questions={questions.key: questions.loaded}) as pool:
        damaged.write_bytes(whole[: len(whole) // 2])
        for benchmark in (questions.key, "pope"):
            pool.submit(Job(benchmark, CHEAP, benchmark))
        failed, fine = outcomes(pool)
        assert (failed.measurement, failed.lost) == (None, False)
        assert damaged.name in failed.reason and "truncated or damaged" in failed.reason
        assert fine.measurement is not None
        damaged.write_bytes(whole)
        pool.submit(Job(questions.key, CHEAP, "again"))
        (again,) = outcomes(pool)
        assert again.measurement is not None


def test_results_of_different_questions_never_meet(tiny: Path, here: Path) -> None:
    names = []

    def reopened(store: Store, **fields: Any) -> StudyRun:
        (run,) = opened(store, tiny, load(own(**fields), n=40))
        names.append(run.key.questions)
        return run

    with open_store("sqlite:///himap.db") as store:
        first = reopened(store)
        store.add(first.study_id, trial(0, PruningConfig.dense(), "dense"))
        assert len(reopened(store).trials) == 1
        write([row(i) for i in range(99)] + [row(99, answer="green")])
        assert not reopened(store).trials  # another answer
        write([row(i) for i in range(99)] + [row(99, category="x")])
        assert not reopened(store).trials  # another order of subsets
        write([row(i) for i in range(100)])
        assert not reopened(store, metric="vqa_accuracy").trials
        Image.new("RGB", (96, 96), "white").save("7.png")
        changed = reopened(store)  # another picture of the same name
        assert not changed.trials
        candidate = changed.study.ask()
        assert candidate is not None and candidate.known is None
        assert len(set(names)) == 5
        assert len(store.studies()) == 5


def test_a_file_may_move_but_asks_the_same(here: Path) -> None:
    before = key()
    (here / "deeper").mkdir()
    for path in here.glob("*.*"):
        path.rename(here / "deeper" / path.name)
    assert load(own(data=Path("deeper/mine.jsonl"))).key == before


def test_a_study_asks_as_many_as_there_are(here: Path) -> None:
    many, few = load(own(), n=500), load(own())
    assert many.n == len(many.loaded.questions) == many.loaded.sizes["validation"] < 100
    assert few.loaded.questions == many.loaded.questions[: few.n]
    assert load(Source("pope"), n=21).n == 21  # embedded ones have no end
    assert source_options([many.record]) == ["--data", "mine.jsonl", "--metric", "exact_match"]
    assert source_options([load(Source("pope")).record]) == []


def test_validation_and_test_share_no_image(here: Path) -> None:
    halves = [{q.image for q in load(own(), split, 500).loaded.questions} for split in ("validation", "test")]
    assert all(halves) and not halves[0] & halves[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "mine.jsonl"], "a file of own questions needs a metric"),
        (["--data", "gone.jsonl", "--metric", "anls"], "cannot read gone.jsonl (No such file or directory)"),
        (["--data", "mine.jsonl", "--metric", "bleu"], "unknown metric 'bleu'; expected one of exact_match"),
        ([*OWN, "--benchmark", "pope"], "either a benchmark's name or a file of own questions, and not both"),
        ([*OWN, "--hub"], "from the hub or from files, not from both"),
        (["--metric", "anls"], "only such a file takes one"),
        (["--benchmark", "pope", "--data-root", "."], "found no POPE labels in"),
        (["--benchmark", "pope", "--data-root", "gone"], "there is no folder gone"),
        ([*OWN, "--data-root", "gone"], "there is no folder"),
    ],
)
def test_what_cannot_be_searched_is_one_line(
    tiny: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(launch_run, "Pool", None)  # starting workers is an error
    assert message in refused(capsys, main, "--model", str(tiny), "--budget", "3", "--workers", "1", *arguments)
    assert not Path("himap.db").exists()


@pytest.mark.parametrize(
    ("rows", "more", "message"),
    [
        ([row(0)], "{\n", "line 2 of mine.jsonl cannot be used (not JSON"),
        ([row(0, image="tall.png")], "", "the model cannot take "),
        ([row(0, image=["0.png", "tall.png"])], "", "0.png and "),
        ([], "", "mine.jsonl is empty"),
    ],
)
def test_bad_files_are_one_line(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: list[dict[str, Any]],
    more: str,
    message: str,
) -> None:
    Image.new("RGB", (1, 600)).save("tall.png")
    monkeypatch.setattr(launch_run, "Pool", None)
    write(rows, more)
    monkeypatch.setattr("objectives.data.subsets.splits_of", lambda questions: ["validation"] * len(questions))
    command = ["--model", "qwenvl", "--weights", "mini", "--budget", "3", "--workers", "1", *OWN]
    assert message in refused(capsys, main, *command)


@pytest.fixture
def searched(tiny: Path, here: Path) -> str:
    """A store with a search of the tiny checkpoint on mine.jsonl, and one on embedded questions; the key."""
    with open_store("sqlite:///himap.db") as store:
        questions = [load(own()), load(Source("pope"))]
        for run in opened(store, tiny, *questions):
            store.add(run.study_id, trial(0, PruningConfig.dense(), "dense", accuracy_high=1.0))
            spread = {"accuracy": 0.95, "accuracy_low": 0.0, "accuracy_high": 1.0}
            store.add(run.study_id, trial(1, CHEAP, flops_ratio=0.3, flops=3e8, **spread))
        return questions[0].key


def test_winners_are_measured_on_the_test_part_of_the_same_file(
    tiny: Path, searched: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    honest = TrialRunner.measure

    def watched(self: TrialRunner, name: str, *rest: Any) -> tuple[Measurement, str]:
        seen.append({q.image for q in self.evaluator(name).questions})
        return honest(self, name, *rest)

    monkeypatch.setattr(TrialRunner, "measure", watched)
    exported = ["--model", str(tiny), "--joint", "--pool", "20", *OWN]
    assert export.main(exported) == 0
    capsys.readouterr()
    searching = {q.image for q in load(own(), n=500).loaded.questions}
    assert seen and not any(images & searching for images in seen)
    (path,) = Path("presets").iterdir()
    preset = himap.read_preset(path)
    (measured,) = preset.measured
    assert (measured.key, measured.split, measured.n) == (searched, "test", 20)
    assert measured.questions == " ".join(OWN)

    message = refused(capsys, verify.main, str(path), "--model", str(tiny))
    assert "give the same ones again: --data mine.jsonl --metric exact_match" in message
    assert verify.main([str(path), "--model", str(tiny), *OWN]) in (0, 1)
    assert searched in capsys.readouterr().out
    write([row(i) for i in range(99)])
    message = refused(capsys, verify.main, str(path), "--model", str(tiny), *OWN)
    assert f"was measured on {searched}, but mine.jsonl holds mine-exact_match@" in message
    message = refused(capsys, export.main, *exported)
    assert f"on {key()} with these weights" in message and searched in message


ODD = {
    "2000x5.png": "the model cannot take ",
    "<image>\nWhat is it?": "holds '<image>', which the model reads as a placeholder",
    "What does <|image_pad|> mean?": "holds '<|image_pad|>', which the model reads as a placeholder",
    "red " * 3000: "the model takes at most 2,032",
}


MINI = ["--model", "qwenvl", "--weights", "mini"]


def leaving_out(odd: str) -> tuple[Path, str]:
    """A search that leaves the row with `odd` out, as stored; its preset, and what it says of the row."""
    Image.new("RGB", (2000, 5)).save("2000x5.png")
    rows = [row(i) for i in range(100)]
    rows[42] |= {"image": odd} if odd.endswith(".png") else {"question": odd}
    write(rows)
    with open_store("sqlite:///himap.db") as store:
        config = SearchConfig("qwenvl", 9, weights="mini", data="mine.jsonl", metric="exact_match", on_bad="skip")
        check = PromptCheck(resolve("qwenvl", "mini").weights)
        questions = searched_questions(check, config.sources(), config.questions)
        (run,) = open_runs(store, config, resolve("qwenvl", "mini"), questions, check)
        spread = {"accuracy": 0.95, "accuracy_low": 0.0, "accuracy_high": 1.0}
        dense = trial(0, PruningConfig.dense(), "dense", accuracy_high=1.0)
        run.trials = [dense, trial(1, CHEAP, flops_ratio=0.3, flops=3e8, **spread)]
        for one in run.trials:
            store.add(run.study_id, one)
        recorded = store.questions(run.study_id)
        preset = write_preset(Path("presets"), run)
    assert recorded is not None and preset is not None
    ((line, problem),) = recorded.skipped
    assert line == 43 and ODD[odd] in problem
    assert recorded.options.endswith("--on-bad skip")
    assert any("left out   1 row(s) that cannot be used: line 43: " in text for text in questions[0].lines())
    return preset, problem


@pytest.mark.parametrize("odd", ODD, ids=["image", "llava", "qwen", "long"])
def test_a_question_that_the_model_refuses_is_the_same_line_of_every_command(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    """Before workers start or weights are loaded; and `--on-bad skip` leaves it out, and records it."""
    preset, problem = leaving_out(odd)
    monkeypatch.setattr(launch_run, "Pool", None)
    monkeypatch.setattr("search.certifying.confirmer.TrialRunner", None)
    monkeypatch.setattr("objectives.evaluation.models.load", None)
    refusals = {
        refused(capsys, main, *MINI, "--budget", "3", "--workers", "1", *OWN),
        refused(capsys, export.main, *MINI, "--joint", "--pool", "20", *OWN),
        refused(capsys, verify.main, str(preset), *MINI, *OWN),
        refused(capsys, accuracy.main, *MINI, *OWN),
    }
    assert len(refusals) == 1
    assert refusals.pop() == (
        f"error: line 43 of mine.jsonl cannot be used ({problem}); correct it, or leave it out with --on-bad skip\n"
    )


def test_a_question_that_is_left_out_of_a_search_is_left_out_of_its_export_and_verification(here: Path) -> None:
    leaving_out("2000x5.png")
    options = [*MINI, *OWN, "--on-bad", "skip"]
    assert export.main([*options, "--joint", "--pool", "20", "--out", "exported"]) == 0
    (preset,) = Path("exported").iterdir()
    assert verify.main([str(preset), *options]) in (0, 1)


def test_an_export_of_all_leaves_out_what_it_was_not_given(
    tiny: Path, searched: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["--model", str(tiny), "--joint", "--pool", "20"]) == 0
    message = " ".join(capsys.readouterr().out.split())
    assert f"{searched}: left out, its questions are not embedded (add --data mine.jsonl" in message
    (path,) = Path("presets").iterdir()
    assert [one.key for one in himap.read_preset(path).measured] == ["pope"]
    message = refused(capsys, verify.main, str(path), "--model", str(tiny), *OWN)
    assert "was measured on embedded scenes; leave --data" in message


def test_too_few_test_questions_are_refused(tiny: Path, searched: str, capsys: pytest.CaptureFixture[str]) -> None:
    write([row(i) for i in range(20)])
    message = refused(capsys, export.main, "--model", str(tiny), *OWN)
    assert "test question(s); a confirmation takes at least 20" in message
    with pytest.raises(UsageError, match="add rows with further images"):
        Library(str(tiny), [own()]).part("test", 20)
    write([row(0)])
    with pytest.raises(DataError, match="none of its 1 questions is in the"):
        for split in ("validation", "test"):
            load(own(), split)


def test_official_files_are_searched_and_measured_by_pairs(
    tiny: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """POPE as released, 50 pairs; export finds by itself which benchmarks were searched on such files."""
    labels = [
        {"question_id": i, "image": f"{i // 2}.png", "text": f"Is there a {i % 2}?", "label": ("yes", "no")[i % 2]}
        for i in range(100)
    ]
    Path("coco_pope_random.json").write_text("\n".join(map(json.dumps, labels)))
    (here / "images").mkdir()
    for path in here.glob("*.png"):
        path.rename(here / "images" / path.name)
    questions = load(Source("pope", data_root=here), n=21)
    assert questions.n == len(questions.loaded.questions) == 20  # no half of a pair
    assert source_options([questions.record]) == ["--benchmark", "pope", "--data-root", str(here)]
    with open_store("sqlite:///himap.db") as store:
        (run,) = opened(store, tiny, questions)
        assert run.key.questions.startswith("pope@")
        store.add(run.study_id, trial(0, PruningConfig.dense(), "dense", accuracy_high=1.0))
        spread = {"accuracy": 0.95, "accuracy_low": 0.0, "accuracy_high": 1.0}
        store.add(run.study_id, trial(1, CHEAP, flops_ratio=0.3, flops=3e8, **spread))
    joint = ["--model", str(tiny), "--pool", "20", "--data-root", ".", "--joint"]
    assert export.main(joint) == 0
    capsys.readouterr()
    preset = himap.read_preset("presets/tiny-joint.yaml")
    assert preset.measured[0].questions == "--benchmark pope --data-root ."
    assert verify.main(["presets/tiny-joint.yaml", "--model", str(tiny), "--data-root", "."]) in (0, 1)
    message = refused(capsys, export.main, *joint[:-1], "--benchmark", "mme")
    assert "found no MME questions in" in message
