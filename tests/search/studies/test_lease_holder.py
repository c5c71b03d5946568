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

import pytest

from search.errors import StudyLockedError
from search.running.driver import Driver
from search.studies.lease_holder import LeaseHolder, has_ended, process_identity
from search.studies.study_run import StudyRun
from search.workers.jobs import Job, Outcome
from storage import Lease, LeaseLostError, Store, Trial, open_store
from tests.search.search_helpers import KEY, ScriptedPool, measured, open_run, wait_for


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'himap.db'}") as opened:
        yield opened


def test_the_second_is_refused_and_sees_by_whom_until_the_first_ends(store: Store) -> None:
    study = store.study(KEY)
    with LeaseHolder(store) as first:
        first.take(study, KEY)
        first.take(study, KEY)  # its own is no hindrance
        with LeaseHolder(store) as second:
            with pytest.raises(StudyLockedError) as caught:
                second.take(study, KEY)
            message = str(caught.value)
            assert re.search(rf"study {KEY.name} is searched by process {os.getpid()} on \S+ since \d", message)
            assert re.search(r"choose another --storage .* if it has died, the same command resumes in \d+ s", message)
            assert "\n" not in message
    assert store.lease(study) is None
    with LeaseHolder(store) as third:
        third.take(study, KEY)


def test_a_killed_process_on_this_machine_is_taken_over_from_at_once(store: Store) -> None:
    study = store.study(KEY)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    held = Lease("gone", "elsewhere", process.pid, process_identity(process.pid))
    store.take(study, held, 3600)
    with LeaseHolder(store) as holder:
        assert not has_ended(held)
        with pytest.raises(StudyLockedError):
            holder.take(study, KEY)
        process.kill()
        wait_for(lambda: has_ended(held), 10)  # also while nobody has waited for it
        process.communicate()
        assert has_ended(held)
        assert has_ended(replace(held, pid=os.getpid()))  # the id was given to another process
        assert not has_ended(replace(held, birth=f"other-{held.birth}"))  # another machine: who knows
        assert not has_ended(replace(held, birth=""))
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
    answered: list[Job] = []

    def answer(job: Job) -> Outcome:
        answered.append(job)
        if len(answered) == 5:  # as if this process had slept for an hour
            store.take(store.study(KEY), Lease("new", "there", 1, ""), 60, dead=holder.owner)
        return measured(job)

    with LeaseHolder(store) as holder:
        run = open_run(store, 50, holder=holder)
        with pytest.raises(LeaseLostError, match="taken over by process 1 on there"):
            Driver(ScriptedPool(answer), [run], holder).run()
    assert len(store.trials(run.study_id)) == 4
    held = store.lease(run.study_id)
    assert held is not None
    assert held.owner == "new"


def test_a_lost_lease_stops_a_launch_that_waits_for_long_trials(store: Store) -> None:
    class Waiting(ScriptedPool):
        def finished(self, timeout: float) -> Iterator[Outcome]:
            time.sleep(0.05)
            return iter(())

    with LeaseHolder(store, renewed=0.05) as holder:
        run = open_run(store, 50, holder=holder)
        store.take(run.study_id, Lease("new", "there", 1, ""), 60, dead=holder.owner)
        store.release("new")
        with pytest.raises(LeaseLostError):
            Driver(Waiting(measured), [run], holder).run()


def test_what_a_killed_driver_had_handed_out_comes_first_with_its_number(store: Store) -> None:
    class Killed(BaseException):
        pass

    def kill(_: StudyRun, trial: Trial) -> None:
        if trial.number == 4:
            raise Killed

    with LeaseHolder(store) as holder:
        run = open_run(store, 12, holder=holder)
        run.on_trial = kill
        with pytest.raises(Killed):
            Driver(ScriptedPool(measured, room=3), [run], holder).run()
    left = store.running(run.study_id)
    assert [one.number for one in left] == [5, 6]
    handed = []

    def answer(job: Job) -> Outcome:
        handed.append((job.config, job.tag[1].number))
        return measured(job)

    with LeaseHolder(store) as holder:
        again = open_run(store, 12, holder=holder)
        Driver(ScriptedPool(answer), [again], holder).run()
    assert handed[:2] == [(one.config, one.number) for one in left]
    assert [t.number for t in store.trials(again.study_id)] == list(range(12))
    assert store.running(again.study_id) == []
