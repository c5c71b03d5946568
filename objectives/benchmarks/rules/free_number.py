"""Read the number that a free-text answer means, as people and charts print numbers.

    number   = [sign] [currency] [sign] digits [exponent | fraction | magnitude] [unit]   "-$5", "1.5×10^3", "5k"
    digits   = groups of three behind , . ' or a space, and a decimal point or comma; "1,200" is 1200, "3,5" is 3.5
    words    = "twenty-one", "three hundred and five", "a dozen", "half", "none", 十二, fünf

The value behind the last frame ("the answer is", "=") counts, else the only one. A percentage is read as its number:
"5%" is 5. Ranges, times and several different numbers are no reading.
"""

from __future__ import annotations

import math
import re

from objectives.benchmarks.rules.free_text import CORRECTION, FRAME, denied, plain

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: i for i, word in enumerate(_ONES.split())} | {word: 10 * i for i, word in enumerate(_TENS.split(), 2)}
_LARGE = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_FOREIGN = {  # 0 to 10, where the word is no other common word
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci",
    "pt": "zero um dois três quatro cinco seis sete oito nove dez",
    "ru": "ноль один два три четыре пять шесть семь восемь девять десять",
}
_WHOLE = {word: float(i) for words in _FOREIGN.values() for i, word in enumerate(words.split())} | {
    "none": 0.0,
    "half": 0.5,
    "a half": 0.5,
    "one half": 0.5,
    "a quarter": 0.25,
    "a third": 1 / 3,
    "half a dozen": 6.0,
}
_MAGNITUDES = (
    ("thousand|тыс|тысяч[аи]?", 1e3),
    ("hundred", 1e2),
    ("millions?|mn|mln|mio|millionen|millones|milhões|milioni|млн|миллион(?:а|ов)?", 1e6),
    ("billions?|bn|bln|mrd|milliarden?|milliards?|млрд|миллиард(?:а|ов)?", 1e9),
    ("trillions?|tn", 1e12),
    ("dozen", 12.0),
    ("lakh", 1e5),
    ("crore", 1e7),
)
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_CJK = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_CJK_DIGITS = {c: i for i, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2, "兩": 2}
_CURRENCY = r"(?:(?:US|C|A|HK|NZ|S|R)?[$€£¥₹₩₽]|(?:USD|EUR|GBP|JPY|CNY|RMB|INR|CHF|CAD|AUD|Rs\.?)(?=[\s\d-]))"
_GROUPS = r"\d{1,3}(?P<by>[,.' ])\d{3}(?:(?P=by)\d{3})*(?!\d)|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)"
_DIGITS = rf"(?P<digits>(?:{_GROUPS}|\d+)(?:[.,]\d+)*|\.\d+)"
_NUMBER = re.compile(
    rf"(?<![A-Za-z0-9^_.,:/])(?<![A-Za-z]-)(?P<open>(?:{_CURRENCY}\s?)?\(\s*)?(?:(?<![\d)%°])(?P<sign>[-+–])\s?|(?P<minus>\b(?:minus|negative)\s))?"
    rf"(?P<money>{_CURRENCY})?\s?(?P<inner>[-+])?{_DIGITS}"
    r"(?:/(?P<below>\d+)|\s(?P<above>\d+)/(?P<under>\d+))?"
    r"(?:[eE](?P<exp>[-+]?\d+)(?![A-Za-z0-9])|\s?[×x*·]\s?10\s?\^\s?[({]?(?P<power>[-+]?\d+)[)}]?"
    r"|\^[({]?(?P<raised>[-+]?\d+)[)}]?)?"
    rf"(?:(?(money)\s?|)(?P<short>[kKMB](?![A-Za-z0-9]))|(?P<million>m(?![A-Za-z0-9]))|\s?(?P<cjk>[十百千]?[万萬亿億]|[百千])"
    rf"|[\s-]?(?P<large>(?i:{'|'.join(words for words, _ in _MAGNITUDES)}))(?![A-Za-z]))?"
)
_SPELLED = "|".join([*sorted(_SMALL, key=len, reverse=True), *_LARGE])
_WORDS = re.compile(
    rf"(?:(?P<minus>\b(?:minus|negative)\s+|(?<![\w-])-\s?)|\b)"
    rf"(?P<words>(?:{'|'.join(_SMALL)}|an? (?=dozen|hundred|thousand|million))"
    rf"(?:(?:[\s-]+(?:and\s+)?)?\b(?:{_SPELLED})\b)*)\b"
    r"(?:(?P<half> and a half\b)"
    r"|[\s-](?P<part>halves|thirds|quarters|fifths|tenths|(?<=one.)(?:half|third|quarter))\b|(?!-\w))",
    re.IGNORECASE,
)
_NO_COUNT = re.compile(
    r"\b(?:no|the(?: \w+)?|this|that|any|every|some|which|each|another) one\b|\bone (?:of|another|can)\b", re.I
)
_NOTHING = re.compile(
    r"(?:there are no(?:t any)? (?!numbers|values|data|image|answer)[a-z ]+"
    r"|no (?!\w*(?:number|value|data|image|answer|idea|clue|way|thanks|problem|text|information))[a-z]+s)",
    re.IGNORECASE,
)
_YEAR = re.compile(r"\b(?:in|by|since|during|until|for|year|of)\s+(?:1[5-9]|20)\d\d\b(?![.,]?\d)", re.IGNORECASE)
_RANGE = re.compile(
    r"\d[\w%°]*(?<!\d[eE])\s*(?:[-–—~]|\bto\b|\bor\b|\bbis\b|至|到)\s*[$€£]?\d|\bbetween\b|\d:\d|\d\s*\.\.+\s*\d|\d\s*±"
    r"|\d\s?[x×]\s?(?!10\s?\^)\d|\d/\d+/\d|\d-\d+-\d|\bless than\b|\bmore than\b|\bat (?:least|most)\b|[<>≤≥]"
    r"|\b(?:quarter|half|minutes?|five|ten|twenty|\d) (?:past|to)\b|illions? and a half\b"  # times, and half of which?
)
_PART = re.compile(r"\s*\w*\s+(?:out\s+)?of\s+(?:the\s+)?$")
_COUNTED = re.compile(r"\W*(?:共?有)?([〇零一二三四五六七八九两兩十百千万萬亿億]+)[个個只隻条匹人张台辆本頭头つ]?\W*")


