"""Answers made elsewhere: the forms of LLaVA, lmms-eval and the official tools, and bad ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives import score
from tests.objectives import published_scores

SHORT = "\nAnswer the question using a single word or phrase."

Run = Callable[..., dict[str, Any]]


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def whole(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, indent=1))
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def scored(benchmark: str, answers: Path, truth: Path | None = None) -> dict[str, Any]:
        arguments = ["--benchmark", benchmark, "--answers", str(answers), "--json"]
        code = score.main(arguments + (["--truth", str(truth)] if truth else []))
        printed = capsys.readouterr()
        assert code == 0, printed.err
        result: dict[str, Any] = json.loads(printed.out)
        return result

    return scored


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a failed run writes."""
    assert score.main([str(a) for a in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    return printed.err


@pytest.fixture
def mme(tmp_path: Path) -> Path:
    """Two categories; the same image name and the same words in both."""
    folder = tmp_path / "truth"
    folder.mkdir()
    ask = "Please answer yes or no."
    (folder / "color.txt").write_text(
        f"1.jpg\tIs it red? {ask}\tYes\n1.jpg\tIs it blue?  {ask}\tNo\n"
        f"2.jpg\tIs it red? {ask}\tYes\n2.jpg\tIs it blue? {ask}\tNo\n"
    )
    (folder / "code_reasoning.txt").write_text(f"1.jpg\tIs it red? {ask}\tNo\n1.jpg\tIs it C? {ask}\tYes\n")
    return folder


MME_ANSWERS = [  # color: 3 of 4 right, 1 of 2 pairs; code: 2 of 2, 1 of 1
    ("color/1.png", "Is it red?", "Yes"),
    ("color/1.png", "Is it blue?", "No"),
    ("color/2.png", "Is it blue?", "yes, blue"),
    ("color/2.png", "Is it red?", "Yes."),
    ("code_reasoning/1.png", "Is it C?", "yes"),
    ("code_reasoning/1.png", "Is it red?", "no"),
]


def lmms(i: int, place: str, text: str, answer: str, truth: str) -> dict[str, Any]:
    document = {"question_id": place, "category": place.partition("/")[0], "question": text, "answer": truth}
    return {"doc_id": i, "doc": document, "target": truth, "resps": [[answer]], "filtered_resps": [answer]}


def check_mme(result: dict[str, Any]) -> None:
    metrics = result["metrics"]
    assert (metrics["color"], metrics["perception"]) == (125, 125)
    assert (metrics["code_reasoning"], metrics["cognition"]) == (200, 200)
    assert (result["n"], result["unanswered"], result["unmatched"]) == (6, 0, 0)


def test_mme_as_llava_writes_it(tmp_path: Path, mme: Path, run: Run) -> None:
    rows = [{"question_id": q, "prompt": t + SHORT, "text": a, "metadata": {}} for q, t, a in MME_ANSWERS]
    check_mme(run("mme", lines(tmp_path / "a.jsonl", rows), mme))


def test_mme_as_lmms_eval_writes_it(tmp_path: Path, mme: Path, run: Run) -> None:
    truths = ["Yes", "No", "No", "Yes", "Yes", "No"]
    rows = [lmms(i, *answer, truths[i]) for i, answer in enumerate(MME_ANSWERS)]
    check_mme(run("mme", lines(tmp_path / "a.jsonl", rows), mme))
    check_mme(run("mme", tmp_path / "a.jsonl"))  # its documents are the truth
    check_mme(run("mme", whole(tmp_path / "b.json", {"args": {}, "logs": rows})))
    check_mme(run("mme", whole(tmp_path / "c.json", {"samples": {"mme": rows}})))


def test_mme_as_lmms_eval_writes_it_without_documents(tmp_path: Path, mme: Path, run: Run) -> None:
    rows = [
        {"doc_id": i, "input": t + SHORT, "filtered_resps": a, "mme": {"question_id": q, "category": q.split("/")[0]}}
        for i, (q, t, a) in enumerate(MME_ANSWERS)
    ]
    check_mme(run("mme", lines(tmp_path / "a.jsonl", rows), mme))


def test_mme_as_its_own_tool_reads_it(tmp_path: Path, mme: Path, run: Run) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for file in mme.iterdir():
        answers = {(q.split("/")[1][0], t): a for q, t, a in MME_ANSWERS if q.startswith(file.stem)}
        written = []
        for line in file.read_text().splitlines():
            words = " ".join(line.split("\t")[1].replace("Please answer yes or no.", "").split())
            written.append(f"{line}\t{answers[line[0], words]}")
        (results / file.name).write_text("\n".join(written) + "\n")
    check_mme(run("mme", results))
    check_mme(run("mme", results, mme))


def test_a_category_without_answers_is_left_out(tmp_path: Path, mme: Path, run: Run) -> None:
    rows = [{"question_id": q, "prompt": t, "text": a} for q, t, a in MME_ANSWERS[:4]]
    result = run("mme", lines(tmp_path / "a.jsonl", rows), mme)
    assert result["metrics"]["perception"] == 125 and "cognition" not in result["metrics"]
    assert result["n"] == 4


LABELS = [
    ("Is there a car in the image?", "yes"),
    ("Is there a cat in the image?", "no"),
    ("Is there a dog in the image?", "yes"),
    ("Is there a bus in the image?", "no"),
]


@pytest.fixture
def pope(tmp_path: Path) -> Path:
    """Three strategies that differ in one text; numbers start again in each."""
    folder = tmp_path / "coco"
    folder.mkdir()
    for strategy in ("adversarial", "popular", "random"):
        rows = [
            {"question_id": i, "image": "x.jpg", "text": t.replace("bus", strategy), "label": label}
            for i, (t, label) in enumerate(LABELS, 1)
        ]
        lines(folder / f"coco_pope_{strategy}.json", rows)
    return folder


@pytest.mark.parametrize("first", [None, 1, 20000001])
def test_pope_in_the_order_of_one_label_file(tmp_path: Path, pope: Path, run: Run, first: int | None) -> None:
    rows = [{"text": a} for a in ("Yes", "No", "No, there is none", "Yes. No")]
    if first is not None:
        rows = [{"question_id": first + i, **row} for i, row in enumerate(rows)]
    metrics = run("pope", lines(tmp_path / "a.jsonl", rows), pope / "coco_pope_popular.json")["metrics"]
    assert (metrics["accuracy"], metrics["precision"], metrics["recall"]) == (0.5, 0.5, 0.5)


def test_pope_as_its_own_tool_reads_it(tmp_path: Path, pope: Path, run: Run) -> None:
    rows = [{"question": t.replace("bus", "popular"), "answer": label} for t, label in LABELS]
    truth = pope / "coco_pope_popular.json"
    assert run("pope", lines(tmp_path / "a.jsonl", rows), truth)["metrics"]["f1"] == 1.0


def test_all_of_pope_as_llava_writes_it(tmp_path: Path, pope: Path, run: Run) -> None:
    """Told apart by their prompts, whatever LLaVA's numbers mean; all of "random" is answered wrongly."""
    rows = [
        {"question_id": block * 10**7 + i, "prompt": t.replace("bus", s) + SHORT, "text": a if s != "random" else wrong}
        for block, s in ((1, "adversarial"), (2, "popular"), (3, "random"))
        for i, (t, a) in enumerate(LABELS, 1)
        for wrong in ["no" if a == "yes" else "yes"]
    ]
    metrics = run("pope", lines(tmp_path / "a.jsonl", rows), pope)["metrics"]
    assert (metrics["f1_popular"], metrics["f1_adversarial"], metrics["f1_random"]) == (1, 1, 0)
    assert metrics["accuracy"] == pytest.approx(2 / 3)


def test_pope_as_lmms_eval_writes_it(tmp_path: Path, pope: Path, run: Run) -> None:
    rows = [
        {"doc": {"question_id": str(i), "category": s, "question": t, "answer": a}, "resps": [["Yes"]]}
        for s in ("random", "popular")
        for i, (t, a) in enumerate(LABELS, 1)
    ]
    file = lines(tmp_path / "a.jsonl", rows)
    assert run("pope", file, pope)["metrics"] == run("pope", file)["metrics"]
    assert run("pope", file)["metrics"]["precision_popular"] == 0.5


def test_pope_answers_of_an_unknown_strategy(tmp_path: Path, pope: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "a.jsonl", [{"question_id": i, "text": "no"} for i in range(1, 5)])
    message = refusal(capsys, "--benchmark", "pope", "--answers", file, "--truth", pope)
    assert "cannot tell" in message and "give the truth file of one of them" in message


def test_pope_wants_every_answer(tmp_path: Path, pope: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": t, "question_id": "?", "text": "no"} for t, _ in LABELS[:3]]
    truth = pope / "coco_pope_random.json"
    message = refusal(capsys, "--benchmark", "pope", "--answers", lines(tmp_path / "a.jsonl", rows), "--truth", truth)
    assert "answers 3 of 4" in message


def test_prompts_that_tell_nothing_apart(tmp_path: Path, pope: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One answer too few for the order, and the same words ask about other images with another truth."""
    truth = pope / "coco_pope_random.json"
    with truth.open("a") as file:
        more = {"question_id": 5, "image": "y.jpg", "text": LABELS[0][0], "label": "no"}
        file.write(json.dumps(more) + "\n")
    answers = lines(tmp_path / "a.jsonl", [{"prompt": t + SHORT, "text": "no"} for t, _ in LABELS])
    message = refusal(capsys, "--benchmark", "pope", "--answers", answers, "--truth", truth)
    assert "several questions are worded 'is there a car in the image?" in message


@pytest.fixture
def scienceqa(tmp_path: Path) -> Path:
    folder = tmp_path / "sqa"
    folder.mkdir()
    problem = {"question": "Which?", "choices": ["x", "y", "z"], "hint": "", "split": "test", "image": None}
    problems = {
        "4": problem | {"answer": 1},
        "7": problem | {"answer": 0, "image": "image.png", "hint": "Look."},
        "9": problem | {"answer": 2, "image": "image.png"},
        "10": problem | {"answer": 0, "split": "train"},
    }
    whole(folder / "problems.json", problems)
    whole(folder / "pid_splits.json", {"test": ["4", "7", "9"], "train": ["10"]})
    return folder


@pytest.mark.parametrize("form", ["llava", "chosen", "mapping"])
def test_scienceqa(tmp_path: Path, scienceqa: Path, run: Run, form: str) -> None:
    """Right: 4 and 7; 9 is undecided. Of the two with an image one is right."""
    answers = {"4": "B", "7": "The answer is A.", "9": "x"}
    if form == "llava":
        rows = [{"question_id": i, "prompt": "<image>\nWhich?", "text": t} for i, t in answers.items()]
        file = lines(tmp_path / "a.jsonl", rows)
    elif form == "chosen":
        results = {"4": 1, "7": 0, "9": -1}
        file = whole(tmp_path / "a.json", {"acc": 1.0, "count": 3, "results": results, "outputs": answers})
    else:
        file = whole(tmp_path / "a.json", answers)
    result = run("scienceqa", file, scienceqa)
    assert result["metrics"] == {"accuracy": pytest.approx(2 / 3), "accuracy_image": 0.5}
    assert run("scienceqa", file, scienceqa / "problems.json") == result


def test_unanswered_questions_count_as_wrong(
    tmp_path: Path, scienceqa: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = lines(tmp_path / "a.jsonl", [{"question_id": "4", "text": "B"}, {"question_id": "99", "text": "B"}])
    arguments = ["--benchmark", "scienceqa", "--answers", str(file), "--truth", str(scienceqa)]
    assert score.main(arguments) == 0
    printed = capsys.readouterr()
    assert "accuracy                 0.3333" in printed.out
    assert "2 of 3 questions have no answer and count as wrong" in printed.err
    assert "1 answers belong to none of the questions" in printed.err


@pytest.fixture
def textvqa(tmp_path: Path) -> Path:
    rows = [
        {"question_id": 34602, "image_id": "a1", "question": "What is the Brand?", "answers": ["Nous les"] * 10},
        {"question_id": 34603, "image_id": "a1", "question": "How many?", "answers": ["2"] * 3 + ["three"] * 7},
    ]
    return whole(tmp_path / "TextVQA_0.5.1_val.json", {"data": rows})


@pytest.mark.parametrize(
    "prompt",
    [
        "{}\nReference OCR token: NOUS, LES\nAnswer the question using a single word or phrase.",
        "Reference OCR token: NOUS, LES\n{}\nAnswer the question using a single word or phrase.",
        "OCR tokens: NOUS LES. Question: {} Short answer:",
        "{}\nAnswer the question using a single word or phrase.",
    ],
)
def test_textvqa_as_llava_writes_it(tmp_path: Path, textvqa: Path, run: Run, prompt: str) -> None:
    """LLaVA's question_id is the image's, so prompts tell its questions apart."""
    rows = [
        {"question_id": "a1", "prompt": prompt.format("How many?"), "text": "Two"},
        {"question_id": "a1", "prompt": prompt.format("What is the brand?"), "text": "nous les."},
    ]
    assert run("textvqa", lines(tmp_path / "a.jsonl", rows), textvqa)["metrics"]["accuracy"] == (0.9 + 1) / 2


def test_the_same_words_on_one_image_take_their_answers_in_order(tmp_path: Path, run: Run) -> None:
    row = {"image_id": "a1", "question": "What?"}
    questions = [row | {"question_id": i, "answers": [word] * 10} for i, word in enumerate(("cat", "dog"))]
    truth = whole(tmp_path / "TextVQA_0.5.1_val.json", {"data": questions})
    answers = [{"question_id": "a1", "prompt": "What?", "text": word} for word in ("cat", "dog")]
    assert run("textvqa", lines(tmp_path / "a.jsonl", answers), truth)["metrics"]["accuracy"] == 1.0


def test_textvqa_as_submitted(tmp_path: Path, textvqa: Path, run: Run) -> None:
    rows = [{"question_id": 34603, "answer": "3"}, {"question_id": 34602, "answer": "Nous les"}]
    assert run("textvqa", whole(tmp_path / "a.json", rows), textvqa)["metrics"]["accuracy"] == 1.0


def test_vqav2_as_submitted(tmp_path: Path, run: Run) -> None:
    answers = [{"answer": "two", "answer_id": i} for i in range(10)]
    notes = [{"question_id": 1, "image_id": 5, "answer_type": "number", "answers": answers}]
    truth = whole(tmp_path / "v2_mscoco_val2014_annotations.json", {"annotations": notes})
    file = whole(tmp_path / "a.json", [{"question_id": 1, "answer": "two"}])
    assert run("vqav2", file, truth)["metrics"] == {"accuracy": 1.0, "accuracy_evalai": 0.0}


def test_aokvqa_predictions(tmp_path: Path, run: Run) -> None:
    row = {"question": "Why?", "choices": ["cab", "bus"], "correct_choice_idx": 1, "image_id": 3}
    truth = whole(
        tmp_path / "aokvqa_v1p0_val.json",
        [
            row | {"question_id": "q1", "direct_answers": ["bus", "bus", "car"]},
            row | {"question_id": "q2", "direct_answers": ["bus"], "difficult_direct_answer": True},
        ],
    )
    both = {"multiple_choice": "bus", "direct_answer": "bus"}
    file = whole(tmp_path / "a.json", {"q1": both, "q2": both | {"multiple_choice": "cab"}})
    assert run("aokvqa", file, truth)["metrics"]["accuracy"] == 0.5
    direct = run("aokvqa-direct", file, truth)
    assert direct["metrics"]["accuracy"] == pytest.approx(2 / 3) and direct["n"] == 1


def test_captions_in_coco_form(tmp_path: Path, run: Run) -> None:
    truth = {
        "images": [{"id": 1, "file_name": "1.jpg", "domain": "in-domain"}, {"id": 2, "file_name": "2.jpg"}],
        "annotations": [
            {"image_id": 1, "caption": "A red bus."},
            {"image_id": 1, "caption": "the red bus"},
            {"image_id": 2, "caption": "Two dogs run far"},
        ],
    }
    file = whole(tmp_path / "a.json", [{"image_id": 2, "caption": "two dogs run far"}, {"image_id": 1, "caption": "x"}])
    for name in ("nocaps", "flickr30k"):
        result = run(name, file, whole(tmp_path / "truth.json", truth))
        assert result["metrics"]["cider"] == pytest.approx(500)
        assert result["notes"] in (["tokens by built-in PTB"], ["tokens by Stanford PTB (Java)"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b'{"question_id": 1', "is not JSON"),
        (b'{"question_id": "4", "text": "B"}\nnonsense\n', "line 2 is not JSON"),
        (b"[1, 2]", "not objects"),
        (b'{"question_id": 4, "score": 1}\n{"question_id": 5, "score": 1}', "answer 1 has no text"),
        (b'{"question_id": "x1", "text": "B"}\n', "name none of the 3 questions"),
        (b'{"id": "x", "text": "B"}\n{"id": "y", "text": "A"}\n{"id": "z", "text": ""}', "name none of"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_answers(
    tmp_path: Path, scienceqa: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert message in refusal(
        capsys, "--benchmark", "scienceqa", "--answers", tmp_path / "a.jsonl", "--truth", scienceqa
    )


def test_bad_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "a.jsonl", [{"question_id": "4", "text": "B"}])
    options = ["--answers", file, "--truth"]
    assert "there is no" in refusal(capsys, "--benchmark", "pope", *options, tmp_path / "nowhere")
    assert "found no ScienceQA problems" in refusal(capsys, "--benchmark", "scienceqa", *options, tmp_path)
    odd = whole(tmp_path / "odd.json", {"annotations": [{"answers": 5}]})
    assert "not in the form of VQAv2's" in refusal(capsys, "--benchmark", "vqav2", *options, odd)
    assert "lacks 'data'" in refusal(capsys, "--benchmark", "textvqa", *options, odd)
    assert "unknown benchmark 'gqa'" in refusal(capsys, "--benchmark", "gqa", *options, odd)
    assert "does not carry the truth" in refusal(capsys, "--benchmark", "pope", "--answers", file)


def test_the_published_mme_scores_of_a_published_model(tmp_path: Path, run: Run) -> None:
    """In LLaVA's form, whose prompts lack "Please answer yes or no.", or have two spaces in front of it."""
    truth, rows = tmp_path / "truth", []
    truth.mkdir()
    ask = "Please answer yes or no."
    for number, category in enumerate(published_scores.MME):
        questions = list(published_scores.mme(category))
        records = [f"{one.image}\t{one.text} {ask}\t{one.label}\n" for one in questions]
        (truth / f"{category}.txt").write_text("".join(records))
        for one in questions:
            prompt = one.text + ("", f" {ask}", f"  {ask}")[number % 3] + SHORT
            rows.append({"question_id": f"{category}/{one.image}", "prompt": prompt, "text": one.answer})
    result = run("mme", lines(tmp_path / "llava.jsonl", rows), truth)
    assert result["metrics"]["perception"] == pytest.approx(published_scores.PERCEPTION, abs=5e-4)
    assert result["metrics"]["cognition"] == pytest.approx(published_scores.COGNITION, abs=5e-4)


def test_the_published_pope_score_of_a_published_model(tmp_path: Path, run: Run) -> None:
    popular = published_scores.pope_popular()
    labels = [{"question_id": i, "image": q.image, "text": q.text, "label": q.label} for i, q in enumerate(popular, 1)]
    answers = [{"question_id": 20000000 + i, "text": one.answer} for i, one in enumerate(popular, 1)]
    truth = lines(tmp_path / "coco_pope_popular.json", labels)
    result = run("pope", lines(tmp_path / "llava.jsonl", answers), truth)
    assert round(result["metrics"]["f1"], 4) == published_scores.F1_POPULAR
