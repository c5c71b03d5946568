r"""The grammar of free-text answers to a user's own questions: what markup means, and where an answer stands.

    answer   = [reasoning "</think>"] text        an <answer> tag or the last \boxed{} replaces the text
    text     = bare | frame value | sentence      read by `free_choice`, `free_number` and `free_yes_no`
    frame    = noun [is] | "=" | ...              "The answer is", "Final answer:", "答案是", "Antwort:"
    denied   = negation ... value                 "not A", "isn't a dog": never the reading

Two values that disagree are no reading, except where a later one corrects an earlier one ("Wait, ...") or concludes.
The readers prefer no reading to a wrong one. Published benchmarks keep their official rules instead.
"""

from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPT = re.compile(r"(?<=\w)[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.IGNORECASE | re.DOTALL)
_SIGNS = str.maketrans({"\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2212": "-", "’": "'", "٫": ".", "٬": ","})
_MARKUP = (
    (re.compile(r"(?<=\d)\*\*(?=\d)"), "^"),
    (re.compile(r"(?<=\d)_(?=\d{3})"), ""),
    (re.compile(r"<\|[^|<>]*\|>|</?[A-Za-z]\w*\s*/?>"), " "),
    (re.compile(r"~~.*?~~", re.DOTALL), " "),  # struck out
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|mathit|textrm|emph)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\[()\[\],;! ]"), ""),
    (re.compile(r"\\([$%#&_])"), r"\1"),
    (re.compile(r"\$\$?([^$]+?)\$\$?(?!\d)"), r"\1"),  # a formula; "$5" alone is money
    (re.compile(r"^[ \t]*(?:#{1,6}\s|>+(?!\s*[-+$€£]?\d)|[*•]\s)+", re.MULTILINE), ""),  # "> 5" is no quotation
    (re.compile(r"\*\*|`+|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|(?<![^\W_])_+|_+(?![^\W_])"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<![\w)])(?<![\w)] )-\s?\((\d[\d.,]*)\)"), r"-\1"),
    (re.compile(r"[\"“”„«»「」『』]|(?<!\w)'|'(?!\w)"), ""),
    (re.compile(r"[。｡]"), ". "),
    (re.compile(r"^\s*(?:assistant|ai|bot)\s*:\s*", re.IGNORECASE), ""),
)
LONGEST_CLAUSE = 200  # letters; a bound keeps the time linear in the text
_SPACES = re.compile(r"[^\S\n]+")

# The common frames of other languages stand beside the English ones; copulas are shared.
_NOUNS = (
    r"\b(?:answer|ans\.?|option|choice|letter|solution|match|selection|result|prediction|response|output|conclusion"
    r"|correct|final|antwort|lösung|réponse|respuesta|risposta|resposta|opción|opção|ответ|вариант|відповідь"
    r"|antwoord|svar|odpowiedź|odpověď|válasz|vastaus|răspuns|cevap|yanıt|jawaban|đáp án|câu trả lời|απάντηση)"
    "|答案|选项|選項|答え|正解|回答|정답|답|الإجابة|الجواب|پاسخ|תשובה|उत्तर|जवाब|ค\u0e4d\u0e32ตอบ"
)
_COPULAS = (
    r"'s\b|\b(?:is|was|(?:would|must|should|will|could|can) (?:then )?be|seems to be|appears to be)\b"
    r"|\b(?:ist|lautet|est|es|é|è|это)\b|应该是|應該是|是|为|為|は|은|는|هو|هي|है"
)
_FILLERS = (
    r"(?:(?:clearly|therefore|thus|simply|most likely|probably|the|option|choice|letter|answer|number|opción|opção"
    r"|la|le|el|die|a(?=\s[B-Z]\b))\b\s*)*"
)
_OF = (
    r"(?:\s*\([^()\n]{0,20}\)|\s(?:to|for) (?:the|this|your) \w+|\s(?:correcta?|correta|corretta|correcte|richtig)\b)?"
)
FRAME = re.compile(rf"(?:{_NOUNS}){_OF}\s*(?:(?:{_COPULAS})\s*:?|[:=→]|->|[-–—](?=\s))\s*{_FILLERS}", re.IGNORECASE)
CORRECTION = re.compile(
    r"\b(?:wait|actually|no(?=[,:.;])|sorry|correction|rather|i mean|instead|scratch that|let me re)\b", re.I
)
CONCLUSION = re.compile(
    r"\b(?:final|finally|so|thus|therefore|hence|in conclusion|overall"
    r"|i(?:'ll| would|'d)? (?:choose|pick|select|go with))\b"
    r"|\n\s*answer|最终|因此|所以",
    re.I,
)
_NEGATION = re.compile(
    r"\b(?:not|no(?! doubt)|never|neither|nor|cannot|without(?! (?:a )?doubt)"
    r"|(?<!no )(?<!a )(?<!out )doubt|isnt"
    r"|nicht|kein\w*|pas|não|не|нет|rather than|instead of|unlike)\b"
    r"|n't\b|不是|没有|不",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;.!?:\n]|\b(?:so|but|because|hence|thus|therefore|since|and it)\b", re.IGNORECASE)


def plain(answer: str) -> str:
    """Return an answer without reasoning, markup and quotes, in NFKC with ASCII digits; powers are written "^"."""
    text = answer.rpartition("</think>")[2]
    if "<think>" in text:
        return ""  # the reasoning was cut off before any answer
    text = tags[-1] if (tags := _TAG.findall(text)) else text
    text = _SUPERSCRIPT.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]), text)
    text = _VULGAR.sub(lambda match: " " + unicodedata.normalize("NFKC", match[0]), text)
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).replace("\u2044", "/")
    text = "".join(str(unicodedata.decimal(c, c)) for c in text if unicodedata.category(c) != "Cf")
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    text = boxes[-1] if (boxes := _BOXED.findall(text)) else text
    return "\n".join(_SPACES.sub(" ", line).strip(" {}") for line in text.splitlines()).strip()


def denied(text: str, position: int) -> bool:
    """Return whether a negation stands before `position` in its clause."""
    earliest = max(0, position - LONGEST_CLAUSE)
    start = max((match.end() for match in _CLAUSE.finditer(text, earliest, position)), default=earliest)
    return _NEGATION.search(text, start, position) is not None


def settle(text: str, claims: list[tuple[int, str]]) -> str | None:
    """Return the value that (position, value) claims agree on, or that the last one corrects or concludes."""
    claims = sorted(claims)
    if len({value for _, value in claims}) <= 1:
        return claims[0][1] if claims else None
    last = claims[-1][1]
    end = max(position for position, value in claims if value != last)
    start = min(position for position, value in claims if value == last and position > end)
    between = text[end + 1 : start]
    return last if CORRECTION.search(between) or CONCLUSION.search(between) else None
