"""The hours of a search that runs, corrected once dense is measured."""

from __future__ import annotations

from collections.abc import Sequence

from objectives.evaluation.checkpoints import Target
from objectives.evaluation.prompt_check import PromptCheck
from search.config import SearchConfig
from search.estimating.text import correction_line
from search.inputs.questions import StudyQuestions
from search.running.dry_run import estimated
from search.running.further import FurtherQuestions
from search.studies.study_run import StudyRun
from storage import Trial


class Expected:
    """Makes the estimate of --dry-run before the workers start; arguments as of `dry_run.estimated`.

    On a cluster it is left out: this machine's device says nothing of the workers'.
    """

    def __init__(
        self,
        config: SearchConfig,
        target: Target,
        check: PromptCheck,
        questions: list[StudyQuestions],
        further: FurtherQuestions,
        workers: int,
    ) -> None:
        here = config.address is None
        self._estimate = estimated(config, target, check, questions, further, "here", workers) if here else None

    def corrected(self, runs: Sequence[StudyRun], trial: Trial) -> str:
        """Return a line with corrected hours after the last study's dense trial; "" after any other trial."""
        dense = [(run.key.questions, one) for run in runs for one in run.trials if one.origin == "dense"]
        if self._estimate is None or trial.origin != "dense" or len(dense) < len(runs):
            return ""
        return correction_line(self._estimate, dense)
