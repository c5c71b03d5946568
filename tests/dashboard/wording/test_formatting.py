"""Numbers in words, and stored text made harmless."""

from __future__ import annotations

import math

import pytest

from dashboard.wording import formatting


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (formatting.percent(0.8614), "86.1 %"),
        (formatting.percent(math.nan), "–"),
        (formatting.points(-0.0042), "−0.4 points"),
        (formatting.points(0.02), "+2.0 points"),
        (formatting.points(-0.0001), "±0.0 points"),
        (formatting.points(math.nan), "–"),
        (formatting.amount(7.123e12, "FLOPs"), "7.12 TFLOPs"),
        (formatting.amount(379e6, " multiply-adds"), "379 M multiply-adds"),
        (formatting.amount(12.0, "FLOPs"), "12 FLOPs"),
        (formatting.amount(0.0, "FLOPs"), "0 FLOPs"),
        (formatting.amount(math.nan, "FLOPs"), "–"),
        (formatting.number(50.0), "50"),
        (formatting.number(72.25), "72.2"),
        (formatting.number(100.0, 0), "100"),
        (formatting.number(math.inf), "–"),
        (formatting.milliseconds(12.5, 12.0, 13.25), "12.5 ms (12.0–13.2)"),
        (formatting.milliseconds(12.5), "12.5 ms"),
        (formatting.milliseconds(math.nan, 1.0, 2.0), "–"),
        (formatting.sentence("got x; expected y"), r"Got x; expected y\."),
    ],
)
def test_numbers_in_words(got: str, expected: str) -> None:
    assert got == expected


def test_markdown_loses_its_meaning() -> None:
    assert formatting.plain("a_b *c* [d](e)\n| <f>") == r"a\_b \*c\* \[d\]\(e\) \| \<f\>"
    assert formatting.plain(":red[x] $y$ `z` ~q~ #1") == r"\:red\[x\] \$y\$ \`z\` \~q\~ \#1"


def test_tags_lose_their_meaning() -> None:
    assert formatting.inert("<b>1 < 2 & 3</b>\n'x'") == "&lt;b&gt;1 &lt; 2 &amp; 3&lt;/b&gt; 'x'"
