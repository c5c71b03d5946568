"""Load questions from every source: embedded scenes, official files, the hub, or the user's own file."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from objectives.benchmarks import Benchmark, PublishedBenchmark, Question, benchmark
from objectives.benchmarks.custom import OwnBenchmark, metric, metric_name
from objectives.benchmarks.labels import BROKEN_ROW
from objectives.data.embedded import embedded_questions
from objectives.data.hub import hub_questions, keep_image
from objectives.data.own_file import BadRow, BadRowsError, read_own
from objectives.data.subsets import SPLITS, one_per_image, splits_of, subset, without_single
from objectives.errors import DataError

Problem = Callable[[Benchmark, Question], str]  # why a model cannot take a question, or ""

_UNFIT = re.compile(r"[^\w.=-]+")  # in the name of a study


@dataclass(frozen=True)
class Source:
    """Where questions come from: embedded scenes, official files, the hub, or the user's own file.

    A benchmark's name alone means its embedded scenes; with `data_root` its official files there, with `hub` its usual
    dataset on the hub. `data` is the user's own file, scored by `metric`, with image paths relative to `data_root`.
    `skip_bad` leaves out rows that cannot be used; `left_out` are numbers of rows that were left out before, so that
    no model is needed to find them again. Raises DataError for fields that contradict each other.
    """

    benchmark: str = ""
    data: Path | None = None
    metric: str = ""
    data_root: Path | None = None
    hub: bool = False
    skip_bad: bool = False
    left_out: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if bool(self.benchmark) == (self.data is not None):
            raise DataError("expected either a benchmark's name or a file of own questions, and not both")
        if (self.data is None) == bool(self.metric):
            raise DataError("a file of own questions needs a metric, and only such a file takes one")
        if self.hub and (self.data_root or self.data):
            raise DataError("questions come from the hub or from files, not from both")

    @property
    def embedded(self) -> bool:
        """Whether the questions are about embedded scenes."""
        return not (self.data or self.data_root or self.hub)


@dataclass(frozen=True)
class QuestionSet:
    """Questions with the benchmark that asks and scores them.

    `name` is that of the benchmark, or of the user's file and its metric; `origin` names the source for people.
    `digest` changes with any question that is left of the source, and with the images of own questions; it is "" for
    embedded scenes. `skipped` are rows that were left out, by the file's faults or by the model's; `sizes` counts the
    others of each split, except for embedded scenes, which have no end.
    """

    benchmark: Benchmark
    questions: list[Question]
    name: str
    origin: str
    digest: str = ""
    skipped: tuple[BadRow, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names the questions in a store: "pope", or with a digest "mine-anls@1a2b3c4d"."""
        return f"{self.name}@{self.digest}" if self.digest else self.name


def load_questions(source: Source, split: str, n: int | None, problem: Problem | None = None) -> QuestionSet:
    """Load the first `n` questions of a split.

    Args:
        split: "validation", "test", "all" (not of embedded scenes), or as `VALIDATION_SINGLE`.
        n: how many; None for all, except for embedded scenes.
        problem: returns why a model cannot take a question, as `evaluation.prompt_check.PromptCheck.problem` does, or
            "". Embedded scenes are not checked.

    Raises:
        DataError: the data cannot be used.
        UnknownBenchmarkError: no benchmark has this name.
    """
    problem = problem or (lambda asked, question: "")
    if without_single(split) != split and not source.embedded:
        every = load_questions(source, without_single(split), None, problem)
        return replace(every, questions=one_per_image(every.questions)[:n])
    if source.data is not None:
        question_set = _own(source, source.data, split, n, problem)
    elif source.embedded:
        return _embedded(benchmark(source.benchmark), split, n)
    elif source.data_root is not None:
        question_set = _official(source, source.data_root, split, n, problem)
    else:
        question_set = _from_hub(source, split, n, problem)
    if not question_set.questions:
        raise DataError(
            f"{question_set.origin}: none of its {sum(question_set.sizes.values())} questions is in the {split} "
            "split, to which images belong by a hash of their names; expected more data, or split all"
        )
    return question_set


def _embedded(chosen: PublishedBenchmark, split: str, n: int | None) -> QuestionSet:
    if n is None or split == "all":
        raise DataError("embedded scenes have no end; expected a number of validation or test questions")
    return QuestionSet(chosen, embedded_questions(chosen, split, n), chosen.name, "embedded scenes")


def _own(source: Source, path: Path, split: str, n: int | None, problem: Problem) -> QuestionSet:
    kind = metric_name(source.metric)
    name = f"{_UNFIT.sub('-', path.stem)}-{kind}"
    own = OwnBenchmark(name, f"{path.stem} ({kind})", metric(source.metric))
    questions, bad = read_own(path, source.metric, source.data_root, partial(problem, own), source.left_out)
    if bad and (not source.skip_bad or not questions):
        raise BadRowsError(path, bad, len(bad) + len(questions))
    portable = _by_contents(questions)
    where = dict(zip((q.id for q in questions), questions, strict=True))
    questions = [where[q.id] for q in subset(portable, split, n)]
    return QuestionSet(own, questions, name, str(path), _digest(portable), tuple(bad), _sizes(portable))


