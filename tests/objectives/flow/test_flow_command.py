"""The flow of a mini with random weights: measured, gone on with, stored, printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from himap.flow import saliency
from objectives.benchmarks import Question, benchmark
from objectives.data.embedded import embedded_image, embedded_questions
from objectives.errors import DataError
from objectives.evaluation.known_models import KNOWN
from objectives.evaluation.models import LoadedModel, weights_digest
from objectives.flow import __main__ as flow
from objectives.flow import figures, measure
from objectives.flow.measure import FLOWS, FlowMeasurement, compare_outputs, end_layers, outputs, settings
from objectives.flow.prompts import IGNORED, Prompts

NAME = "textvqa"  # prompts of several lengths, images of both sizes


def prompts_of(mini: LoadedModel, name: str = NAME, n: int = 6) -> Prompts:
    return Prompts(mini, benchmark(name), embedded_questions(benchmark(name), "validation", n))


def test_answers_are_those_of_plain_generate(mini: LoadedModel) -> None:
    prompts = prompts_of(mini)
    result = outputs(prompts)
    for i, question in enumerate(prompts.questions):
        inputs = mini.inputs([prompts.benchmark.prompt(question)], [[embedded_image(question.image)]])
        with torch.no_grad():
            ids = mini.model.generate(**inputs, max_new_tokens=4, do_sample=False)
            first = mini.model(**inputs).logits[0, -1].softmax(-1)
        text = mini.processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert result.answers[i] == text.strip()
        assert torch.allclose(result.probabilities[i], first, atol=1e-5)
        assert result.top[i] == set(first.topk(5).indices.tolist())


def test_answers_follow_their_prompts_as_the_chat_form_has_it(mini: LoadedModel) -> None:
    """Answers of several tokens and lengths: each row's loss is that of the whole chat, read alone."""
    prompts = prompts_of(mini, "nocaps", 3)
    batch = prompts.batches[0]
    inputs, targets = prompts.answered(batch)
    result = saliency(mini.model, inputs, targets)
    for row, i in enumerate(batch.order):
        question = prompts.questions[i]
        ids = prompts.answer_ids(question)
        tokenizer = mini.processor.tokenizer
        assert tokenizer.decode(ids).replace(" ,", ",") == prompts.benchmark.target(question)
        assert targets[row][targets[row] != IGNORED].tolist() == ids
        alone = mini.inputs([prompts.benchmark.prompt(question)], [[embedded_image(question.image)]])
        start = alone["input_ids"].shape[1]
        more = torch.tensor([ids])
        whole: dict[str, Any] = alone | {"input_ids": torch.cat([alone["input_ids"], more], 1)}
        for name, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
            if name in alone:
                whole[name] = torch.nn.functional.pad(alone[name], (0, len(ids)), value=value)
        with torch.no_grad():
            logits = mini.model(**whole).logits[0, start - 1 : -1].log_softmax(-1)
        assert result.loss[row].item() == pytest.approx(-logits.gather(1, more.T).mean().item(), rel=1e-3)


def test_questions_without_one_image_or_an_answer_are_refused(mini: LoadedModel) -> None:
    for question in (Question("7", "", "What?", ("x",)), Question("7", "validation-0", "What?", ())):
        with pytest.raises(DataError, match="expected one image and at least one answer"):
            Prompts(mini, benchmark(NAME), [question])


def test_every_layer_and_both_ends_are_disturbed() -> None:
    result = settings(12)
    assert end_layers(12) == 2 and end_layers(32) == 5 and end_layers(1) == 1 and end_layers(40) == 5
    assert len(result) == 3 * (12 + 3) == len({one.key for one in result})
    by_place = {one.where: one.layers for one in result if one.where != "layer"}
    assert by_place == {"first": (0, 1), "last": (10, 11), "all": tuple(range(12))}
    assert {one.layers for one in result if one.where == "layer"} == {(i,) for i in range(12)}
    assert {one.flow for one in result} == set(FLOWS)


def test_a_disturbance_is_compared_question_by_question(mini: LoadedModel) -> None:
    prompts = prompts_of(mini)
    plain = outputs(prompts)
    same = compare_outputs(prompts, plain, plain)
    assert set(same["consistency"]) == set(same["jaccard"]) == {1.0} and max(same["shift"]) == 0
    probabilities = plain.probabilities.flip(1)
    other = compare_outputs(prompts, plain, measure.Outputs(["?"] * 6, probabilities))
    assert set(other["consistency"]) == {0.0} and max(other["score"]) == 0
    apart = (plain.probabilities - probabilities).abs().sum(1) / 2
    assert other["shift"] == pytest.approx(apart.tolist())
    tops = [set(row.topk(5).indices.tolist()) for row in probabilities]
    wanted = [len(a & b) / len(a | b) for a, b in zip(plain.top, tops, strict=True)]
    assert other["jaccard"] == pytest.approx(wanted)


