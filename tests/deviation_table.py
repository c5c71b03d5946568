"""Print how far pruned families differ from the masked reference on a device, in float32 and in bfloat16.

    python -m tests.deviation_table --device cuda

The models are the small ones of the tests, with random weights; the figures are those of the next token's logits.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

import himap
from bench import command
from bench.measuring import provenance
from himap import families
from himap.verification.reference import HiddenColumns
from himap.verification.verify import configurations
from tests.himap import tiny_families, tiny_hybrids

SUBJECTS = dict.fromkeys(tiny_families.FAMILIES, tiny_families.subject)
SUBJECTS |= dict.fromkeys(tiny_hybrids.HYBRIDS, tiny_hybrids.subject)
DTYPES = (torch.float32, torch.bfloat16)


@torch.no_grad()
def deviation(model: Any, prompts: list[Mapping[str, Any]]) -> tuple[float, int, int]:
    """Return the largest deviation in standard deviations of the last logits, and how many next tokens agree of all."""
    family, worst, agreeing = families.find(model), 0.0, []
    for prompt in prompts:
        dense = model(**prompt).logits[0, -1].float()
        for config in configurations(family):
            with himap.prune(model, config):
                actual = model(**prompt).logits[0, -1].float()
            expected = HiddenColumns(family, dict(prompt), config).logits([])[-1].float()
            worst = max(worst, (actual - expected).abs().max().item())
            agreeing.append(bool(actual.argmax() == expected.argmax()))
    return worst / dense.std().item(), sum(agreeing), len(agreeing)


def placed(prompt: Mapping[str, Any], device: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return a prompt on a device, its pixels in a dtype."""
    moved = {name: value.to(device) for name, value in prompt.items()}
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in moved.items()}


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = command.parser("tests.deviation_table", __doc__)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args(arguments).device
    command.show(provenance(torch.device(device)))
    command.show(
        "| family | " + " | ".join(f"{str(dtype)[6:]} | same token" for dtype in DTYPES) + " |\n|" + "---|" * 5
    )
    for name, build in SUBJECTS.items():
        subject, cells = build(name), []
        for dtype in DTYPES:
            model = subject.model.to(device, dtype)
            worst, same, n = deviation(model, [placed(prompt, device, dtype) for prompt in subject.prompts])
            cells += [f"{worst:.1e}", f"{same} of {n}"]
        command.show(f"| {name} | " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