def read_number(answer: str) -> float | None:
    """Return the finite number that an answer means; None where it means none or several."""
    text = re.sub(r"(?<=\d) and a half\b", ".5", plain(answer))
    if (value := _WHOLE.get(text.casefold().strip(" .!"))) is not None:
        return value
    first, *others = text.casefold().split() or [""]
    if len(others) == 1 and _WHOLE.get(first, 0.0) > 1 and not others[0][0].isdigit():  # "fünf Hunde"
        return _WHOLE[first]
    frames = list(FRAME.finditer(text))
    ends = [*(frame.start() for frame in frames[1:]), len(text)]
    tails = [text[frame.end() : end] for frame, end in zip(frames, ends, strict=False)]
    if "=" in text:
        if text.count("=") > 1 and re.search(r"\b(?:or|and)\b|[,;\n]", text):
            return None  # "x = 3 or x = 4"
        tails.append(text.rpartition("=")[2])
    for part in (*reversed(tails), text):
        found, value = _only(part)
        if found and value is None:  # "I count 3 ... no, 4."
            value = _only(part[max((m.end() for m in CORRECTION.finditer(part)), default=len(part)) :])[1]
        if found:
            return value if value is not None and math.isfinite(value) else None
    return 0.0 if _NOTHING.fullmatch(text.strip(" .!")) else None


def _only(text: str) -> tuple[bool, float | None]:
    """Return whether the text holds numbers, and the only value among them."""
    if _RANGE.search(text):
        return True, None
    if counted := _COUNTED.fullmatch(text):
        return True, _cjk(counted[1])
    values = _values(text)
    if len(set(values)) > 1:  # a year, or the same amount in another unit, is no second number
        shorter = _YEAR.sub(" ", re.sub(r"(?<=\S)\s*\([^()]*\)", " ", text))
        values = _values(shorter) or values
    if len(values) == 1 or len(set(values)) == 1:
        return True, values[0]
    return bool(values), None