def test_a_failed_allocation_makes_the_batches_of_a_flow_smaller(
    minis: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When prompts are prepared, answered or measured; what fitted stays, and the record is the same."""
    mini = minis["llava-mini"]
    monkeypatch.setattr(measure, "settings", lambda layers: settings(layers)[:1])
    whole = FlowMeasurement(prompts_of(mini), {})
    whole.run(lambda: None)
    sizes: list[int] = []

    def failing(run: Any, size: Any) -> Any:
        def attempt(*args: Any, **kwargs: Any) -> Any:
            sizes.append(size(args, kwargs))
            if sizes[-1] > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return run(*args, **kwargs)

        return attempt

    for place, name, size in (
        (Prompts, "batch", lambda args, _: len(args[1])),
        (measure, "saliency", lambda args, _: len(args[2])),
        (mini.model, "generate", lambda _, kwargs: len(kwargs["input_ids"])),
    ):
        sizes.clear()
        with monkeypatch.context() as patch:
            patch.setattr(place, name, failing(getattr(place, name), size))
            again = FlowMeasurement(prompts_of(mini), {})
            again.run(lambda: None)
        assert max(sizes) > 2 >= sizes[-1], name
        for key in ("consistency", "score"):
            assert again.record["plain"][key] == whole.record["plain"][key]
        for number, sums in whole.record["saliency"].items():
            for part, values in sums.items():
                assert again.record["saliency"][number][part] == pytest.approx(values, rel=1e-3, abs=1e-6)

    monkeypatch.setattr(mini.model, "generate", failing(mini.model.generate, lambda *_: 3))
    with pytest.raises(torch.OutOfMemoryError):
        outputs(prompts_of(mini, n=1))


class Stopped(Exception):
    """What stands for a kill."""


def test_a_stopped_measurement_resumes_to_the_same_record(
    minis: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    mini = minis["llava-mini"]
    monkeypatch.setattr(measure, "settings", lambda layers: settings(layers)[:7])
    whole = FlowMeasurement(prompts_of(mini, n=3), {})
    whole.run(lambda: None)
    assert whole.done == whole.total == 3 + 7
    record: dict[str, Any] = {}
    for most in (1, 4):
        left = iter(range(most))

        def stop(left: Any = left) -> None:
            if next(left, None) is None:
                raise Stopped

        with pytest.raises(Stopped):
            FlowMeasurement(prompts_of(mini, n=3), record).run(stop)
        record = json.loads(json.dumps(record))
    again = FlowMeasurement(prompts_of(mini, n=3), record)
    assert 0 < again.done < again.total
    again.run(lambda: None)
    assert json.loads(json.dumps(whole.record)) == json.loads(json.dumps(again.record))


def run(folder: Path, out: Path, *more: str) -> int:
    arguments = ["--model", str(folder), "--benchmark", "scienceqa", "--n", "2", "--out", str(out), *more]
    return flow.main(arguments)


def test_the_command_measures_stores_draws_and_prints_once(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folders["qwenvl-mini"], tmp_path) == 0
    printed = capsys.readouterr().out
    assert "qwenvl-mini / scienceqa: 2 validation questions of embedded scenes" in printed
    assert "visual_textual  blocked in first 2" in printed and "suggested: K1 from" in printed
    assert printed.count("agrees") + printed.count("undecided") == 7
    files = sorted(path.suffix for path in tmp_path.iterdir())
    assert files == [".json", ".png", ".svg"]
    monkeypatch.setattr(flow, "FlowMeasurement", None)  # nothing is measured again
    assert run(folders["qwenvl-mini"], tmp_path, "--json") == 0
    result = json.loads(capsys.readouterr().out)[0]
    assert result["complete"] and "record" not in result and result["summary"]["layers"] == 12


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--n", "1"], "error: got --n 1; expected at least 2 questions"),
        (["--benchmark", "vqa"], "error: unknown benchmark 'vqa'; expected one of"),
        (["--model", "nowhere"], "error: unknown model 'nowhere'; expected one of"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    more: list[str], message: str, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folders["llava-mini"], tmp_path, *more) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith(message)


def test_missing_matplotlib_is_reported_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    assert run(tmp_path / "nowhere", tmp_path) == 2
    assert "figures need matplotlib" in capsys.readouterr().err


def test_the_papers_models_take_the_weights_that_are_named(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "settings", lambda layers: settings(layers)[:9])
    monkeypatch.setattr(flow, "table", lambda document: "")
    monkeypatch.setattr(flow, "summary", lambda record: {})
    monkeypatch.setattr(figures, "draw", lambda document, stem: [])
    folder = str(folders["qwenvl-mini"])
    common = ["--model", "llava-7b", "--benchmark", "scienceqa", "--n", "2", "--out", str(tmp_path), "--json"]
    kinds = []
    for weights in ("mini", folder):
        assert flow.main([*common, "--weights", weights]) == 0
        result = json.loads(capsys.readouterr().out)[0]
        kinds.append((result["key"]["model"], result["weights"], result["key"]["weights_digest"]))
    shipped, given = weights_digest(KNOWN["llava-7b"].folder), weights_digest(folder)
    assert kinds == [("llava-7b", "embedded mini", shipped), ("llava-7b", "full weights", given)]


def test_a_question_that_cannot_be_asked_is_left_out_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "settings", lambda layers: settings(layers)[:1])
    monkeypatch.setattr(flow, "summary", lambda record: {})
    monkeypatch.setattr(figures, "draw", lambda document, stem: [])
    labels = [
        {"question_id": i, "image": f"{i}.png", "text": "<image> A cat?" if i == 3 else "A cat?", "label": "yes"}
        for i in range(8)
    ]
    (tmp_path / "coco_pope_random.json").write_text("\n".join(map(json.dumps, labels)))
    for i in range(8):
        Image.new("RGB", (96, 96), (30 * i, 0, 0)).save(tmp_path / f"{i}.png")
    command = ["--model", "llava-7b", "--weights", "mini", "--benchmark", "pope", "--data-root", str(tmp_path)]
    command += ["--n", "8", "--out", str(tmp_path), "--json"]
    monkeypatch.setattr("objectives.data.subsets.splits_of", lambda questions: ["validation"] * len(questions))
    assert flow.main(command) == 2
    assert "question 4 of" in (error := capsys.readouterr().err) and "--on-bad skip" in error
    assert flow.main([*command, "--on-bad", "skip"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["key"]["n"], [row["line"] for row in document["skipped"]]) == (7, [4])
