"""The evaluator gives what the model gives to each question alone, only faster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import himap
from himap import PruningConfig
from objectives.benchmarks import Question, benchmark
from objectives.data.embedded import embedded_image, embedded_questions
from objectives.evaluation.evaluator import Evaluation, Evaluator
from objectives.evaluation.features import takes_features
from objectives.evaluation.memory import Memory
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prefix_cache import PrefixCache
from objectives.statistics.estimates import wilson

CONFIGS = {
    "dense": PruningConfig.dense(),
    "paper": PruningConfig.paper(),
    "hard": PruningConfig(1, 75, 3, 60, "last_token", "instruction"),
    "random": PruningConfig(2, 70, 6, 50, "random", "random", seed=4),
}
MIXED = "textvqa"  # prompts of several lengths, images of both sizes


def mixed_questions(n: int = 10) -> list[Question]:
    return embedded_questions(benchmark(MIXED), "validation", n)


@pytest.fixture(scope="module")
def evaluators(minis: dict[str, LoadedModel]) -> dict[str, Evaluator]:
    return {name: Evaluator(mini, benchmark(MIXED), mixed_questions(), batch_size=5) for name, mini in minis.items()}


@pytest.fixture(params=["llava-mini", "qwenvl-mini"])
def evaluator(request: pytest.FixtureRequest, evaluators: dict[str, Evaluator]) -> Evaluator:
    return evaluators[request.param]


def answer_alone(mini: LoadedModel, question: Question, config: PruningConfig) -> str:
    """Plain `generate` on one question, the image given as pixels."""
    inputs = mini.inputs([benchmark(MIXED).prompt(question)], [[embedded_image(image) for image in question.images]])
    with torch.inference_mode(), himap.prune(mini.model, config):
        ids = mini.model.generate(**inputs, max_new_tokens=benchmark(MIXED).max_new_tokens, do_sample=False)
    new = ids[0, inputs["input_ids"].shape[1] :]
    return str(mini.processor.tokenizer.decode(new, skip_special_tokens=True)).strip()


def test_the_questions_here_differ_in_length_and_image_size(evaluator: Evaluator) -> None:
    """Without this the comparison below would compare too little."""
    result = evaluator.evaluate(CONFIGS["dense"])
    assert len(set(result.answers)) > 2
    assert len({embedded_image(q.image).size for q in evaluator.questions}) > 1


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_batched_answers_are_those_of_each_question_alone(evaluator: Evaluator, config: PruningConfig) -> None:
    batched = evaluator.evaluate(config).answers
    assert batched == tuple(answer_alone(evaluator.loaded, q, config) for q in evaluator.questions)


@pytest.mark.parametrize("config", [CONFIGS["dense"], CONFIGS["hard"]], ids=["dense", "hard"])
def test_questions_about_several_images(mini: LoadedModel, config: PruningConfig) -> None:
    """Of one, two and three images, one of them twice, in one batch: each as alone, with its own counts."""
    one, *_ = several = mixed_questions(4)
    pictures = [q.image for q in mixed_questions(10)]
    several[1:] = [
        replace(several[1], more_images=(one.image,)),
        replace(several[2], more_images=tuple(pictures[4:6])),
        replace(several[3], more_images=(several[3].image, pictures[7])),
    ]
    results = Evaluator(mini, benchmark(MIXED), several, batch_size=4).evaluate(config)
    assert results.answers == tuple(answer_alone(mini, q, config) for q in several)
    alone = Evaluator(mini, benchmark(MIXED), [Question(p, p, "?", ("a",)) for p in pictures])
    tokens = dict(zip(pictures, alone.tokens()[0], strict=True))
    assert results.image_tokens == tuple(sum(tokens[image] for image in q.images) for q in several)


def test_pruning_changes_answers(evaluator: Evaluator) -> None:
    assert evaluator.evaluate(CONFIGS["hard"]).answers != evaluator.evaluate(CONFIGS["dense"]).answers


def test_token_counts_are_the_engines(evaluator: Evaluator) -> None:
    config = CONFIGS["hard"]
    result = evaluator.evaluate(config)
    for i, question in enumerate(evaluator.questions):
        inputs = evaluator.loaded.inputs(
            [evaluator.benchmark.prompt(question)], [[embedded_image(image) for image in question.images]]
        )
        with torch.inference_mode(), himap.prune(evaluator.loaded.model, config) as pruning:
            evaluator.loaded.model(**inputs)
        assert pruning.image_tokens == [result.image_tokens[i]]
        assert pruning.text_tokens == [result.text_tokens[i]]
        assert pruning.kept == [config.kept(result.image_tokens[i])]


def test_scores_and_figures_are_the_benchmarks(evaluator: Evaluator) -> None:
    result = evaluator.evaluate(CONFIGS["dense"])
    pairs = list(zip(evaluator.questions, result.answers, strict=True))
    assert result.scores == tuple(evaluator.benchmark.score(q, a) for q, a in pairs)
    assert result.metrics == evaluator.benchmark.metrics(evaluator.questions, result.answers)
    assert result.accuracy == wilson(sum(result.scores) / len(pairs), len(pairs))


def test_accuracy_is_the_mean_score_with_its_interval() -> None:
    result = Evaluation(("",) * 4, (1.0, 0.0, 1.0, 0.0), {}, (1,), (1,))
    assert (result.accuracy.mean, result.accuracy) == (0.5, wilson(0.5, 4))


@pytest.mark.parametrize("batch_size", [1, 50])
def test_the_batch_size_changes_nothing(evaluator: Evaluator, batch_size: int) -> None:
    other = Evaluator(evaluator.loaded, evaluator.benchmark, evaluator.questions, batch_size)
    config = CONFIGS["paper"]
    assert other.evaluate(config) == evaluator.evaluate(config)


def needs_features(mini: LoadedModel) -> None:
    if not takes_features(mini.model):
        pytest.skip("this transformers takes no image features in place of pixels")


class Tower:
    """Counts the images that a model's vision tower sees."""

    def __init__(self, mini: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images = 0
        original = mini.model.get_image_features

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.images += len(kwargs.get("image_grid_thw", kwargs["pixel_values"]))
            return original(*args, **kwargs)

        monkeypatch.setattr(mini.model, "get_image_features", counted)


def test_pixels_with_every_prompt_give_the_same_answers(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of models, and of versions of transformers, that take no features."""
    monkeypatch.setattr("objectives.evaluation.features.takes_features", lambda model: False)
    other = Evaluator(evaluator.loaded, evaluator.benchmark, evaluator.questions)
    assert "pixel_values" in other.prompt([0])
    for config in (CONFIGS["dense"], CONFIGS["paper"]):
        assert other.evaluate(config) == evaluator.evaluate(config)


@pytest.mark.parametrize("batch_size", [3, 50])
def test_the_vision_tower_sees_every_image_once(
    mini: LoadedModel, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    """Also where two questions about one image are in one batch, or an image was seen in an earlier one."""
    needs_features(mini)
    questions = embedded_questions(benchmark("pope"), "validation", 20)
    tower = Tower(mini, monkeypatch)
    evaluator = Evaluator(mini, benchmark("pope"), questions, batch_size)
    assert tower.images == len({q.image for q in questions}) == 10
    evaluator.evaluate(CONFIGS["dense"])
    evaluator.evaluate(CONFIGS["paper"])
    evaluator.prompt([3])
    assert tower.images == 10


def test_generation_takes_the_kept_features(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tower itself is taken away: what is answered then can only come from the features."""
    needs_features(evaluator.loaded)
    model = evaluator.loaded.model.model
    before = evaluator.evaluate(CONFIGS["paper"])
    tower = model.vision_tower if hasattr(model, "vision_tower") else model.visual

    def gone(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the vision tower ran again")

    monkeypatch.setattr(tower, "forward", gone)
    assert evaluator.evaluate(CONFIGS["paper"]) == before


def test_a_prompt_alone_is_what_generate_takes(evaluator: Evaluator) -> None:
    dense = evaluator.evaluate(CONFIGS["dense"])
    prompt = evaluator.prompt([2])
    with torch.inference_mode():
        ids = evaluator.loaded.model.generate(
            **prompt, max_new_tokens=evaluator.benchmark.max_new_tokens, do_sample=False
        )
    new = ids[0, prompt["input_ids"].shape[1] :]
    text = evaluator.loaded.processor.tokenizer.decode(new, skip_special_tokens=True)
    assert text.strip() == dense.answers[2]


def test_the_model_is_left_as_it_was(evaluator: Evaluator) -> None:
    dense = evaluator.evaluate(CONFIGS["dense"])
    evaluator.evaluate(CONFIGS["hard"])
    assert evaluator.evaluate(CONFIGS["dense"]) == dense


def test_no_questions_are_refused(mini: LoadedModel) -> None:
    with pytest.raises(ValueError, match="got no questions"):
        Evaluator(mini, benchmark(MIXED), [])


def files(folder: Path) -> list[Question]:
    """Questions about files of one name in two folders, which show different letters."""
    questions = []
    for i, question in enumerate(mixed_questions(8)):
        path = folder / str(i) / "image.png"
        path.parent.mkdir()
        embedded_image(question.image).save(path)
        questions.append(replace(question, image=str(path)))
    return questions


def test_images_of_one_name_in_different_folders(evaluator: Evaluator, tmp_path: Path) -> None:
    there = Evaluator(evaluator.loaded, evaluator.benchmark, files(tmp_path), batch_size=5).evaluate(CONFIGS["dense"])
    assert there.answers == evaluator.evaluate(CONFIGS["dense"]).answers[:8]
    assert len(set(there.answers)) > 2


@pytest.mark.parametrize(("limit", "value"), [("batches.BATCH_TOKENS", 500), ("batches.MOST_PIXELS", 30_000)])
def test_batches_stay_within_their_limits(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(f"objectives.evaluation.{limit}", value)
    other = Evaluator(evaluator.loaded, evaluator.benchmark, evaluator.questions, batch_size=10)
    batches = [batch for part in other._batches for batch in part]
    assert 1 < max(len(batch.order) for batch in batches) < 5
    if limit == "batches.BATCH_TOKENS":
        assert all(batch.tensors["input_ids"].numel() <= value for batch in batches if len(batch.order) > 1)
    assert other.evaluate(CONFIGS["hard"]) == evaluator.evaluate(CONFIGS["hard"])


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["python", "gpu", "cpu"])
@pytest.mark.parametrize("where", ["prepare", "answer"])
def test_a_failed_allocation_makes_batches_smaller(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    """In the middle of a pass, of more than two questions; a later evaluation begins with what fitted."""
    failures: list[int] = []

    def small(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        if hidden.shape[0] > 2:
            failures.append(len(hidden))
            raise error

    if where == "prepare":
        honest = Evaluator._batch

        def batch(self: Evaluator, order: list[int]) -> Any:
            if len(order) > 2:
                failures.append(len(order))
                raise error
            return honest(self, order)

        monkeypatch.setattr(Evaluator, "_batch", batch)
    expected = evaluator.evaluate(CONFIGS["hard"])
    cache = PrefixCache(Memory(2**28))
    other = Evaluator(evaluator.loaded, evaluator.benchmark, evaluator.questions, 5, cache)
    layer = evaluator.loaded.model.model.language_model.layers[4]
    hook = layer.register_forward_pre_hook(small, with_kwargs=True) if where == "answer" else None
    try:
        assert other.evaluate(CONFIGS["hard"]) == expected
        assert failures
        failures.clear()
        assert other.evaluate(CONFIGS["hard"]) == expected
        assert not failures
    finally:
        if hook is not None:
            hook.remove()
    assert evaluator.evaluate(CONFIGS["hard"]) == expected


def test_an_allocation_that_fails_for_one_question_is_an_error(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(Evaluator, "_answer", fail)
    for error in (MemoryError(), RuntimeError("shapes do not fit")):
        with pytest.raises(type(error)):
            Evaluator(evaluator.loaded, evaluator.benchmark, evaluator.questions[:3]).evaluate(CONFIGS["dense"])
