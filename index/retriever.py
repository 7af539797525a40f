"""A snapshot, opened: questions to papers."""

from __future__ import annotations

import logging
import threading
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple, Protocol, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from index import related, snapshot
from index.fusion import POOL, Ranking, Row, Scores, either, fold, rank, reorder, top, words_weight
from index.lexical import Lexical, asked, tokens
from index.records import Filter, Mask, Papers
from index.reranker import READ_AGAIN, Reranker
from index.snapshot import CURRENT, ENCODER, LEXICAL, VECTORS
from index.text import document
from index.vectors import Vectors
from ingest import ids
from ingest.errors import BadInput, MissingExtra, PaperfeedError
from ingest.paper import Paper
from ingest.text import one_line

MOST_RESULTS = 1000
MOST_WORDS = 2000
"""A question longer than this is a document pasted by mistake."""
TELLING = 40
"""By how many of a paper's words papers like it are searched, beside those of its title."""
SAMPLE = 200
"""Rows looked at to learn how far apart the encoder lays unlike papers."""

_log = logging.getLogger(__name__)


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


class Narrowing(TypedDict, total=False):
    """What `search`, `similar` and the block may be narrowed by; see `index.records.Filter`."""

    since: date | str | None
    until: date | str | None
    categories: str | Sequence[str] | None
    has_code: bool | None
    listed_only: bool
    include_withdrawn: bool


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

    def ask(
        self, query: str, row: Row, k: int, allowed: Mask, reranker: Reranker | None
    ) -> list[Hit]:
        """The best k papers for a question by meaning and words together, the first read again."""
        words = self.words.sums(asked(query))
        best = self._best(row, words, max(k, READ_AGAIN) if reranker else k, allowed)
        if reranker:
            texts = self.papers.texts(best.rows[:READ_AGAIN].tolist())
            best = reorder(best, reranker.scores(query, [text.document for text in texts]))
        return self._hits(best, k)

    def like(self, number: int, k: int, allowed: Mask) -> list[Hit]:
        """The best k papers by meaning and words, the paper itself and its copies left out."""
        row, paper = self.vectors.rows(np.array([number]))[0], self.papers[number]
        title, text = paper.title or "", document(paper.title, paper.abstract)
        words = self.words.sums([*tokens(title), *self.words.telling(text, TELLING)])
        allowed = allowed & (self.titles != self.titles[number])
        return self._hits(self._best(row, words, k, allowed), k)

    def _ranked(self, row: Row, words: Scores, pool: int, allowed: Mask) -> Ranking:
        nearest, _ = self.vectors.search(row, pool, allowed)
        rows = either(nearest, top(words, pool).rows)
        return rank(rows, self.vectors.rows(rows), row, words[rows], self.words_weight)

    def _best(self, row: Row, words: Scores, k: int, allowed: Mask) -> Ranking:
        """At least k, from a pool widened until folding copies leaves k, or nothing is left."""
        words = np.where(allowed, words, 0)
        pool, there = max(POOL, 2 * k), int(allowed.sum())
        best = fold(self._ranked(row, words, pool, allowed), self.titles)
        while len(best.rows) < k and pool < there:
            pool *= 4
            best = fold(self._ranked(row, words, pool, allowed), self.titles)
        return best

    def _hits(self, best: Ranking, k: int) -> list[Hit]:
        pairs = zip(best.rows[:k].tolist(), best.scores[:k].tolist(), strict=True)
        return [Hit(self.papers[row], score, rank) for rank, (row, score) in enumerate(pairs, 1)]


