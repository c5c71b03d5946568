"""examples/serve.py: a process with the embedded mini and a preset answers and refuses real requests."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from PIL import Image

import himap
from objectives.data.images import read_image
from objectives.evaluation.models import LoadedModel, load
from tests.himap.presets.test_preset_files import DOCUMENT, written

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "minis" / "checkpoints" / "qwenvl-mini"
SCENE = ROOT / "examples" / "images" / "scene-0.png"
QUESTION = "What color is the diamond?\nAnswer the question using a single word or phrase."
CONFIG = himap.PruningConfig(1, 90, 4, 75, "random", "random")  # changes the answer to the question
MODEL = {"name": "qwenvl", "family": "Qwen2_5_VLForConditionalGeneration", "layers": 12, "weights_digest": "0123abcd"}
BAD_REQUESTS = {
    "no JSON": (b"{", "the body: Invalid JSON"),
    "no messages": (b"{}", "messages: Field required"),
    "an unknown field": (b'{"messages": [{"role": "user", "content": "a"}], "tools": []}', "tools: Extra inputs"),
    "sampling": (b'{"messages": [{"role": "user", "content": "a"}], "temperature": 1}', "temperature: Input should"),
    "an endless answer": (b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 9999}', "max_tokens: Input"),
}
BAD_IMAGES = {
    "an address": ("http://127.0.0.1:9/scene.png", "got an image at 'http://127.0.0.1:9/scene.png'; expected data:"),
    "a file's address": (SCENE.as_uri(), "expected data:image/png;base64"),
    "a path": (str(SCENE), "expected data:image/png;base64"),
    "no base64": ("data:image/png;base64,@", "cannot take an image: "),
    "a path in base64": (f"data:image/png;base64,{SCENE}", "cannot take an image: "),
    "a text": ("data:image/png;base64,bm8=", "cannot take an image: cannot identify image file"),
}


def data_url(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def body(*parts: str, **fields: Any) -> bytes:
    """A request of one turn; parts that are addresses become images."""
    content = [
        {"type": "image_url", "image_url": {"url": part}}
        if part.startswith(("data:", "http:", "file:", "/"))
        else {"type": "text", "text": part}
        for part in parts
    ]
    return json.dumps({"messages": [{"role": "user", "content": content}], **fields}).encode()


def post(address: str, content: bytes, path: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of the reply, which is one line."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    connection.request("POST", path or url.path, content, headers)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    assert text.count("\n") == 1 and "\\n" not in text
    return reply.status, json.loads(text)


def streamed(address: str, content: bytes, **headers: str) -> tuple[str, list[str]]:
    """The content type of a reply and its events."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    connection.request("POST", url.path, content, headers)
    reply = connection.getresponse()
    lines = reply.read().decode().split("\n\n")
    connection.close()
    assert reply.status == 200 and lines.pop() == ""
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return str(reply.getheader("Content-Type")), [line.removeprefix("data: ") for line in lines]


def refused(address: str, content: bytes, path: str = "", **headers: str) -> str:
    status, reply = post(address, content, path, **headers)
    assert status == 400
    message = reply["error"]["message"]
    assert isinstance(message, str)
    return message


def answer(address: str, content: bytes) -> str:
    status, reply = post(address, content)
    assert status == 200, reply
    assert reply["object"] == "chat.completion"
    (choice,) = reply["choices"]
    assert choice["message"]["role"] == "assistant"
    return str(choice["message"]["content"])


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("preset"), DOCUMENT | {"configuration": CONFIG.as_dict(), "model": MODEL})


@pytest.fixture(scope="module")
def address(preset: Path) -> Iterator[str]:
    command = [sys.executable, str(ROOT / "examples" / "serve.py"), str(preset), "--model", "qwenvl"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    options = ["--weights", "mini", "--port", "0"]
    server = subprocess.Popen([*command, *options], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().removeprefix("serving on ").strip()
    finally:
        server.kill()
        server.communicate()


@pytest.fixture(scope="module")
def mini() -> LoadedModel:
    return load(MINI)


def generated(mini: LoadedModel) -> str:
    inputs = mini.inputs([QUESTION], [[read_image(SCENE)]])
    output = mini.model.generate(**inputs, max_new_tokens=16, do_sample=False)
    return str(mini.processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0])


def test_the_answer_is_that_of_the_pruned_model(address: str, preset: Path, mini: LoadedModel) -> None:
    with himap.prune(mini.model, preset):
        pruned = generated(mini).strip()
    assert answer(address, body(data_url(SCENE.read_bytes()), QUESTION)) == pruned
    assert pruned != generated(mini).strip()


def test_a_conversation_is_read_as_a_whole(address: str) -> None:
    turns = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_url(SCENE.read_bytes())}}]},
        {"role": "assistant", "content": "A scene."},
        {"role": "user", "content": QUESTION},
    ]
    assert answer(address, json.dumps({"messages": turns, "model": "any"}).encode())


