"""The kinds of inputs: presets, own and official data, answer files, images, URLs, options and uploads."""

from __future__ import annotations

import argparse
import importlib
import io
import random
from pathlib import Path
from typing import Any

from PIL import Image

import himap
from bench.fuzz.case import SECRET, Action, Maker, command, odd_path
from bench.fuzz.uploads import upload
from bench.fuzz.values import any_text, as_json, changed, damaged
from himap import PruningConfig
from himap.presets.safe_yaml import dump_mapping
from objectives.benchmarks import EVERY_BENCHMARK, benchmark
from objectives.benchmarks.custom import METRICS
from objectives.data.images import read_image
from objectives.data.source import Source, load_questions
from objectives.score import main as score_command
from search.command_line import words
from storage import StudyKey, Trial, open_store
from storage.presets import preset_of

_MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F", "PA")
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "JPEG2000", "PCX", "SGI", "DDS", "MPO")
_OFFICIAL = {
    "vqav2": ("v2_mscoco_val2014_annotations.json", "v2_OpenEnded_mscoco_val2014_questions.json"),
    "textvqa": ("TextVQA_0.5.1_val.json",),
    "pope": ("coco_pope_random.json", "coco_pope_popular.json"),
    "scienceqa": ("problems.json", "pid_splits.json"),
    "aokvqa": ("aokvqa_v1p0_val.json",),
    "aokvqa-direct": ("aokvqa_v1p0_val.json",),
    "nocaps": ("nocaps_val_4500_captions.json",),
    "flickr30k": ("dataset_flickr30k.json",),
}


def preset(rng: random.Random, folder: Path) -> Action:
    """A preset file with some fields changed, or damaged; what is read is written and read again."""
    document: Any = _preset_document()
    for _ in range(rng.randrange(3)):
        document = changed(rng, document)
    if rng.random() < 0.5 and isinstance(document, dict):
        content = dump_mapping(document).encode("utf-8", "surrogatepass")
    else:
        content = as_json(rng, document)
    path = odd_path(rng, folder, damaged(rng, content) if rng.random() < 0.5 else content, ".yaml")

    def action() -> None:
        read = himap.read_preset(path)
        again = himap.read_preset(read.write(folder / "again.yaml"))
        if again != read:
            raise AssertionError(f"read {read}, wrote and read {again}")

    return action


def own_data(rng: random.Random, folder: Path) -> Action:
    """A file of own questions in JSON lines with images beside it, some rows changed or damaged."""
    metric = rng.choice([*METRICS, "vqa-accuracy", "number=", "number=0.05", "number=nan", any_text(rng)])
    (folder / "img").mkdir()
    names = [f"img/{i}.png" for i in range(3)]
    for name in names:
        (folder / name).write_bytes(picture(rng))
    rows = [_row(rng, number, rng.choice(names)) for number in range(rng.randrange(1, 7))]
    lines = [as_json(rng, changed(rng, row) if rng.random() < 0.3 else row).replace(b"\n", b" ") for row in rows]
    content = b"\n".join(damaged(rng, line) if rng.random() < 0.1 else line for line in lines)
    path = odd_path(rng, folder, damaged(rng, content) if rng.random() < 0.1 else content, ".jsonl")
    split, skip = rng.choice(["validation", "test", "all"]), rng.random() < 0.5

    def action() -> None:
        loaded = load_questions(Source(data=path, metric=metric, skip_bad=skip), split, rng.choice([None, 1, 5]))
        for question in loaded.questions:
            loaded.benchmark.prompt(question)
            credit = loaded.benchmark.score(question, any_text(rng))
            if not 0 <= credit <= 1:
                raise AssertionError(f"credit {credit} for {question}")

    return action


def official(rng: random.Random, folder: Path) -> Action:
    """A folder of a benchmark's official files with an image, some records changed or damaged."""
    name = rng.choice(list(_OFFICIAL))
    rows: list[Any] = [_document(rng, number, name) for number in range(rng.randrange(1, 5))]
    rows = [changed(rng, row) if rng.random() < 0.2 else row for row in rows]
    lines = b"\n".join(as_json(rng, row).replace(b"\n", b" ") for row in rows)
    kinds: dict[str, Any] = {"data": rows, "annotations": rows, "images": rows}
    mapped = {str(number): row for number, row in enumerate(rows)}
    for file in _OFFICIAL[name]:
        content = rng.choice([lines, as_json(rng, rows), as_json(rng, kinds), as_json(rng, mapped)])
        (folder / file).write_bytes(damaged(rng, content) if rng.random() < 0.1 else content)
    chosen = benchmark(name)
    for place in ("images", *chosen.image_folders):
        (folder / place).mkdir(parents=True, exist_ok=True)
        for image_name in ("0.jpg", "1.jpg", "0/image.png", "x.jpg", f"{0:012d}.jpg", f"COCO_val2014_{0:012d}.jpg"):
            path = folder / place / image_name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture(rng))
    split, skip = rng.choice(["validation", "test", "all"]), rng.random() < 0.5

    def action() -> None:
        loaded = load_questions(Source(name, data_root=folder, skip_bad=skip), split, rng.choice([None, 1, 5]))
        for question in loaded.questions:
            loaded.benchmark.prompt(question)

    return action


