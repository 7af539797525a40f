"""What a snapshot must prove before it serves: its parts agree, and papers find themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index import snapshot
from index.fusion import top
from index.lexical import Lexical
from index.records import Papers
from index.snapshot import LEXICAL, VECTORS, Manifest
from index.text import Texts
from index.vectors import RECALL_AT_LEAST, Numbers, Rows, Vectors
from ingest.errors import SnapshotCorrupt, SnapshotRefused

SAMPLE, DEPTH = 50, 10
TITLES_FOUND = 0.5
"""The share of sampled papers that their own titles must find: far below what a sound index
reaches, as many papers may share a title's few words, far above what a mixed-up one does."""
SAME = 0.999
"""Least inner product of a row in the index with the row that it was made from."""

RowsOf = Callable[[list[Texts]], Rows]


def sample(count: int, size: int) -> Numbers:
    """At most `size` row numbers of `count`, evenly spread; the same ones every time."""
    return np.unique(np.linspace(0, count - 1, size).astype(np.int64))


def audit(folder: Path, manifest: Manifest, rows_of: RowsOf) -> None:
    """Raise SnapshotRefused unless the snapshot in the folder is fit to serve.

    `rows_of` gives papers' rows as they were made of the encoder's.
    """
    try:
        snapshot.check(folder)
        snapshot.check_parts(folder, manifest)
    except SnapshotCorrupt as error:
        raise _refused(folder, error.message) from error
    if manifest.recall_at_10 < RECALL_AT_LEAST:
        raise _refused(folder, f"recall@10 against exact search is {manifest.recall_at_10}")
    papers = Papers(folder)
    numbers = sample(len(papers), SAMPLE)
    rows = rows_of(list(papers.texts(numbers.tolist())))
    _by_vector(folder, Vectors.load(folder / VECTORS, manifest.faiss), numbers, rows)
    _by_title(folder, Lexical(folder / LEXICAL), papers, numbers)


def _by_vector(folder: Path, vectors: Vectors, numbers: Numbers, rows: Rows) -> None:
    alike = np.einsum("nd,nd->n", vectors.rows(numbers), rows)
    if alike.min() < SAME:
        raise _refused(folder, f"row {numbers[alike.argmin()]} is not its paper's vector")
    for number, row in zip(numbers, rows, strict=True):
        found, scores = vectors.search(row, DEPTH)
        if number not in found and scores[-1] < SAME:  # else: more equals than places
            raise _refused(folder, f"paper {number} does not find itself by its vector")


def _by_title(folder: Path, words: Lexical, papers: Papers, numbers: Numbers) -> None:
    found = [_finds(words.scores(papers[n].title or ""), n) for n in numbers.tolist()]
    if np.mean(found) < TITLES_FOUND:
        raise _refused(folder, f"{sum(found)} of {len(found)} papers are found by their titles")


def _finds(scores: NDArray[np.float32], number: int) -> bool:
    """Whether the row is among the best; rows that score the same are equally good."""
    best = top(scores, DEPTH).scores
    return bool(len(best)) and bool(scores[number] >= best[-1])


def _refused(folder: Path, why: str) -> SnapshotRefused:
    message = f"the new snapshot failed its audit, the one before goes on serving: {why}"
    return SnapshotRefused(message, str(folder.parent))