def test_an_answer_says_how_many_tokens_it_took(address: str, mini: LoadedModel) -> None:
    status, reply = post(address, body(data_url(SCENE.read_bytes()), QUESTION, max_tokens=1))
    prompt = mini.inputs([QUESTION], [[read_image(SCENE)]])["input_ids"].shape[1]
    assert (status, reply["usage"]) == (
        200,
        {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1},
    )


def test_a_stream_is_the_same_answer_in_pieces(address: str) -> None:
    request = body(data_url(SCENE.read_bytes()), QUESTION, stream=True, stream_options={"include_usage": True})
    kind, events = streamed(address, request)
    assert kind == "text/event-stream" and events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"} and len({c["id"] for c in chunks}) == 1
    assert chunks.pop()["usage"]["completion_tokens"] >= 1
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"]["role"] == "assistant" and choices[-1]["finish_reason"] == "stop"
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    assert text.strip() == answer(address, body(data_url(SCENE.read_bytes()), QUESTION))


def test_a_text_alone_is_answered_up_to_its_length(address: str) -> None:
    status, reply = post(address, body("What color is the moon?", max_tokens=1, temperature=0))
    assert (status, reply["choices"][0]["finish_reason"]) == (200, "length")


@pytest.mark.parametrize("content, message", BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_bad_request_is_refused(address: str, content: bytes, message: str) -> None:
    assert refused(address, content).startswith(message)


@pytest.mark.parametrize("url, message", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_an_image_from_elsewhere_is_refused(address: str, url: str, message: str) -> None:
    assert message in refused(address, body(url, QUESTION))


def test_images_of_too_many_pixels_are_refused(address: str) -> None:
    large = data_url(png(5_000, 5_001))
    assert "more than 50,000,000 pixels" in refused(address, body(large, large, QUESTION))


def test_what_the_model_cannot_take_is_refused(address: str) -> None:
    assert refused(address, body(data_url(png(2_000, 5)), QUESTION)).startswith("the model cannot take these messages")
    assert "holds '<|image_pad|>'" in refused(address, body("Is <|image_pad|> red?"))
    assert "expected at most 2,048" in refused(address, body("red " * 3_000))


def test_a_body_that_is_too_long_is_refused_unread(address: str) -> None:
    message = refused(address, b"", **{"Content-Length": str(2**26)})
    assert message.startswith("got '67108864' bytes; expected at most 33,554,432")
    assert refused(address, b"", **{"Content-Length": "-1"}).startswith("got '-1' bytes")
    assert refused(address, body(QUESTION), "/other").endswith("sent to /v1/chat/completions")


@pytest.fixture
def failing() -> Iterator[str]:
    """A server with a key, whose model and processor fail with messages of several lines."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA error: device-side assert\nTo debug, set CUDA_LAUNCH_BLOCKING=1")

    def processor(text: list[str], **_: Any) -> dict[str, Any]:
        return fail() if "unfit" in text[0] else {"input_ids": torch.ones(1, 4, dtype=torch.long)}  # type: ignore[func-returns-value, return-value]

    vars(processor).update(
        tokenizer=SimpleNamespace(added_tokens_decoder={}, decode=lambda *_, **__: ""),
        apply_chat_template=lambda turns, **_: str(turns),
    )
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(max_position_embeddings=2048))
    model = SimpleNamespace(config=config, generate=fail)
    spec = importlib.util.spec_from_file_location("serve_example", ROOT / "examples" / "serve.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_example"] = module
    spec.loader.exec_module(module)
    module.Handler.loaded = SimpleNamespace(model=model, processor=processor, device="cpu")
    module.Handler.api_key = "s3cret"
    with HTTPServer(("127.0.0.1", 0), module.Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{module.PATH}"
        server.shutdown()
    del sys.modules["serve_example"]


KEY = {"Authorization": "Bearer s3cret"}


def test_a_failing_model_is_one_line_of_json_and_not_the_end(failing: str) -> None:
    for _ in range(2):
        status, reply = post(failing, body("Is it red?"), **KEY)
        assert (status, reply["error"]["type"]) == (500, "server_error")
        assert reply["error"]["message"] == "the model failed (CUDA error: device-side assert)"
    _, events = streamed(failing, body("Is it red?", stream=True), **KEY)
    assert "the model failed" in json.loads(events[-1])["error"]["message"]


def test_a_processors_message_of_several_lines_is_one(failing: str) -> None:
    message = refused(failing, body("unfit"), **KEY)
    assert message == "the model cannot take these messages (CUDA error: device-side assert)"


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", "s3cret", "Bearer s3cret2", "Bearer \xe9"])
def test_a_server_with_a_key_answers_no_one_without_it(failing: str, key: str) -> None:
    status, reply = post(failing, body("Is it red?"), **({"Authorization": key} if key else {}))
    assert status == 401 and "Authorization: Bearer KEY" in reply["error"]["message"]


def test_a_wrong_preset_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "serve.py"), str(tmp_path / "none.yaml"), "--model", str(MINI)]
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("error: ")
