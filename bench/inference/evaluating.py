"""Measure how many questions a second the search's evaluator answers, beside what the device's FLOPs allow.

    python -m bench.inference.evaluating --models llava-7b --questions 96

The evaluator runs as in a search: the questions' image features are computed once, then each setting answers all of
them in batches, with the layers in front of its first cut kept from an earlier setting where the memory allows.
"first" is the first evaluation of a setting, "again" a second one, which finds these layers kept. The share of peak is
the true FLOPs of prefill and generated tokens over the time and over the rate of one large matrix product on the same
device in the same run. Weights are random, so the answers mean nothing; each has as many tokens as its limit.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from bench import command
from bench.inference.subjects import CPU_SHAPE, Subject, random_llava
from bench.measuring import provenance, timed
from himap import PruningConfig
from minis import checkpoint
from objectives.benchmarks import benchmark
from objectives.data.embedded import embedded_questions
from objectives.evaluation.devices import measured_flops
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel, load_processor
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.flops import flops, token_flops
from objectives.flops.shapes import FULL_SIZE

SHAPES = {name: FULL_SIZE[name].shape for name in ("llava-7b", "llava-13b")} | {"llava-300m": CPU_SHAPE}
CONFIGS = {
    "dense": PruningConfig.dense(),
    "HiMAP 2, 50 %, 8, 75 %": PruningConfig.paper(),
    "FastV 2, 50 %": PruningConfig.fastv(),
}
PREFIX_BYTES = 8 * 2**30


def loaded(subject: Subject) -> LoadedModel:
    """Return a subject behind the mini's processor, at the subject's image size and patch."""
    processor = load_processor(checkpoint.path("llava-mini"))
    vision = subject.model.config.vision_config
    processor.patch_size = vision.patch_size
    processor.num_additional_image_tokens = 1  # CLIP's class token, which "default" features leave out
    processor.vision_feature_select_strategy = "default"
    side = vision.image_size
    processor.image_processor.size = {"height": side, "width": side}
    processor.image_processor.crop_size = {"height": side, "width": side}
    subject.model.config.image_token_id = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    subject.model.generation_config.eos_token_id = None
    subject.model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    return LoadedModel(subject.model, processor, subject.name)


def cost(subject: Subject, evaluator: Evaluator, config: PruningConfig, tokens: int) -> float:
    """Return the true FLOPs of all questions: prefill and the tokens behind the first."""
    prompts = zip(*evaluator.tokens(), strict=True)
    return sum(
        flops(subject.shape, image, text, config)
        + sum(token_flops(subject.shape, image, text, config, token) for token in range(1, tokens))
        for image, text in prompts
    )


def measured(name: str, device: torch.device, questions: int, batch: int) -> dict[str, Any]:
    """Return the figures of one model."""
    pope = benchmark("pope")
    subject = random_llava(name, SHAPES[name], device, new_tokens=4)
    model = loaded(subject)
    rate = measured_flops(device, subject.model.dtype)
    asked = embedded_questions(pope, "validation", questions)
    evaluator, prepared = timed(lambda: Evaluator(model, pope, asked, batch, PrefixCache(Memory(PREFIX_BYTES))))
    evaluator.evaluate(CONFIGS["dense"])  # warm-up
    rows = {}
    for label, config in CONFIGS.items():
        _, first = timed(evaluator.evaluate, config)
        _, again = timed(evaluator.evaluate, config)
        spent = cost(subject, evaluator, config, pope.max_new_tokens)
        rows[label] = {
            "tflops_a_question": spent / questions / 1e12,
            "first_per_second": questions / first,
            "again_per_second": questions / again,
            "share_of_peak": spent / first / rate,
        }
    return {
        "model": name,
        "weights": subject.weights,
        "questions": questions,
        "batch": batch,
        "image_tokens": evaluator.tokens()[0][0],
        "new_tokens": pope.max_new_tokens,
        "peak_tflops": rate / 1e12,
        "prepared_per_second": questions / prepared,
        "settings": rows,
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = command.parser("bench.inference.evaluating", __doc__)
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=["llava-7b"], metavar="NAME")
    parser.add_argument("--questions", type=int, default=96, metavar="N")
    parser.add_argument("--batch", type=int, default=24, metavar="N", help="default: 24, as in a search")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    models = [measured(name, device, options.questions, options.batch) for name in options.models]
    command.show(provenance(device) | {"models": models})
    return 0


if __name__ == "__main__":
    sys.exit(main())
