"""Measure questions per second: the evaluator against plain generate with batch 1, on the same questions.

    python -m bench.accuracy --model minis/checkpoints/qwenvl-mini --benchmark pope --n 120

Both answer densely and greedily with equal limits in one run; the plain loop runs the vision tower for every
question. The evaluator's preparation (image features, once for all configurations) is timed apart. The JSON also
counts the answers that differ; it must be 0.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch

from bench import command
from bench.measuring import provenance, timed
from himap import PruningConfig
from objectives.benchmarks import benchmark
from objectives.data.images import load_image
from objectives.data.source import QuestionSet, Source, load_questions
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.models import LoadedModel, load
from search.inputs.limits import QUESTIONS


@torch.inference_mode()
def one_by_one(loaded: LoadedModel, questions: QuestionSet) -> list[str]:
    """Answer each question by itself: processor, vision tower, generate, decode."""
    answers = []
    for question in questions.questions:
        prompt = questions.benchmark.prompt(question)
        inputs = loaded.inputs([prompt], [[load_image(image) for image in question.images]])
        inputs = {key: value.to(loaded.device) for key, value in inputs.items()}
        limit = questions.benchmark.max_new_tokens
        ids = loaded.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        answer = ids[0, inputs["input_ids"].shape[1] :]
        answers.append(loaded.processor.tokenizer.decode(answer, skip_special_tokens=True).strip())
    return answers


def measure(loaded: LoadedModel, questions: QuestionSet) -> dict[str, object]:
    """Return the questions per second of both, and how many answers differ."""
    one_by_one(loaded, replace(questions, questions=questions.questions[:2]))
    plain, looped = timed(one_by_one, loaded, questions)
    evaluator, prepared = timed(Evaluator, loaded, questions.benchmark, questions.questions)
    result, evaluated = timed(evaluator.evaluate, PruningConfig.dense())
    n = len(questions.questions)
    return {
        "questions": questions.key,
        "n": n,
        "loop_per_second": n / looped,
        "evaluator_per_second": n / evaluated,
        "first_evaluation_per_second": n / (prepared + evaluated),
        "speedup": looped / evaluated,
        "different_answers": sum(a != b for a, b in zip(plain, result.answers, strict=True)),
        **provenance(loaded.device),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the measurement as JSON."""
    parser = command.parser("bench.accuracy", __doc__)
    parser.add_argument("--model", required=True, help="a checkpoint's folder or hub id")
    parser.add_argument("--benchmark", default="pope", help="default pope, on embedded scenes")
    parser.add_argument("--n", type=int, default=QUESTIONS, help=f"questions (default {QUESTIONS})")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    questions = load_questions(Source(benchmark(options.benchmark).name), "validation", options.n)
    command.show(measure(load(options.model), questions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
