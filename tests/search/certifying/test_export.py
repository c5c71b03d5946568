"""Exports and verifications on an untrained checkpoint: what is written, stored, resumed and refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import himap
from himap import PruningConfig
from objectives.evaluation import latency
from objectives.evaluation.checkpoints import resolve
from search import export, verify
from search.certifying.confirmer import Confirmer, Selected
from search.sampling.space import VERSION
from search.workers.trial_runner import TrialRunner
from storage import Confirmation, StudyKey, Trial, open_store
from storage.records import Measurement
from tests.search.search_helpers import trial

DENSE = PruningConfig.dense()
CHEAP, EXPENSIVE = PruningConfig(1, 90, 2, 0), PruningConfig(2, 50, 8, 75)
N = 20


def studied(number: int, config: PruningConfig, ratio: float, accuracy: float) -> Trial:
    origin = "dense" if config.is_dense else "sampler"
    spread = {"accuracy_low": 0.0, "accuracy_high": 1.0}
    return trial(number, config, origin, flops_ratio=ratio, flops=1e9 * ratio, accuracy=accuracy, **spread)


@pytest.fixture
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a store in which two studies of the tiny checkpoint have two winners each."""
    monkeypatch.chdir(tmp_path)
    digest = resolve(str(tiny), "auto").digest
    with open_store("sqlite:///himap.db") as store:
        for name, cheap in (("pope", 0.5), ("mme", 0.2)):
            study = store.study(StudyKey("tiny", digest, name, "validation", N, 0, VERSION))
            store.add(study, studied(0, PruningConfig.dense(), 1.0, 0.5))
            store.add(study, studied(3, CHEAP, 0.3, cheap))
            store.add(study, studied(4, EXPENSIVE, 0.6, 0.5 if name == "mme" else 0.52))
    return tmp_path


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "_MOST", 6)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, PruningConfig]]:
    """What is really measured, in order."""
    seen: list[tuple[str, PruningConfig]] = []
    honest = TrialRunner.measure

    def watched(self: TrialRunner, name: str, config: PruningConfig, *rest: Any) -> tuple[Measurement, str]:
        result = honest(self, name, config, *rest)
        seen.append((name, config))
        return result

    monkeypatch.setattr(TrialRunner, "measure", watched)
    return seen


def run(tiny: Path, *more: str) -> int:
    return export.main(["--model", str(tiny), "--questions", str(N), "--screen", "0", "--latency-batch", "3", *more])


def confirmations(name: str, split: str = "test") -> list[Confirmation]:
    with open_store("sqlite:///himap.db", readonly=True) as store:
        study = next(s for s in store.studies() if s.key.benchmark == name)
        return store.confirmations(study.id, split)


