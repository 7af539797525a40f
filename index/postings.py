"""BM25 as inverted lists: built with scipy's sparse matrices, asked with numpy alone.

A list holds, for one stem, the documents it stands in, how often, and what it scores there. Lists
stand in the order of their stems, so that the same documents give the same bytes however they came:
documents that an earlier index holds are taken over from it, which is most of a night's work.
A stem that stands in many documents has a column in place of its list: a score a document, or 0.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

K1, B = 1.2, 0.75
"""BM25 in Lucene's variant with its usual constants."""
MOST = 255
"""A stem counts no more often than this in a document: its score rises by 0.5 % beyond."""

STEMS, FACTS = "stems.txt", "facts.json"
ENDS, SPANS = "ends.npy", "spans.npy"
DOCUMENTS, COUNTS, SCORES = "documents.npy", "counts.npy", "scores.npy"
COLUMNS = "columns.npy"
COMMON = 8
"""A stem has a column in place of a list that stands in more than one of so many documents."""
WINDOW = 1 << 17
"""Documents that are summed together: their sums stay in the processor's cache."""
_UNITS = 65535
_FIRST = np.zeros(1, np.int64)

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]


class Counted(NamedTuple):
    """How often each stem stands in each document."""

    counts: csr_array
    """(documents, stems) of uint8."""
    stems: list[str]


def count(documents: Iterable[Sequence[str]]) -> Counted:
    """The stems of documents, counted."""
    from scipy.sparse import csr_array

    columns: dict[str, int] = {}
    told, ends = array("i"), array("q", [0])
    for stems in documents:
        told.extend([columns.setdefault(stem, len(columns)) for stem in stems])
        ends.append(len(told))
    ones = np.ones(len(told), np.int32)
    shape = (len(ends) - 1, len(columns))
    counts = csr_array((ones, np.array(told, np.int32), np.array(ends, np.int64)), shape=shape)
    counts.sum_duplicates()
    counts.data = np.minimum(counts.data, MOST).astype(np.uint8)
    return Counted(counts, list(columns))


def join(before: Counted, rows: Numbers, fresh: Counted) -> Counted:
    """Document i of the result is row `rows[i]` of `before`, or, at -1, the next of `fresh`."""
    from scipy.sparse import csr_array, vstack

    columns = dict(zip(before.stems, range(len(before.stems)), strict=True))
    moved = np.array([columns.setdefault(s, len(columns)) for s in fresh.stems], np.int32)
    wide, f = len(columns), fresh.counts
    kept = before.counts
    parts = (
        csr_array((kept.data, kept.indices, kept.indptr), shape=(kept.shape[0], wide)),
        csr_array((f.data, moved[f.indices], f.indptr), shape=(f.shape[0], wide)),
    )
    places = rows.copy()
    places[rows < 0] = np.arange(f.shape[0]) + kept.shape[0]
    return Counted(vstack(parts, format="csr")[places], list(columns))


