"""How arXiv's raw metadata writes accents and names: TeX commands, all authors in one line."""

from __future__ import annotations

import re
import unicodedata

from ingest.text import one_line

_ACCENTS = dict(
    zip(
        "`'^~=u.\"rHvdckb",
        "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0323\u0327\u0328\u0331",
        strict=True,
    )
)
_NAMED = ("ss", "ae", "AE", "oe", "OE", "aa", "AA", "o", "O", "l", "L", "i", "j")
_LETTERS = dict(zip(_NAMED, "ßæÆœŒåÅøØłŁıȷ", strict=True))
_ACCENTED = re.compile(
    r"""\\(?: (?P<sign>[`'^~=."])\s* | (?P<word>[urHvdckb])(?=[\s{\\])\s* )
        (?: \{\s*\\?(?P<held>[A-Za-z])\s*\} | \\(?P<dotless>[ij])(?![A-Za-z]) | (?P<bare>[A-Za-z]) )
    """,
    re.VERBOSE,
)
# TeX drops the blank that ends a command; "5 \AA and" is an ångström all the same, and a word.
_LETTER = re.compile(rf"\\({'|'.join(_NAMED)})(?:\{{\}}|(?![A-Za-z])(?:(?<!AA)[ ])?)")
_HELD = re.compile(r"\{([^\x00-\x7f])\}")
_FORMULA = re.compile(r"(\$[^$]*\$)")
_BETWEEN_NAMES = re.compile(r"[,;]|\s&\s|(?<=\s)and\s|(?i:(?<=collaboration)|(?<=collaborations)):")
_NO_NAME = re.compile(r"(?i:and|for|et\.? al\.?|others)?[\s.:&]*")
_SUFFIX = re.compile(r"(?:Jr|Sr)\.?|I{2,3}|IV")


def letters(text: str) -> str:
    r"""`text` with TeX's accents as letters, `Erd\H{o}s` as Erdős; formulas stay as they are."""
    if "\\" not in text or not _says_letters(text):
        return text  # as most do: others are taken apart
    parts = _FORMULA.split(text)
    parts[::2] = map(_decoded, parts[::2])
    return "".join(parts)


def authors(line: str) -> tuple[str, ...]:
    """The names in one line of authors, without affiliations; a suffix stays with its name."""
    parts = _BETWEEN_NAMES.split(one_line(_without_affiliations(letters(line))))
    names: list[str] = []
    for name in (part.strip(" ()").removeprefix("and ") for part in parts):
        if names and _SUFFIX.fullmatch(name):
            names[-1] += f" {name}"
        elif not _NO_NAME.fullmatch(name):
            names.append(name.replace("~", " "))
    return tuple(names)


def _says_letters(text: str) -> bool:
    return any(form.search(text) for form in (_ACCENTED, _LETTER, _HELD))


def _decoded(text: str) -> str:
    accented = _ACCENTED.sub(_with_accent, text)
    lettered = _LETTER.sub(lambda match: _LETTERS[match[1]], accented)
    return _HELD.sub(r"\1", lettered)


def _with_accent(match: re.Match[str]) -> str:
    """One letter, or the bare one where no letter wears this accent."""
    letter = match["held"] or match["dotless"] or match["bare"]
    worn = unicodedata.normalize("NFC", letter + _ACCENTS[match["sign"] or match["word"]])
    return worn if len(worn) == 1 else letter


def _without_affiliations(line: str) -> str:
    """The line without what stands in closed parentheses, nested ones too."""
    kept: list[str] = []
    opened: list[int] = []
    for character in line:
        if character == ")" and opened:
            del kept[opened.pop() :]
            kept.append(" ")
            continue
        if character == "(":
            opened.append(len(kept))
        kept.append(character)
    return "".join(kept)
