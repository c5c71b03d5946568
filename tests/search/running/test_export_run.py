"""Exports and verifications: what is certified, written, stored, resumed and refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import himap
from himap import PruningConfig
from himap.presets import Timing
from objectives.evaluation.checkpoints import resolve
from search import export, verify
from search.certifying.study_certifier import TEST, VALIDATION
from search.running import export_run
from search.sampling.space import VERSION
from search.workers.jobs import Job, Outcome
from storage import Latency, Ledger, PlanRecord, StudyKey, Trial, open_store
from tests.search.certifying.test_study_certifier import COSTS, LOSSES, Answers
from tests.search.search_helpers import ScriptedPool, trial

DENSE = PruningConfig.dense()
CHEAP, EXPENSIVE = PruningConfig(1, 90, 2, 0), PruningConfig(2, 50, 8, 75)
CONFIGS = {0: DENSE, **{number: PruningConfig(2, 10 * number, 8, 50) for number in LOSSES if number}}
N = 20
TIMING = Timing(
    figure="first_token", batch=1, ms=8, dense_ms=12, speedup=1.5, speedup_low=1.4, speedup_high=1.6, repeats=20
)
WITH_VISION = {"figure": "first_token_with_vision", "speedup": 1.25, "speedup_low": 1.2, "speedup_high": 1.3}
TIMINGS = (
    TIMING,
    TIMING.model_copy(update=WITH_VISION),
    TIMING.model_copy(update={"figure": "output_token", "batch": 8}),
)


def studied(number: int, config: PruningConfig, ratio: float, accuracy: float, scores: Any = ()) -> Trial:
    origin = "dense" if config.is_dense else "sampler"
    spread = {"accuracy_low": 0.0, "accuracy_high": 1.0, "scores": tuple(scores)}
    return trial(number, config, origin, flops_ratio=ratio, flops=1e9 * ratio, accuracy=accuracy, **spread)


@pytest.fixture
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_repeats: None) -> Path:
    """A working folder with a store in which two studies of the tiny checkpoint have two winners each."""
    monkeypatch.chdir(tmp_path)
    digest = resolve(str(tiny), "auto").digest
    with open_store("sqlite:///himap.db") as store:
        for name, cheap in (("pope", 0.5), ("mme", 0.2)):
            study = store.study(StudyKey("tiny", digest, name, "validation", N, 0, VERSION))
            store.add(study, studied(0, DENSE, 1.0, 0.5))
            store.add(study, studied(3, CHEAP, 0.3, cheap))
            store.add(study, studied(4, EXPENSIVE, 0.6, 0.5 if name == "mme" else 0.52))
    return tmp_path


class MadeUpPool(ScriptedPool):
    """Answers panels as `Answers` says, in place of workers; `asked` counts the answers, `limit` of them at most.

    `timed` counts the timings.
    """

    asked = timed = 0
    limit = 10**9

    def __init__(self, workers: int, maker: Any, cluster: NoCluster) -> None:
        super().__init__(self._made_up)

    def __enter__(self) -> MadeUpPool:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @staticmethod
    def _made_up(job: Job) -> Outcome:
        panel = job.panel
        if panel is None:
            MadeUpPool.timed += 1
            return Outcome(job, latency=Latency.of(TIMINGS, "a made-up device"))
        if MadeUpPool.asked >= MadeUpPool.limit:
            raise KeyboardInterrupt
        MadeUpPool.asked += panel.answers
        scores = Answers().scores[TEST if panel.split.startswith(TEST) else VALIDATION]
        numbers = [next(n for n, config in CONFIGS.items() if config == asked) for asked in panel.configs]
        return Outcome(job, scores=np.array([scores[n][panel.start : panel.stop] for n in numbers]))


class NoCluster:
    """In place of Ray."""

    def __init__(self, address: str | None, gpus_per_worker: float | None) -> None:
        pass

    def __enter__(self) -> NoCluster:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def workers(self, requested: int | None) -> int:
        return requested or 2


@pytest.fixture
def searched(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a study of five trials on made-up answers, two of which hold 1 point or 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export_run, "Cluster", NoCluster)
    monkeypatch.setattr(export_run, "Pool", MadeUpPool)
    monkeypatch.setattr(MadeUpPool, "asked", 0)
    monkeypatch.setattr(MadeUpPool, "timed", 0)
    monkeypatch.setattr(MadeUpPool, "limit", 10**9)
    digest, answers = resolve(str(tiny), "auto").digest, Answers().scores[VALIDATION]
    with open_store("sqlite:///himap.db") as store:
        for name in ("pope", "mme"):
            study = store.study(StudyKey("tiny", digest, name, "validation", 120, 0, VERSION))
            for number, config in CONFIGS.items():
                scores = answers[number][:120]
                store.add(study, studied(number, config, COSTS[number], float(scores.mean()), scores))
    return tmp_path


def run(tiny: Path, *more: str) -> int:
    return export.main(["--model", str(tiny), *more])


def plans() -> list[PlanRecord]:
    with open_store("sqlite:///himap.db", readonly=True) as store:
        return [plan for study in store.studies() for plan in Ledger(store, study.id).plans()]


def test_an_export_certifies_and_writes_a_preset_a_margin(
    tiny: Path, searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    out = capsys.readouterr().out
    assert "certify    pope: 2000 test questions, at best within 0.26 points" in out
    written = sorted(path.name for path in Path("presets").iterdir())
    assert written == ["tiny-pope-within-0.5.yaml", "tiny-pope-within-2.yaml", "tiny-pope.yaml"]
    preset = himap.read_preset("presets/tiny-pope-within-2.yaml")
    certificate, (measured,), (plan,) = preset.certificate, preset.measured, plans()
    assert preset.config == CONFIGS[2]
    assert certificate.certified and certificate.verdict.startswith("certified: loses at most ")
    assert (certificate.margin_points, certificate.level, certificate.pool) == (2.0, 0.05, 2000)
    assert certificate.plan == plan.digest
    assert certificate.bound_points is not None and certificate.bound_points <= 2
    assert (measured.benchmark, measured.split, measured.flops_ratio) == ("pope", "test, one per image", COSTS[2])
    assert 125 <= measured.n <= 2000
    assert measured.speed == TIMINGS
    assert (preset.model.family, preset.model.layers) == ("LlavaForConditionalGeneration", 12)
    assert re.search(r"^pope  within 2 points: 40 % of FLOPs, speed-up x1.25 \[1.20, 1.30\], certified on", out, re.M)
    assert "\nspeed-up: first token with vision, batch 1, 20 repeats, a made-up device\n" in out
    with open_store("sqlite:///himap.db", readonly=True) as store:
        study = next(s for s in store.studies() if s.key.benchmark == "pope")
        kept = {one.trial: one for one in store.confirmations(study.id)}
    assert kept[2].certifies(0.02) and kept[0].certifies(0.001)
    assert len(kept[2].scores) == kept[2].n == measured.n


def test_the_same_export_again_measures_nothing_and_changes_nothing(tiny: Path, searched: Path) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    asked, timed = MadeUpPool.asked, MadeUpPool.timed
    files = {path: path.read_text() for path in Path("presets").iterdir()}
    assert run(tiny, "--benchmark", "pope") == 0
    assert (MadeUpPool.asked, MadeUpPool.timed) == (asked, timed) and timed > 0
    for path, text in files.items():
        assert (
            himap.read_preset(path).certificate.model_dump()
            == himap.Preset.model_validate(himap.read_preset(path)).certificate.model_dump()
        )
        assert path.read_text().partition("provenance")[0] == text.partition("provenance")[0]
    assert len(plans()) == 1


def test_other_margins_are_a_new_plan_on_fresh_questions(tiny: Path, searched: Path) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    assert run(tiny, "--benchmark", "pope", "--margins", "3") == 0
    first, second = plans()
    assert (first.start, second.start, second.level) == (0, 2000, 0.05)
    assert himap.read_preset("presets/tiny-pope-within-3.yaml").certificate.certified


def test_stopped_it_resumes(tiny: Path, searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MadeUpPool.limit = 3_000
    assert run(tiny, "--benchmark", "pope") == 130
    assert capsys.readouterr().err.endswith("run the same command again to resume\n")
    assert not Path("presets").exists()
    MadeUpPool.limit = 10**9
    assert run(tiny, "--benchmark", "pope") == 0
    resumed, asked = himap.read_preset("presets/tiny-pope.yaml"), MadeUpPool.asked
    Path("presets/tiny-pope.yaml").unlink()
    with open_store("sqlite:///himap.db") as store, store.engine.begin() as connection:
        for table in ("answers", "plans"):
            connection.exec_driver_sql(f"DELETE FROM himap_{table}")
    MadeUpPool.asked = 0
    assert run(tiny, "--benchmark", "pope") == 0
    whole = himap.read_preset("presets/tiny-pope.yaml")
    assert (resumed.config, resumed.certificate) == (whole.config, whole.certificate)
    assert asked == MadeUpPool.asked


def test_the_level_of_an_export_is_shared_by_its_studies(tiny: Path, searched: Path) -> None:
    assert run(tiny, "--family", "export", "--margins", "2") == 0
    assert [plan.level for plan in plans()] == [0.025, 0.025]


def test_edited_answers_are_refused(tiny: Path, searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tiny, "--benchmark", "pope") == 0
    with open_store("sqlite:///himap.db") as store, store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE himap_answers SET packed = (SELECT packed FROM himap_answers LIMIT 1)")
    assert run(tiny, "--benchmark", "pope") == 2
    assert "are not what was written; certify anew, in a new store" in capsys.readouterr().err


def test_a_study_without_scores_says_why_nothing_is_certified(
    tiny: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, "--benchmark", "pope") == 2
    captured = capsys.readouterr()
    assert "pope: not certified, dense is not measured" in captured.out
    assert "no study could be certified" in captured.err


def test_a_joint_preset_has_the_smallest_worst_loss(tiny: Path, folder: Path) -> None:
    assert run(tiny, "--joint", "--max-flops", "70", "--pool", str(N)) == 0
    assert [path.name for path in Path("presets").iterdir()] == ["tiny-joint.yaml"]
    preset = himap.read_preset("presets/tiny-joint.yaml")
    assert preset.config == EXPENSIVE  # loses nothing on either; the cheap one loses 30 points on mme
    assert {one.benchmark for one in preset.measured} == {"pope", "mme"}
    assert not preset.certificate.certified
    with open_store("sqlite:///himap.db", readonly=True) as store:
        by_name = {study.key.benchmark: study.id for study in store.studies()}
        assert store.confirmations(by_name["pope"], "validation") == []
        assert sorted((c.trial for c in store.confirmations(by_name["mme"])), key=str) == [4, None]


def test_the_verified_margin_decides_the_exit_code(
    tiny: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny, "--joint", "--benchmark", "pope", "--pool", str(N)) == 0
    capsys.readouterr()
    preset, text = Path("presets/tiny-joint.yaml"), Path("presets/tiny-joint.yaml").read_text()
    assert verify.main([str(preset), "--model", str(tiny)]) == 1  # 20 questions rule nothing out
    message = capsys.readouterr().out
    assert "the same that it was measured on" in message
    assert re.search(r"pope +does NOT hold \(within 1 point\): .* to dense .*\], n = 20; the preset says ", message)
    for figure, batch in itertools.product(("first token", "first token with vision", "output token"), (1, 8)):
        pattern = (
            rf"speed-up x[\d.]+ \[[\d.]+, [\d.]+\] \({figure}, batch {batch}, \d+ repeats, .*1 thread\(s\)\): .* ms"
        )
        assert re.search(pattern, message)
    preset.write_text(text.replace("margin_points: 1.0", "margin_points: 100.0"))
    assert verify.main([str(preset), "--model", str(tiny)]) == 0
    assert "pope       holds (within 100 points)" in capsys.readouterr().out
    preset.write_text(text.replace("layers: 12", "layers: 28"))
    assert verify.main([str(preset), "--model", str(tiny)]) == 2
    assert "error: this preset was made for 28 decoder layers (tiny), got one with 12" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pool", "5"], "got --pool 5; expected a whole number from 20 to"),
        (["--margins", "0"], "got --margins [0.0]; expected points above 0 and below 100"),
        (["--level", "60"], "got --level 60; expected a percentage above 0 and below 50"),
        (["--max-flops", "0"], "got --max-flops 0; expected a percentage above 0"),
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
