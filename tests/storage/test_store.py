"""What a store promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from himap import PruningConfig
from himap.presets import Timing
from storage import (
    DuplicateTrialError,
    Latency,
    QuestionSource,
    RecordError,
    StorageError,
    Store,
    StoreMissingError,
    StudyKey,
    Trial,
    open_store,
)
from storage.records import latency_fields, utc_now

MakeTrial = Callable[..., Trial]


def test_a_trial_comes_back_exactly_as_it_went_in(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    trial = make_trial(3)
    assert all(
        getattr(trial, field.name) not in (None, "")
        for field in fields(Trial)
        if field.name not in ("reason", "parent", "reused")
    )
    study = store.study(key)
    store.add(study, trial)
    assert store.trials(study) == [trial]
    assert store.trials(study, scores=False) == [replace(trial, scores=())]


def test_a_failed_trial_keeps_its_reason_and_what_was_not_measured_is_nan(store: Store, key: StudyKey) -> None:
    study = store.study(key)
    reason = "out of memory\nat layer 3 <b>\x00\ud800</b> ✂"
    store.add(study, Trial(0, "failed", "sampler", PruningConfig(2, 50, 8, 75), reason=reason))
    (trial,) = store.trials(study)
    assert trial.state == "failed"
    assert trial.reason == "out of memory\nat layer 3 <b>\ufffd?</b> ✂"
    assert math.isnan(trial.accuracy)
    assert math.isnan(trial.latency_ms)
    assert trial.n == 0
    assert trial.scores == ()


def test_a_write_to_any_study_changes_the_stamp(
    store: Store, key: StudyKey, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the clock stands still: the revisions of all studies tell."""
    moment = utc_now()
    monkeypatch.setattr("storage.store.utc_now", lambda: moment)
    large, small = store.study(key), store.study(replace(key, seed=7))
    store.add_all(large, [make_trial(n) for n in range(3)])
    store.add(large, make_trial(3))
    stamps = [store.version_stamp()]
    of_large = store.version_stamp(large)
    for number in range(3):
        store.add(small, make_trial(number))
        stamps.append(store.version_stamp())
    assert len(set(stamps)) == 4
    assert store.version_stamp(large) == of_large != store.version_stamp(small)


def test_the_stamp_of_another_store_in_the_same_place_differs(tmp_path: Path, key: StudyKey) -> None:
    stamps = []
    for _ in range(2):
        (tmp_path / "a.db").unlink(missing_ok=True)
        with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
            store.study(key)
            stamps.append(store.version_stamp())
    assert len(set(stamps)) == 2


TIMINGS = (
    Timing(
        figure="first_token", batch=1, ms=4.1, dense_ms=8.0, speedup=2.0, speedup_low=1.6, speedup_high=2.5, repeats=20
    ),
    Timing(
        figure="output_token", batch=8, ms=1.1, dense_ms=1.0, speedup=0.9, speedup_low=0.8, speedup_high=1.0, repeats=6
    ),
)


