"""Read which option of a multiple choice a free-text answer means.

    whole    = an option's text, or its only number          "a dog", "three" of 3, "20" of "20 km"; texts come first
    label    = letter mark [own text | sentence]             "B", "(b) dog", "B. It barks." on the first or last line
    framed   = frame (letter | text), letter "is" "correct"  "The answer is B", "I'd go with B", "B is right"
    mention  = the words of one option only                  "There is a dog on the grass."

"a" before a word is an article; several letters, or a label beside the words of another option, are no reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from objectives.benchmarks.rules.free_number import read_number
from objectives.benchmarks.rules.free_text import CORRECTION, FRAME, LONGEST_CLAUSE, denied, plain, settle

_SEVERAL = ""  # the value of a claim that names several letters, or contradicts itself
_NO_WORD = r"(?![A-Za-z0-9À-ɏ'])"
_ARTICLE = re.compile(r"^(?:an?|the|it is|it's|this is|that is|that's)\s+")
_NUMERAL = re.compile(r"\W*\d[\d.,/ ]*\W*")
_LATIN = {"ا": "A"} | {  # the letters that number options in other scripts; В is the third of them, or like a B
    letter: chr(65 + i)
    for letters in ("أبجده", "אבגדה", "ΑΒΓΔΕ", "АБ Г", "甲乙丙丁戊", "กขคงจ", "가나다라마", "कखगघङ")
    for i, letter in enumerate(letters)
    if letter != " "
}
_OTHER_SCRIPT = re.compile(rf"[^\w\n]*([{''.join(_LATIN)}])(?=[^\w\n]*(?:\n|$)|\s*[).:、])")
_AMOUNT = re.compile(r"([$€£¥₹]?)\s?\d(?:[\d.,/]*\d)?\s?([^\W\d_]+|[%°]\w*)?")
_LETTER = re.compile(rf"[ ,:.]*[(\[]?\s*([A-Za-z])\s*[)\]]?{_NO_WORD}")
_LABEL = re.compile(
    r"[-–\s(\[]*(?!(?:[A-Za-z]\.){2})([A-Za-z])"  # not "e.g." or "U.S."
    r"(?:(?P<mark>\s*[)\].:,、;!]+|\s+[-–—](?=\s)|\s*\n|\s*$|\s+(?=because\b|since\b|due to\b"
    r"|for sure\b|it is\b|rather than [A-Z]\b|instead of [A-Z]\b|\(?not [A-Z]\b)|\s*\?$)|\s+)\s*"
)
_ANOTHER = re.compile(rf"\s*(?:,|/|&|\+|and|or|und|oder|et|y|e|и|和|或|与)?\s*[(\[]?[A-Z][)\]]?{_NO_WORD}(?!\s+[a-z])")
_LISTED = re.compile(r"(?:^|[\s(])([A-Z])[).:]\s")
_CONNECTOR = re.compile(r"\s+(?:because|since|as|but|which|for|due|given|not)\b")
_PICKED = re.compile(
    r"\b(?:choose|chose|pick|select|opt for|go(?:ing)? (?:with|for)|went with|say|vote for)\s+"
    r"(?:option |choice |answer |letter )?"
    r"|\b(?:option|choice)(?=\s*\()"
    r"|\b(?:it|that|this|which)(?:'s| is| must be| would be) (?:option |choice |letter )?"
    r"|(?:^|[,.;\n]\s*)(?:and )?(?:so|thus|hence|therefore|yes|hmm)\b"
    r"|(?:^|[,.;\n]\s*)(?:definitely|certainly|clearly|probably|most likely|likely|obviously|perhaps|maybe|surely)\b"
    r"|(?:选择?|選擇?|应选)(?=\s*[(A-Z])"
    r"|(?:\bnot|n't) (?:option )?\(?[A-Z]\)?,? but (?:rather )?(?:option )?"
    r"|(?:^|[.\n]\s*)(?:the )?(?:correct )?(?:answer|ans\.?|option|choice|letter|选项|選項)\s*",
    re.IGNORECASE,
)
_WRONG = re.compile(r"(?:is |isn't )?(?:(?i:incorrect|wrong|false)|not(?! [A-Z]\b)|no|ruled out)\b")
_RIGHT = re.compile(
    r"(?<![^\s(*,])\(?([A-Z])\)?(?:[,.]? (?:is|seems|would be|must be) (?:the )?"
    r"(?:most )?(?:correct|right|best|accurate|answer|true|appropriate|what I see)\b"
    r"| (?:fits|matches)\b|\s?(?:选项|項|项|是?正确|是?正確|が正解|[이가] 정답))"
)
_SENTENCE_END = re.compile(r"\s*(?:[.;!)\n]|$|,? (?:not|because|since)\b)")
_ASKED = re.compile(rf"[^.!?\n]{{0,{LONGEST_CLAUSE}}}\?")


def read_choice(answer: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the option that an answer means; None where it means none or several."""
    text = plain(answer)
    texts = [plain(choice) for choice in choices]
    options = [_bare(choice) for choice in texts]
    if whole := _whole(text, texts):
        return whole
    text = _latin(text)
    starts = {0, text.rfind("\n") + 1}
    labels = [(start, letter) for start in starts if (letter := _label(text[start:], options)) is not None]
    claims = [*labels, *_claims(text, options)]
    if not claims:
        return _mentioned(text, options)
    return settle(text, claims) if all(letter for _, letter in claims) else None


