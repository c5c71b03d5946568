"""Numbers in words, and stored text made harmless."""

from __future__ import annotations

import math

import pytest

from dashboard.wording import text


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (text.percent(0.8614), "86.1 %"),
        (text.percent(math.nan), "–"),
        (text.points(-0.0042), "−0.4 points"),
        (text.points(0.02), "+2.0 points"),
        (text.points(-0.0001), "±0.0 points"),
        (text.points(math.nan), "–"),
        (text.amount(7.123e12, "FLOPs"), "7.12 TFLOPs"),
        (text.amount(379e6, " multiply-adds"), "379 M multiply-adds"),
        (text.amount(12.0, "FLOPs"), "12 FLOPs"),
        (text.amount(0.0, "FLOPs"), "0 FLOPs"),
        (text.amount(math.nan, "FLOPs"), "–"),
        (text.number(50.0), "50"),
        (text.number(72.25), "72.2"),
        (text.number(100.0, 0), "100"),
        (text.number(math.inf), "–"),
        (text.milliseconds(12.5, 12.0, 13.25), "12.5 ms (12.0–13.2)"),
        (text.milliseconds(12.5), "12.5 ms"),
        (text.milliseconds(math.nan, 1.0, 2.0), "–"),
        (text.sentence("got x; expected y"), "Got x; expected y."),
    ],
)
def test_numbers_in_words(got: str, expected: str) -> None:
    assert got == expected


def test_markdown_loses_its_meaning() -> None:
    assert text.plain("a_b *c* [d](e)\n| <f>") == r"a\_b \*c\* \[d\]\(e\) \| \<f\>"
    assert text.plain(":red[x] $y$ `z` ~q~ #1") == r"\:red\[x\] \$y\$ \`z\` \~q\~ \#1"


def test_tags_lose_their_meaning() -> None:
    assert text.inert("<b>1 < 2 & 3</b>\n'x'") == "&lt;b&gt;1 &lt; 2 &amp; 3&lt;/b&gt; 'x'"
