"""Answers that reproduce the published scores of LLaVA-1.5-13B, made from how many of its answers are right.

The answers and labels themselves are not here: MME's labels carry no license. Both benchmarks score counts
alone, so questions and answers with the same counts have the same score. The counts are those of the answers that
the LLaVA repository publishes.

MME gives a category 100 * (right questions / questions + images with both right / images). For "existence", whose
30 images have both questions right 27 times and one of them 3 times, that is 100 * (57 / 60 + 27 / 30) = 185.
Perception is the sum over the first ten categories, 1531.319; cognition the sum over the other four, 295.357.

POPE's F1 for "yes" on the popular questions is 2 * 1182 / (2 * 1182 + 59 + 318) = 0.8625.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PERCEPTION, COGNITION, F1_POPULAR = 1531.319, 295.357, 0.8625
# Images by category: both questions right, one of them, none.
MME = {
    "existence": (27, 3, 0),
    "count": (21, 9, 0),
    "position": (17, 12, 1),
    "color": (24, 6, 0),
    "posters": (109, 36, 2),
    "celebrity": (118, 48, 4),
    "scene": (149, 49, 2),
    "landmark": (161, 38, 1),
    "artwork": (94, 95, 11),
    "OCR": (10, 10, 0),
    "commonsense_reasoning": (38, 27, 5),
    "numerical_calculation": (1, 13, 6),
    "text_translation": (4, 15, 1),
    "code_reasoning": (1, 15, 4),
}
# Questions by label and answer.
POPE_POPULAR = {("yes", "Yes"): 1182, ("no", "Yes"): 59, ("no", "No"): 1441, ("yes", "No"): 318}


@dataclass(frozen=True)
class Answered:
    """A question with its label and the model's answer."""

    image: str
    text: str
    label: str
    answer: str


def mme(category: str) -> Iterator[Answered]:
    """The questions of a category, two for each image."""
    both, one, none = MME[category]
    for i in range(both + one + none):
        right = 2 if i < both else 1 if i < both + one else 0
        for j, (label, wrong) in enumerate((("Yes", "No"), ("No", "Church"))):  # it answers "Church" three times
            yield Answered(f"{i}.jpg", f"Is it {label}?", label, label if j < right else wrong)


def pope_popular() -> list[Answered]:
    """The 3,000 popular questions, six for each image."""
    pairs = [pair for pair, count in POPE_POPULAR.items() for _ in range(count)]
    return [
        Answered(f"{i // 6}.jpg", f"Is there a thing {i % 6} in the image?", label, answer)
        for i, (label, answer) in enumerate(pairs)
    ]
