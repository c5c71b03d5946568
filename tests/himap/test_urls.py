"""No part of a password is shown, whatever the URL looks like."""

from __future__ import annotations

import re

import pytest

from himap.urls import mask_words, masked, without_password


@pytest.mark.parametrize(
    ("url", "shown", "bare"),
    [
        ("sqlite:///a/b.db?password=s3cret", "sqlite:///a/b.db?password=***", "sqlite:///a/b.db?"),
        ("postgresql://himap:pass@host/db", "postgresql://himap:***@host/db", "postgresql://himap@host/db"),
        ("postgresql://himap:p@ss@host:5432/db", "postgresql://himap:***@host:5432/db", None),
        ("postgresql://himap:p/s:s@host/db", "postgresql://himap:***@host/db", None),
        ("postgresql://himap:p?s#s@host/db", "postgresql://himap:***@host/db", None),
        ("postgresql://himap:the pass@host/db", "postgresql://himap:***@host/db", None),
        ("postgresql://host/db?user=u&password=s3cret", "postgresql://host/db?user=u&password=***", None),
        (
            "postgresql://host/db?user=u&sslpassword=s3cret&sslmode=require",
            "postgresql://host/db?user=u&sslpassword=***&sslmode=require",
            "postgresql://host/db?user=u&sslmode=require",
        ),
        ("postgresql://host/db?passwrd=s3cret", "postgresql://host/db?passwrd=***", "postgresql://host/db"),
        ("postgresql://host/db?s3cret", "postgresql://host/db?***", "postgresql://host/db"),
        ("postgresql://host/db?password=p@ss", "postgresql://host/db?password=***", "postgresql://host/db"),
        ("postgresql://u@host/db?user=u&password=p@ss", "postgresql://u@host/db?user=u&password=***", None),
        ("postgresql://host:5432/db?password=s3@cret:5", "postgresql://***", None),
        ("postgresql://host/db;password=s3cret", "postgresql://***", None),
        ("postgresql://u@host/db?passfile=/a/b&channel_binding=require", None, None),
        ("postgresql://u:s3cret", "postgresql://***", None),
        ("postgresql://u:s3/cret", "postgresql://***", None),
        ("postgresql://u:s3cret@[::1]:5432/db", "postgresql://u:***@[::1]:5432/db", None),
        ("postgresql://u@host", "postgresql://u@host", None),
        ("--storage=postgresql://u:s3cret@host/db", "--storage=postgresql://u:***@host/db", None),
        ("himap:p@ss@host/db", "***", None),
        ("postgresql//u:s3cret@host:port/db", "***", None),
        ("host=localhost password=s3cret", "***", None),
        ("himap.db", "himap.db", None),
        ("sqlite:////data/a:b@c/my file.db", "sqlite:////data/a:b@c/my file.db", None),
    ],
)
def test_what_is_shown(url: str, shown: str | None, bare: str | None) -> None:
    shown = url if shown is None else shown
    assert masked(url) == shown
    assert masked(shown) == shown
    assert without_password(url) == (shown.replace(":***@", "@") if bare is None else bare) or "***" in shown
    for secret in ("pass", "p@ss", "ss@", "s3cret", "s3", "cret"):
        assert secret not in re.sub("sslpassword|passfile", "", without_password(url))


def test_words_of_a_command_line_in_a_message() -> None:
    words = ["--storge", "postgresql://u:a 'b\\c@h/d", "--model", "x@y"]
    text = f"unrecognized arguments: {' '.join(words)}; invalid choice: {words[1]!r}"
    shown = mask_words(text, words)
    assert shown == (
        'unrecognized arguments: --storge postgresql://u:***@h/d --model x@y; invalid choice: "postgresql://u:***@h/d"'
    )
