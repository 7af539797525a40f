"""Words: one tokeniser for building and asking, and BM25 over it."""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index import postings
from index.postings import Postings
from ingest.errors import MissingExtra

try:
    import Stemmer
except ImportError as missing:
    raise MissingExtra("PyStemmer", "") from missing

TOKENISER = "nfkc lower words+parts stop/1 snowball-english/1"
"""Kept in every manifest: raise a number here when `tokens` changes."""

STOP_WORDS = frozenset(
    (  # noqa: SIM905 (one word a line would take a page)
        "a about all also an and any are as at be been between both but by can could did do does "
        "each for from had has have how i if in into is it its me more most my no nor not of on "
        "or other our over please s should show so some such t than that the their them then there "
        "these they this those through to up us via was we were what when where which while who "
        "why will with would you your"
    ).split()
)

ABOUT_PAPERS = frozenset(
    (  # noqa: SIM905 (as above)
        "article articles literature paper papers publication publications reference references "
        "research researches studies study work works"
    ).split()
)
"""What questions call what they ask for, and abstracts call themselves: it tells nothing apart."""

_WORD = re.compile(r"[^\W_]+(?:[-.][^\W_]+)*")
_JOINT = re.compile(r"[-.]")
_own = threading.local()


def tokens(text: str) -> list[str]:
    """The stems of a text's words, in order; `GPT-4` gives `gpt-4`, `gpt` and `4`."""
    return _stems(_words(text))


def asked(question: str) -> list[str]:
    """The stems that a question is searched by: all but those that tell nothing apart."""
    telling = [word for word in _words(question) if word not in ABOUT_PAPERS]
    return _stems(telling) or tokens(question)


def _words(text: str) -> list[str]:
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _WORD.findall(plain.lower())


def _stems(words: Iterable[str]) -> list[str]:
    stems: list[str] = _stemmer().stemWords([part for word in words for part in _parts(word)])
    return stems


def _parts(word: str) -> tuple[str, ...]:
    if word.isalnum():
        return () if word in STOP_WORDS else (word,)
    parts = [part for part in _JOINT.split(word) if part not in STOP_WORDS]
    return ("-".join(_JOINT.split(word)), *parts)


def _stemmer() -> Stemmer.Stemmer:
    """The thread's own stemmer: one may not be used by two threads at a time."""
    if not hasattr(_own, "stemmer"):
        _own.stemmer = Stemmer.Stemmer("english")
    return _own.stemmer


class Before(NamedTuple):
    """An earlier index, and where in it each document stands, -1 for those to be counted."""

    folder: Path
    rows: NDArray[np.int64]


def build(texts: Iterable[str], folder: Path, before: Before | None = None) -> int:
    """Index the texts into the folder, which need not exist yet; return how many they are in all.

    With `before` these are only the texts that the earlier index does not hold, in order.
    """
    known = _Stemmed()
    counted = postings.count([s for word in _words(text) for s in known[word]] for text in texts)
    if before:
        counted = postings.join(Postings(before.folder).counted(), before.rows, counted)
    postings.write(folder, counted)
    return int(counted.counts.shape[0])


class _Stemmed(dict[str, list[str]]):
    """Word to its stems: each word is stemmed once."""

    def __missing__(self, word: str) -> list[str]:
        self[word] = _stems([word])
        return self[word]


class Lexical(Postings):
    """A saved index of words, memory-mapped; safe to ask from many threads."""

    def telling(self, text: str, count: int) -> list[str]:
        """The `count` stems that tell most about a text: often in it, and in few documents."""
        often = Counter(tokens(text))
        weights = {
            stem: often[stem] * math.log(1 + len(self) / holding)
            for stem in often
            if (holding := self.holding(stem))
        }
        return sorted(weights, key=weights.__getitem__, reverse=True)[:count]

    def scores(self, query: str) -> NDArray[np.float32]:
        """(n,) BM25 score of every document, 0 where it shares no word with the query."""
        return self.sums(tokens(query))