def _key(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,!?;:()[]-")


def _bare(text: str) -> str:
    return _ARTICLE.sub("", _key(text))


def _whole(text: str, choices: Sequence[str]) -> str | None:
    """Return the option that is the whole answer: as it stands, without articles, or as a number."""
    forms: list[list[str | float | None]] = [[_key(one) for one in (text, *choices)]]
    forms.append([_bare(one) for one in (text, *choices)])
    if all(_NUMERAL.fullmatch(choice) for choice in choices):
        forms.append([read_number(one) for one in (text, *choices)])
    forms.append(_amounts(text, choices))
    for given, *options in forms:
        if given not in ("", None) and options.count(given) == 1:
            return chr(65 + options.index(given))
    return None


def _amounts(text: str, choices: Sequence[str]) -> list[str | float | None]:
    """Return the only number of a text, then those of the options; None for another unit than the text has."""
    amounts = [_AMOUNT.findall(one.casefold()) for one in (text, *choices)]
    if any(len(found) != 1 for found in amounts):
        return [None]
    (unit,), *units = amounts
    fitting = [unit in (("", ""), other) for (other,) in units]
    return [read_number(text), *(read_number(c) if fits else None for c, fits in zip(choices, fitting, strict=True))]


def _latin(text: str) -> str:
    """Return the text with Latin letters for those of other scripts that stand alone, or behind a frame."""
    for start in sorted({0, *(frame.end() for frame in FRAME.finditer(text))}, reverse=True):
        if match := _OTHER_SCRIPT.match(text, start):
            text = text[: match.start(1)] + _LATIN[match[1]] + text[match.end(1) :]
    return text


def _meant(letter: str, rest: str, options: Sequence[str]) -> str | None:
    """Return the option of a letter before `rest`, which may repeat its text; None for a letter beyond the options."""
    position = ord(letter.upper()) - 65
    bare = _bare(rest)
    if {other for other in _LISTED.findall(rest) if ord(other) - 65 < len(options)} - {letter.upper()}:
        return _SEVERAL
    if position < len(options) and _starts(bare, options[position]):
        return letter.upper()
    if any(_starts(bare, option) for option in options if len(option) > 1) or _ANOTHER.match(rest):
        return _SEVERAL
    if letter.casefold() in options:
        return chr(65 + options.index(letter.casefold()))
    return letter.upper() if position < len(options) else None


def _starts(text: str, words: str) -> bool:
    """Return whether a text begins with an option's words."""
    return bool(words) and text.startswith(words) and not re.match(r"\w", text[len(words) :])


def _label(text: str, options: Sequence[str]) -> str | None:
    """Return the letter that begins a text as a label."""
    match = _LABEL.match(text)
    if not match or ord(match[1].upper()) - 65 >= len(options):
        return None
    rest = text[match.end() :]
    if _WRONG.match(rest):
        return None
    if match["mark"] is None and not _starts(_bare(rest), options[ord(match[1].upper()) - 65]):
        return None
    letter = _meant(match[1], rest, options)
    named = _mentioned(rest, options) if letter and not _claims(rest, options) else None
    if match["mark"] is None and match[1] in "Aa" and named != letter:
        return None  # "A cat is no dog, but ...": an article
    return letter if named in (None, letter) else _SEVERAL


def _claims(text: str, options: Sequence[str]) -> list[tuple[int, str]]:
    """Return the positions and letters of all claims in frames, except for denied ones."""
    claims: list[tuple[int, str | None]] = []
    for pattern in (FRAME, _PICKED, CORRECTION):
        for frame in pattern.finditer(text):
            match = _LETTER.match(text, frame.end())
            if pattern is FRAME and (own := _framed_words(text[frame.end() :], options)):
                claims.append((frame.end(), own))
                continue
            if not match or denied(text, frame.start()):
                continue
            rest = text[match.end() : match.end() + 2 * LONGEST_CLAUSE]
            if _WRONG.match(rest.lstrip(" ,")):
                continue
            if _stands(match[1], rest, pattern is FRAME, options):
                claims.append((match.start(1), _meant(match[1], rest.lstrip(" ,.:"), options)))
            elif _ANOTHER.match(rest) and match[1].isupper():
                claims.append((match.start(1), _SEVERAL))
    claims += [(m.start(1), _meant(m[1], "", options)) for m in _RIGHT.finditer(text) if not denied(text, m.start(1))]
    return [(position, letter) for position, letter in claims if letter is not None]


def _framed_words(text: str, options: Sequence[str]) -> str | None:
    """Return the option whose words begin a text and end a sentence: "left." behind "The right answer is"."""
    words = _ARTICLE.sub("", " ".join(text[: 2 * LONGEST_CLAUSE].casefold().split(" ")).lstrip(" (["))
    for i in sorted(range(len(options)), key=lambda i: -len(options[i])):
        if len(options[i]) > 1 and words.startswith(options[i]):
            return chr(65 + i) if _SENTENCE_END.match(words, len(options[i])) else None
    return None


def _stands(letter: str, rest: str, framed: bool, options: Sequence[str]) -> bool:
    """Return whether a letter stands for itself: not the article of "a dog", nor the subject of "Option A shows"."""
    if _CONNECTOR.match(rest):
        return True
    if _ANOTHER.match(rest):
        return False
    position = ord(letter.upper()) - 65
    own = position < len(options) and _starts(_bare(rest), options[position])
    if position == 0 and rest.startswith(" "):  # may be the article of "a cat or a dog"
        own = own and _mentioned(rest, options) == "A"
    return own or not rest.startswith(" ") or (framed and letter.isupper() and letter not in "AI")


def _mentioned(text: str, options: Sequence[str]) -> str | None:
    """Return the one option whose words stand in the text, outside of questions and negations."""
    named = set()
    for i in sorted(range(len(options)), key=lambda i: -len(options[i])):
        words = options[i]
        if re.search("[\u3040-\u9fff]", words):  # scripts without spaces
            pattern = re.compile(re.escape(words))
        elif re.fullmatch("[a-z]", words):
            pattern = re.compile(rf"(?<!\w){words.upper()}(?![\w'])(?!\s+\w)")
        else:
            pattern = re.compile(rf"(?<!\w)(?<!\d[.,]){re.escape(words)}(?![\w']|[.,]\d)", re.IGNORECASE)
        matches = list(pattern.finditer(text)) if words else []
        if any(not _ASKED.match(text, m.end()) and not denied(text, m.start()) for m in matches):
            named.add(i)
        if matches:
            text = pattern.sub(lambda match: "\0" * len(match[0]), text)
    return chr(65 + named.pop()) if len(named) == 1 else None
