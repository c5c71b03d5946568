"""Write the results of a search, and wait while the store is unavailable: a restart, a lock, a full disk."""

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
    """Commits to a store on behalf of a lease's `owner`, each record once.

    A write that fails because the store is unavailable is tried again, with growing pauses, for `PATIENCE` seconds.
    Whether an interrupted write went through is looked up, so that nothing is written twice. Without an owner there
    is no lease to check.
    """

    def __init__(self, store: Store, owner: str = "") -> None:
        self._store, self._owner = store, (owner,) if owner else ()

    def add(self, study_id: int, trial: Trial) -> None:
        """Commit a trial.

        Raises:
            StoreLostError: the store was unavailable for too long.
            LeaseLostError: another process searches the study by now.
            DuplicateTrialError: the study has another trial of this number.
        """
        self._retry(lambda repeated: self._add(study_id, trial, repeated))

    def _add(self, study_id: int, trial: Trial, repeated: bool) -> None:
        try:
            self._store.add(study_id, trial, *self._owner)
        except DuplicateTrialError:
            if not repeated or not self._holds(study_id, trial):
                raise

    def _holds(self, study_id: int, trial: Trial) -> bool:
        stored = self._store.trials(study_id, scores=False)
        return any((t.number, t.created_at) == (trial.number, trial.created_at) for t in stored)

    def set_latency(self, study_id: int, number: int, latency: Latency) -> None:
        """Commit the latency of a stored trial; raise as `add`."""
        self._retry(lambda _: self._store.set_latency(study_id, number, latency, *self._owner))

    def begin(self, study_id: int, running: RunningTrial) -> None:
        """Commit that a trial is handed out, or nothing without an owner; raise as `add`."""
        if self._owner:
            self._retry(lambda _: self._store.begin(study_id, running, *self._owner))

    def _retry(self, write: Callable[[bool], None]) -> None:
        """Call `write` until it succeeds; its argument says whether it was called before."""
        start, pause, repeated = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                write(repeated)
                break
            except StoreUnavailableError as error:
                waited = time.monotonic() - start
                if waited + pause > PATIENCE:
                    raise StoreLostError(_lost(error, waited)) from error
                if not repeated:
                    _log.warning("%s; trying again for up to %.0f s", error, PATIENCE)
            repeated = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if repeated:
            _log.warning("the store is back after %.1f s, nothing was lost", time.monotonic() - start)


def _lost(error: StorageError, waited: float) -> str:
    return (
        f"{error} (tried for {waited:.0f} s); what was stored before counts, what could not be stored is "
        "measured again by the same command once the store is back"
    )
