"""Several threads share one pruned model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import himap
from himap import PruningConfig
from tests.himap.tiny_models import Subject


def test_threads_share_a_pruned_model(llava: Subject) -> None:
    """Each thread runs its own call; the record shows the prompt that began last."""
    config = PruningConfig(1, 50, 3, 50, "random", "intra_column")
    options = {"max_new_tokens": 6, "do_sample": False}
    with himap.prune(llava.model, config):
        expected = [llava.model.generate(**prompt, **options).tolist() for prompt in llava.prompts]
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(llava.model.generate, **prompt, **options) for prompt in llava.prompts * 4]
            outputs = [future.result().tolist() for future in futures]
    assert outputs == expected * 4


def test_a_call_keeps_its_own_prompt_when_another_begins(llava: Subject) -> None:
    """A second thread begins a prompt right after this one is recorded."""
    config = PruningConfig(1, 50, 3, 50, "random", "intra_column")
    with himap.prune(llava.model, config) as pruning:
        inputs = [dict(prompt) for prompt in llava.prompts[:2]]
        other = pruning._begin_prompt(inputs[1], None)

        class Overwritten(type(pruning)):
            _prompt = property(lambda self: other, lambda self, value: None)

        vars(pruning).pop("_prompt")
        pruning.__class__ = Overwritten
        assert pruning._begin_prompt(inputs[0], None) is not other
