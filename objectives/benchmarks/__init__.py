"""The benchmarks, by name. A new one is a file here, an entry below and a test."""

from objectives.benchmarks.aokvqa import AOKVQA, AOKVQADirect
from objectives.benchmarks.base import Benchmark, PublishedBenchmark, Question
from objectives.benchmarks.captions import Flickr30k, Nocaps
from objectives.benchmarks.mme import MME
from objectives.benchmarks.pope import POPE
from objectives.benchmarks.scienceqa import ScienceQA
from objectives.benchmarks.textvqa import TextVQA
from objectives.benchmarks.vqav2 import VQAv2
from objectives.errors import UnknownBenchmarkError

# The six that "all" means and that the minis are trained on; further ones must be named.
_SIX: tuple[PublishedBenchmark, ...] = (VQAv2(), TextVQA(), POPE(), MME(), ScienceQA(), AOKVQA())
_FURTHER: tuple[PublishedBenchmark, ...] = (AOKVQADirect(), Nocaps(), Flickr30k())
BENCHMARKS: dict[str, PublishedBenchmark] = {b.name: b for b in _SIX}
EVERY_BENCHMARK: dict[str, PublishedBenchmark] = {b.name: b for b in (*_SIX, *_FURTHER)}


def benchmark(name: str) -> PublishedBenchmark:
    """Return the benchmark called `name`; raise UnknownBenchmarkError, which lists the names."""
    try:
        return EVERY_BENCHMARK[name]
    except KeyError:
        known = ", ".join(EVERY_BENCHMARK)
        raise UnknownBenchmarkError(f"unknown benchmark {name!r}; expected one of {known}") from None


__all__ = ["BENCHMARKS", "EVERY_BENCHMARK", "Benchmark", "PublishedBenchmark", "Question", "benchmark"]
