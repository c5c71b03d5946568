"""The rows and columns of image tokens, and the tokens that the spatial controls keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import himap
from himap import PruningConfig, criteria
from himap.criteria.base import CriterionInputs
from himap.engine.layout import layout
from himap.families.grids import Grids
from himap.testing import kept_tokens, make_prompts
from tests.himap.tiny_models import Subject


def sized(grids: list[tuple[int, int]] | None) -> Grids:
    return Grids() if grids is None else Grids(torch.tensor([(1, *grid) for grid in grids]))


def cells(row: str, grids: list[tuple[int, int]] | None = None) -> list[tuple[int, int]]:
    tokens = make_prompts(row)
    positions = layout(tokens, sized(grids)).cell[0]
    return [(int(y), int(x)) for (y, x), letter in zip(positions, row, strict=True) if letter == "v"]


def raster(height: int, width: int) -> list[tuple[int, int]]:
    return [(y, x) for y in range(height) for x in range(width)]


def test_a_run_without_a_grid_is_a_square_whose_last_row_may_be_shorter() -> None:
    assert cells("ss" + "v" * 9 + "i") == raster(3, 3)
    assert cells("..s" + "v" * 7 + "iiivvvvi") == [*raster(2, 3), (2, 0), *raster(2, 2)]


def test_grids_are_read_image_by_image_over_the_whole_batch() -> None:
    assert cells("s" + "v" * 6 + "i" + "v" * 8 + "i", [(3, 2), (2, 4)]) == raster(3, 2) + raster(2, 4)
    assert cells("s" + "v" * 14 + "i", [(3, 2), (2, 4)]) == raster(3, 2) + raster(2, 4)
    tokens = make_prompts("svvvvvvi", "..vvvvii")
    positions = layout(tokens, sized([(2, 3), (1, 4)])).cell
    assert positions[0, 1:7].tolist() == [list(cell) for cell in raster(2, 3)]
    assert positions[1, 2:6].tolist() == [list(cell) for cell in raster(1, 4)]


def picture(name: str, size: int, keep: int) -> list[str]:
    row = "s" + "v" * size**2 + "i"
    tokens = make_prompts(row)
    inputs = CriterionInputs((keep,), {"layout": layout(tokens, Grids()).cell})
    kept = set(kept_tokens(tokens, criteria.create(name, 0).score(tokens, inputs), [keep])[0])
    return ["".join("#" if 1 + y * size + x in kept else "." for x in range(size)) for y in range(size)]


@pytest.mark.parametrize(
    ("name", "keep", "expected"),
    [
        ("uniform", 32, ["#.#.#.#.", ".#.#.#.#"] * 4),
        ("uniform", 16, ["#.#.#.#.", "........"] * 4),
        ("uniform", 8, ["#...#...", "........", "..#...#.", "........"] * 2),
        ("downsample", 16, ["#.#.#.#.", "........"] * 4),
        ("downsample", 4, ["#...#...", "........", "........", "........"] * 2),
        ("downsample", 36, (["###.###.", "###.###.", "###.###.", "........"] * 2)),
    ],
)
def test_tokens_that_the_spatial_controls_keep_of_a_square(name: str, keep: int, expected: list[str]) -> None:
    assert picture(name, 8, keep) == expected


def test_generate_knows_the_grids_of_its_images(families: Callable[[str], Subject]) -> None:
    """transformers takes the grids away before the prompt runs; the kept sets are those of a forward call."""
    subject = families("qwen2_vl")
    config = PruningConfig(2, 50, 4, 50, "uniform", "uniform")
    with himap.prune(subject.model, config) as pruning, torch.no_grad():
        subject.model(**subject.batch())
        expected = pruning.positions
        subject.model.generate(**subject.batch(), max_new_tokens=1)
        assert torch.equal(pruning.positions, expected)
        subject.model.generate(**subject.batch(), max_new_tokens=1, do_sample=True, num_return_sequences=2)
        assert torch.equal(pruning.positions, expected.repeat_interleave(2, 0))
