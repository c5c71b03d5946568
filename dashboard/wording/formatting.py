"""Numbers as people read them, and stored text made safe for a page. All text of a store passes through here."""

from __future__ import annotations

import html
import math
import re

NOT_MEASURED = "–"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def plain(text: str) -> str:
    """Return stored text for a place that reads Markdown: shown literally, never as markup, link or picture."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def inert(text: str) -> str:
    """Return stored text for plotly, which reads a part of HTML: shown literally."""
    return html.escape(" ".join(text.split()), quote=False)


def capitalized(text: str) -> str:
    """Return the text with a capital letter in front; the rest stays."""
    return f"{text[:1].upper()}{text[1:]}"


def sentence(message: str) -> str:
    """Return a message (of an error, say) as a sentence that a page shows literally."""
    return plain(f"{capitalized(message)}.")


def percent(value: float, digits: int = 1) -> str:
    """Return a share (0 to 1) in percent: `86.1 %`."""
    return f"{100 * value:.{digits}f} %" if math.isfinite(value) else NOT_MEASURED


def points(value: float) -> str:
    """Return a difference of two shares in percentage points with its sign: `−0.4 points`."""
    if not math.isfinite(value):
        return NOT_MEASURED
    rounded = round(100 * value, 1)
    sign = "−" if rounded < 0 else "+" if rounded > 0 else "±"
    return f"{sign}{abs(rounded):.1f} points"


def duration(seconds: float) -> str:
    """Return a duration in one unit: `12 s`, `5 min`, `3 h`, `2 days`."""
    for unit, size, until in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{max(0.0, seconds) / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def scaled(largest: float) -> tuple[float, str]:
    """Return the divisor and the prefix (M, G, T …) that make numbers up to `largest` easy to read."""
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if math.isfinite(largest) and largest >= factor:
            return factor, prefix
    return 1.0, ""


def amount(value: float, unit: str) -> str:
    """Return a large amount with three significant digits: `7.12 GFLOPs`."""
    if not math.isfinite(value):
        return NOT_MEASURED
    factor, prefix = scaled(value)
    return f"{value / factor:.3g} {prefix}{unit}"


def number(value: float, digits: int = 1) -> str:
    """Return a number with at most `digits` decimals, without trailing zeros: `50`, `72.3`."""
    if not math.isfinite(value):
        return NOT_MEASURED
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def milliseconds(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Return a latency with its interval where that is known: `12.5 ms (12.0–13.3)`."""
    return f"{value:.1f} ms{_between(low, high, 1)}" if math.isfinite(value) else NOT_MEASURED


def speedup(value: float, low: float, high: float) -> str:
    """Return a speed-up over dense with its interval: `speed-up ×1.64 (1.58–1.70)`."""
    return f"speed-up ×{value:.2f}{_between(low, high, 2)}"


def _between(low: float, high: float, digits: int) -> str:
    return f" ({low:.{digits}f}–{high:.{digits}f})" if math.isfinite(low) and math.isfinite(high) else ""
