"""One snapshot, opened: a question or a paper to the papers that answer it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index import snapshot
from index.fusion import POOL, Ranking, Row, Scores, either, fold, rank, reorder, top, words_weight
from index.lexical import Lexical, asked, tokens
from index.question import subject
from index.records import Filter, Mask, Papers
from index.reranker import READ_AGAIN, Reranker
from index.snapshot import ENCODER, LEXICAL, VECTORS
from index.text import document
from index.vectors import Vectors
from ingest.paper import Paper

TELLING = 40
"""By how many of a paper's words papers like it are searched, beside those of its title."""
SAMPLE = 200
"""Rows looked at to learn how far apart the encoder lays unlike papers."""

Numbers = NDArray[np.int64]
"""(m,) row numbers."""

_beside = ThreadPoolExecutor(os.cpu_count(), "words")
"""Where words are searched while a question is encoded, which leaves a core free."""


def _begin_anew() -> None:
    """Give a forked process threads of its own: those of its parent are not in it."""
    global _beside  # noqa: PLW0603 -- what the fork copied is dead
    _beside = ThreadPoolExecutor(os.cpu_count(), "words")


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)


class Hit(NamedTuple):
    """A paper that answers a question."""

    paper: Paper
    score: float
    """In [0, 1]: comparable within one answer only."""
    rank: int
    """From 1."""

    @property
    def arxiv_id(self) -> str:
        """The paper's base id."""
        return self.paper.arxiv_id


class Encodes(Protocol):
    """Questions to unit rows; `index.query_encoder.QueryEncoder` is one."""

    @property
    def digest(self) -> str:
        """What tells this encoder from every other."""

    def encode(self, query: str) -> NDArray[np.float32]:
        """(d,) the question's row."""

    def encode_many(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) the questions' rows."""


OpenEncoder = Callable[[Path], Encodes]


class Matched(NamedTuple):
    """What words find."""

    scores: Scores
    """(n,) of every row."""
    first: Numbers
    """The best of the rows that may be found, best first."""


class Opened:
    """One snapshot with all its files open: it answers even after its folder is removed."""

    def __init__(self, folder: Path, open_encoder: OpenEncoder, before: Opened | None) -> None:
        """Open the folder; raises SnapshotMissing, SnapshotMismatch, SnapshotCorrupt."""
        self.name = folder.name
        try:
            self.manifest = snapshot.check(folder)
            self.papers = Papers(folder)
            self.vectors = Vectors.load(folder / VECTORS, self.manifest.faiss)
            self.words = Lexical(folder / LEXICAL)
            self._usual = {told: self._findable(Filter(), told=told) for told in (False, True)}
            self.titles = np.asarray(self.papers.column("title"))
            self.words_weight = words_weight(self.vectors.rows(_sample(len(self.vectors))))
            same = before and before.manifest.encoder_digest == self.manifest.encoder_digest
            opened = before.encoder if before and same else open_encoder(folder / ENCODER)
            self.encoder: Encodes = opened
        except (OSError, ValueError, KeyError) as error:
            raise snapshot.corrupt(folder, f"a part cannot be opened: {error}") from error
        if self.encoder.digest != self.manifest.encoder_digest:
            theirs = self.manifest.encoder_digest
            raise snapshot.mismatch(folder, "encoder digest", theirs, self.encoder.digest)

    def findable(self, wanted: Filter, *, told: bool = False) -> Mask:
        """(n,) True for the papers that may be found; `told` leaves out those without abstract.

        Where none of them has one, they stay.
        """
        return self._usual[told] if wanted == Filter() else self._findable(wanted, told=told)

    def ask(self, query: str, k: int, allowed: Mask, reranker: Reranker | None) -> list[Hit]:
        """The best k papers for a question by meaning and words together, the first read again."""
        wanted = max(k, READ_AGAIN) if reranker else k
        words = _beside.submit(self._matched, asked(query), wanted, allowed)
        row = self.encoder.encode(subject(query))
        nearest, _ = self.vectors.search(row, _pool(wanted), allowed)
        best = self._best(row, nearest, words.result(), wanted, allowed)
        if reranker:
            texts = self.papers.texts(best.rows[:READ_AGAIN].tolist())
            best = reorder(best, reranker.scores(query, [text.document for text in texts]))
        return self._hits(best, k)

    def like(self, number: int, k: int, allowed: Mask) -> list[Hit]:
        """The best k papers by meaning and words, the paper itself and its copies left out."""
        row, paper = self.vectors.rows(np.array([number]))[0], self.papers[number]
        title, text = paper.title or "", document(paper.title, paper.abstract)
        allowed = allowed & (self.titles != self.titles[number])
        stems = [*tokens(title), *self.words.telling(text, TELLING)]
        nearest, _ = self.vectors.search(row, _pool(k), allowed)
        words = self._matched(stems, k, allowed)
        return self._hits(self._best(row, nearest, words, k, allowed), k)

    def _findable(self, wanted: Filter, *, told: bool) -> Mask:
        allowed = wanted.mask(self.papers)
        with_abstract = allowed & self.papers.column("has_abstract")
        return with_abstract if told and with_abstract.any() else allowed

    def _matched(self, stems: Sequence[str], k: int, allowed: Mask) -> Matched:
        """What the stems score, and the first rows by that."""
        scores = self.words.sums(stems)
        return Matched(scores, top(scores, _pool(k), allowed).rows)

    def _best(self, row: Row, nearest: Numbers, words: Matched, k: int, allowed: Mask) -> Ranking:
        """At least k, from a pool widened until folding copies leaves k, or nothing is left."""
        pool = _pool(k)
        best = self._ranked(row, words.scores, either(nearest, words.first))
        while len(best.rows) < k and pool < np.count_nonzero(allowed):
            pool *= 4
            nearest, _ = self.vectors.search(row, pool, allowed)
            first = top(words.scores, pool, allowed).rows
            best = self._ranked(row, words.scores, either(nearest, first))
        return best

    def _ranked(self, row: Row, words: Scores, rows: Numbers) -> Ranking:
        """The candidates ranked by meaning and words together, copies folded."""
        ranking = rank(rows, self.vectors.rows(rows), row, words[rows], self.words_weight)
        return fold(ranking, self.titles)

    def _hits(self, best: Ranking, k: int) -> list[Hit]:
        pairs = zip(best.rows[:k].tolist(), best.scores[:k].tolist(), strict=True)
        return [Hit(self.papers[row], score, rank) for rank, (row, score) in enumerate(pairs, 1)]


def _pool(k: int) -> int:
    """How many candidates meaning and words each bring in for k papers."""
    return max(POOL, 2 * k)


def _sample(count: int) -> NDArray[np.int64]:
    """At most SAMPLE row numbers of `count`, evenly spread."""
    return np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)
