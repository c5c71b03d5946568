"""Questions a second: the evaluator against plain generate with batch 1, on the same questions, in one run.

    python -m bench.accuracy --model minis/checkpoints/qwenvl-mini --benchmark pope --n 120

Both answer densely and greedily with equal limits; the loop sees each image anew, as a plain script does. The
evaluator's preparation (image features, once for all configurations) is timed apart. Answers must be equal.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace

import torch

from himap import PruningConfig
from objectives.benchmarks import benchmark
from objectives.data.images import load_image
from objectives.data.source import QuestionSet, Source, load_questions
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.latency import device_name
from objectives.evaluation.models import LoadedModel, load
from objectives.provenance import commit


@torch.inference_mode()
def one_by_one(loaded: LoadedModel, asked: QuestionSet) -> list[str]:
    """Each question by itself: processor, vision tower, generate, decode."""
    answers = []
    for question in asked.questions:
        inputs = loaded.inputs([asked.benchmark.prompt(question)], [[load_image(image) for image in question.images]])
        inputs = {key: value.to(loaded.device) for key, value in inputs.items()}
        limit = asked.benchmark.max_new_tokens
        ids = loaded.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        new = ids[0, inputs["input_ids"].shape[1] :]
        answers.append(loaded.processor.tokenizer.decode(new, skip_special_tokens=True).strip())
    return answers


def measure(loaded: LoadedModel, asked: QuestionSet) -> dict[str, object]:
    """Seconds of the three parts, questions a second, and how many answers differ."""
    warm = replace(asked, questions=asked.questions[:2])
    one_by_one(loaded, warm)
    start = time.perf_counter()
    plain = one_by_one(loaded, asked)
    looped = time.perf_counter() - start
    start = time.perf_counter()
    evaluator = Evaluator(loaded, asked.benchmark, asked.questions)
    prepared = time.perf_counter() - start
    start = time.perf_counter()
    result = evaluator.evaluate(PruningConfig.dense())
    evaluated = time.perf_counter() - start
    n = len(asked.questions)
    return {
        "questions": asked.key,
        "n": n,
        "loop_per_second": n / looped,
        "evaluator_per_second": n / evaluated,
        "first_evaluation_per_second": n / (prepared + evaluated),
        "speedup": looped / evaluated,
        "different_answers": sum(a != b for a, b in zip(plain, result.answers, strict=True)),
        "device": device_name(loaded.device),
        "commit": commit(),
    }


def main(arguments: list[str] | None = None) -> int:
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=summary, epilog=details)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", required=True, help="a checkpoint's folder or hub id")
    parser.add_argument("--benchmark", default="pope", help="default pope, on embedded scenes")
    parser.add_argument("--n", type=int, default=120, help="questions (default 120)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    asked = load_questions(Source(benchmark(options.benchmark).name), "validation", options.n)
    sys.stdout.write(json.dumps(measure(load(options.model), asked), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
