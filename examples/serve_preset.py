"""Serve a model that is pruned by a preset, over HTTP.

    python examples/serve_preset.py presets/qwenvl-pope.yaml --model minis/checkpoints/qwenvl-mini
    curl --data-binary @examples/images/scene-0.png 'http://127.0.0.1:8000/?question=Is+there+a+star?'

The preset is checked against the model when the server starts, and the model stays pruned until it ends.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import torch
from PIL import Image

import himap
from objectives.data.images import read_image
from objectives.errors import DataError
from objectives.evaluation.models import LoadedModel, load

Answer = Callable[[Image.Image, str], str]


def answer(loaded: LoadedModel, image: Image.Image, question: str) -> str:
    """Return what the model generates for one question about one image."""
    inputs = {name: value.to(loaded.device) for name, value in loaded.inputs([question], [[image]]).items()}
    with torch.inference_mode():
        output = loaded.model.generate(**inputs, max_new_tokens=32, do_sample=False)
    prompt = inputs["input_ids"].shape[1]
    text: str = loaded.processor.batch_decode(output[:, prompt:], skip_special_tokens=True)[0]
    return text.strip()


class Handler(BaseHTTPRequestHandler):
    """Answers a POST whose body is an image and whose query holds the question."""

    answer: Answer

    def do_POST(self) -> None:
        question = parse_qs(urlsplit(self.path).query).get("question", [""])[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            image = read_image(io.BytesIO(body))
        except DataError as error:
            self.send_error(400, f"{error}; send a PNG or JPEG file")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"{type(self).answer(image, question)}\n".encode())


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a pruned model over HTTP.")
    parser.add_argument("preset", help="a preset file of this model")
    parser.add_argument("--model", required=True, help="a folder or a hub id")
    parser.add_argument("--port", type=int, default=8000, help="default 8000; 0 takes a free one")
    options = parser.parse_args()

    loaded = load(options.model)
    with himap.prune(loaded.model, options.preset), HTTPServer(("127.0.0.1", options.port), Handler) as server:
        Handler.answer = staticmethod(lambda image, question: answer(loaded, image, question))
        print(f"serving on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
