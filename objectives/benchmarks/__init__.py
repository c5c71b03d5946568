"""The benchmarks, by name. A new one is a file here, an entry below and a test."""

from objectives.benchmarks.aokvqa import AOKVQA
from objectives.benchmarks.base import Benchmark, Question
from objectives.benchmarks.mme import MME
from objectives.benchmarks.pope import POPE
from objectives.benchmarks.scienceqa import ScienceQA
from objectives.benchmarks.textvqa import TextVQA
from objectives.benchmarks.vqav2 import VQAv2
from objectives.errors import UnknownBenchmarkError

_ALL: tuple[Benchmark, ...] = (VQAv2(), TextVQA(), POPE(), MME(), ScienceQA(), AOKVQA())
BENCHMARKS: dict[str, Benchmark] = {b.name: b for b in _ALL}


def benchmark(name: str) -> Benchmark:
    """The benchmark called `name`; raises UnknownBenchmarkError, which lists the names."""
    try:
        return BENCHMARKS[name]
    except KeyError:
        known = ", ".join(BENCHMARKS)
        raise UnknownBenchmarkError(f"unknown benchmark {name!r}; expected one of {known}") from None


__all__ = ["BENCHMARKS", "Benchmark", "Question", "benchmark"]
