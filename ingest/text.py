"""Text from outside, made one clean line."""

from __future__ import annotations

import re
import unicodedata

# What nobody means to write in a title: controls that are not blanks, soft hyphens, zero-width
# and bidirectional marks, fillers, language tags, variation selectors (whole sentences have been
# hidden in those; the one that emoji need stays), formatting of shorthand and music; and half
# characters (JSON's "\ud800"), which no file can hold as UTF-8.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]+"
)
# What somebody's terminal, editor or `str.splitlines` takes for the end of a line; and tabs.
_BREAK = re.compile(r"\r\n|[\t-\r\x1c-\x1f\x85\u2028\u2029]")
_PRINTABLE = bytes(range(0x20, 0x7F))
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum())


def one_line(text: str) -> str:
    """`text` in NFC, its blanks and line breaks single blanks, without unseen characters."""
    line = text.strip().replace("\n", " ")
    if is_plain(line):
        return line  # as most are, and millions of them are read
    return unicodedata.normalize("NFC", " ".join(_UNSEEN.sub("", text).split()))


def is_plain(text: str) -> bool:
    """Whether `one_line` leaves `text` as it is but for blanks at its ends."""
    return "  " not in text and text.isascii() and not text.encode().translate(None, _PRINTABLE)


def exact_line(text: str) -> str:
    """`text` with each line break and tab a blank of its own, without unseen characters.

    Blanks at the ends go; runs of them and the spelling of accents stay as they are.
    """
    return _UNSEEN.sub("", _BREAK.sub(" ", text)).strip()


def title_key(title: str) -> str:
    """What two spellings of one title share: its letters and digits, without accents and case."""
    if title.isascii():
        return title.lower().encode().translate(None, _NO_LETTERS).decode()
    folded = unicodedata.normalize("NFKD", title).casefold()
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", folded)))
