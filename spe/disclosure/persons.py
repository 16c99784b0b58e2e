"""Numbers and addresses that stand for a person, each with its check digits.

National numbers of European states (and a few neighbours), IBAN, e-mail and telephone. A bare run of digits
whose form alone is weak counts only when a word near it says what it is; the check digits then lower false
alarms ten- to hundredfold (disclosure notes, SEC-02). The arithmetic is that of the public specifications.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

from spe.disclosure.outline import Outline, digit_blind

_CENTURIES: Final = (1800, 1900, 2000, 2100)


@dataclass(frozen=True, kw_only=True)
class PersonNumber:
    """One kind of number: name, form of the compact number, check, and words needed near it, if any."""

    name: str
    form: str
    valid: Callable[[str], bool]
    words: tuple[str, ...] = ()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The form as a pattern, compiled when a word was met that may be a number."""
        return re.compile(self.form)


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if char.isdigit()]


def _weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def _is_date(day: int, month: int, year: int) -> bool:
    """Whether day and month exist in that year of any century."""
    for century in _CENTURIES if year < 100 else (0,):
        try:
            date(century + year, month, day)
        except ValueError:
            continue
        return True
    return False


def _luhn(digits: Sequence[int]) -> bool:
    doubled = [digit if at % 2 == 0 else sum(divmod(digit * 2, 10)) for at, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _mod_11_10(digits: Sequence[int]) -> bool:
    """ISO 7064 MOD 11,10."""
    rest = 10
    for digit in digits[:-1]:
        rest = ((rest + digit) % 10 or 10) * 2 % 11
    return (rest + digits[-1]) % 10 == 1


def _german_tax(text: str) -> bool:
    body = text[:10]
    repeats = sorted(body.count(digit) for digit in set(body))
    return repeats[-1] in {2, 3} and repeats.count(1) == len(repeats) - 1 and _mod_11_10(_digits(text))


def _german_insurance(text: str) -> bool:
    digits = _digits(f"{ord(text[0]) - 64:02d}{text[1:]}")
    products = [digit * (1 if at % 2 == 0 else 2) for at, digit in enumerate(digits[:-1])]
    return sum(sum(divmod(product, 10)) for product in products) % 10 == digits[-1]


def _french(text: str) -> bool:
    body = text[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(text[13:])


_ITALIAN_ODD: Final = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def _italian_value(char: str, *, odd: bool) -> int:
    place = int(char) if char.isdigit() else ord(char) - 65
    return _ITALIAN_ODD[place] if odd else place


def _italian(text: str) -> bool:
    total = sum(_italian_value(char, odd=at % 2 == 0) for at, char in enumerate(text[:15]))
    return chr(65 + total % 26) == text[15]


def _spanish(text: str) -> bool:
    number = text[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


def _dutch(text: str) -> bool:
    return _weighted(_digits(text), (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(text) > 0


def _belgian(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    checks = {97 - int(prefix + digits[:9]) % 97 for prefix in ("", "2")}
    return int(digits[9:]) in checks and _is_date(int(digits[4:6]) or 1, int(digits[2:4]) or 1, int(digits[:2]))


def _polish(text: str) -> bool:
    digits = _digits(text)
    month = int(text[2:4]) % 20
    check = -_weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10
    return check == digits[10] and _is_date(int(text[4:6]), month, int(text[:2]))


def _swedish(text: str) -> bool:
    digits = _digits(text)[-10:]
    plain = "".join(map(str, digits))
    day = int(plain[4:6])
    return _luhn(digits) and _is_date(day - 60 if day > 60 else day, int(plain[2:4]), int(plain[:2]))


def _finnish(text: str) -> bool:
    number = text[:6] + text[7:10]
    birth = _is_date(int(text[:2]), int(text[2:4]), int(text[4:6]))
    return birth and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number) % 31] == text[10].upper()


def _day_first(text: str) -> bool:
    return _is_date(int(text[:2]), int(text[2:4]), int(text[4:6]))


def _norwegian(text: str) -> bool:
    digits = _digits(text)
    first = -_weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = -_weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (first, second) == (digits[9], digits[10]) and _is_date(int(text[:2]) % 40, int(text[2:4]), int(text[4:6]))


def _baltic(text: str) -> bool:
    digits = _digits(text)
    check = _weighted(digits, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = _weighted(digits, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return check == digits[10] and _is_date(int(text[5:7]), int(text[3:5]), int(text[1:3]))


def _romanian(text: str) -> bool:
    digits = _digits(text)
    check = _weighted(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return min(check, 1) * (check if check < 10 else 1) == digits[12] and _is_date(
        int(text[5:7]), int(text[3:5]), int(text[1:3])
    )


def _bulgarian(text: str) -> bool:
    digits = _digits(text)
    check = _weighted(digits, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    return check == digits[9] and _is_date(int(text[4:6]), int(text[2:4]) % 20, int(text[:2]))


def _czech(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    month = int(digits[2:4]) % 50
    whole = int(digits) % 11 == 0 or (int(digits[:9]) % 11 == 10 and digits[9] == "0")
    return whole and _is_date(int(digits[4:6]), month % 20, int(digits[:2]))


def _yugoslav(text: str) -> bool:
    digits = _digits(text)
    check = -_weighted(digits, (7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return check % 10 == digits[12] and _is_date(int(text[:2]), int(text[2:4]), int(text[5:7]))


def _greek(text: str) -> bool:
    return _luhn(_digits(text)) and _day_first(text)


def _austrian(text: str) -> bool:
    digits = _digits(text)
    check = _weighted(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11
    return check == digits[3] and _is_date(int(text[4:6]), int(text[6:8]), int(text[8:10]))


def _portuguese(text: str) -> bool:
    digits = _digits(text)
    check = 11 - _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if check > 9 else check) == digits[8]


def _hungarian(text: str) -> bool:
    digits = _digits(text)
    return _weighted(digits, (3, 7, 3, 7, 3, 7, 3, 7)) % 10 == digits[8]


def _irish(text: str) -> bool:
    extra = ord(text[8]) - 64 if len(text) == 9 and text[8] != "W" else 0
    total = _weighted(_digits(text[:7]), (8, 7, 6, 5, 4, 3, 2)) + 9 * extra
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == text[7]


def _british(text: str) -> bool:
    digits = _digits(text)
    check = 11 - _weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return check % 11 == digits[9] and check != 10


def _swiss(text: str) -> bool:
    digits = _digits(text)
    return (10 - _weighted(digits, (1, 3) * 6) % 10) % 10 == digits[12]


def _icelandic(text: str) -> bool:
    digits = _digits(text)
    return -_weighted(digits, (3, 2, 7, 6, 5, 4, 3, 2)) % 11 == digits[8] and _day_first(text)


def _iban(text: str) -> bool:
    compact = text.replace(" ", "")
    turned = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _number(name: str, pattern: str, valid: Callable[[str], bool], words: str = "") -> PersonNumber:
    return PersonNumber(name=name, form=pattern, valid=valid, words=tuple(words.split()))


NUMBERS: Final = (
    _number("German tax number", r"[1-9]\d{10}", _german_tax, "steuer tax idnr"),
    _number("German insurance number", r"[A-Z]\d{9}", _german_insurance, "kvnr versicherten insurance kranken"),
    _number("French number", r"[12]\d{2}(?:0[1-9]|1[0-2]|[2-9]\d)(?:\d{2}|2[AB])\d{6}\d{2}", _french),
    _number("Italian number", r"[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _italian),
    _number("Spanish number", r"(?:\d{8}|[XYZ]\d{7})[A-HJ-NP-TV-Z]", _spanish),
    _number("Dutch number", r"\d{9}", _dutch, "bsn burgerservice sofi"),
    _number("Belgian number", r"\d{11}|\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", _belgian),
    _number("Polish number", r"\d{11}", _polish),
    _number("Swedish number", r"(?:\d{2})?\d{6}[-+]\d{4}", _swedish),
    _number("Swedish number", r"(?:19|20)\d{6}\d{4}", _swedish),
    _number("Finnish number", r"\d{6}[-+ABCDEFYXWVU]\d{3}[0-9A-Y]", _finnish),
    _number("Danish number", r"\d{6}-\d{4}", _day_first),
    _number("Norwegian number", r"\d{11}", _norwegian),
    _number("Estonian or Lithuanian number", r"[1-8]\d{10}", _baltic),
    _number("Latvian number", r"\d{6}-[012]\d{4}", _day_first),
    _number("Romanian number", r"[1-9]\d{12}", _romanian),
    _number("Bulgarian number", r"\d{10}", _bulgarian, "egn егн"),
    _number("Czech or Slovak number", r"\d{6}/\d{4}", _czech),
    _number("Slovenian number", r"\d{13}", _yugoslav),
    _number("Croatian number", r"\d{11}", lambda text: _mod_11_10(_digits(text)), "oib"),
    _number("Greek number", r"\d{11}", _greek, "amka αμκα"),
    _number("Austrian number", r"[1-9]\d{9}", _austrian, "svnr sozialversicherung versicherung"),
    _number("Portuguese number", r"[1-3]\d{8}", _portuguese, "nif contribuinte utente"),
    _number("Hungarian number", r"\d{9}", _hungarian, "taj"),
    _number("Irish number", r"\d{7}[A-W][A-IW]?", _irish),
    _number("British health number", r"\d{10}", _british, "nhs chi"),
    _number("Swiss number", r"756\d{10}|756\.\d{4}\.\d{4}\.\d{2}", _swiss),
    _number("Icelandic number", r"\d{6}-\d{4}", _icelandic),
)

_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./+-]{7,17}")
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}")
_PHONE: Final = re.compile(r"(?<![\w+.])\+[1-9]\d{0,2}[ ./-]?\(?\d{1,4}\)?(?:[ ./-]?\d{2,4}){2,4}(?![\w.])")
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_IBAN_START: Final = re.compile(r"[A-Z]{2}\d{2}")
_ENDS: Final = "./+-"
_NOT_MAIL: Final = ("example.org", "example.com", "example.net", "noreply")


def persons_in(outline: Outline, masks: frozenset[str]) -> Iterator[tuple[str, int]]:
    """The kind and position of each number or address of a person in the text of an outline.

    `masks` are forms of record numbers.
    """
    text = outline.text
    yield from _numbers(outline)
    if "@" in text:
        mails = (found for found in _EMAIL.finditer(text) if not found.group().endswith(_NOT_MAIL))
        yield from (("an e-mail address", found.start()) for found in mails)
    if "+9" in outline.joined:
        yield from (("a telephone number", found.start()) for found in _PHONE.finditer(text) if _long(found.group()))
    if _IBAN_START.search(outline.joined):
        yield from (("an account number", found.start()) for found in _IBAN.finditer(text) if _iban(found.group()))
    for mask in sorted(masks):
        found_masks = mask_pattern(mask).finditer(text)
        yield from (("a record number of the data holder", found.start()) for found in found_masks)


def mask_pattern(mask: str) -> re.Pattern[str]:
    """A record number's form as a pattern: `9` is a digit, `A` a capital letter, the rest stands for itself."""
    parts = {"9": r"\d", "A": "[A-Z]"}
    return re.compile(r"(?<!\w)" + "".join(parts.get(char, re.escape(char)) for char in mask) + r"(?!\w)")


def _long(text: str) -> bool:
    return 9 <= len(_digits(text)) <= 15


def _numbers(outline: Outline) -> Iterator[tuple[str, int]]:
    """Valid numbers that stand on their own, each once. Words are told first, places only when some are valid."""
    text = outline.text
    kinds = [one for one in NUMBERS if not one.words or any(map(outline.holds, one.words))]
    patterns = dict.fromkeys(digit_blind(one.form) for one in kinds)
    forms = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    likely = outline.words(_TOKEN, lambda token: forms.fullmatch(token.rstrip(_ENDS)) is not None)
    valid = {token: kind for token in likely if (kind := _kind(token.rstrip(_ENDS), kinds)) is not None}
    for found in _TOKEN.finditer(text) if valid else ():
        kind = valid.get(found.group())
        if kind is None or not _stands(text, found):
            continue
        if not kind.words or _near(kind.words, text, found.start()):
            del valid[found.group()]
            yield f"a {kind.name}", found.start()


def _kind(token: str, kinds: Sequence[PersonNumber]) -> PersonNumber | None:
    return next((one for one in kinds if one.pattern.fullmatch(token) and one.valid(token)), None)


def _stands(text: str, found: re.Match[str]) -> bool:
    """Not inside a longer word, and not the fraction of a decimal."""
    before, after = text[max(0, found.start() - 1) : found.start()], text[found.end() : found.end() + 1]
    return not (before.isalnum() or before in {".", "_", "-"}) and not (after.isalnum() or after == "_")


def _near(words: tuple[str, ...], text: str, position: int) -> bool:
    """Whether one of the words stands in the same line or in the first line, which names the columns."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)]
    first = text[: text.find("\n") if "\n" in text else len(text)][:4096]
    around = f"{line[:4096]} {first}".lower()
    return any(re.search(rf"(?<![a-zα-ωа-я]){word}", around) for word in words)