def answers(rng: random.Random, folder: Path) -> Action:
    """A file of answers made elsewhere, with or without the truth, some records changed or damaged."""
    form, name = rng.choice(["llava", "lmms", "lmms", "lmms", "map", "tabs"]), rng.choice(list(EVERY_BENCHMARK))
    rows: list[Any] = [_answer(rng, number, form, name) for number in range(rng.randrange(1, 6))]
    if form == "tabs":
        content = "\n".join("\t".join(map(str, row.values())) for row in rows).encode("utf-8", "surrogatepass")
    elif form == "map":
        content = as_json(rng, changed(rng, {"predictions": {str(i): row for i, row in enumerate(rows)}}))
    else:
        rows = [changed(rng, row) if rng.random() < 0.2 else row for row in rows]
        content = b"\n".join(as_json(rng, row).replace(b"\n", b" ") for row in rows)
    ending = ".txt" if form == "tabs" else rng.choice([".json", ".jsonl"])
    path = odd_path(rng, folder, damaged(rng, content) if rng.random() < 0.2 else content, ending)
    options = ["--benchmark", name if rng.random() < 0.95 else any_text(rng), f"--answers={path}"]
    if rng.random() < 0.3:
        (folder / "truth").mkdir()
        documents = [changed(rng, _document(rng, number, name)) for number in range(3)]
        truth = odd_path(rng, folder / "truth", as_json(rng, documents), ".json")
        options.append(f"--truth={truth}")
    if rng.random() < 0.4:
        options.append(f"--json={folder / rng.choice(['out.json', 'no/out.json', 'x' * 300, '.'])}")
    return command(score_command, options)


def image(rng: random.Random, folder: Path) -> Action:
    """An image of any mode and format, its bytes damaged or not; what is read must be 8-bit RGB."""
    content = picture(rng)
    path = odd_path(rng, folder, damaged(rng, content) if rng.random() < 0.6 else content, ".png")

    def action() -> None:
        read = read_image(path)
        if read.mode != "RGB" or not read.width * read.height:
            raise AssertionError(f"got {read.mode} of {read.size}")

    return action


def url(rng: random.Random, folder: Path) -> Action:
    """A store's URL: of SQLite at an odd place, of a server that is not there, or of no known form."""
    place = odd_path(rng, folder, rng.choice([b"", b"SQLite format 3\x00" + bytes(90), rng.randbytes(50)]), ".db")
    user = rng.choice(["", "u@", f"u:{SECRET}@", f"u:{SECRET}/x@", f"u:a@{SECRET}@", f"a.b:{SECRET}@", "ü:@"])
    server = rng.choice(["127.0.0.1:1", "localhost:1", "[::1]:1", "", ":1", "127.0.0.1:99999", "a b", "%", "h:p"])
    secrets = [f"?password={SECRET}", f"?user=u;password=a@{SECRET}", f"?password={SECRET}@a:1"]
    tail = rng.choice(["", "?", *secrets, "?sslmode=x", "?a", "#x", "/x"])
    scheme = rng.choice(["postgresql", "postgresql+psycopg", "postgres", "mysql", "sqlite+x", "http", any_text(rng)])
    text = rng.choice(
        [
            f"sqlite:///{place}",
            f"sqlite:///{place}{tail}",
            f"{scheme}://{user}{server}/db{tail}",
            f"{user}{server}{tail}",
        ]
    )
    readonly = rng.random() < 0.5

    def action() -> None:
        with open_store(text, readonly=readonly) as store:
            store.studies()

    return action


_COMMANDS = (
    *("search.launch", "search.export", "search.verify", "search.status", "search.to_optuna", "search.tokens"),
    *("objectives.accuracy", "objectives.score", "objectives.questions", "objectives.flops.__main__"),
    "objectives.flow.__main__",
)