def test_an_export_confirms_each_winner_once_and_writes_its_operating_points(
    tiny: Path, folder: Path, measured: list[tuple[str, PruningConfig]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    assert measured == [("pope", PruningConfig.dense()), ("pope", CHEAP)]
    dense, confirmation = sorted(confirmations("pope"), key=lambda c: -c.flops)
    assert (dense.trial, dense.difference, dense.flops_ratio) == (None, 0.0, 1.0)
    assert (confirmation.trial, confirmation.n, len(confirmation.scores), confirmation.split) == (3, N, N, "test")
    assert confirmation.dense_accuracy == dense.accuracy
    assert confirmation.difference == pytest.approx(confirmation.accuracy - dense.accuracy)
    assert 0 < confirmation.speedup_low <= confirmation.speedup <= confirmation.speedup_high
    assert {timing.batch for timing in confirmation.timings} == {1, 3}
    assert dense.timings == () and math.isnan(dense.latency_ms)
    written = sorted(path.name for path in Path("presets").iterdir())
    assert written == [
        f"tiny-pope{place}.yaml" for place in ("-knee", "-not-worse", "-within-0.5", "-within-2", "")
    ] or written == [f"tiny-pope{place}.yaml" for place in ("-not-worse", "-within-0.5", "-within-2", "")]
    preset = himap.read_preset("presets/tiny-pope.yaml")
    (numbers,) = preset.measured
    assert preset.config == CHEAP
    assert (preset.model.family, preset.model.layers) == ("LlavaForConditionalGeneration", 12)
    assert (numbers.benchmark, numbers.split, numbers.n) == ("pope", "test", N)
    for name in (
        "accuracy",
        "accuracy_low",
        "difference",
        "difference_low",
        "difference_high",
        "flops",
        "paper_flops",
        "flops_ratio",
    ):
        assert getattr(numbers, name) == pytest.approx(getattr(confirmation, name), abs=1e-6)
    assert [timing.figure for timing in numbers.speed] == [timing.figure for timing in confirmation.timings]
    assert preset.certificate.verdict == confirmation.verdict(0.01)
    assert preset.provenance.trial == 3
    assert "measuring  pope: 90 % at 1 by instruction" in capsys.readouterr().out


def test_another_batch_is_timed_without_asking_again(
    tiny: Path, folder: Path, measured: list[tuple[str, PruningConfig]]
) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    before, asked = confirmations("pope"), len(measured)
    assert run(tiny, "--benchmark", "pope", "--latency-batch", "2") == 0
    after = confirmations("pope")
    assert len(measured) == asked and [one.scores for one in after] == [one.scores for one in before]
    assert {timing.batch for one in after for timing in one.timings} == {1, 2}
    assert run(tiny, "--benchmark", "pope", "--latency-batch", "0") == 2


def test_operating_points_are_selected_by_further_validation_questions(
    tiny: Path, folder: Path, measured: list[tuple[str, PruningConfig]], capsys: pytest.CaptureFixture[str]
) -> None:
    """40 of them behind the 20 of the search; dense and both winners answer them before test questions."""
    assert run(tiny, "--benchmark", "mme", "--screen", "40") == 0
    screened = confirmations("mme", "validation")
    assert {(one.n_questions, one.trial) for one in screened} >= {(N + 40, 0), (N + 40, 3)}
    assert measured[: len(screened)] == [("mme", DENSE), ("mme", CHEAP), ("mme", EXPENSIVE)][: len(screened)]
    assert [one.split for one in confirmations("mme")] == ["test"] * (len(measured) - len(screened))
    assert "screening  mme: dense" in capsys.readouterr().out
    again = len(measured)
    assert run(tiny, "--benchmark", "mme", "--screen", "40") == 0
    assert len(measured) == again


def test_what_clearly_loses_too_much_is_given_up_early(tiny: Path, folder: Path) -> None:
    """A stand-in for dense that is always right: the tiny checkpoint, which guesses, is far below."""
    target = resolve(str(tiny), "auto")
    with open_store("sqlite:///himap.db") as store:
        study = next(s for s in store.studies() if s.key.benchmark == "pope")
        confirmer = Confirmer(store, target, 200, "validation", floor=0.02)
        dense = confirmer.confirm(Selected(study.id, "pope", DENSE))
        right = replace(dense, scores=(1.0,) * dense.n, accuracy=1.0, accuracy_high=1.0)
        store.confirm(study.id, right)
        confirmation = Confirmer(store, target, 200, "validation", floor=0.02).confirm(
            Selected(study.id, "pope", CHEAP)
        )
        again = Confirmer(store, target, 200, "validation").confirm(Selected(study.id, "pope", CHEAP))
    assert 0 < confirmation.n < 200 == len(confirmation.scores)
    assert math.isnan(max(confirmation.scores, key=math.isnan)) and confirmation.difference_high < -0.02
    assert (again.n, again.created_at) == (confirmation.n, confirmation.created_at)


def test_what_is_stored_is_not_measured_again(
    tiny: Path, folder: Path, measured: list[tuple[str, PruningConfig]]
) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    first = Path("presets/tiny-pope.yaml").read_text()
    again = len(measured)
    assert run(tiny, "--benchmark", "pope") == 0
    assert len(measured) == again
    assert Path("presets/tiny-pope.yaml").read_text() == first
    with open_store("sqlite:///himap.db") as store:  # another study measures the same
        key = next(s.key for s in store.studies() if s.key.benchmark == "pope")
        study = store.study(replace(key, seed=1, n_questions=N + 1))
        store.add(study, studied(0, PruningConfig.dense(), 1.0, 0.5))
        store.add(study, studied(7, CHEAP, 0.3, 0.5))
    assert run(tiny, "--benchmark", "pope") == 0
    assert len(measured) == again
    assert himap.read_preset("presets/tiny-pope.yaml").provenance.trial == 7
    assert run(tiny, "--benchmark", "pope", "--questions", str(N + 2)) == 0
    assert len(measured) == again + 2


def test_stopped_it_resumes(
    tiny: Path,
    folder: Path,
    measured: list[tuple[str, PruningConfig]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    watched = TrialRunner.measure

    def stopped(self: TrialRunner, name: str, config: PruningConfig, *rest: Any) -> tuple[Measurement, str]:
        if measured:
            raise KeyboardInterrupt
        return watched(self, name, config, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TrialRunner, "measure", stopped)
        assert run(tiny, "--benchmark", "pope") == 130
    assert capsys.readouterr().err.endswith("run the same command again to resume\n")
    assert len(confirmations("pope")) == 1
    assert run(tiny, "--benchmark", "pope") == 0
    assert measured == [("pope", PruningConfig.dense()), ("pope", CHEAP)]


def test_a_joint_preset_has_the_smallest_worst_loss(
    tiny: Path, folder: Path, measured: list[tuple[str, PruningConfig]]
) -> None:
    assert run(tiny, "--joint", "--max-flops", "70") == 0
    assert [path.name for path in Path("presets").iterdir()] == ["tiny-joint.yaml"]
    preset = himap.read_preset("presets/tiny-joint.yaml")
    assert preset.config == EXPENSIVE  # loses nothing on either; the cheap one loses 30 points on mme
    assert {one.benchmark for one in preset.measured} == {"pope", "mme"}
    assert len(measured) == 4
    assert confirmations("pope", "validation") == []
    assert [c.trial for c in confirmations("mme")] == [4, None]


def test_the_verified_margin_decides_the_exit_code(
    tiny: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    capsys.readouterr()
    preset, text = Path("presets/tiny-pope.yaml"), Path("presets/tiny-pope.yaml").read_text()
    assert verify.main([str(preset), "--model", str(tiny)]) == 1  # 20 questions rule nothing out
    message = capsys.readouterr().out
    assert "the same that it was measured on" in message
    assert re.search(r"pope +does NOT hold \(within 1 point\): .* to dense .*\], n = 20; the preset says ", message)
    preset.write_text(text.replace("margin_points: 1.0", "margin_points: 100.0"))
    assert verify.main([str(preset), "--model", str(tiny)]) == 0
    assert "pope       holds (within 100 points)" in capsys.readouterr().out
    preset.write_text(text.replace("layers: 12", "layers: 28"))
    assert verify.main([str(preset), "--model", str(tiny)]) == 2
    assert "error: this preset was made for 28 decoder layers (tiny), got one with 12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--questions", "5"], "got --questions 5; expected a whole number from 20 to"),
        (["--max-flops", "0"], "got --max-flops 0; expected a percentage above 0"),
        (["--screen", "3"], "got --screen 3; expected 0 (none) or a whole number from 20"),
        (["--out", "himap.db"], "got --out himap.db, which is a file"),
        (["--benchmark", "popy"], "unknown benchmark 'popy'; expected one of vqav2"),
        (["--benchmark", "textvqa"], "has no search of tiny on textvqa with these weights: it holds searches of"),
        (["--storage", "sqlite:///none.db"], "none.db yet; start a search"),
        (["--joint", "--max-flops", "1"], "no front has a member at 1 % of dense's FLOPs"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tiny: Path, folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not Path("none.db").exists()


@pytest.mark.parametrize(("content", "message"), [("a: 1", "not a preset"), (None, "cannot be read: No such file")])
def test_a_bad_preset_is_one_line(
    tmp_path: Path, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    if content:
        path.write_text(content)
    assert verify.main([str(path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("make", [export.parser, verify.parser])
def test_the_help_teaches(make: Callable[[], Any]) -> None:
    text = make().format_help()
    assert "python -m search." in text and "test questions" in text
    assert max(map(len, text.splitlines())) <= 120