def write(folder: Path, counted: Counted) -> None:
    """Score the counts and write the lists into the folder, which need not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    lists, stems = _sorted(counted)
    scores = _scores(lists)
    unit = float(scores.max(initial=0)) / _UNITS or 1.0
    scores /= np.float32(unit)
    units = np.maximum(np.rint(scores, out=scores), 1, out=scores).astype(np.uint16)
    del scores
    encoded = [stem.encode() for stem in stems]
    (folder / STEMS).write_bytes(b"".join(encoded))
    np.save(folder / ENDS, np.cumsum([0, *map(len, encoded)], dtype=np.int64))
    np.save(folder / SPANS, lists.indptr.astype(np.int64))
    np.save(folder / COUNTS, lists.data)
    listed = ~_in_common(lists.indptr, lists.shape[0])
    np.save(folder / DOCUMENTS, lists.indices[listed].astype(np.int32))
    np.save(folder / SCORES, units[listed])
    np.save(folder / COLUMNS, _columns(lists, units))
    facts = {"documents": counted.counts.shape[0], "unit": unit}
    (folder / FACTS).write_text(json.dumps(facts), "utf-8")


class Postings:
    """Inverted lists on disk, memory-mapped; safe to ask from many threads."""

    def __init__(self, folder: Path) -> None:
        """Map the lists in the folder; raises OSError or ValueError where one is damaged."""
        self._stems = (folder / STEMS).read_bytes()
        self._ends = memoryview(np.load(folder / ENDS))  # gives numbers twice as fast as the array
        self._spans = np.load(folder / SPANS)
        # Plain arrays over the mapped files: slicing a memmap takes ten times as long.
        self._documents, self._counts, self._scores, self._columns = (
            np.asarray(np.load(folder / name, mmap_mode="r"))
            for name in (DOCUMENTS, COUNTS, SCORES, COLUMNS)
        )
        facts = json.loads((folder / FACTS).read_bytes())
        self._count, self._unit = int(facts["documents"]), float(facts["unit"])
        common = _common(self._spans, self._count)
        lengths = np.diff(self._spans)
        lengths[common] = 0
        self._ends_of_lists = np.concatenate([_FIRST, lengths.cumsum()])
        """(stems + 1,) where each list begins, and the last one ends."""
        if not len(self._documents) == len(self._scores) == self._ends_of_lists[-1]:
            raise ValueError("the lists of words are of different lengths")
        if len(self._counts) != self._spans[-1]:
            raise ValueError("the counts of words are not those of the lists")
        self._places = dict(zip(common, range(len(common)), strict=True))
        """Where the columns of the stems that have one stand."""
        if self._columns.shape != (len(common), self._count):
            raise ValueError("the columns of words are not those of the common ones")
        most = _rarity(np.array(self._count / COMMON), self._count) / self._unit
        self._together = max(1, int(_UNITS / (most + 1)))
        """How many columns can be added without exceeding their type."""

    def __len__(self) -> int:
        return self._count

    def holding(self, stem: str) -> int:
        """In how many documents a stem stands."""
        column = self._column(stem)
        return 0 if column is None else int(self._spans[column + 1] - self._spans[column])

    def sums(self, stems: Iterable[str]) -> Scores:
        """(n,) what every document scores for these stems, each counted as often as it is given."""
        often = Counter(stems)
        known = [(column, often[s]) for s in often if (column := self._column(s)) is not None]
        listed = [self._listed(*one) for one in known if one[0] not in self._places]
        common = [self._places[one] for one, n in known if one in self._places for _ in range(n)]
        total = np.empty(self._count, np.float32)
        for window, start in enumerate(range(0, self._count, WINDOW)):
            part = total[start : start + WINDOW]
            part[:] = 0
            self._add_common(part, common, start)
            for one in listed:
                one.add_to(total, window)
            part *= np.float32(self._unit)  # whole numbers until now: their sums are exact
        return total

    def counted(self) -> Counted:
        """The counts that these lists were made of."""
        from scipy.sparse import csc_array

        ends = self._ends.tolist()
        stems = [self._stems[a:b].decode() for a, b in pairwise(ends)]
        shape = (self._count, len(stems))
        common = _in_common(self._spans, self._count)
        documents = np.empty(len(common), np.int32)
        documents[common] = self._columns.nonzero()[1]
        documents[~common] = self._documents
        lists = csc_array((self._counts, documents, self._spans), shape=shape)
        return Counted(lists.tocsr(), stems)

    def _listed(self, column: int, often: int) -> _Listed:
        span = slice(self._ends_of_lists[column], self._ends_of_lists[column + 1])
        documents = self._documents[span]
        # Bounds of the list's own type, else all of it would be converted.
        bounds = np.arange(0, self._count + WINDOW, WINDOW, dtype=np.int32)
        ends = documents.searchsorted(bounds).tolist()
        return _Listed(often, documents, self._scores[span], ends)

    def _add_common(self, total: Scores, places: list[int], start: int) -> None:
        """Add what these columns hold for the documents from `start` on."""
        part = slice(start, start + len(total))
        for first in range(0, len(places), self._together):
            together = places[first : first + self._together]
            total += reduce(np.add, [self._columns[place, part] for place in together])

    def _column(self, stem: str) -> int | None:
        """The stem's place in the order of all, found by halving."""
        wanted, ends, low, high = stem.encode(), self._ends, 0, len(self._ends) - 1
        while low < high:
            middle = (low + high) // 2
            here = self._stems[ends[middle] : ends[middle + 1]]
            if here == wanted:
                return middle
            low, high = (middle + 1, high) if here < wanted else (low, middle)
        return None


