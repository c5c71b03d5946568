"""Read yes or no in a free-text answer.

    implied  = the whole answer                     "Definitely not", "It is.", "I think so"
    framed   = frame (yes | no)                     "The answer is no"; the last one counts
    start    = (yes | no) [further sentences]       "Yes, there are two", "いいえ", "Nein"
    word     = the only English yes or no           "Based on the image, yes, the man is smiling."
    denial   = "there is not", "does not show"      "I do not see any people.": no

"no doubt" and the like are no "no". An answer that is unsure, or holds both words, needs one that stands alone.
"""

from __future__ import annotations

import re

from objectives.benchmarks.rules.free_text import FRAME, denied, plain, settle

_UNSURE = re.compile(
    r"\b(?:enough|(?:to|can't|cannot|can not) (?:tell|say|know|see|answer|determine\w*)|be determined|unable"
    r"|unclear|unsure|not sure|don't know|sorry|impossible)\b",
    re.IGNORECASE,
)
_YES = (
    "yes|yeah|yep|yup|ja|oui|sí|si|sim|sì|да|نعم|हाँ|हां|是|是的|有|对|對|はい|네|예"
    "|tak|ano|igen|kyllä|evet|có|vâng|ya|ναι|כן|بله|ใช่"
)
_NO = (
    "no|nope|nah|nein|non|não|нет|لا|नहीं|不|不是|否|没有|沒有|不对|いいえ|아니요|아니오"
    "|nie|nem|nee|nej|nei|ei|hayır|không|tidak|όχι|לא|نه|خیر|ไม่|ไม่ใช่"
)
_EITHER = re.compile(
    r"\byes\b\s*(?:,?\s*(?:or|and)\b|/)\s*no\b|\bno\b\s*(?:,?\s*(?:or|and)\b|/)\s*yes\b", re.IGNORECASE
)
_WORD = re.compile(rf"(?:(?P<yes>{_YES})|(?P<no>{_NO}))(?!\w)", re.IGNORECASE)
_ENGLISH = re.compile(r"\b(?:(?P<yes>yes)|(?P<no>no))\b", re.IGNORECASE)
_ALONE = re.compile(
    r"(?:^|(?<=[,.;:!\n])|\b(?:but|actually|wait|rather|sorry)\b)\s*(?:(?P<yes>yes)|(?P<no>no))(?=\s*(?:[,.;:!\n]|$))",
    re.IGNORECASE,
)
_SUBJECT = r"(?:it|he|she|they|there) (?:is|are|was|were|does|do|did|has|have|can)"
_IMPLIED = re.compile(  # the whole answer
    rf"(?P<no>(?:no, )?{_SUBJECT}(?:n't| not)|not (?:really|at all)|i (?:don't|do not) (?:think|believe) so"
    r"|(?:of course|absolutely|certainly|definitely|i guess|i'm afraid|i am afraid) not|incorrect|false|wrong|negative)"
    rf"|(?P<yes>{_SUBJECT}|i (?:think|believe|guess) so"
    r"|of course|absolutely|certainly|definitely|indeed|sure|correct|true|affirmative)",
    re.IGNORECASE,
)
_IDIOM = re.compile(
    r"\bno (?:doubt|question|longer|wonder|matter|one|image|picture|idea|way to|answer|information)\b|\bno\.? ?\d", re.I
)
_DENIAL = re.compile(
    r"\bthere (?:is|are|was|were)(?:n't| not)\b|\b(?:do|does|did)(?:n't| not) "
    r"(?:see|show|contain|have|appear|look|include|depict|seem|feature)\b(?! (?:the|an?|any) (?:image|picture|photo))",
    re.IGNORECASE,
)


def read_yes_no(answer: str) -> str | None:
    """Return "yes" or "no" for an answer that says or clearly implies one; None for all others."""
    text = plain(answer)
    if _EITHER.search(text):
        return None
    if text.casefold() in ("y", "n"):
        return "yes" if text.casefold() == "y" else "no"
    if implied := _IMPLIED.fullmatch(text.strip(" .!")):
        return implied.lastgroup
    framed = [m.lastgroup for frame in FRAME.finditer(text) if (m := _WORD.match(text, frame.end()))]
    if framed:
        return framed[-1]
    text = text.lstrip("-([ ")
    start = None if _IDIOM.match(text) else _WORD.match(text)
    alone = [(match.start(str(match.lastgroup)), str(match.lastgroup)) for match in _ALONE.finditer(text)]
    if start:
        return settle(text, [(0, str(start.lastgroup)), *alone])
    words = [match for match in _ENGLISH.finditer(_IDIOM.sub(" ", text)) if not denied(text, match.start())]
    kinds = {match.lastgroup for match in words}
    if _UNSURE.search(text) or len(kinds) > 1:
        return settle(text, alone) if len({kind for _, kind in alone}) == 1 else None
    return kinds.pop() if kinds else "no" if _DENIAL.search(text) else None
