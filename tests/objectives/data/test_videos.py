"""Videos of own questions: clips and folders of frames, drawn by the scenes code, become images in order."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from himap import PruningConfig
from objectives.data import videos
from objectives.data.images import load_image
from objectives.data.own_file import BadRowsError
from objectives.data.source import QuestionSet, Source, load_questions
from objectives.errors import DataError
from objectives.evaluation.evaluator import Evaluator
from objectives.evaluation.models import LoadedModel
from objectives.evaluation.prompt_check import PromptCheck
from objectives.scenes import Scene, render
from objectives.scenes.scene import Thing
from search.tokens import survivors

COLUMNS = 4
ROW = {"id": "1", "question": "What color is the circle?", "answer": "red"}


def moving(columns: int = COLUMNS) -> list[Image.Image]:
    """Return frames in which a red circle moves to the right, one cell a frame."""
    things = [(Thing("circle", "red", True, 1, column),) for column in range(columns)]
    return [render(Scene("train", 0, COLUMNS, COLUMNS, thing, 7)) for thing in things]


def clip(path: Path, frames: list[Image.Image], codec: str = "mpeg4") -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=4, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *frames[0].size, "yuv420p", 4_000_000
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    return path


def folder(path: Path, frames: list[Image.Image]) -> Path:
    path.mkdir()
    for number, image in enumerate(frames, 1):
        image.save(path / f"frame{number}.png")
    return path


def center(image: Image.Image) -> int:
    """Return the column of cells in which the red circle is."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 90)
    return int(np.nonzero(red)[1].mean() // (image.width / COLUMNS))


def questions(root: Path, *rows: dict[str, Any]) -> QuestionSet:
    path = root / "questions.jsonl"
    path.write_text("".join(json.dumps(ROW | row) + "\n" for row in rows))
    return load_questions(Source(data=path, metric="exact_match"), "all", None)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "frames"])
def test_a_video_becomes_its_frames_in_order(tmp_path: Path, name: str) -> None:
    make = folder if name == "frames" else clip
    make(tmp_path / name, moving())
    (question,) = questions(tmp_path, {"video": name}).questions
    assert [center(load_image(image)) for image in question.images] == [0, 1, 2, 3]


def test_numbers_in_names_order_the_frames_and_long_videos_are_sampled_evenly(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), (10 * number, 0, 0)) for number in range(24)]
    chosen = [10 * number for number in range(1, 24, 3)]
    read = videos.video_frames(folder(tmp_path / "frames", frames))
    assert [load_image(str(file)).getpixel((0, 0)) for file in read] == [(red, 0, 0) for red in chosen]
    assert videos._chosen(3) == [0, 1, 2]
    from_clip = videos.video_frames(clip(tmp_path / "clip.mp4", frames))
    assert len(from_clip) == videos.FRAMES


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"video": "gone.mp4"}, "there is no video"),
        ({"video": "../out.mp4"}, "video '../out.mp4' lies outside the data root"),
        ({"video": "clip.mp4", "image": "a.png"}, "has both 'image' and 'video'"),
        ({"video": "text.mp4"}, "cannot be decoded"),
        ({"video": "cut.mp4"}, "cannot be decoded"),
        ({"video": "list.mp4"}, "cannot be decoded"),
        ({"video": "empty"}, "holds no images"),
        ({"video": 5}, "'video' is a number; expected text"),
    ],
)
def test_a_video_that_cannot_be_used_is_named(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    whole = clip(tmp_path / "clip.mp4", moving())
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:600])
    # A playlist names other files, on this machine or elsewhere.
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{whole}\n#EXT-X-ENDLIST\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadRowsError, match=problem):
        questions(tmp_path, row)


def test_without_pyav_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, find = clip(tmp_path / "clip.mp4", moving()), builtins.__import__

    def missing(name: str, *args: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return find(name, *args)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DataError, match=r"pip install 'himap-search\[video\]', or give a folder of its frames"):
        videos.video_frames(path)


def test_a_table_and_a_conversation_may_hold_a_video(tmp_path: Path) -> None:
    folder(tmp_path / "frames", moving())
    table = tmp_path / "questions.csv"
    table.write_text("id,video,question,answer\n1,frames,What moves?,circle\n")
    turns = [{"from": "human", "value": "<video>\nWhat moves?"}, {"from": "gpt", "value": "circle"}]
    chat = tmp_path / "chat.json"
    chat.write_text(json.dumps([{"id": "1", "video": "frames", "conversations": turns}]))
    for path in (table, chat):
        (question,) = load_questions(Source(data=path, metric="exact_match"), "all", None).questions
        assert (question.text, len(question.images)) == ("What moves?", COLUMNS)


def test_a_mini_is_pruned_on_a_video(mini: LoadedModel, tmp_path: Path) -> None:
    """Shown: frames are counted, pruned and drawn like images. Not shown: a mini never learned what motion is."""
    clip(tmp_path / "clip.mp4", moving())
    loaded = questions(tmp_path, {"video": "clip.mp4"})
    config = PruningConfig(1, 50, 2, 50)
    assert PromptCheck(mini.weights).problem(loaded.benchmark, loaded.questions[0]) == ""
    result = Evaluator(mini, loaded.benchmark, loaded.questions).evaluate(config)
    tokens = result.image_tokens[0]
    assert tokens % COLUMNS == 0
    drawn = survivors(mini, loaded.benchmark.prompt(loaded.questions[0]), loaded.questions[0], config, 2)
    assert [grid["tokens"] for grid in drawn["grids"]] == [tokens // COLUMNS] * COLUMNS
    assert (len(drawn["after_k1"]), len(drawn["after_k2"])) == config.kept(tokens)
