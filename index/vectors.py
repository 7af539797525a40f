"""The only file that imports FAISS: choose an index by size, build, search, save, load."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.errors import MissingExtra

try:
    import faiss
except ImportError as missing:
    raise MissingExtra("faiss-cpu", "") from missing

EXACT = "Flat"
EXACT_UP_TO = 10_000
"""Rows below which exact float32 search takes about 1 ms and nothing else is worth it."""
LISTS_FROM = 700_000
"""Rows from which scanning all of them takes longer than finding the lists worth scanning."""
LISTS = 2048
"""Inverted lists of such an index: with 1024 more rows were scanned for the same recall."""
TRAIN_ON, TRAIN_LISTS_ON = 8192, 40 * LISTS
"""Rows that products alone are learnt from, where more of them found nothing more, or lists too."""
DEEP = 300
"""Rows whose half precision is looked at, at least, times the index's own factor."""
WIDEST = 16
"""That factor at most; so many times fewer lists than there are, at least, are scanned."""
DEEPER = 4
"""That factor at first where lists are scanned: to look deeper costs less than to scan more."""
RECALL_DEPTH = 10
RECALL_AT_LEAST = 0.99
"""Until this share of the exact first ten is found, an index is widened, and at last made exact."""
_DEAR = 10
"""What a row costs that is scanned and looked at again, in rows of one exact comparison."""
_CHEAP = 20
"""How many rows are scanned, and sifted by a mask, in the time of one exact comparison."""
_NEAR = 1e-6
"""Inner products this near are a tie: either row is a right answer."""

Rows = NDArray[np.float32]
"""(n, d) unit rows."""
Numbers = NDArray[np.int64]
"""Row numbers."""
Mask = NDArray[np.bool_]
"""(n,) True for the rows that may be found."""


def choose(count: int, dimension: int) -> str:
    """The FAISS factory string for so many rows of that dimension.

    Large ones are scanned as products of 4 bits for each 4 numbers, 15 times as fast as they are,
    very large ones only in the inverted lists next to the query; the best are looked at again in
    half precision. See docs/retrieval.md for figures.
    """
    if count <= EXACT_UP_TO:
        return EXACT
    lists = f"IVF{LISTS}," if count >= LISTS_FROM else ""
    scan = f"PQ{dimension // 4}x4fs" if dimension % 4 == 0 else "RaBitQfs"
    return f"{lists}{scan},Refine(SQfp16)"


def learns_from(description: str) -> int:
    """How many rows, at most, an index of that description learns from."""
    if description == EXACT:
        return 0
    return TRAIN_LISTS_ON if description.startswith("IVF") else TRAIN_ON


