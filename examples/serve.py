"""Serve a model that is pruned by a preset, over OpenAI's chat API: one request at a time, greedy answers.

    python examples/serve.py presets/qwenvl-pope.yaml --model qwenvl
    curl http://127.0.0.1:8000/v1/chat/completions -d '{"messages": [{"role": "user", "content": [{"type": "image_url",
      "image_url": {"url": "data:image/png;base64,'$(base64 -w0 examples/images/scene-0.png)'"}},
      {"type": "text", "text": "What color is the diamond?"}]}]}'

Images come as data URLs; the server opens no other address and no file. "stream": true sends the answer as it is
generated. --api-key KEY asks each client for that key; without it, keep the server on localhost.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import io
import json
import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Annotated, Any, Literal

import torch
from PIL import Image
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from transformers import TextStreamer

import himap
from himap.errors import first_line, shown
from objectives.data.images import MOST_PIXELS, viewed
from objectives.errors import DataError
from objectives.evaluation.checkpoints import resolve
from objectives.evaluation.models import LoadedModel, load
from objectives.evaluation.prompt_check import MOST_TOKENS
from objectives.options import add_model_options, run_command

PATH, MOST_BYTES, FORMATS = "/v1/chat/completions", 32 * 2**20, ("PNG", "JPEG", "WEBP", "GIF")


class Part(BaseModel, extra="forbid"):
    type: Literal["text", "image_url"]
    text: str = ""
    image_url: dict[Literal["url"], str] = {}


class Message(BaseModel, extra="forbid"):
    role: Literal["system", "user", "assistant"]
    content: Annotated[
        list[Part], BeforeValidator(lambda c: [{"type": "text", "text": c}] if isinstance(c, str) else c)
    ]


class ChatRequest(BaseModel, extra="forbid"):  # a field that the server would ignore is refused
    messages: Annotated[list[Message], Field(min_length=1)]
    model: str = ""
    max_tokens: Annotated[int, Field(ge=1, le=1024)] = 64
    temperature: Annotated[float, Field(ge=0, le=0)] = 0  # greedy, as a preset is measured
    stream: bool = False
    stream_options: dict[Literal["include_usage"], bool] = {}


class Stream(TextStreamer):
    """Sends the text of an answer word by word, as `generate` produces its tokens."""

    def __init__(self, tokenizer: Any, send: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._send = send

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._send(text)


def decoded(url: str, most_pixels: int) -> Image.Image:
    """Return the image of a data URL; any other address, or an image of more pixels, is refused."""
    head, _, data = url.partition(",")
    if not re.fullmatch(r"data:image/[\w.+-]+;base64", head):
        raise DataError(f"got an image at {shown(url)}; expected data:image/png;base64,...; send the image itself")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=FORMATS)
        if image.width * image.height > most_pixels:
            raise ValueError(f"the images have more than {MOST_PIXELS:,} pixels together")
        return viewed(image, "the image")
    except Exception as error:  # decoders raise anything
        raise DataError(f"cannot take an image: {first_line(error)}; send a {', '.join(FORMATS)} file") from error


def prompt(loaded: LoadedModel, request: ChatRequest) -> dict[str, torch.Tensor]:
    """Return the model's inputs of a conversation; one that the model cannot take is refused."""
    tokens, images = loaded.processor.tokenizer.added_tokens_decoder.values(), list[Image.Image]()
    turns: list[dict[str, Any]] = [{"role": message.role, "content": []} for message in request.messages]
    for i, part in [(i, part) for i, message in enumerate(request.messages) for part in message.content]:
        if held := [token.content for token in tokens if token.special and token.content in part.text]:
            raise DataError(f"a text holds {held[0]!r}, which the model does not read as text; delete it")
        if part.type == "image_url":
            pixels = sum(image.width * image.height for image in images)
            images.append(decoded(part.image_url.get("url", ""), MOST_PIXELS - pixels))
        turns[i]["content"].append({"type": "text", "text": part.text} if part.type == "text" else {"type": "image"})
    try:
        chat = loaded.processor.apply_chat_template(turns, add_generation_prompt=True)
        batch = loaded.processor(images=[images] if images else None, text=[chat], return_tensors="pt")
    except Exception as error:  # chat templates and image processors raise anything
        raise DataError(f"the model cannot take these messages ({first_line(error)})") from error
    room = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None) or MOST_TOKENS
    if (length := batch["input_ids"].shape[1] + request.max_tokens) > min(room, MOST_TOKENS):
        raise DataError(f"prompt and answer make {length:,} tokens; expected at most {min(room, MOST_TOKENS):,}")
    return {name: value.to(loaded.device) for name, value in batch.items()}


