"""URLs of stores as they may be shown: no part of a password is in them."""

from __future__ import annotations

import re

_HIDDEN = "***"
_PLAIN = re.compile(  # options of a URL that hold no secret
    "host|hostaddr|port|dbname|user|service|passfile|sslmode|sslrootcert|sslcert|sslkey|channel_binding|gssencmode|"
    r"keepalives\w*|application_name|connect_timeout|options|target_session_attrs"
)
_SECRET = re.compile(r"(passw\w*|pwd)\s*=|:[^@\s]*@", re.IGNORECASE)  # in what is no URL
_SERVER = re.compile(r"(\[[\da-fA-F:.%]*\]|[^:/?@\[\]]*)(:\d*)?")


def masked(url: str) -> str:
    """Return a URL with *** in place of each password; where it cannot be read, of all that may hold one."""
    return _rewritten(url, keep=_HIDDEN)


def without_password(url: str) -> str:
    """Return a URL without its password, for commands: the database's client takes PGPASSWORD or ~/.pgpass instead."""
    return _rewritten(url, keep="")


def mask_words(text: str, words: list[str]) -> str:
    """Return a text with those of the words masked that may hold a password."""
    for word in words:
        if ("://" in word or _SECRET.search(word)) and masked(word) != word:
            text = text.replace(word, masked(word)).replace(repr(word)[1:-1], masked(word))
    return text


def _rewritten(url: str, keep: str) -> str:
    scheme, colon, rest = url.partition("://")
    if not colon:
        return _HIDDEN if _SECRET.search(url) else url
    if scheme.endswith("sqlite") and rest.startswith("/"):
        path, question, query = rest.partition("?")
        return f"{scheme}://{path}{question}{_options(query, keep)}"
    place, question, query = rest.partition("?")
    if ":" in place and "@" in query:  # the ? belongs to a password, or the @ to an option
        before, _, after = query.rpartition("@")
        if "=" in before:
            return f"{scheme}://{_HIDDEN}"
        after, question, query = after.partition("?")
        place = f"{place}?{before}@{after}"
    credentials, at, address = place.rpartition("@")
    user, secret, _ = credentials.partition(":")
    server, slash, database = address.partition("/")
    if not _SERVER.fullmatch(server) or _SECRET.search(database):
        return f"{scheme}://{_HIDDEN}"
    tail = _options(query, keep)
    password = f":{keep}" if secret and keep else ""
    return f"{scheme}://{user}{password}{at}{server}{slash}{database}{question if tail else ''}{tail}"


def _options(query: str, keep: str) -> str:
    return "&".join(filter(None, (_option(word, keep) for word in re.split("[&;]", query) if word)))


def _option(word: str, keep: str) -> str:
    name, equals, _ = word.partition("=")
    if _PLAIN.fullmatch(name):
        return word
    if not keep:
        return ""
    return f"{name}={keep}" if equals and re.fullmatch("[a-z_]+", name) else keep