class Vectors:
    """A FAISS index of unit rows under inner product; safe to ask from many threads."""

    def __init__(self, index: faiss.Index, description: str) -> None:
        self._index = index
        self._scanned = index if isinstance(index, faiss.IndexRefine) else None
        base = faiss.downcast_index(self._scanned.base_index) if self._scanned else None
        self._lists = base if isinstance(base, faiss.IndexIVF) else None
        self._rows = faiss.downcast_index(self._scanned.refine_index) if self._scanned else index
        """Every row, to be compared one by one."""
        codes = self._rows.codes  # type: ignore[attr-defined]  # of whatever keeps rows
        self._stored = faiss.rev_swig_ptr(codes.data(), codes.size()).reshape(len(self), -1)
        """(n, bytes) the same rows where they lie, in half or single precision."""
        self.description = description

    @classmethod
    def build(
        cls, chunks: Iterable[Rows], dimension: int, description: str, sample: Rows | None = None
    ) -> Vectors:
        """Index the rows of all chunks, in order; a quantising index learns from the `sample`."""
        faiss.omp_set_num_threads(1)  # threads that wait for a busy processor take minutes
        index = faiss.index_factory(dimension, description, faiss.METRIC_INNER_PRODUCT)
        if sample is not None and not index.is_trained:
            if isinstance(index, faiss.IndexRefine):
                _prepare(index, faiss.downcast_index(index.base_index))
            index.train(np.ascontiguousarray(sample, np.float32))
        for rows in chunks:
            index.add(np.ascontiguousarray(rows, np.float32))
        return cls(index, description)

    @classmethod
    def load(cls, path: Path, description: str) -> Vectors:
        """Map the file; raises OSError where it is missing, cut short or not an index."""
        try:
            return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), description)
        except RuntimeError as error:
            raise OSError(errno.EIO, _first_line(error), str(path)) from error

    def save(self, path: Path) -> None:
        """Write the file; raises OSError as any writing does."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            full = "No space left" in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, _first_line(error)) from error

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Numbers in a row."""
        return int(self._index.d)

    def search(
        self, query: NDArray[np.float32], count: int, mask: Mask | None = None
    ) -> tuple[Numbers, NDArray[np.float32]]:
        """Row numbers and inner products of the nearest rows that the mask allows, best first.

        At most `count` of them, fewer where fewer are allowed.
        """
        allowed = len(self) if mask is None else int(np.count_nonzero(mask))
        # As many more are asked for as are refused, on average and a half more.
        reach = count if allowed == len(self) else int(1.5 * count * len(self) / max(allowed, 1))
        if self._pays(reach, allowed):
            numbers, scores = self._nearest(self._index, query, reach)
            kept = slice(count) if mask is None else np.flatnonzero(mask[numbers])[:count]
            if len(numbers[kept]) == min(count, allowed):
                return numbers[kept], scores[kept]
        return self._among(query, count, None if mask is None else _selector(mask), allowed)

    def widen(self) -> bool:
        """Scan half as many lists again, or look at twice as many rows again, from now on.

        False where there is nothing to widen.
        """
        if self._scanned is None:
            return False
        depth, lists = int(self._scanned.k_factor), self._lists
        if lists and lists.nprobe < lists.nlist * depth // WIDEST:
            lists.nprobe = min((3 * lists.nprobe + 1) // 2, lists.nlist * depth // WIDEST)
        elif depth < WIDEST:
            self._scanned.k_factor *= 2
        else:
            return False
        return True

    def rows(self, numbers: Numbers) -> Rows:
        """(len(numbers), d) the rows themselves, as exactly as the index keeps them."""
        stored = self._stored[numbers]
        if stored.shape[1] == 4 * self.dimension:
            return stored.view(np.float32)
        return _single(stored.view(np.int16))

    def _pays(self, reach: int, allowed: int) -> bool:
        """Whether so many of all rows are found sooner than the best of the allowed ones alone."""
        if allowed == len(self) or self._scanned is None:
            return allowed == len(self)
        return allowed > (len(self) / 2 if self._lists else _DEAR * reach)

    def _among(
        self,
        query: NDArray[np.float32],
        count: int,
        selector: faiss.IDSelector | None,
        allowed: int,
    ) -> tuple[Numbers, NDArray[np.float32]]:
        """The nearest of the selected rows, which may be none of the query's neighbours."""
        if self._scanned and self._lists and _CHEAP * allowed > len(self):
            every = faiss.IVFSearchParameters(nprobe=self._lists.nlist, sel=selector)  # type: ignore[call-arg]  # stubs are C++'s
            deep = faiss.IndexRefineSearchParameters(  # type: ignore[call-arg]  # likewise
                k_factor=self._scanned.k_factor, base_index_params=every
            )
            return self._nearest(self._index, query, count, deep)
        only = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # likewise
        return self._nearest(self._rows, query, count, only)

    def _nearest(
        self,
        index: faiss.Index,
        query: NDArray[np.float32],
        count: int,
        allowed: faiss.SearchParameters | None = None,
    ) -> tuple[Numbers, NDArray[np.float32]]:
        deep = max(count, DEEP) if self._scanned else max(count, 1)
        # One question at a time: threads would only wait for one another.
        faiss.omp_set_num_threads(1)
        scores, numbers = index.search(query.reshape(1, -1), min(deep, len(self)), params=allowed)
        found = numbers[0][:count] >= 0  # FAISS pads with -1
        return numbers[0][:count][found], scores[0][:count][found]


class Exact:
    """The oracle: the best inner products of some queries with all rows it has seen, by numpy."""

    def __init__(self, queries: Rows, depth: int) -> None:
        self.queries = queries
        self.best = np.full((len(queries), depth), -np.inf, np.float32)
        """(q, depth) best inner products so far, in no order."""

    def seeing(self, chunks: Iterable[Rows]) -> Iterator[Rows]:
        """The chunks as they come, each looked at in passing."""
        depth = self.best.shape[1]
        for rows in chunks:
            together = np.concatenate([self.best, self.queries @ rows.T], axis=1)
            self.best = -np.partition(-together, depth - 1, axis=1)[:, :depth]
            yield rows


def questions(titles: Rows) -> Rows:
    """(ceil(n / 2), d) rows to ask an index for, each halfway between two titles.

    Papers' own rows, and single titles, find their nearest too easily: people's questions lie as
    far from all papers as these do. See docs/retrieval.md.
    """
    half = (len(titles) + 1) // 2
    between = titles[:half] + titles[-half:]
    unit: Rows = between / np.linalg.norm(between, axis=1, keepdims=True).clip(_NEAR)
    return unit


def recall(vectors: Vectors, exact: Exact, rows: Callable[[Numbers], Rows]) -> float:
    """The share of each query's exact best that the index finds too; ties count as found.

    `rows` fetches rows by number as they were before the index kept them.
    """
    depth = exact.best.shape[1]
    right = 0
    for query, bar in zip(exact.queries, exact.best.min(axis=1), strict=True):
        found, _ = vectors.search(query, depth)
        right += int((rows(found) @ query >= bar - _NEAR).sum())
    return right / exact.best.size


def _prepare(index: faiss.IndexRefine, scanned: faiss.Index) -> None:
    """How an index learns, and how far it looks at first."""
    if isinstance(scanned, faiss.IndexPQFastScan | faiss.IndexIVFPQFastScan):
        scanned.pq.cp.niter = 10  # in place of 25, which found no more
    if isinstance(scanned, faiss.IndexIVF):
        scanned.nprobe = max(1, scanned.nlist // WIDEST)
        index.k_factor = DEEPER


def _selector(mask: Mask) -> faiss.IDSelector:
    bits = np.packbits(mask, bitorder="little")
    return faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg,arg-type]  # likewise


def _single(halves: NDArray[np.int16]) -> Rows:
    """Half precision, bit for bit, to single; three times as fast as by numpy 2.4."""
    bits = halves.astype(np.int32) << 13  # sign, 5 of 8 bits of the exponent, fraction
    bits &= ~0x70000000  # the sign was carried along into the other 3
    rows: Rows = bits.view(np.float32)
    rows *= np.float32(2.0**112)  # both exponents count from a bias: 15 and 127
    return rows


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
