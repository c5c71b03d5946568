"""Count what a pruning setting costs in a model's decoder, beside the dense model. Nothing is downloaded or run.

  python -m objectives.flops --model llava-7b --k1 2 --r1 50 --k2 8 --r2 75 --json

Two counts, both explained in docs/flops.md:
  flops        true FLOPs (a multiply-add is 2) of the whole prefill, text and gated FFN included, and of
               the next generated token
  paper_flops  Eq. 10 of the HiMAP paper: multiply-adds of the image tokens alone, as the literature prints

--k1 2 --r1 50 drops 50 % of the image tokens in front of layer 2 (0-based); --k2 8 --r2 75 then drops 75 %
of those left in front of layer 8. A cut of 0 % is off: FastV is --k1 2 --r1 50 --r2 0.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from himap import ConfigError, PruningConfig
from himap.errors import first_line
from objectives.flops import DecoderShape, flops, paper_flops, token_flops
from objectives.flops.shapes import FULL_SIZE
from objectives.options import add_json_option, check_json, command_parser, run_command, write_json

_PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6))
PAPER_TEXT = 170  # 35 system and about 135 instruction tokens, the paper's prompts


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("objectives.flops", __doc__)
    parser.add_argument("--model", required=True, help=f"{', '.join(FULL_SIZE)}, or a checkpoint's folder")
    for name, kind, value, what in (
        ("k1", int, 2, "layer of the shallow cut"),
        ("r1", float, 50, "percent it drops"),
        ("k2", int, 8, "layer of the deep cut"),
        ("r2", float, 75, "percent it drops of those left"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"{what} (default {value})")
    parser.add_argument(
        "--text",
        type=int,
        default=PAPER_TEXT,
        metavar="N",
        help=f"text tokens of the prompt (default {PAPER_TEXT}, the paper's)",
    )
    parser.add_argument("--image", type=int, metavar="N", help="image tokens (default: the model's)")
    add_json_option(parser)
    return parser


@dataclass(frozen=True)
class _Model:
    shape: DecoderShape
    image_tokens: int
    checkpoint: str
    paper_shape: DecoderShape
    paper_image_tokens: int


def _model(name: str, image: int | None) -> _Model:
    """Return sizes by name or from a folder; `image` overrides the number of image tokens."""
    if known := FULL_SIZE.get(name):
        shape, n, checkpoint = known.shape, known.image_tokens, known.checkpoint
        paper_shape, paper_n = known.paper or (shape, n)
    elif Path(name).is_dir():
        shape, n = _read(Path(name))
        paper_shape, paper_n, checkpoint = shape, n, name
    else:
        raise ConfigError(f"unknown model {name!r}; expected {', '.join(FULL_SIZE)}, or a folder")
    n, paper_n = (n, paper_n) if image is None else (image, image)
    if n < 1:
        raise ConfigError(f"got {n} image tokens; expected at least 1; name their number with --image N")
    return _Model(shape, n, checkpoint, paper_shape, paper_n)


def _read(folder: Path) -> tuple[DecoderShape, int]:
    """Return the shape of a checkpoint's decoder, and its number of image tokens if it is fixed, else 0."""
    from transformers import AutoConfig  # slow to import; names need it not

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        return DecoderShape.from_config(config), getattr(config, "image_seq_length", None) or 0
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{folder} holds no configuration of a vision-language model: {first_line(error)}") from error


def _settings(options: argparse.Namespace, layers: int) -> PruningConfig:
    config = PruningConfig(options.k1, options.r1, options.k2, options.r2)
    if options.text < 0:
        raise ConfigError(f"got {options.text} text tokens; expected at least 0")
    for cut in config.cuts:
        if cut.layer >= layers:
            raise ConfigError(f"a cut at layer {cut.layer} must be below the model's {layers} layers")
    return config


def costs(options: argparse.Namespace) -> dict[str, Any]:
    """Return the document that --json prints: FLOPs by the true count and by the paper's, pruned and dense."""
    model = _model(options.model, options.image)
    config, dense = _settings(options, model.shape.layers), PruningConfig.dense()
    prompt = model.shape, model.image_tokens, options.text
    paper = model.paper_shape, model.paper_image_tokens
    after_k1, after_k2 = config.kept(model.image_tokens)

    def beside(pruned: float, whole: float) -> dict[str, float]:
        return {"pruned": pruned, "dense": whole, "ratio": pruned / whole}

    return {
        "model": options.model,
        "source": model.checkpoint,
        "k1": config.k1,
        "r1": config.r1,
        "k2": config.k2,
        "r2": config.r2,
        "layers": model.shape.layers,
        "intermediate": model.shape.intermediate,
        "text_tokens": options.text,
        "image_tokens": model.image_tokens,
        "tokens_after_k1": after_k1,
        "tokens_after_k2": after_k2,
        "flops": beside(flops(*prompt, config), flops(*prompt, dense)),
        "flops_per_generated_token": beside(token_flops(*prompt, config), token_flops(*prompt, dense)),
        "paper_flops": beside(paper_flops(*paper, config), paper_flops(*paper, dense)),
        "paper_image_tokens": model.paper_image_tokens,
        "paper_intermediate": model.paper_shape.intermediate,
    }


def table(document: dict[str, Any]) -> str:
    """Return the document as lines of text."""
    lines = [
        f"{document['model']} ({document['source']}): {document['image_tokens']} image tokens, "
        f"{document['tokens_after_k1']} after layer {document['k1']}, {document['tokens_after_k2']} after layer "
        f"{document['k2']}; {document['text_tokens']} text tokens",
        f"{'':40}{'dense':>12}{'pruned':>12}{'ratio':>9}",
    ]
    for name, label, unit in (
        ("flops", "flops, prefill", "FLOPs"),
        ("flops_per_generated_token", "flops, generated token", "FLOPs"),
        ("paper_flops", "paper_flops", "multiply-adds"),
    ):
        cost = document[name]
        prefix, scale = next(((p, s) for p, s in _PREFIXES if cost["dense"] >= s), _PREFIXES[-1])
        head = f"{label} ({prefix} {unit})"
        lines.append(f"{head:40}{cost['dense'] / scale:12.3f}{cost['pruned'] / scale:12.3f}{cost['ratio']:9.1%}")
    if document["paper_intermediate"] != document["intermediate"]:
        lines.append(
            f"paper_flops as the paper has it: {document['paper_image_tokens']} image tokens, "
            f"m = {document['paper_intermediate']}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for what cannot be counted."""
    options = parser().parse_args(arguments)

    def run() -> int:
        check_json(options.json)
        document = costs(options)
        write_json(options.json, document, table(document) + "\n")
        return 0

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
