"""Values and texts that readers get wrong, and ways to damage what was right."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

_TEXTS = (
    *("", " ", "\n", "nan", "NaN", "null", "true", "050", "1:30", "1e5", "-0", "0x10", "½", "٣", "３"),
    *("Ａ", "A.", "(b)", "yes", "no", "Yes.", "a\x00b", "\ud800", "\u202eabc", "e\u0301", "🎉" * 3, "<image>", "<s>"),
    *("{{x}}", "%s", "\\", "x" * 1_000, "9" * 400, "a\tb", "a\r\nb", "\u2028", "\ufeff"),
    *("../..", "/etc/passwd", "~", "-", "--help", "$HOME"),
)
_NUMBERS = (0, 1, -1, 2, 3.5, 100, 1e308, -1e-320, 10**30, 2**31, 2**63, -(2**63) - 1, float("nan"), float("inf"))


def any_value(rng: random.Random, depth: int = 0) -> Any:
    """Return a value of any JSON type."""
    kind = rng.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return rng.choice(_NUMBERS)
    if kind in (3, 4):
        return rng.choice(_TEXTS)
    if kind == 5:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_TEXTS): any_value(rng, depth + 1) for _ in range(rng.randrange(4))}


def any_text(rng: random.Random) -> str:
    """Return an odd text."""
    return rng.choice(_TEXTS)


def changed(rng: random.Random, value: Any) -> Any:
    """Return a JSON value with one part replaced, dropped, doubled, renamed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        ways: Sequence[Callable[[], dict[Any, Any]]] = (
            lambda: {**value, name: changed(rng, value[name])},
            lambda: {**value, name: any_value(rng)},
            lambda: {k: v for k, v in value.items() if k != name},
            lambda: {**value, any_text(rng): any_value(rng)},
            lambda: {(name.upper() if k == name else k): v for k, v in value.items()},
        )
        return rng.choices(ways, [4, 2, 1, 1, 1])[0]()
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        items = [
            [*value[:at], changed(rng, value[at]), *value[at + 1 :]],
            value[:at],
            value * 2,
            [*value, any_value(rng)],
        ]
        return rng.choice(items)
    return any_value(rng)


def as_json(rng: random.Random, value: Any) -> bytes:
    """Return a value as JSON, in an odd but possible form."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 2]))
    return text.encode("utf-8", "surrogatepass")


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Return bytes that are cut off, flipped, repeated, spliced, in another encoding or very deep."""
    at, end = sorted((rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)))
    ways: Sequence[Callable[[], bytes]] = (
        lambda: content[:at],
        lambda: content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :],
        lambda: content[:at] + content[at:end] * 3 + content[end:],
        lambda: (
            content[:at]
            + rng.choice([b"\x00", b"\xff\xfe", b"\r", b'"', b"{", b"[", b"&a *a", b"!!python/x"])
            + content[at:]
        ),
        lambda: b"\xef\xbb\xbf" + content,
        lambda: content.decode("utf-8", "replace").encode("utf-16"),
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: b"[" * 100_000,
        lambda: b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        lambda: content + b" " * 100_000,
        lambda: content * 40,
        lambda: rng.randbytes(rng.randrange(300)),
    )
    return rng.choices(ways, [6, 6, 3, 4, 1, 1, 1, 1, 1, 1, 1, 2])[0]()
