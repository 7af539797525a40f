"""Words: one tokeniser for building and asking, and BM25 over it.

bm25s scores every word of every document when the index is built; a question then only adds
columns of its saved arrays, which numpy does alone: importing bm25s takes half a second.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.errors import MissingExtra

try:
    import Stemmer
except ImportError as missing:
    raise MissingExtra("PyStemmer", "") from missing

TOKENISER = "nfkc lower words+parts stop/1 snowball-english/1"
"""Kept in every manifest: raise a number here when `tokens` changes."""

K1, B = 1.2, 0.75
"""BM25 in Lucene's variant with its usual constants."""

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
_DATA, _DOCUMENTS, _COLUMNS = "data.csc.index.npy", "indices.csc.index.npy", "indptr.csc.index.npy"
_VOCABULARY, _PARAMETERS = "vocab.index.json", "params.index.json"
_own = threading.local()


def tokens(text: str) -> list[str]:
    """The stems of a text's words, in order; `GPT-4` gives `gpt-4`, `gpt` and `4`."""
    return [stem for word in _words(text) for stem in _stems(word)]


def asked(question: str) -> list[str]:
    """The stems that a question is searched by: all but those that tell nothing apart."""
    telling = [word for word in _words(question) if word not in ABOUT_PAPERS]
    return [stem for word in telling for stem in _stems(word)] or tokens(question)


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _stems(word: str) -> list[str]:
    stems: list[str] = _stemmer().stemWords(_parts(word))
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


def build(texts: Iterable[str], folder: Path) -> int:
    """Index the texts into the folder, which need not exist yet; return how many they were."""
    try:
        import bm25s  # half a second, and only building needs it
    except ImportError as missing:
        raise MissingExtra("bm25s", "") from missing
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
    columns = _Columns()
    # Arrays of C ints: as Python lists, 120,000 papers would take four times the memory.
    documents = [
        array("i", [column for word in _words(text) for column in columns[word]]) for text in texts
    ]
    vocabulary = columns.vocabulary or {"": 0}
    index = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy", csc_backend="numpy")
    index.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    index.save(folder, show_progress=False)
    return len(documents)


class _Columns(dict[str, tuple[int, ...]]):
    """Word to the columns of its stems, numbered as they come up: each word is stemmed once."""

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary: dict[str, int] = {}

    def __missing__(self, word: str) -> tuple[int, ...]:
        known = self.vocabulary
        self[word] = tuple(known.setdefault(stem, len(known)) for stem in _stems(word))
        return self[word]


class Lexical:
    """A saved BM25 index, memory-mapped; safe to ask from many threads."""

    def __init__(self, folder: Path) -> None:
        """Map the index in the folder; raises OSError or ValueError where it is damaged."""
        self._scores = np.load(folder / _DATA, mmap_mode="r")
        self._documents = np.load(folder / _DOCUMENTS, mmap_mode="r")
        self._columns = np.load(folder / _COLUMNS)
        self._vocabulary: dict[str, int] = json.loads((folder / _VOCABULARY).read_bytes())
        self._count: int = json.loads((folder / _PARAMETERS).read_bytes())["num_docs"]

    def __len__(self) -> int:
        return self._count

    def telling(self, text: str, count: int) -> list[str]:
        """The `count` stems that tell most about a text: often in it, and in few documents."""
        often = Counter(stem for stem in tokens(text) if stem in self._vocabulary)

        def weight(stem: str) -> float:
            column = self._vocabulary[stem]
            holding = int(self._columns[column + 1] - self._columns[column])
            return often[stem] * math.log(1 + self._count / holding)

        return sorted(often, key=weight, reverse=True)[:count]

    def scores(self, query: str) -> NDArray[np.float32]:
        """(n,) BM25 score of every document, 0 where it shares no word with the query."""
        return self.sums(tokens(query))

    def sums(self, stems: Iterable[str]) -> NDArray[np.float32]:
        """(n,) the scores of these stems, each counted as often as it is given."""
        total = np.zeros(self._count, np.float32)
        for stem in stems:
            column = self._vocabulary.get(stem)
            if column is not None:
                span = slice(self._columns[column], self._columns[column + 1])
                # A document stands once in a column, so plain fancy indexing adds rightly.
                total[self._documents[span]] += self._scores[span]
        return total
