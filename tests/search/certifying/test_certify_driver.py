"""Several studies on one pool: lost chunks are asked again, failures end one study, a stop keeps what runs."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from himap import PruningConfig
from search.certifying.certify_driver import CertifyDriver, CertifyTask
from search.certifying.study_book import StudyBook
from search.certifying.study_certifier import TEST, VALIDATION, StudyCertifier
from search.workers.jobs import Job, Outcome
from storage import Ledger, open_store
from tests.search.certifying.test_study_certifier import COSTS, LOSSES, SETTING, Answers, MemoryBook
from tests.search.search_helpers import KEY, ScriptedPool

CONFIGS = {number: PruningConfig(2, 10 * number, 8, 50) for number in LOSSES}
NUMBERS = {config: number for number, config in CONFIGS.items()}
SPLITS = {VALIDATION: "v", TEST: "t"}


def task(book: MemoryBook | StudyBook, benchmark: str = "pope") -> CertifyTask:
    searched = {number: values[:120] for number, values in Answers().scores[VALIDATION].items()}
    certifier = StudyCertifier(
        *(book, SETTING, 0, COSTS, searched, np.arange(4000), np.arange(2000)), answers_left=6_000
    )
    return CertifyTask(benchmark, certifier, CONFIGS, SPLITS)


def answered(job: Job) -> Outcome:
    assert job.panel is not None
    scores = Answers().scores[VALIDATION if job.panel.split == "v" else TEST]
    rows = [scores[NUMBERS[config]][job.panel.start : job.panel.stop] for config in job.panel.configs]
    return Outcome(job, scores=np.array(rows))


def test_all_studies_end_in_turn() -> None:
    tasks = [task(MemoryBook(), name) for name in ("pope", "mme")]
    seen: list[str] = []
    CertifyDriver(ScriptedPool(answered), tasks, on_chunk=lambda done, answers: seen.append(done.benchmark)).run()
    assert all(one.certifier.done for one in tasks)
    assert seen[:4] == ["pope", "mme", "pope", "mme"]


def test_a_lost_chunk_is_asked_again_and_given_up_after_three_losses() -> None:
    lost: list[Job] = []

    def once(job: Job) -> Outcome:
        if len(lost) < 1:
            lost.append(job)
            return Outcome(job, reason="the worker died", lost=True)
        return answered(job)

    one = task(MemoryBook())
    CertifyDriver(ScriptedPool(once), [one]).run()
    assert one.certifier.done
    other, healthy = task(MemoryBook()), task(MemoryBook(), "mme")

    def fails(job: Job) -> Outcome:
        return answered(job) if job.benchmark == "mme" else Outcome(job, reason="it died", lost=True)

    CertifyDriver(ScriptedPool(fails), [other, healthy]).run()
    assert other.failed == "it died"
    assert healthy.certifier.done


def test_a_stop_keeps_what_runs_and_hands_nothing_more_out(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as store:
        ledger = Ledger(store, store.study(KEY))
        stop = threading.Event()
        pool = ScriptedPool(answered)
        CertifyDriver(pool, [task(StudyBook(ledger, KEY, ""))], stop=stop, on_chunk=lambda *_: stop.set()).run()
        assert pool.jobs == []
        kept = ledger.answers(VALIDATION)
        assert kept
        again = task(StudyBook(ledger, KEY, ""))
        CertifyDriver(ScriptedPool(answered), [again]).run()
        whole = task(MemoryBook())
        CertifyDriver(ScriptedPool(answered), [whole]).run()
        assert [v.number for v in again.certifier.verdicts()] == [v.number for v in whole.certifier.verdicts()]
        assert all(ledger.answers(VALIDATION)[number][: len(pieces)] == pieces for number, pieces in kept.items())
        assert [plan.pool for plan in ledger.plans()] == [2000]
