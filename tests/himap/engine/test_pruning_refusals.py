"""Calls that would silently mean something else on a pruned model raise an error with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache, GenerationConfig

import himap
from himap import HimapError, InputError, PruningConfig, UnsupportedModelError
from tests.himap import tiny_models
from tests.himap.tiny_models import IMAGE_ID, Subject

CONFIG = PruningConfig(2, 50, 4, 75)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("prompt_lookup_num_tokens", 3, "would rank its guesses"),
        ("prefill_chunk_size", 8, "read in chunks"),
        ("output_attentions", True, "never computed as a whole"),
        ("cache_implementation", "static", "static cache"),
    ],
)
@pytest.mark.parametrize("where", ["keyword", "config", "model"])
def test_options_of_generate(llava: Subject, option: str, value: Any, message: str, where: str) -> None:
    model, values = llava.model, {"max_new_tokens": 2, option: value}
    own = model.generation_config
    options: dict[str, Any] = values if where == "keyword" else {}
    if where == "config":
        options = {"generation_config": GenerationConfig(**values, return_dict_in_generate=True)}
    if where == "model":
        model.generation_config = GenerationConfig(**values, return_dict_in_generate=True)
    try:
        with himap.prune(model, CONFIG), pytest.raises(InputError, match=message):
            model.generate(**llava.prompts[0], **options)
    finally:
        model.generation_config = own


def test_a_static_cache_is_refused_before_its_4d_mask(subject: Subject) -> None:
    prompt = subject.prompts[0]
    mask = torch.ones_like(prompt["input_ids"])
    with himap.prune(subject.model, CONFIG), pytest.raises(InputError, match="a static cache has one length"):
        subject.model.generate(**{**prompt, "attention_mask": mask}, max_new_tokens=2, cache_implementation="static")


def test_an_assistant_model_and_continuous_batching(llava: Subject) -> None:
    with himap.prune(llava.model, CONFIG):
        with pytest.raises(InputError, match="assistant_model does not work with pruning"):
            llava.model.generate(**llava.prompts[0], assistant_model=llava.model)
        with pytest.raises(InputError, match="continuous batching"):
            llava.model.generate_batch([[5, 6]])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"labels": torch.zeros(1, 26, dtype=torch.long)}, "labels do not match"),
        ({"logits_to_keep": torch.tensor([3])}, "logits_to_keep must be a number"),
        ({"output_attentions": True}, "output_attentions does not work"),
    ],
)
def test_arguments_of_a_forward(llava: Subject, argument: dict[str, Any], message: str) -> None:
    with himap.prune(llava.model, CONFIG), pytest.raises(InputError, match=message):
        llava.model(**llava.prompts[0], **argument)
    with himap.prune(llava.model, PruningConfig.dense()), torch.no_grad():
        llava.model(**llava.prompts[0], **argument)


def test_a_prompt_that_ends_with_an_image(subject: Subject) -> None:
    ids = subject.prompts[0]["input_ids"]
    end = int((ids[0] == IMAGE_ID).nonzero()[-1]) + 1
    prompt = {
        key: value[:, :end] if value.shape[-1] == ids.shape[1] else value for key, value in subject.prompts[0].items()
    }
    with himap.prune(subject.model, CONFIG), pytest.raises(InputError, match="put text after it"):
        subject.model(**prompt)


def test_a_cropped_cache(subject: Subject) -> None:
    """A crop may remove tokens after the prompt; one into the prompt or of one layer is refused."""
    model, chunk = subject.model, {"input_ids": torch.tensor([[5, 17, 33]])}
    with himap.prune(model, CONFIG), torch.no_grad():
        cache = model(**subject.prompts[0], use_cache=True).past_key_values
        expected = model(**chunk, past_key_values=cache).logits
        cache.crop(-3)
        assert torch.equal(model(**chunk, past_key_values=cache).logits, expected)
        cache.layers[2].crop(-1)
        with pytest.raises(InputError, match="cut to another length"):
            model(**chunk, past_key_values=cache)
        cache = model(**subject.prompts[0], use_cache=True).past_key_values
        cache.crop(-2)
        with pytest.raises(InputError, match="cut to another length"):
            model(**chunk, past_key_values=cache)


def test_a_later_turn_with_an_image(subject: Subject) -> None:
    model, prompt = subject.model, subject.prompts[0]
    with himap.prune(model, CONFIG), torch.no_grad():
        for extra in (prompt, {"input_ids": prompt["input_ids"]}):
            cache = model(**prompt, use_cache=True).past_key_values
            with pytest.raises(InputError, match="pass the whole conversation"):
                model(**{**extra, "attention_mask": None}, past_key_values=cache)
        text = DynamicCache(config=model.config.text_config)
        model(input_ids=torch.tensor([[5, 6]]), past_key_values=text, use_cache=True)
        with pytest.raises(InputError, match="pass the whole conversation"):
            model(**{**prompt, "attention_mask": None}, past_key_values=text)


def test_gradient_checkpointing(llava: Subject) -> None:
    model = llava.build()
    model.gradient_checkpointing_enable()
    model.train()
    with himap.prune(model, CONFIG), pytest.raises(InputError, match="gradient checkpointing"):
        model(**llava.prompts[0])
    model.gradient_checkpointing_disable()
    with himap.prune(model, CONFIG) as pruning:
        model(**llava.prompts[0], use_cache=False).logits.sum().backward()
    assert pruning.kept == [CONFIG.kept(16)]
    assert all(p.grad is not None for p in model.model.language_model.parameters())


def compile_forward(module: Any) -> None:
    module.forward = torch.compile(module.forward, backend="eager")


def compile_in_place(model: Any) -> None:
    layers = model.model.language_model.layers
    layers[2] = torch.compile(layers[2], backend="eager")


COMPILED: dict[str, Any] = {
    "LlavaForConditionalGeneration": lambda model: model.compile(backend="eager"),
    "LlavaForConditionalGeneration,": lambda model: compile_forward(model),
    "LlavaModel": lambda model: model.model.compile(backend="eager"),
    "LlamaModel": lambda model: model.model.language_model.compile(backend="eager"),
    "LlamaModel.layers.1": lambda model: model.model.language_model.layers[1].compile(backend="eager"),
    "LlamaModel.layers.2": compile_in_place,
    "LlamaModel.layers.3.self_attn": lambda model: compile_forward(model.model.language_model.layers[3].self_attn),
}


@pytest.mark.parametrize("config", [CONFIG, PruningConfig.dense()])
@pytest.mark.parametrize("part", COMPILED)
def test_compiled_parts_are_refused_by_name(llava: Subject, part: str, config: PruningConfig) -> None:
    """Code that was traced before the context skips its hooks; code traced inside keeps them afterwards."""
    model, prompt = llava.build(), llava.prompts[0]
    message = rf"got compiled code in {part.strip(',')}, which"
    with torch.no_grad(), himap.prune(model, config):
        COMPILED[part](model)
        with pytest.raises(InputError, match=message):
            model(**prompt)
    with torch.no_grad():
        model(**prompt)
    with pytest.raises(UnsupportedModelError, match=message):
        himap.prune(model, config).__enter__()


def test_compiled_code_around_or_beside_the_decoder_is_right(llava: Subject) -> None:
    """A compiled vision tower or a compiled function that calls the model give the same as without compiling."""
    model, prompt = llava.build(), llava.prompts[0]
    configs = (CONFIG, PruningConfig(1, 75, 3, 50))

    def logits(call: Any) -> list[torch.Tensor]:
        results = [call(**prompt).logits]
        for config in configs:
            with himap.prune(model, config):
                results.append(call(**prompt).logits)
        return [*results, call(**prompt).logits]

    with torch.no_grad():
        expected = logits(model)
        model.model.vision_tower.compile(backend="eager")
        for results in (logits(model), logits(torch.compile(lambda **inputs: model(**inputs), backend="eager"))):
            for got, wanted in zip(results, expected, strict=True):
                torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("name", ["gemma3", "paligemma"])
def test_bidirectional_prompts_need_their_token_types(families: Any, name: str) -> None:
    subject = families(name)
    prompt = {key: value for key, value in subject.prompts[0].items() if key != "token_type_ids"}
    with himap.prune(subject.model, CONFIG), pytest.raises(InputError, match="pass them, as its processor"):
        subject.model(**prompt)


@pytest.mark.parametrize("outer", [CONFIG, PruningConfig.dense()])
@pytest.mark.parametrize("inner", [CONFIG, PruningConfig.dense()])
def test_contexts_of_one_model_do_not_nest(llava: Subject, outer: PruningConfig, inner: PruningConfig) -> None:
    with himap.prune(llava.model, outer) as pruning:
        with pytest.raises(HimapError, match="is being pruned already"), himap.prune(llava.model, inner):
            pass
        llava.model(**llava.prompts[0])
        assert pruning.kept == [outer.kept(16)]
    with himap.prune(llava.model, inner) as pruning:
        llava.model(**llava.prompts[0])
    assert pruning.kept == [inner.kept(16)]


def test_image_tokens_are_found_by_placeholder_embeddings(subject: Subject) -> None:
    """Embeddings without the image features hold the placeholders; merged embeddings need the ids."""
    model, prompt = subject.model, subject.prompts[0]
    embeds = model.get_input_embeddings()(prompt["input_ids"]).detach()
    rest = {key: value for key, value in prompt.items() if key not in ("input_ids", "mm_token_type_ids")}
    positions = {"position_ids": torch.arange(embeds.shape[1])[None]}
    with himap.prune(model, CONFIG) as pruning, torch.no_grad():
        expected = model(**prompt, **positions).logits
        logits = model(inputs_embeds=embeds, **rest, **positions).logits
        assert pruning.kept == [CONFIG.kept(n) for n in pruning.image_tokens]
        assert torch.equal(logits, expected)
        with pytest.raises(InputError, match="inputs_embeds came without input_ids"):
            model(inputs_embeds=embeds)


def test_padding_after_an_image_is_no_text(llava: Subject) -> None:
    batch = tiny_models.padded_batch([tiny_models.llava_prompt(1, 4, 0), llava.prompts[1]], "right")
    with himap.prune(llava.model, CONFIG), pytest.raises(InputError, match="ends with an image token"):
        llava.model(**batch)
