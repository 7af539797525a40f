"""Questions to papers, from whichever snapshot serves."""

from __future__ import annotations

import logging
import os
import threading
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TypedDict, Unpack

from index import related, snapshot
from index.opened import Hit, Opened, OpenEncoder
from index.records import Filter
from index.reranker import Reranker
from index.snapshot import CURRENT
from ingest import ids
from ingest.errors import BadInput, MissingExtra, PaperfeedError
from ingest.paper import Paper
from ingest.text import one_line

MOST_RESULTS = 1000
MOST_WORDS = 2000
"""A question longer than this is a document pasted by mistake."""

_log = logging.getLogger(__name__)


class Narrowing(TypedDict, total=False):
    """What `search`, `similar` and the block may be narrowed by; see `index.records.Filter`."""

    since: date | str | None
    until: date | str | None
    categories: str | Sequence[str] | None
    has_code: bool | None
    listed_only: bool
    include_withdrawn: bool


class Retriever:
    """Answers questions from the snapshot that serves, and notices a new one without a restart.

    Safe to use from many threads: each answer comes from one whole snapshot.
    """

    def __init__(self, path: Path, open_encoder: OpenEncoder, reranker: Reranker | None) -> None:
        self._path = path
        self._open_encoder = open_encoder
        self._reranker = reranker
        self._home = snapshot.index_home(path)
        self._current = self._home / CURRENT if self._home else None
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
        allowed = opened.findable(wanted)
        with ThreadPoolExecutor(min(len(asked), os.cpu_count() or 1)) as askers:
            answers = askers.map(lambda one: opened.ask(one, k, allowed, self._reranker), asked)
            return list(answers)

    def similar(self, arxiv_id: str, k: int = 10, **narrowing: Unpack[Narrowing]) -> list[Hit]:
        """The k papers most like a paper, itself left out; never reranked. Raises BadInput."""
        wanted = Filter(**narrowing)
        _check_count(k)
        opened = self._newest()
        return opened.like(_number(opened, arxiv_id), k, opened.findable(wanted))

    def paper(self, arxiv_id: str) -> Paper:
        """The paper with this id, with or without version. Raises BadInput for an unknown one."""
        opened = self._newest()
        return opened.papers[_number(opened, arxiv_id)]

    def related_papers(self, query: str, k: int = 3, **narrowing: Unpack[Narrowing]) -> list[Hit]:
        """`search` for a prompt: a paper without abstract only where none has one."""
        wanted, question = Filter(**narrowing), _question(query)
        _check_count(k)
        opened = self._newest()
        return opened.ask(question, k, opened.findable(wanted, told=True), self._reranker)

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
            found = self._current.stat() if self._current else None
        except OSError:
            found = None
        return (found.st_ino, found.st_mtime_ns) if found else ()


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