class _Listed(NamedTuple):
    """A stem asked for so often, by the documents that it stands in."""

    often: int
    documents: NDArray[np.int32]
    """Ascending."""
    scores: NDArray[np.uint16]
    ends: list[int]
    """Where in these each window begins, and the last one ends."""

    def add_to(self, total: Scores, window: int) -> None:
        """Add the scores of the window's documents to the totals of all documents."""
        part = slice(self.ends[window], self.ends[window + 1])
        scores = self.scores[part].astype(np.float32)
        if self.often > 1:
            scores *= self.often
        np.add.at(total, self.documents[part], scores)


def sums_of_few(documents: Sequence[Counter[str]], stems: Sequence[str]) -> Scores:
    """(n,) `Postings.sums` over a handful of documents, counted in memory and without scipy."""
    often = np.array([[count[stem] for stem in stems] for count in documents], np.float32)
    damping = _damping(np.array([count.total() for count in documents]))
    rarity = _rarity((often > 0).sum(axis=0), len(documents))
    scores: Scores = (rarity * often / (often + damping[:, None])).sum(axis=1)
    return scores


def _sorted(counted: Counted) -> tuple[csc_array, list[str]]:
    """The counts by stem, stems in the order of their bytes and only those that stand anywhere."""
    lists = counted.counts.tocsc()
    encoded = [stem.encode() for stem in counted.stems]
    there = np.flatnonzero(np.diff(lists.indptr)).tolist()
    order = sorted(there, key=encoded.__getitem__)
    lists = lists[:, order]
    lists.sort_indices()
    return lists, [counted.stems[column] for column in order]


def _common(spans: Numbers, documents: int) -> list[int]:
    """Which of the lists with these spans are those of common stems."""
    common: list[int] = np.flatnonzero(np.diff(spans) > documents / COMMON).tolist()
    return common


def _in_common(spans: Numbers, documents: int) -> NDArray[np.bool_]:
    """Which entries of the lists with these spans are those of common stems."""
    lengths = np.diff(spans)
    return np.repeat(lengths > documents / COMMON, lengths)


def _columns(lists: csc_array, units: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """(common stems, documents) the scores of the lists of common stems, 0 between them."""
    common = _common(lists.indptr, lists.shape[0])
    columns = np.zeros((len(common), lists.shape[0]), np.uint16)
    for place, column in enumerate(common):
        span = slice(lists.indptr[column], lists.indptr[column + 1])
        columns[place, lists.indices[span]] = units[span]
    return columns


def _scores(lists: csc_array) -> Scores:
    """What each entry scores: idf * tf / (tf + k1 * (1 - b + b * length / mean length))."""
    documents = lists.shape[0]
    lengths = np.bincount(lists.indices, weights=lists.data, minlength=documents)
    holding = np.diff(lists.indptr)
    scores: Scores = lists.data.astype(np.float32)  # changed in place: there may be 100 million
    damped = _damping(lengths)[lists.indices]
    damped += scores
    scores /= damped
    del damped
    scores *= np.repeat(_rarity(holding, documents), holding)
    return scores


def _damping(lengths: NDArray[Any]) -> Scores:
    """(n,) what documents of these lengths add to how often a stem stands in them."""
    mean = max(lengths.mean() if len(lengths) else 0, 1e-9)
    damping: Scores = (K1 * (1 - B + B * lengths / mean)).astype(np.float32)
    return damping


def _rarity(holding: NDArray[Any], documents: int) -> Scores:
    """(m,) what stems weigh that so many documents hold."""
    rarity: Scores = np.log1p((documents - holding + 0.5) / (holding + 0.5)).astype(np.float32)
    return rarity