def _values(text: str) -> list[float | None]:
    values: list[float | None] = []
    end = 0
    for match in _NUMBER.finditer(text):
        whole = values and _PART.fullmatch(text[end : match.start()])  # "5 out of 10"
        if not whole and not denied(text, match.start()):
            values.append(_value(match, text))
        end = match.end()
    spoken = _NO_COUNT.sub(" ", _NUMBER.sub(" ", text))
    for match in _WORDS.finditer(spoken):
        if not denied(spoken, match.start()):
            value = _spelled(match["words"]) + (0.5 if match["half"] else 0.0)
            value /= _PARTS[match["part"].rstrip("s")] if match["part"] else 1
            values.append(-value if match["minus"] else value)
    if values and any(word in text for word in ("dozens", "hundreds", "thousands")):
        return [*values, None]
    return values


def _value(match: re.Match[str], text: str) -> float | None:
    """Return the value of a match of _NUMBER, None where its digits are grouped like no number."""
    value = _digits(match["digits"])
    if value is None:
        return None
    negative = "-" in (match["inner"] or "") or (match["sign"] or "+") in "-–" or match["minus"]
    in_brackets = (
        match["open"]
        and (match["money"] or len(match["open"].strip()) > 1)
        and text[match.end() :].lstrip().startswith(")")
    )
    try:
        if match["below"]:
            value /= int(match["below"])
        if match["above"]:
            value += int(match["above"]) / int(match["under"])
        if exponent := match["exp"] or match["power"]:
            value *= 10.0 ** int(exponent)
        if match["raised"]:
            value = value ** int(match["raised"])
    except (ArithmeticError, ValueError):  # of huge numbers
        return None
    if match["short"]:
        value *= {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}[match["short"]]
    elif match["million"] and match["money"]:
        value *= 1e6
    elif match["cjk"]:
        value *= math.prod(_CJK[unit] for unit in match["cjk"])
    elif match["large"]:
        value *= next(factor for words, factor in _MAGNITUDES if re.fullmatch(words, match["large"], re.IGNORECASE))
    return -value if negative or in_brackets else value


def _digits(text: str) -> float | None:
    """Return the value of digits with separators: three digits behind each group, one decimal mark at the end."""
    marks = re.sub(r"\d", "", text)
    groups = re.split(r"[,.' ]", text)
    if not marks or marks == ".":
        return float(text)
    if marks == "," and (len(groups[1]) != 3 or groups[0] == "0"):
        return float(text.replace(",", "."))
    by, decimals = marks[0], ""
    if len(set(marks)) == 2 and marks[-1] in ".," and marks.count(marks[-1]) == 1:
        *groups, decimals = groups
    elif len(set(marks)) > 1:
        return None
    thirds = all(len(group) == 3 for group in groups[1:])
    lakhs = by == "," and len(groups[-1]) == 3 and all(len(group) == 2 for group in groups[1:-1])
    return float(f"{''.join(groups)}.{decimals or 0}") if len(groups[0]) <= 3 and (thirds or lakhs) else None


def _spelled(words: str) -> float:
    """Return the value of English number words: "three hundred and five" is 305."""
    total = part = 0.0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in _SMALL:
            part += _SMALL[word]
        elif word in ("dozen", "hundred"):
            part = max(part, 1) * _LARGE[word]
        elif word in _LARGE:
            total, part = total + max(part, 1) * _LARGE[word], 0
    return total + part


def _cjk(text: str) -> float:
    """Return the value of Chinese or Japanese numerals: 十二 is 12."""
    if len(text) > 1 and not set(text) & set(_CJK):
        return float("".join(str(_CJK_DIGITS[letter]) for letter in text))
    total = part = digit = 0.0
    for letter in text:
        if letter in _CJK_DIGITS:
            digit = _CJK_DIGITS[letter]
        elif (unit := _CJK[letter]) < 10**4:
            part, digit = part + max(digit, 1) * unit, 0
        else:
            total, part, digit = total + max(part + digit, 1) * unit, 0, 0
    return total + part + digit
