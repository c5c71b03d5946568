"""CIDEr-D: the similarity of a caption to several references, by n-grams with tf-idf weights.

Source: Vedantam, Zitnick, Parikh, CIDEr (CVPR 2015), and the COCO caption evaluation code. It is own
code because pycocoevalcap, the one package that has it, has no release since 2020 and brings 100 MB; the scores are
the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

_N = 4
_SIGMA = 6.0
_SCALE = 10.0

Gram = tuple[str, ...]
Vector = tuple[list[dict[Gram, float]], list[float], int]


class CiderD:
    """A scorer of captions with precomputed references.

    Args:
        references: those of every image, each a string of tokens with spaces between them.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        counted = [[_grams(text) for text in texts] for texts in references]
        frequency = Counter(gram for texts in counted for gram in {g for counts in texts for g in counts})
        self._images = math.log(len(references)) if references else 0.0
        self._frequency = frequency
        self._references = [[self._vector(counts) for counts in texts] for texts in counted]

    def scores(self, captions: Sequence[str]) -> list[float]:
        """Return a score in [0, 10] for the caption of each image, in the order of the references."""
        pairs = zip(captions, self._references, strict=True)
        return [self._score(self._vector(_grams(caption)), texts) for caption, texts in pairs]

    def _vector(self, counts: Counter[Gram]) -> Vector:
        """Return tf·idf weights by n-gram length, their norms, and the number of bigrams, the original's length."""
        weights: list[dict[Gram, float]] = [{} for _ in range(_N)]
        for gram, count in counts.items():
            rarity = self._images - math.log(max(1.0, self._frequency[gram]))
            weights[len(gram) - 1][gram] = count * rarity
        norms = [math.sqrt(sum(w * w for w in part.values())) for part in weights]
        return weights, norms, sum(count for gram, count in counts.items() if len(gram) == 2)

    def _score(self, caption: Vector, references: list[Vector]) -> float:
        return _SCALE * sum(_similarity(caption, text) for text in references) / len(references)


def _similarity(caption: Vector, reference: Vector) -> float:
    """Return the mean clipped cosine over n-gram lengths, with a Gaussian penalty on the difference of lengths."""
    total = 0.0
    for mine, theirs, my_norm, their_norm in zip(caption[0], reference[0], caption[1], reference[1], strict=True):
        product = sum(min(weight, theirs[gram]) * theirs[gram] for gram, weight in mine.items() if gram in theirs)
        total += product / (my_norm * their_norm) if my_norm and their_norm else product
    return total / _N * math.exp(-((caption[2] - reference[2]) ** 2) / (2 * _SIGMA**2))


def _grams(text: str) -> Counter[Gram]:
    words = text.split()
    return Counter(tuple(words[i : i + n]) for n in range(1, _N + 1) for i in range(len(words) - n + 1))