def _by_contents(questions: list[Question]) -> list[Question]:
    """Name images by digests of their files, so that neither folders nor copies of an image make a difference."""
    images = {image for q in questions for image in q.images}
    seen = {image: _contents(image) for image in images}
    return [
        replace(q, image=seen[q.image], more_images=tuple(seen[image] for image in q.more_images)) for q in questions
    ]


def _contents(path: str) -> str:
    """Return the SHA-256 of a file, which is never in memory as a whole: few pixels can be many bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _official(source: Source, root: Path, split: str, n: int | None, problem: Problem) -> QuestionSet:
    chosen = benchmark(source.benchmark)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected {chosen.title}'s official files")
    folder = root / chosen.name if (root / chosen.name).is_dir() else root
    usable = [q for q in official_questions(chosen, folder) if q.image]
    published = _Published(chosen, str(folder), usable, partial(_placed, chosen, folder), source, problem)
    if source.skip_bad:  # files change: the digest says of all of them what is left, in every split alike
        published.place(usable)
        return published.questions(split, n, _remaining(usable, published.lost))
    return published.questions(split, n, usable)


class _Published:
    """A published benchmark's questions from files or the hub, and those of them that a model refuses.

    Args:
        place: returns a question with the path of its image; raises DataError where there is none.
    """

    def __init__(
        self,
        chosen: PublishedBenchmark,
        origin: str,
        usable: list[Question],
        place: Callable[[Question], Question],
        source: Source,
        problem: Problem,
    ) -> None:
        self._asked, self._origin, self._usable, self._place = chosen.at_full_size(), origin, usable, place
        self._source, self._problem = source, problem
        self._numbers = {question.id: number for number, question in enumerate(usable, 1)}
        if len(self._numbers) < len(usable):
            repeated, _ = Counter(question.id for question in usable).most_common(1)[0]
            raise DataError(f"{origin}: id {repeated!r} was there before; expected a new one for each question")
        self._bad: list[BadRow] = []
        self.lost = {q.group or q.id for q in usable if self._numbers[q.id] in source.left_out}

    def place(self, questions: Iterable[Question]) -> list[Question]:
        """Return the questions with their images, without those that cannot be asked, whose groups are lost."""
        taken = []
        for question in questions:
            try:
                placed = self._place(question)
                reason = self._problem(self._asked, placed)
            except DataError as error:
                reason = str(error)
            if not reason:
                taken.append(placed)
            elif (question.group or question.id) not in self.lost:
                self._bad.append(BadRow(self._numbers[question.id], reason, "question"))
        refused = [self._usable[row.line - 1] for row in self._bad]
        self.lost |= {question.group or question.id for question in refused}
        return taken

    def questions(self, split: str, n: int | None, named: list[Question]) -> QuestionSet:
        """Return the first `n` questions of a split that can be asked; `named` are those of the digest.

        Raises:
            BadRowsError: some cannot be asked, and the source does not skip them.
        """
        while True:
            before = len(self._bad)
            taken = self.place(subset(self._usable, split, n, self.lost))
            if len(self._bad) == before and (taken or not self._bad):
                bad = tuple(sorted(self._bad, key=lambda row: row.line))
                name = self._asked.name
                return QuestionSet(self._asked, taken, name, self._origin, _digest(named), bad, _sizes(named))
            if not self._source.skip_bad or not taken:
                raise BadRowsError(self._origin, self._bad, len(taken) + len(self._bad))


def _remaining(questions: list[Question], lost: Container[str]) -> list[Question]:
    return [question for question in questions if (question.group or question.id) not in lost]


def official_questions(chosen: PublishedBenchmark, path: Path) -> list[Question]:
    """Read the benchmark's official files; raise DataError where they have another form."""
    try:
        return chosen.official(path)
    except BROKEN_ROW as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise DataError(f"{path} is not in the form of {chosen.title}'s official files ({reason})") from error


def _placed(chosen: PublishedBenchmark, root: Path, question: Question) -> Question:
    """Return the question with the absolute path of its image; raise DataError where there is none."""
    places = [root / folder / question.image for folder in (*chosen.image_folders, "")]
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise DataError(f"there is no image {places[0]}")
    return replace(question, image=str(path.resolve()))


def _from_hub(source: Source, split: str, n: int | None, problem: Problem) -> QuestionSet:
    """Return questions of a dataset, which does not change: what a model refuses of it follows from the weights."""
    chosen = benchmark(source.benchmark)
    usable = hub_questions(chosen)
    origin = f"{chosen.hub.id} on the hub"
    records = {question.id: record for record, question in enumerate(usable)}

    def place(question: Question) -> Question:
        return keep_image(chosen, question, records[question.id])

    return _Published(chosen, origin, usable, place, source, problem).questions(split, n, usable)


def _sizes(questions: list[Question]) -> dict[str, int]:
    counted = Counter(splits_of(questions))
    return {split: counted[split] for split in SPLITS}


def _digest(questions: list[Question]) -> str:
    """Return eight letters that change with any field of any question."""
    digest = hashlib.sha256()
    for q in questions:
        fields = (q.id, q.images, q.text, q.answers, q.choices, q.category, q.group)
        digest.update(repr(fields).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:8]