def test_timings_come_back_as_they_were(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    study = store.study(key)
    store.add(study, make_trial(0, timings=TIMINGS))
    assert store.trials(study)[0].timings == TIMINGS


def test_a_latency_comes_later_and_readers_notice(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    study = store.study(key)
    untimed = dict.fromkeys(("latency_ms", "latency_low_ms", "latency_high_ms", "dense_latency_ms"), math.nan)
    store.add(study, make_trial(0, **untimed))
    before = store.version_stamp(study)
    latency = Latency.of(TIMINGS, "cpu")
    assert (latency.median, latency.low, latency.high, latency.dense) == (4.0, 3.2, 5.0, 8.0)
    store.set_latency(study, 0, latency)
    (trial,) = store.trials(study)
    assert trial.latency == latency and trial == make_trial(0, **latency_fields(latency))
    assert (trial.speedup, trial.speedup_low, trial.speedup_high) == (2.0, 1.6, 2.5)
    assert trial.timed_at(8) and not trial.timed_at(1)  # where it is the first token alone
    assert store.version_stamp(study) != before
    with pytest.raises(StorageError, match=f"study {study} of .* has no trial 7"):
        store.set_latency(study, 7, Latency(3.5, 3.0, 4.25, "cpu"))


def test_a_user_waits_for_the_vision_tower_too() -> None:
    batch, single = (TIMINGS[0].model_copy(update={"figure": "first_token_with_vision", "batch": n}) for n in (8, 1))
    assert Latency.of((*TIMINGS, batch), "cpu").headline == TIMINGS[0]
    assert Latency.of((*TIMINGS, batch, single), "cpu").headline == single
    assert Latency(1, 1, 1, "cpu").headline is None


def test_numbers_of_numpy_and_odd_floats_are_stored_as_numbers(
    store: Store, key: StudyKey, make_trial: MakeTrial
) -> None:
    trial = make_trial(
        np.int64(4),
        n=np.int32(3),
        accuracy=np.float32(0.5),
        latency_high_ms=math.inf,
        metrics={"f1": np.float64(0.25), "cider": math.nan},
        scores=tuple(np.array([0.5, 1.0])),
    )
    study = store.study(replace(key, seed=np.int64(9), n_questions=np.int64(7)))
    store.add(study, trial)
    (back,) = store.trials(study)
    assert (back.number, back.n, back.accuracy, back.latency_high_ms) == (4, 3, 0.5, math.inf)
    assert type(back.n) is int
    assert back.metrics["f1"] == 0.25
    assert math.isnan(back.metrics["cider"])
    assert back.scores == (0.5, 1.0)
    assert store.study(replace(key, seed=9, n_questions=7)) == study


def test_times_of_other_zones_come_back_in_utc(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    trial = make_trial(0)
    there = trial.created_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    study = store.study(key)
    store.add(study, replace(trial, created_at=there))
    (back,) = store.trials(study)
    assert back.created_at == trial.created_at
    assert back.created_at.utcoffset() == timedelta(0)


def test_a_study_is_made_once_and_every_part_of_its_key_counts(store: Store, key: StudyKey) -> None:
    others = [
        replace(key, **{field.name: getattr(key, field.name) * 2 or ("x" if field.name == "source" else 1)})
        for field in fields(StudyKey)
    ]
    ids = [store.study(one) for one in [key, *others]]
    assert len(set(ids)) == len(ids) == 10
    assert [store.study(one) for one in [key, *others]] == ids
    assert {summary.key for summary in store.studies()} == {key, *others}


def test_a_number_is_stored_once_in_a_study(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    study, other = store.study(key), store.study(replace(key, seed=1))
    store.add(study, make_trial(0))
    store.add(other, make_trial(0))
    before = store.version_stamp()
    with pytest.raises(DuplicateTrialError, match=r"already has a trial 0; .* next free number"):
        store.add(study, make_trial(0, accuracy=0.1))
    assert store.trials(study) == [make_trial(0)]
    assert store.version_stamp() == before


def test_an_unknown_study_is_refused_and_nothing_is_written(store: Store, make_trial: MakeTrial) -> None:
    with pytest.raises(StorageError, match=r"has no study 41; get its id from Store\.study"):
        store.add(41, make_trial(0))
    assert store.trials(41) == []
    assert store.studies() == []


@pytest.mark.parametrize("change", [{"n": 2.5}, {"device": 3}, {"metrics": {"f1": "high"}}])
def test_values_of_the_wrong_type_are_refused(
    store: Store, key: StudyKey, make_trial: MakeTrial, change: dict[str, object]
) -> None:
    study = store.study(key)
    with pytest.raises(RecordError, match=rf"trial 0: got {next(iter(change))}=.*; expected"):
        store.add(study, make_trial(0, **change))
    assert store.trials(study) == []


def test_studies_counts_and_times(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    empty = store.study(replace(key, benchmark="aokvqa"))
    study = store.study(key)
    for number in range(3):
        store.add(study, make_trial(number))
    store.add(study, Trial(3, "failed", "random", PruningConfig(2, 50, 8, 75), reason="hung"))
    store.add(study, make_trial(4, state="pruned", reason="worse than trial 1", parent="trial 9"))
    first, second = store.studies()
    assert (first.id, first.trials, first.failed, first.complete) == (empty, 0, 0, 0)
    assert (second.id, second.trials, second.failed, second.pruned) == (study, 5, 1, 1)
    assert second.complete == 3
    assert second.key == key
    assert first.created_at == first.updated_at
    assert second.updated_at > second.created_at


def test_the_version_stamp_changes_with_every_write_and_only_then(
    store: Store, key: StudyKey, make_trial: MakeTrial
) -> None:
    stamps = [store.version_stamp()]
    study = store.study(key)
    stamps.append(store.version_stamp())
    store.add(study, make_trial(0))
    stamps.append(store.version_stamp())
    other = store.study(replace(key, seed=1))
    of_study = store.version_stamp(study)
    store.add(other, make_trial(0))
    stamps.append(store.version_stamp())
    assert len(set(stamps)) == len(stamps)
    assert store.version_stamp() == stamps[-1]
    assert store.version_stamp(study) == of_study
    store.studies(), store.trials(study), store.study(key)
    assert store.version_stamp() == stamps[-1]


def test_opening_again_keeps_everything(url: str, key: StudyKey, make_trial: MakeTrial) -> None:
    with open_store(url) as store:
        store.add(store.study(key), make_trial(0))
    with open_store(url) as store:
        assert store.trials(store.study(key)) == [make_trial(0)]


def test_readonly_reads_but_never_writes(url: str, key: StudyKey, make_trial: MakeTrial) -> None:
    with pytest.raises(StoreMissingError, match="start a search"):
        open_store(url, readonly=True)
    with open_store(url) as store:
        study = store.study(key)
        store.add(study, make_trial(0))
        with open_store(url, readonly=True) as reader:
            assert reader.trials(study) == [make_trial(0)]
            store.add(study, make_trial(1))  # while the reader is open
            assert len(reader.trials(study)) == 2
            with pytest.raises(StorageError):
                reader.add(study, make_trial(2))
            with pytest.raises(StorageError):
                reader.study(replace(key, seed=5))
        assert len(store.trials(study)) == 2


def test_ten_thousand_trials_read_quickly(tmp_path_factory: pytest.TempPathFactory, key: StudyKey) -> None:
    from sqlalchemy import insert

    from storage.sql.connection import transaction
    from storage.sql.rows import row_values
    from storage.sql.schema import TRIALS

    folder = tmp_path_factory.mktemp("large")
    with open_store(f"sqlite:///{folder / 'himap.db'}") as store:
        study = store.study(key)
        values = row_values(Trial(0, "complete", "sampler", PruningConfig(2, 50, 8, 75), accuracy=0.5), "trial")
        rows = [{**values, "study_id": study, "number": number} for number in range(10_000)]
        with transaction(store.engine, write=True) as connection:  # one by one would test the disk
            connection.execute(insert(TRIALS), rows)
        started = time.process_time()
        trials = store.trials(study, scores=False)
        seconds = time.process_time() - started
        assert [trial.number for trial in trials] == list(range(10_000))
        assert seconds < 2, f"took {seconds:.2f} s of processor time; about 0.3 s is usual"
        started = time.process_time()
        assert store.version_stamp(study)
        assert time.process_time() - started < 0.1


def test_scores_of_some_trials_come_without_the_rest(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    study = store.study(key)
    for number in range(3):
        store.add(study, make_trial(number, scores=(float(number), math.inf)))
    store.add(study, make_trial(3, scores=()))
    assert store.scores(study, [2, 0, 3, 9]) == {0: (0.0, math.inf), 2: (2.0, math.inf)}
    assert store.scores(study, []) == {}


def test_many_trials_are_stored_at_once_or_not_at_all(store: Store, key: StudyKey, make_trial: MakeTrial) -> None:
    study = store.study(key)
    trials = [make_trial(number, scores=(1.0,) if number else ()) for number in range(4)]
    before = store.version_stamp(study)
    store.add_all(study, trials)
    assert store.trials(study) == trials
    assert store.version_stamp(study) != before
    with pytest.raises(DuplicateTrialError):
        store.add_all(study, [make_trial(9), make_trial(2)])
    assert len(store.trials(study)) == 4
    store.add_all(study, [])
    with pytest.raises(StorageError):
        store.add_all(999, [make_trial(0)])


def test_where_questions_come_from_is_kept_with_the_study(store: Store, key: StudyKey) -> None:
    study = store.study(key)
    assert store.questions(study) is None
    first = QuestionSource(
        "a.jsonl", data="a.jsonl", metric="anls", skip_bad=True, skipped=((2, "lacks 'id'"), (9, "not\x00 JSON"))
    )
    store.set_questions(study, first)
    kept = store.questions(study)
    assert kept == replace(first, skipped=((2, "lacks 'id'"), (9, "not\ufffd JSON")))
    moved = QuestionSource("b.jsonl", data="b.jsonl", metric="anls")
    store.set_questions(study, moved)
    stamp = store.version_stamp(study)
    store.set_questions(study, moved)
    assert (store.questions(study), store.version_stamp(study)) == (moved, stamp)
    with pytest.raises(StorageError, match="has no study 99"):
        store.set_questions(99, moved)


def test_a_criterion_that_only_its_search_knows_is_read_too(
    store: Store, key: StudyKey, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(0)
    study = store.study(key)
    store.add(study, trial)
    monkeypatch.setattr("himap.criteria.names", tuple)
    assert store.trials(study) == [trial]
