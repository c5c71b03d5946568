"""The pool on real Ray: what an evaluator measures, and what comes back when it fails or dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from himap import PruningConfig
from search.errors import WorkersLostError
from search.workers.jobs import Job, Outcome, Panel
from search.workers.pool import Pool, _kind, _outcome
from search.workers.timeouts import TimeLimits
from tests.search.search_helpers import descendants, evaluators, kill_evaluator, outcomes, tiny_pool

DENSE, PAPER = PruningConfig.dense(), PruningConfig.paper()


@pytest.fixture(scope="module")
def pool(tiny: Path) -> Iterator[Pool]:
    with tiny_pool(tiny) as started:
        yield started


def first(pool: Pool) -> Outcome:
    """What comes next, looked for once a second."""
    while not (finished := list(pool.finished(timeout=1))):
        pass
    return finished[0]


def test_each_kind_of_job_has_a_time_limit_of_its_own() -> None:
    """All figures at a batch take many times as long as the first token alone."""
    jobs = [Job("pope", DENSE), Job("mme", DENSE), *(Job("pope", DENSE, timed=True, batch=n) for n in (None, 1, 8))]
    assert len({_kind(job) for job in jobs}) == len(jobs)


def test_two_jobs_fit_a_worker_and_come_back_with_their_tags(pool: Pool) -> None:
    assert pool.has_room
    for tag, config in enumerate((DENSE, PAPER)):
        pool.submit(Job("pope", config, tag))
    assert not pool.has_room
    dense, paper = outcomes(pool)
    assert (dense.job.tag, paper.job.tag) == (0, 1)
    assert dense.measurement is not None
    assert paper.measurement is not None
    assert dense.measurement.flops_ratio == 1
    assert paper.measurement.flops_ratio < 0.6
    assert paper.measurement.tokens_after_k2 == 18
    assert len(paper.measurement.scores) == 20


def test_a_panel_is_answered_as_its_configurations_are_measured(pool: Pool) -> None:
    configs = (DENSE, PruningConfig(1, 60, 3, 50))
    pool.submit(Job("pope", DENSE, panel=Panel("validation", 0, 20, configs)))
    for config in configs:
        pool.submit(Job("pope", config))
    panel, *measured = sorted(outcomes(pool), key=lambda outcome: outcome.scores is None)
    assert panel.scores is not None
    assert panel.scores.tolist() == [list(one.measurement.scores) for one in measured if one.measurement]
    pool.submit(Job("pope", DENSE, panel=Panel("test, one per image", 3, 9, configs)))
    (other,) = outcomes(pool)
    assert other.scores is not None
    assert other.scores.shape == (2, 6)


def test_an_error_inside_a_measurement_is_that_jobs_failure(pool: Pool) -> None:
    pool.submit(Job("no-such", DENSE, 1))
    pool.submit(Job("pope", PruningConfig(2, 50, 40, 50), 2))
    pool.submit(Job("pope", DENSE, 3))
    failed, too_deep, fine = outcomes(pool)
    assert (failed.measurement, failed.lost, too_deep.measurement, too_deep.lost) == (None, False, None, False)
    assert "unknown benchmark 'no-such'" in failed.reason
    assert "k2" in too_deep.reason
    assert "\n" not in failed.reason + too_deep.reason
    assert fine.measurement is not None


def test_only_the_job_that_ran_is_lost_with_its_worker(pool: Pool) -> None:
    for _ in range(2):  # the second time with a worker that was itself a replacement
        for tag in (1, 2):
            pool.submit(Job("pope", DENSE, tag))
        kill_evaluator(os.getpid())
        lost, measured = outcomes(pool)
        assert (lost.job.tag, lost.lost, lost.measurement) == (1, True, None)
        assert lost.reason.startswith("the worker died: ")
        assert (measured.job.tag, measured.lost) == (2, False)
        assert measured.measurement is not None


def test_a_result_that_was_there_survives_the_death_of_its_worker(pool: Pool) -> None:
    pool.submit(Job("pope", DENSE, 1))
    pool.submit(Job("pope", PAPER, 2))
    first = next(iter(pool.finished(timeout=60)))
    assert first.job.tag == 1
    ray.wait(list(pool._running), timeout=60)
    kill_evaluator(os.getpid())
    pool.submit(Job("pope", DENSE, 3))
    rest = outcomes(pool)
    assert [(o.job.tag, o.lost) for o in rest] == [(2, False), (3, True)]


def test_a_hung_worker_is_killed_and_its_job_comes_back_as_lost(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.submit(Job("pope", DENSE, 0))
    outcomes(pool)  # so that the worker is up
    monkeypatch.setattr(pool, "_limits", TimeLimits(first=4.0))
    for tag in (1, 2):
        pool.submit(Job("pope", DENSE, tag))
    (stopped,) = evaluators(os.getpid())
    os.kill(stopped, signal.SIGSTOP)
    lost = first(pool)
    assert (lost.job.tag, lost.lost, lost.measurement) == (1, True, None)
    assert lost.reason == "no result within 4 s, so the worker was killed"
    assert stopped not in evaluators(os.getpid())
    monkeypatch.setattr(pool, "_limits", TimeLimits())
    pool._limits.begin(0)
    (measured,) = outcomes(pool)
    assert (measured.job.tag, measured.lost) == (2, False)
    assert measured.measurement is not None


def test_ray_is_started_again_when_it_dies_and_no_job_is_blamed(pool: Pool) -> None:
    before = dict(pool._processes)
    (raylet,) = [pid for pid, title in descendants(os.getpid()).items() if "raylet/raylet " in title]
    os.kill(raylet, signal.SIGKILL)
    finished: list[Outcome] = []
    while pool._processes == before:  # workers outlive their raylet for some seconds
        pool.submit(Job("pope", DENSE, len(finished)))
        finished += outcomes(pool)
    assert [o.job.tag for o in finished] == list(range(len(finished)))
    assert all(o.measurement is not None and not o.lost for o in finished)


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_a_job_that_ran_out_of_memory_counts_as_lost_with_its_worker(pool: Pool, kind: Any) -> None:
    def full() -> None:
        raise kind("tried to allocate 9 GiB")

    reference = ray.remote(num_cpus=0)(full).remote()
    outcome = _outcome(reference, Job("pope", DENSE, 1))
    assert outcome.lost
    assert outcome.reason.startswith("out of memory: ")
    assert "9 GiB" in outcome.reason


def test_workers_that_cannot_load_the_model_say_why(tmp_path: Path, pool: Pool) -> None:
    pool.__exit__(None, None, None)  # its turn is over: Ray runs one cluster a process
    with pytest.raises(WorkersLostError, match=r"the workers do not start: .*cannot load a vision-language"):
        tiny_pool(tmp_path).__enter__()