class Retriever:
    """Answers questions from the snapshot that serves, and notices a new one without a restart.

    Safe to use from many threads: each answer comes from one whole snapshot.
    """

    def __init__(self, path: Path, open_encoder: OpenEncoder, reranker: Reranker | None) -> None:
        self._path = path
        self._open_encoder = open_encoder
        self._reranker = reranker
        self._home = snapshot.index_home(path)
        self._swapping = threading.Lock()
        self._stamp = self._read_stamp()
        self._opened = Opened(snapshot.locate(path), open_encoder, None)

    @classmethod
    def open(
        cls,
        path: str | Path = "data",
        *,
        encoder: OpenEncoder | None = None,
        reranker: str | Path | None = None,
    ) -> Retriever:
        """Open a snapshot folder, or the current snapshot of an index home or a paperfeed home.

        `encoder` opens a snapshot's `encoder/` folder, in place of ONNX Runtime. `reranker` is a
        cross-encoder, by folder or name, that reads the first papers found for a question again;
        see `index.reranker`. Raises SnapshotMissing, SnapshotMismatch, SnapshotCorrupt.
        """
        if encoder is None:
            encoder = _onnx_encoder()
        return cls(Path(path), encoder, Reranker(str(reranker)) if reranker else None)

    @property
    def snapshot(self) -> str:
        """The folder name of the snapshot that answers now."""
        return self._newest().name

    @property
    def opened(self) -> Opened:
        """The snapshot that answers now, with its parts."""
        return self._newest()

    def __len__(self) -> int:
        return len(self._newest().papers)

    def search(self, query: str, k: int = 10, **narrowing: Unpack[Narrowing]) -> list[Hit]:
        """The k best papers for a question, best first; fewer only where fewer may be found.

        Narrowed by `since`, `until` (days, inclusive), `categories`, `has_code`, `listed_only`;
        withdrawn papers only with `include_withdrawn`. Raises BadInput.
        """
        return self.search_many([query], k, **narrowing)[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, **narrowing: Unpack[Narrowing]
    ) -> list[list[Hit]]:
        """`search` for many questions at once: one list of hits each. Raises BadInput."""
        asked, wanted = [_question(query) for query in queries], Filter(**narrowing)
        _check_count(k)
        if not asked:
            return []
        opened = self._newest()
        allowed = wanted.mask(opened.papers)
        many = len(asked) > 1
        rows = opened.encoder.encode_many(asked) if many else [opened.encoder.encode(asked[0])]
        pairs = zip(asked, rows, strict=True)
        return [opened.ask(query, row, k, allowed, self._reranker) for query, row in pairs]

    def similar(self, arxiv_id: str, k: int = 10, **narrowing: Unpack[Narrowing]) -> list[Hit]:
        """The k papers most like a paper, itself left out; never reranked. Raises BadInput."""
        wanted = Filter(**narrowing)
        _check_count(k)
        opened = self._newest()
        return opened.like(_number(opened, arxiv_id), k, wanted.mask(opened.papers))

    def paper(self, arxiv_id: str) -> Paper:
        """The paper with this id, with or without version. Raises BadInput for an unknown one."""
        opened = self._newest()
        return opened.papers[_number(opened, arxiv_id)]

    def related_papers(self, query: str, k: int = 3, **narrowing: Unpack[Narrowing]) -> list[Hit]:
        """`search` for a prompt: a paper without abstract only where none has one."""
        wanted, question = Filter(**narrowing), _question(query)
        _check_count(k)
        opened = self._newest()
        allowed = wanted.mask(opened.papers)
        told = allowed & opened.papers.column("has_abstract")
        row = opened.encoder.encode(question)
        return opened.ask(question, row, k, told if told.any() else allowed, self._reranker)

    def related_papers_block(self, query: str, k: int = 3, **narrowing: Unpack[Narrowing]) -> str:
        """The "Related Papers" block of a prompt; see `index.related.block`. Raises BadInput."""
        return related.block(hit.paper for hit in self.related_papers(query, k, **narrowing))

    def _newest(self) -> Opened:
        """The snapshot to answer from; opens the one CURRENT names when that line was replaced."""
        replaced = self._home and self._read_stamp() != self._stamp
        if self._home and replaced and self._swapping.acquire(blocking=False):
            try:
                self._swap(self._home)
            finally:
                self._swapping.release()
        return self._opened

    def _swap(self, home: Path) -> None:
        """Open what CURRENT names now; what cannot be opened is passed over, with a warning."""
        self._stamp = self._read_stamp()
        try:
            folder = snapshot.current(home)
            if folder.name != self._opened.name:
                self._opened = Opened(folder, self._open_encoder, self._opened)
        except PaperfeedError as error:
            _log.warning("%s goes on serving: %s", self._opened.name, error)

    def _read_stamp(self) -> tuple[int, ...]:
        """What changes whenever CURRENT is replaced; costs microseconds."""
        try:
            found = (self._home / CURRENT).stat() if self._home else None
        except OSError:
            found = None
        return (found.st_ino, found.st_mtime_ns) if found else ()


def _sample(count: int) -> NDArray[np.int64]:
    """At most SAMPLE row numbers of `count`, evenly spread."""
    return np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)


def _onnx_encoder() -> OpenEncoder:
    try:
        from index.query_encoder import QueryEncoder
    except ImportError as missing:
        raise MissingExtra(str(missing.name), "") from missing
    return QueryEncoder.open


def _question(query: str) -> str:
    """The query on one clean line; raises BadInput when it is empty or far too long."""
    question = one_line(unicodedata.normalize("NFKC", query))
    if not question:
        raise BadInput("the question is empty: type what you want papers about")
    words = question.count(" ") + 1
    if words > MOST_WORDS:
        raise BadInput(f"the question has {words} words: give at most {MOST_WORDS}")
    return question


def _check_count(k: int) -> None:
    if not 1 <= k <= MOST_RESULTS:
        raise BadInput(f"k is {k}: give a number from 1 to {MOST_RESULTS}")


def _number(opened: Opened, arxiv_id: str) -> int:
    """The row number of an id written in any way; raises BadInput when it is not held."""
    parsed = ids.find(arxiv_id)
    number = opened.papers.find(parsed.base if parsed else arxiv_id.strip())
    if number is None:
        raise BadInput(f"{one_line(arxiv_id)[:80]!r} is no paper of this snapshot: check the id")
    return number
