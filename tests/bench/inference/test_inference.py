"""The methods that the inference benchmark times compute what they claim; nothing here is timed."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionConfig

import himap
from bench.inference import __main__ as inference
from bench.inference import measure, peers
from bench.inference.graphs import StaticPrefill
from bench.inference.methods import OURS, methods, with_cache
from bench.inference.report import report
from bench.inference.subjects import Subject, mini, random_llava
from himap import PruningConfig
from objectives.flops import DecoderShape

CPU = torch.device("cpu")
OTHER = PruningConfig(3, 20, 7, 60, "last_token", "instruction")


@pytest.fixture(scope="module")
def tiny() -> Subject:
    """LLaVA with 256 image tokens and 12 thin layers."""
    tower = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=4,
        projection_dim=32,
    )
    tiny_model = random_llava("tiny", DecoderShape(128, 256, 12, 4, 4, 32, 128), CPU, 3, tower)
    with torch.no_grad():  # random weights attend almost evenly; larger ones make rankings clear
        for name, weight in tiny_model.model.named_parameters():
            if weight.ndim > 1 and "embed" not in name:
                weight.mul_(4.0)
    return tiny_model


@pytest.fixture(scope="module", params=["tiny", "qwenvl-mini"])
def subject(request: pytest.FixtureRequest, tiny: Subject) -> Subject:
    return tiny if request.param == "tiny" else mini("qwenvl-mini", CPU)


def logits(subject: Subject, batch: int = 1, **options: Any) -> Tensor:
    """Of the prompt's last token."""
    with torch.inference_mode(), subject.features_given(batch):
        result: Tensor = subject.model(**subject.prompt(batch), **options).logits[:, -1]
    return result


def place(subject: Subject) -> tuple[Any, int, int]:
    return subject.decoder, subject.image_start, subject.image_tokens


@pytest.mark.parametrize("config", [OURS, OTHER, PruningConfig.dense()], ids=["paper", "other", "dense"])
def test_himap_as_published_keeps_what_himap_keeps(subject: Subject, config: PruningConfig) -> None:
    with himap.prune(subject.model, config):
        ours = logits(subject)
    with peers.published(*place(subject), config):
        theirs = logits(subject, use_cache=False, output_attentions=True)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert config.is_dense or (logits(subject) - ours).abs().max() > 1e-3


@pytest.mark.parametrize("batch", [1, 2])
def test_fastv_keeps_what_its_criterion_keeps(subject: Subject, batch: int) -> None:
    with himap.prune(subject.model, PruningConfig.fastv()):
        ours = logits(subject, batch)
    with peers.fastv(*place(subject)):
        theirs = logits(subject, batch)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert (logits(subject, batch) - ours).abs().max() > 1e-3


@pytest.mark.parametrize("config", [OURS, PruningConfig.dense()])
def test_segments_give_the_engines_logits_and_cache(tiny: Subject, config: PruningConfig) -> None:
    """What is recorded on a GPU, run unrecorded."""
    prompt = tiny.prompt(2)
    with torch.inference_mode(), tiny.features_given(2), himap.prune(tiny.model, config):
        output = tiny.model(**prompt, use_cache=True)
    embeds = tiny.model.get_input_embeddings()(prompt["input_ids"]).detach()
    embeds[:, tiny.image_start : tiny.image_start + tiny.image_tokens] = tiny.features
    prefill = StaticPrefill(tiny.model, prompt["input_ids"], torch.zeros_like(embeds), config)
    result, cache = prefill(embeds)
    torch.testing.assert_close(result, output.logits[:, -1:], rtol=1e-5, atol=1e-5)
    for number, layer in enumerate(output.past_key_values.layers):
        torch.testing.assert_close(cache.layers[number][0], layer.keys, rtol=1e-5, atol=1e-5)


def test_every_method_leaves_the_model_as_it_was(subject: Subject) -> None:
    before, modules = logits(subject), set(vars(subject.model.model))
    with torch.inference_mode():
        for method in methods(subject, 2):
            with subject.features_given(method.prompts), method.context():
                assert len(list(islice(method.steps(), 2))) == 2
    assert torch.equal(logits(subject), before)
    assert set(vars(subject.model.model)) == modules


def test_dropped_tokens_leave_the_cache(tiny: Subject) -> None:
    """The cache holds each layer's own tokens and nothing else, and the peak falls with it."""
    cells = {method.name: measure.memory(tiny, method) for method in methods(tiny, 2)}
    shape, text = tiny.shape, tiny.text_tokens
    per_token = 2 * 2 * shape.kv_heads * shape.head_dim * 4 / 2**20
    assert cells["dense"]["cache_mib"] == pytest.approx(12 * (256 + text) * per_token)
    held = 2 * (256 + text) + 6 * (128 + text) + 4 * (32 + text)
    assert cells["himap"]["cache_mib"] == pytest.approx(held * per_token)
    assert cells["himap"]["peak_mib"] < cells["dense"]["peak_mib"]
    assert cells["published"]["cache_mib"] == 0


def test_the_shares_count_every_part_once(tiny: Subject) -> None:
    result = measure.shares(tiny, 1, 2, time.perf_counter)
    assert 0 < result["scoring"]["median"] < result["engine"]["median"] < 1
    with torch.inference_mode(), tiny.features_given(1), himap.prune(tiny.model, OURS):
        next(with_cache(tiny.model, tiny.prompt(1)))


def test_the_document_holds_every_method_and_the_report_shows_it(tiny: Subject) -> None:
    result = inference.measured(tiny, [1, 2], 1, time.perf_counter)
    names = ["dense", "published", "fastv", "fastv_himap", "himap"]
    for batch in result["batches"]:
        assert list(batch["methods"]) == names
        assert all(cell["prefill_ms"]["median"] > 0 for cell in batch["methods"].values())
        assert batch["methods"]["published"]["prompts_timed"] == 1
        assert {"dense/himap", "fastv/himap", "published/himap"} <= set(batch["example_ratios"])
    document = {
        "device": "here",
        "versions": {"torch": "2"},
        "commit": "abc",
        "rounds": 1,
        "clock": "wall",
        "load": 0.0,
        "not_measured": ["llava-7b"],
        "models": [result],
    }
    text = report(document)
    assert "llava-7b: not measured" in text and "one prompt timed, times 2" in text


def test_a_failed_method_is_reported_and_the_rest_measured(tiny: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory\nlong explanation")

    monkeypatch.setattr(peers, "fastv", out_of_memory)
    result = inference.at_batch(tiny, 1, 1, time.perf_counter)
    assert result["methods"]["fastv"] == {"error": "out of memory"}
    assert "dense/himap" in result["prefill_ratios"] and "dense/fastv" not in result["prefill_ratios"]


def test_it_loads_where_there_is_no_search() -> None:
    """A GPU machine needs torch and transformers only, not what the search and the dashboard need."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['ray', 'optuna', 'sqlalchemy', 'streamlit', 'matplotlib']))\n"
        "import bench.inference.__main__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
