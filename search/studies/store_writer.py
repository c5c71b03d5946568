"""Writes what the driver commits, and waits for a store that is away: a restart, a lock, a full disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from search.errors import StoreLostError
from storage import DuplicateTrialError, Latency, RunningTrial, StorageError, Store, StoreUnavailableError, Trial

PATIENCE = 120.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_log = logging.getLogger(__name__)


class StoreWriter:
    """Commits to a store in the name of the lease's `owner`, each thing once.

    A write that fails since the store is away is tried again, with growing pauses, for `patience` seconds;
    whether an interrupted one went through is looked up, so that nothing is written twice. Without an owner
    there is no lease to check.
    """

    def __init__(self, store: Store, owner: str = "", patience: float = PATIENCE) -> None:
        self._store, self._owner, self._patience = store, (owner,) if owner else (), patience

    def add(self, study_id: int, trial: Trial) -> None:
        """Commits a trial.

        Raises:
            StoreLostError: the store stayed away.
            LeaseLostError: the study is another process's by now.
            DuplicateTrialError: the study has another trial of this number.
        """
        self._until(lambda again: self._add(study_id, trial, again))

    def _add(self, study_id: int, trial: Trial, again: bool) -> None:
        try:
            self._store.add(study_id, trial, *self._owner)
        except DuplicateTrialError:
            if not again or not self._holds(study_id, trial):
                raise

    def _holds(self, study_id: int, trial: Trial) -> bool:
        stored = {each.number: each for each in self._store.trials(study_id, scores=False)}
        return stored[trial.number].created_at == trial.created_at

    def set_latency(self, study_id: int, number: int, latency: Latency) -> None:
        """Commits the latency of a stored trial. Raises as `add`."""
        self._until(lambda _: self._store.set_latency(study_id, number, latency, *self._owner))

    def begin(self, study_id: int, running: RunningTrial) -> None:
        """Commits that a trial is handed out; nothing without an owner. Raises as `add`."""
        if self._owner:
            self._until(lambda _: self._store.begin(study_id, running, *self._owner))

    def _until(self, write: Callable[[bool], None]) -> None:
        """Writes; the argument says whether it was tried before."""
        began, pause, again = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                write(again)
                break
            except StoreUnavailableError as error:
                waited = time.monotonic() - began
                if waited + pause > self._patience:
                    raise StoreLostError(_lost(error, waited)) from error
                if not again:
                    _log.warning("%s; trying again for up to %.0f s", error, self._patience)
            again = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if again:
            _log.warning("the store is back after %.1f s, nothing was lost", time.monotonic() - began)


def _lost(error: StorageError, waited: float) -> str:
    return (
        f"{error} (tried for {waited:.0f} s); what was stored before counts, what could not be stored is "
        "measured again by the same command once the store is back"
    )
