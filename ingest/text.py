"""Text from outside, made one clean line."""

from __future__ import annotations

import re
import unicodedata

# What nobody means to write in a title: controls that are not blanks, soft hyphens, zero-width
# and bidirectional marks, language tags; and half characters (JSON's "\ud800"), which no file
# can hold as UTF-8.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]+"
)
_NO_LETTERS = dict.fromkeys(code for code in range(128) if not chr(code).isalnum())


def one_line(text: str) -> str:
    """`text` in NFC, its blanks and line breaks single blanks, without unseen characters."""
    line = text.strip().replace("\n", " ")
    if "  " in line or not line.isprintable():  # other blanks and unseen characters are not
        line = " ".join(_UNSEEN.sub("", text).split())
    return unicodedata.normalize("NFC", line)


def title_key(title: str) -> str:
    """What two spellings of one title share: its letters and digits, without accents and case."""
    if title.isascii():
        return title.lower().translate(_NO_LETTERS)
    folded = unicodedata.normalize("NFKD", title).casefold()
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", folded)))
