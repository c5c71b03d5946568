"""Write docs/families.md: every image-text-to-text class of the installed transformers with its state.

python -m tests.class_table
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import transformers

from himap import families
from himap.families.refused import REFUSED
from himap.families.tested import TESTED
from himap.verification.verify import ReferenceComparison, configurations
from tests.himap.broken_rules import RULES, comparison, deviation, deviations
from tests.himap.tiny_classes import CLASSES, UNTESTED, build

PAGE = Path(__file__).parent.parent / "docs" / "families.md"
_HEAD = """# Model classes

The image-text-to-text classes of transformers {version}, written by `python -m tests.class_table`:
{tested} tested, {untested} untested, {refused} refused.

- **tested**: a small model of the class with random weights in float32, pruned, equals its own full-length forward in
  which the dropped tokens are hidden. The largest difference of a logit stands in the last column; at most 1e-4 is
  allowed. The calls are one row, two images, a padded batch, and a later turn of text. The image features are random;
  real processors, weights and vision towers are not part of this test.
- **untested**: `himap.prune(model, config, untested=True)` accepts its structure. Run `himap.verify(model)` first: it
  makes the same comparison on your own model, in float32, and raises `UnsupportedModelError` if the two differ.
- **refused**: `himap.prune` raises `UnsupportedModelError` with this reason.

A fine-tuned folder has the class of its base model. A decoder that is not in `himap.families.tested.DECODERS` counts as
untested, in any class. So does a model whose code in a newer transformers differs from that of {version}: its decoder,
its backbone, the masks and the caches. `generate` itself is not compared.

| class | state | decoder | largest deviation, or reason |
|---|---|---|---|
"""
_BROKEN = """
## Broken rules

Each rule of the engine, broken on purpose in one model: the largest difference of a logit from the reference, in a
later turn and in a padded batch. "inf" says that another token was generated.
`tests/himap/families/test_broken_rules.py` runs the same.

| rule | model | whole | broken |
|---|---|---|---|
"""
_REASONS = {"HunYuanVLForConditionalGeneration": "a padded row differs from the row alone in transformers itself"}


def row(name: str) -> str:
    """Return the line of one class."""
    if name in REFUSED:
        return f"| `{name}` | refused | | {REFUSED[name]} |"
    if name in UNTESTED:
        return f"| `{name}` | untested | | {_REASONS[name]} |"
    family = families.find(build(name))
    comparison = ReferenceComparison(family)
    worst = max(max(comparison.all(config)) for config in configurations(family))
    return f"| `{name}` | tested | {type(family.decoder).__name__} | {worst:.0e} |"


def page() -> str:
    """Return the whole page."""
    counts = {"tested": len(TESTED), "untested": len(UNTESTED), "refused": len(REFUSED)}
    rows = "\n".join(map(row, CLASSES))
    return _HEAD.format(version=transformers.__version__, **counts) + rows + "\n" + broken()


def broken() -> str:
    """Return the section of rules that were broken on purpose."""
    rows = []
    for rule, name in RULES:
        whole = max(deviations(comparison(name)))
        rule_name = rule.__name__.replace("_", " ")
        rows.append(f"| {rule_name} | `{name}` | {whole:.0e} | {deviation(rule, name):.0e} |\n")
    return _BROKEN + "".join(rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    PAGE.write_text(page())
    sys.stdout.write(PAGE.read_text())