def complete(
    loaded: LoadedModel, request: ChatRequest, inputs: dict[str, torch.Tensor], streamer: Stream | None = None
) -> tuple[str, str, dict[str, int]]:
    """Return the answer, why it ends, and how many tokens it took, in OpenAI's words."""
    with torch.inference_mode():
        output = loaded.model.generate(**inputs, max_new_tokens=request.max_tokens, do_sample=False, streamer=streamer)
    asked, new = inputs["input_ids"].shape[1], output[0, inputs["input_ids"].shape[1] :]
    answer = loaded.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    reason = "length" if len(new) == request.max_tokens else "stop"
    return answer, reason, {"prompt_tokens": asked, "completion_tokens": len(new), "total_tokens": asked + len(new)}


class Handler(BaseHTTPRequestHandler):  # every error is one line of JSON
    loaded: LoadedModel
    api_key = ""
    timeout = 10  # seconds of silence after which a client is dropped
    streaming = False

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        given = self.headers.get("Authorization", "").encode("utf-8", "replace")
        if self.api_key and not hmac.compare_digest(given, f"Bearer {self.api_key}".encode()):
            return self.send_error(401, "got no valid key; send the header Authorization: Bearer KEY")
        if self.path != PATH or not re.fullmatch("[0-9]{1,9}", length) or int(length) > MOST_BYTES:
            return self.send_error(400, f"got {shown(length)} bytes; expected at most {MOST_BYTES:,}, sent to {PATH}")
        try:
            self.answer(ChatRequest.model_validate_json(self.rfile.read(int(length))))
        except ValidationError as error:
            defect = error.errors()[0]
            self.send_error(400, f"{'.'.join(map(str, defect['loc'])) or 'the body'}: {defect['msg']}")
        except (DataError, himap.HimapError) as error:
            self.send_error(400, first_line(error))
        except OSError:
            raise  # the client has gone
        except Exception as error:  # a model raises anything; the next request may be fine
            self.send_error(500, f"the model failed ({first_line(error)})")

    def answer(self, request: ChatRequest) -> None:
        inputs = prompt(self.loaded, request)
        head = {"id": f"chatcmpl-{time.time_ns()}", "created": int(time.time()), "model": request.model}
        if not request.stream:
            text, reason, usage = complete(self.loaded, request, inputs)
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
            return self.reply(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})

        def send(delta: dict[str, str], reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            self.event({**head, "object": "chat.completion.chunk", "choices": [choice]})

        self.head(200, "text/event-stream")
        self.streaming = True
        send({"role": "assistant", "content": ""})
        streamer = Stream(self.loaded.processor.tokenizer, lambda text: send({"content": text}))
        _, reason, usage = complete(self.loaded, request, inputs, streamer)
        send({}, reason)
        if request.stream_options.get("include_usage"):
            self.event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        kind = "server_error" if code >= 500 else "invalid_request_error"
        content = {"error": {"message": message or self.responses[code][0], "type": kind}}
        if self.streaming:  # the status is sent already
            self.event(content)
        else:
            self.reply(code, content)

    def event(self, content: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(content)}\n\n".encode())

    def head(self, code: int, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def reply(self, code: int, content: dict[str, Any]) -> None:
        self.head(code, "application/json")
        self.wfile.write(f"{json.dumps(content)}\n".encode())


def serve(options: argparse.Namespace) -> int:
    Handler.api_key = options.api_key
    Handler.loaded = load(resolve(options.model, options.weights).weights)
    with himap.prune(Handler.loaded.model, options.preset), HTTPServer((options.host, options.port), Handler) as server:
        print(f"serving on http://{options.host}:{server.server_port}{PATH}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a model that is pruned by a preset, over OpenAI's chat API.")
    parser.add_argument("preset", help="a preset file of this model")
    add_model_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="default 8000; 0 takes a free one")
    parser.add_argument("--api-key", default="", help="key that clients must send (default: none)")
    raise SystemExit(run_command(lambda: serve(parser.parse_args())))
