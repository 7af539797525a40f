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
TRAIN_ON = 8192
"""Rows that product quantisation learns from: more of them found nothing more."""
DEEP = 300
"""Rows whose half precision is looked at, at least, times the index's own factor."""
WIDEST = 16
RECALL_DEPTH = 10
RECALL_AT_LEAST = 0.99
"""Below this share of the exact first ten, an index is rebuilt as exact."""
_DEAR = 10
"""What a row costs that is scanned and looked at again, in rows of one exact comparison."""
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
    and the best of them looked at again in half precision. See docs/retrieval.md for figures.
    """
    if count <= EXACT_UP_TO:
        return EXACT
    scan = f"PQ{dimension // 4}x4fs" if dimension % 4 == 0 else "RaBitQfs"
    return f"{scan},Refine(SQfp16)"


class Vectors:
    """A FAISS index of unit rows under inner product; safe to ask from many threads."""

    def __init__(self, index: faiss.Index, description: str) -> None:
        self._index = index
        self._scanned = index if isinstance(index, faiss.IndexRefine) else None
        self._rows = faiss.downcast_index(self._scanned.refine_index) if self._scanned else index
        """Every row, to be compared one by one."""
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
                _learn_briefly(faiss.downcast_index(index.base_index))
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
        allowed = len(self) if mask is None else int(mask.sum())
        if mask is None or allowed == len(self):
            return self._nearest(self._index, query, count)
        if self._scanned:
            # As many more are asked for as are refused, on average and a half more.
            reach = int(1.5 * count * len(self) / max(allowed, 1))
            if allowed > _DEAR * reach:
                numbers, scores = self._nearest(self._index, query, reach)
                found = np.flatnonzero(mask[numbers])[:count]
                if len(found) == count:
                    return numbers[found], scores[found]
        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg,arg-type]  # stubs are C++'s
        return self._nearest(self._rows, query, count, faiss.SearchParameters(sel=selector))  # type: ignore[call-arg]  # likewise

    def widen(self) -> bool:
        """Look at twice as many rows in half precision from now on; False where that is enough."""
        if self._scanned is None or self._scanned.k_factor >= WIDEST:
            return False
        self._scanned.k_factor *= 2
        return True

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

    def rows(self, numbers: Numbers) -> Rows:
        """(len(numbers), d) the rows themselves, as exactly as the index keeps them."""
        rows: Rows = self._index.reconstruct_batch(numbers)
        return rows


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


def _learn_briefly(scanned: faiss.Index) -> None:
    """Ten rounds of k-means in place of 25 found no less."""
    if isinstance(scanned, faiss.IndexPQFastScan):
        scanned.pq.cp.niter = 10


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
