"""Print which image tokens of one question survive a configuration, as JSON for programs that draw them.

    python -m search.tokens --model qwenvl --benchmark pope --questions 99 --question 17 --config '{"k1": 2, ...}'

Runs the model on that question, dense and pruned. Prints one object: the grid of image tokens of each image
(rows, columns, tokens), the tokens left after_k1 and after_k2 (from 0, row by row, image after image), the
answers, the question and its images.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import torch

import himap
from himap import PruningConfig
from himap.families import find, image_token
from objectives.benchmarks import Question
from objectives.data.images import load_image
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.models import LoadedModel, load
from objectives.json_files import json_text, parse
from objectives.options import add_dtype_option, add_model_options, command_parser
from objectives.questions import add_study_options, question_records, study_questions
from search.cli import run_search_command
from search.errors import UsageError


@torch.inference_mode()
def survivors(
    loaded: LoadedModel, prompt: str, question: Question, config: PruningConfig, new_tokens: int
) -> dict[str, Any]:
    """Return grids, tokens left and answers of one question.

    What the first cut keeps is read from a run without the second, which comes after it.
    """
    inputs = loaded.inputs([prompt], [[load_image(image) for image in question.images]])
    inputs = {name: value.to(loaded.device) for name, value in inputs.items()}
    image = (inputs["input_ids"][0] == image_token(loaded.model.config)).nonzero().flatten().tolist()
    order = {slot: number for number, slot in enumerate(image)}

    def run(one: PruningConfig) -> tuple[list[int], str]:
        with himap.prune(loaded.model, one) as pruning:
            out = loaded.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
            left = [order[slot] for slot in pruning.positions[0].tolist() if slot in order]
        new = out[0, inputs["input_ids"].shape[1] :]
        return left, loaded.processor.tokenizer.decode(new, skip_special_tokens=True).strip()

    shallow, _ = run(PruningConfig(config.k1, config.r1, config.k2, 0, config.phi_shallow, seed=config.seed))
    deep, answer = run(config)
    return {
        "grids": _grids(loaded, inputs, len(image), len(question.images)),
        "after_k1": shallow,
        "after_k2": deep,
        "answer": answer,
        "dense_answer": run(PruningConfig.dense())[1],
    }


def _grids(loaded: LoadedModel, inputs: dict[str, Any], tokens: int, images: int) -> list[dict[str, int]]:
    """Return rows, columns and tokens of each image: by the family, else equal shares, nearly square."""
    grids = find(loaded.model).grids(inputs).image
    if grids is not None:
        return [{"rows": r, "columns": c, "tokens": r * c} for _, r, c in grids.tolist()]
    share = tokens // images
    columns = math.ceil(math.sqrt(share))
    return [{"rows": math.ceil(share / columns), "columns": columns, "tokens": share}] * images


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("search.tokens", __doc__)
    add_model_options(parser)
    add_dtype_option(parser)
    parser.add_argument("--digest", default="", help="weights that the study measured; others are refused")
    add_study_options(parser)
    parser.add_argument("--question", type=int, required=True, metavar="N", help="which of them, from 0")
    parser.add_argument("--config", required=True, metavar="JSON", help="a himap.PruningConfig as JSON")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be answered."""
    options = parser().parse_args(arguments)

    def run() -> int:
        sys.stdout.write(json_text(_answer(options)))
        return 0

    return run_search_command(run)


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    try:
        config = PruningConfig.from_dict(parse(options.config))
    except ValueError as error:
        raise UsageError(f"got --config {options.config}, which is not JSON: {error}") from error
    loaded_set = study_questions(options)
    benchmark, questions = loaded_set.benchmark, loaded_set.questions
    if not 0 <= options.question < len(questions):
        raise UsageError(f"got question {options.question}; expected 0 to {len(questions) - 1}")
    target = resolve(options.model, options.weights, dtype=options.dtype)
    if options.digest and target.digest != options.digest:
        raise UsageError(
            f"the study measured weights {options.digest[:12]}, but {target.weights} holds "
            f"{target.digest[:12]}; name the study's weights with --weights"
        )
    question = questions[options.question]
    loaded = load(target.weights, dtype=target.dtype)
    surviving = survivors(loaded, benchmark.prompt(question), question, config, benchmark.max_new_tokens)
    return {**surviving, **question_records(questions, [options.question])[0]}


if __name__ == "__main__":
    sys.exit(main())
