"""One launch at a time: who is refused, who takes over, and what a launch that lost its lease does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from himap import PruningConfig
from search.errors import StudyLockedError
from search.running.driver import Driver
from search.sampling.space import SearchSpace
from search.studies.lease_holder import LeaseHolder, birth, gone
from search.studies.study import Study
from search.studies.study_run import StudyRun
from search.workers.pool import Job, Outcome
from storage import Lease, LeaseLostError, Store, open_store
from tests.search.search_helpers import IMAGE_TOKENS, KEY, LAYERS, ScriptedPool, made_up, wait_for

BASELINES: Any = [("dense", PruningConfig.dense()), ("paper", PruningConfig.paper())]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


def open_run(store: Store, budget: int) -> StudyRun:
    study_id = store.study(KEY)
    stored, unfinished = store.trials(study_id), store.running(study_id)
    study = Study(SearchSpace(LAYERS), BASELINES, IMAGE_TOKENS, "random", 0, stored, unfinished=unfinished)
    return StudyRun(KEY, study_id, study, budget, stored)


def test_the_second_is_refused_and_told_by_whom_until_the_first_ends(store: Store) -> None:
    study = store.study(KEY)
    with LeaseHolder(store) as first:
        first.take(study, KEY)
        first.take(study, KEY)  # its own is no hindrance
        with LeaseHolder(store) as second:
            with pytest.raises(StudyLockedError) as caught:
                second.take(study, KEY)
            said = str(caught.value)
            assert re.search(rf"study {KEY.name} is searched by process {os.getpid()} on \S+ since \d", said)
            assert re.search(r"choose another --storage .* if it is dead, the same command goes on in \d+ s", said)
            assert "\n" not in said
    assert store.lease(study) is None
    with LeaseHolder(store) as third:
        third.take(study, KEY)


def test_a_killed_process_on_this_machine_is_taken_over_from_at_once(store: Store) -> None:
    study = store.study(KEY)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    held = Lease("gone", "elsewhere", process.pid, birth(process.pid))
    store.take(study, held, 3600)
    with LeaseHolder(store) as holder:
        assert not gone(held)
        with pytest.raises(StudyLockedError):
            holder.take(study, KEY)
        process.kill()
        wait_for(lambda: gone(held), 10)  # also while nobody has waited for it
        process.communicate()
        assert gone(held)
        assert gone(replace(held, pid=os.getpid()))  # the id was given to another process
        assert not gone(replace(held, birth=f"other-{held.birth}"))  # another machine: who knows
        assert not gone(replace(held, birth=""))
        holder.take(study, KEY)


def test_it_is_renewed_while_nothing_else_happens(store: Store) -> None:
    study = store.study(KEY)
    with LeaseHolder(store, expires=0.5, renewed=0.05) as holder:
        holder.take(study, KEY)
        time.sleep(1.0)
        with LeaseHolder(store) as other, pytest.raises(StudyLockedError):
            other.take(study, KEY)
        holder.check()


def test_a_launch_that_lost_its_lease_stores_nothing_more_and_stops(store: Store) -> None:
    pair = open_run(store, 50)
    answered: list[Job] = []

    def answer(job: Job) -> Outcome:
        answered.append(job)
        if len(answered) == 5:  # as if this process had slept for an hour
            store.take(pair.study_id, Lease("new", "there", 1, ""), 60, dead=holder.owner)
        return Outcome(job, made_up(job.config))

    pool: Any = ScriptedPool(answer)
    with LeaseHolder(store) as holder:
        holder.take(pair.study_id, KEY)
        with pytest.raises(LeaseLostError, match="taken over by process 1 on there"):
            Driver(store, pool, [pair], lambda *_: None, holder=holder).run()
    assert len(store.trials(pair.study_id)) == 4
    held = store.lease(pair.study_id)
    assert held is not None
    assert held.owner == "new"


def test_a_lost_lease_stops_a_launch_that_waits_for_long_trials(store: Store) -> None:
    pair = open_run(store, 50)

    class Waiting(ScriptedPool):
        def finished(self, timeout: float) -> Iterator[Outcome]:
            time.sleep(0.05)
            return iter(())

    pool: Any = Waiting(lambda job: Outcome(job, None, "never"))
    with LeaseHolder(store, renewed=0.05) as holder:
        holder.take(pair.study_id, KEY)
        store.take(pair.study_id, Lease("new", "there", 1, ""), 60, dead=holder.owner)
        store.release("new")
        with pytest.raises(LeaseLostError):
            Driver(store, pool, [pair], lambda *_: None, holder=holder).run()


def test_what_a_killed_driver_had_handed_out_comes_first_with_its_number(store: Store) -> None:
    class Killed(BaseException):
        pass

    def kill(pair: StudyRun, trial: Any) -> None:
        if trial.number == 4:
            raise Killed

    pair = open_run(store, 12)
    pool: Any = ScriptedPool(lambda job: Outcome(job, made_up(job.config)), room=3)
    with LeaseHolder(store) as holder:
        holder.take(pair.study_id, KEY)
        with pytest.raises(Killed):
            Driver(store, pool, [pair], kill, holder=holder).run()
    left = store.running(pair.study_id)
    assert [each.number for each in left] == [5, 6]
    again, handed = open_run(store, 12), []

    def answer(job: Job) -> Outcome:
        handed.append((job.config, job.tag[1].number))
        return Outcome(job, made_up(job.config))

    with LeaseHolder(store) as holder:
        holder.take(again.study_id, KEY)
        pool = ScriptedPool(answer)
        Driver(store, pool, [again], lambda *_: None, holder=holder).run()
    assert handed[:2] == [(each.config, each.number) for each in left]
    assert [t.number for t in store.trials(again.study_id)] == list(range(12))
    assert store.running(again.study_id) == []