def options(rng: random.Random, folder: Path) -> Action:
    """A command line of known options with odd values, of a model that does not exist."""
    module = importlib.import_module(rng.choice(_COMMANDS))
    actions = module.parser()._actions
    known = [action for action in actions if action.option_strings and action.dest != "help"]
    line: list[str] = []
    chosen = rng.sample(known, rng.randrange(min(6, len(known)) + 1))
    chosen += [option for option in known if option.required and option not in chosen and rng.random() < 0.9]
    for option in chosen:
        if option.dest not in ("model", "weights", "address", "storage", "n", "hub"):
            line += [option.option_strings[-1], *_values(rng, option)]
    if any(option.dest == "model" for option in known):
        missing = rng.choice(["no-such-model", "/nowhere", "", ".", str(folder), "\ud800", "x" * 5_000])
        line += ["--model", missing]
    if any(option.dest == "storage" for option in known):
        line += ["--storage", f"sqlite:///{folder}/none.db"]
    if len(known) + 1 < len(actions):  # a file without an option's name
        line.append(str(odd_path(rng, folder, as_json(rng, _preset_document()))))
    if rng.random() < 0.3:
        line.insert(rng.randrange(len(line) + 1), rng.choice(["--no-such", "-", "--", "x", "--budget=", "--seed=x"]))
    line = [word.replace("\x00", "").replace("\ud800", "\udcff") for word in line]  # as a shell can pass it
    return command(lambda given: module.main(words(given)), line)


KINDS: dict[str, Maker] = {
    "presets": preset,
    "own data": own_data,
    "official data": official,
    "answers": answers,
    "images": image,
    "URLs": url,
    "options": options,
    "uploads": upload,
}


def picture(rng: random.Random) -> bytes:
    """Return the bytes of a small image in some mode and format."""
    mode, size = rng.choice(_MODES), (rng.choice([1, 2, 17, 64]), rng.choice([1, 3, 31]))
    extra: dict[str, Any] = {}
    if rng.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112] = rng.choice([*range(10), 65_535])
        extra["exif"] = exif.tobytes()
    if rng.random() < 0.2:
        extra["icc_profile"] = rng.randbytes(200)
    made = Image.new(mode, size)
    for chosen in (rng.choice(_FORMATS), "PNG", "TIFF"):
        buffer = io.BytesIO()
        try:
            made.save(buffer, chosen, **extra)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a format that has no such mode
        return buffer.getvalue()
    return b""


def _values(rng: random.Random, option: argparse.Action) -> list[str]:
    """Return mostly one value of the option's type, else others or none."""
    numbers = ["0", "-1", "1", "20", "99999999999999999999"]
    fitting = [*map(str, option.choices)] if option.choices else numbers if option.type in (int, float) else []
    odd = [*numbers, "1e9", "nan", "{}", "[" * 9_999, any_text(rng)]
    return rng.choices(fitting if fitting and rng.random() < 0.8 else odd, k=rng.choice([0, 1, 1, 1, 1, 1, 1, 2]))


def _preset_document() -> dict[str, Any]:
    key = StudyKey("qwenvl", "1a2b" * 16, "pope", "validation", 120, 0, "two-cuts-2")
    config = PruningConfig(2, 50, 8, 75)
    trial = Trial(number=7, state="complete", origin="sampler", config=config, accuracy=0.9, n=120, flops_ratio=0.3)
    document: dict[str, Any] = preset_of(key, trial, family="LlavaForConditionalGeneration", layers=12).model_dump(
        mode="json", by_alias=True
    )
    return document


def _row(rng: random.Random, number: int, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": str(number), "image": name, "question": "What is it?", "answer": "cat"}
    if rng.random() < 0.4:
        row |= {"choices": ["cat", "dog", any_text(rng)]}
    if rng.random() < 0.3:
        row["answer"] = rng.choice([any_text(rng), "yes", "12", 12, ["cat"]])
    if rng.random() < 0.2:
        row["image"] = [name, rng.choice(["img/1.png", any_text(rng)])]
    return row


def _answer(rng: random.Random, number: int, form: str, name: str) -> dict[str, Any]:
    text = any_text(rng)
    if form == "tabs":
        return {
            "image": f"{number}.png",
            "question": "Is it?",
            "truth": rng.choice(["Yes", "No", text]),
            "answer": text,
        }
    row: dict[str, Any] = {"question_id": number, "prompt": "Is it?", "text": text}
    return row | {"doc": _document(rng, number, name), "filtered_resps": [text]} if form == "lmms" else row


def _document(rng: random.Random, number: int, name: str) -> dict[str, Any]:
    """Return a question as the benchmark's own file or its dataset holds it."""
    text = any_text(rng)
    document: dict[str, Any] = {"question_id": number, "image_id": number, "question": "Is it?", "category": "x"}
    document |= {"split": "test", "image": rng.choice([f"{number}.jpg", "image.png", None]), "height": 3}
    document |= {"answer": rng.choice(["yes", "no"]), "answers": ["cat"] * 9 + [text], "direct_answers": ["cat", text]}
    if name.startswith(("scienceqa", "aokvqa")):
        document |= {"choices": ["cat", "dog", text], "answer": 1, "correct_choice_idx": rng.choice([0, 2, 3])}
    if name == "vqav2":
        document["answers"] = [{"answer": answer} for answer in document["answers"]]
    captions = {"annotations_captions": ["a cat", text], "caption": ["a cat", text], "img_id": number}
    return document | captions | {"filename": f"{number}.jpg", "sentences": [{"raw": "a cat"}, {"raw": text}]}
