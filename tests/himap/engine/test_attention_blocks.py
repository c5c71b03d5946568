"""Attention is summed in blocks of query rows, so that a long video needs no matrix of all its rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import himap
from himap import PruningConfig, criteria
from himap.engine import attention
from himap.testing import make_inputs, pad_prompts
from himap.verification.prompts import EncodedImages
from tests.himap.tiny_models import IMAGE_ID, llava

TOKENS, HEADS = 8000, 4


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest new tensor."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        # A view holds no memory of its own, however large an expanded one is.
        storages = [leaf.untyped_storage() for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)]
        self.largest = max([self.largest, *(storage.nbytes() // 4 for storage in storages)])
        return output


@pytest.fixture(scope="module")
def features() -> dict[str, Any]:
    """A prompt of 8,000 image tokens for LLaVA, with the features in place of an image."""
    ids = torch.tensor([[5, 6, *[IMAGE_ID] * TOKENS, 7, 8, 9]])
    encoded = torch.randn(TOKENS, 48, generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "mm_encoder_outputs": {"image": EncodedImages(pooler_output=[encoded])}}


@pytest.mark.parametrize("deep", ["intra_column", "intra_row", "intra_column_mean", "max_head"])
def test_8000_tokens_need_no_matrix_of_all_rows(features: dict[str, Any], deep: str) -> None:
    model = llava()
    config = PruningConfig(1, 75, 2, 50, deep, deep)
    with torch.no_grad(), himap.prune(model, config) as pruning, LargestTensor() as mode:
        model(**features, logits_to_keep=1)
    assert pruning.kept == [(2000, 1000)]
    assert mode.largest <= attention.BLOCK < HEADS * TOKENS**2 // 10


def test_blocks_change_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pad_prompts(["ssvvvvvvvvviiii", "svvvvvvvvvvvvvvvvii"], "left")
    for name in criteria.names():
        criterion = type(criteria.create(name, 0))
        _, whole = make_inputs(criterion, rows, [3, 4])
        monkeypatch.setattr(attention, "BLOCK", 2 * 6 * 19 * 2)  # two rows a block
        _, blocks = make_inputs(criterion, rows, [3, 4])
        monkeypatch.undo()
        assert whole.tensors.keys() == blocks.tensors.keys()
        for key, value in whole.tensors.items():
            torch.testing.assert_close(blocks.tensors[key], value)
