"""Papers to a published snapshot: built aside, audited, then CURRENT is replaced.

One builder at a time: the caller holds its home's lock.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from index import audit, lexical, snapshot
from index.lexical import TOKENISER, Before
from index.records import Papers, Records
from index.snapshot import ASIDE, ENCODER, FORMAT, LEXICAL, VECTORS, Manifest
from index.text import RECIPE, Texts, paper_rows
from index.vectors import (
    EXACT,
    RECALL_AT_LEAST,
    Exact,
    Numbers,
    Rows,
    Vectors,
    choose,
    learns_from,
    questions,
    recall,
)
from ingest.errors import SnapshotError, SnapshotRefused
from ingest.paper import Paper

CHUNK = 4096
"""Papers whose texts and rows are in memory together."""
SHRUNK = 0.9
"""A snapshot with less than this share of the current one's papers is refused."""
RECALL_SAMPLE, RECALL_DEPTH = 200, 10

_DIGESTS = "digests.json"
"""Beside an exported encoder: the SHA-256 of each of its files, and how they were made."""
_EXPORTED_AS = "8 bits where that is faithful, tables in 16"
"""Write something else here when an encoder is exported in another way: then it is made anew."""

Progress = Callable[[int], None]
"""Told how many more papers are done since it was last told."""


class DocumentEncoder(Protocol):
    """Texts to unit rows; `index.encoder.Encoder` is one."""

    @property
    def name(self) -> str:
        """What people call the model."""

    @property
    def digest(self) -> str:
        """What tells this encoder from every other."""

    @property
    def dimension(self) -> int:
        """Numbers in a row."""

    def batches(self, texts: Sequence[str]) -> Iterable[tuple[Sequence[int], Rows]]:
        """The rows of all texts, a batch at a time, each with the places of its texts."""

    def export(self, folder: Path) -> None:
        """Write the query encoder's files into the folder."""


class RowCache(Protocol):
    """Rows by text; `index.vector_cache.VectorCache` is one."""

    def known(self, texts: Sequence[str]) -> tuple[Rows, list[int]]:
        """(len(texts), d) the rows of the texts, and the places of those that have none yet."""

    def add(self, texts: Sequence[str], rows: Rows) -> None:
        """Keep the rows for good."""

    def rows(self, texts: Sequence[str]) -> Rows:
        """(len(texts), d) the rows of texts that all have one."""


class Published(NamedTuple):
    """What `publish` did."""

    snapshot_id: str
    path: Path
    papers: int
    vectors_made: int
    vectors_reused: int
    unchanged: bool
    """True when the current snapshot holds exactly these papers already: nothing was built."""
    untitled: int = 0
    """Papers left out because they have no title."""


def publish(
    index_home: Path,
    papers: Iterable[Paper],
    encoder: DocumentEncoder,
    cache: RowCache,
    *,
    progress: Progress | None = None,
    allow_shrink: bool = False,
    keep: int = 5,
) -> Published:
    """Build a snapshot of the papers, given in id order, and let it serve.

    The same papers and encoder give the same snapshot id, and then nothing is built. Raises
    SnapshotRefused where the audit fails or less than 90 % of the papers are left, SnapshotError
    where the disk is full; the snapshot before goes on serving then.
    """
    aside = index_home / f"{ASIDE}{os.getpid()}"
    try:
        index_home.mkdir(parents=True, exist_ok=True)
        snapshot.sweep(index_home)
        aside.mkdir()
        builder = _Builder(index_home, aside, encoder, cache, progress or (lambda _: None))
        return builder.run(papers, allow_shrink=allow_shrink, keep=keep)
    except OSError as error:
        raise _not_written(index_home, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class _Builder:
    """One snapshot in the making."""

    def __init__(
        self,
        index_home: Path,
        aside: Path,
        encoder: DocumentEncoder,
        cache: RowCache,
        progress: Progress,
    ) -> None:
        self._home = index_home
        self._aside = aside
        self._encoder = encoder
        self._cache = cache
        self._progress = progress
        self._made = 0
        self._ahead = 0
        """Papers told to `progress` already that will come again."""

    def run(self, papers: Iterable[Paper], *, allow_shrink: bool, keep: int) -> Published:
        """Write the records; build the rest unless a snapshot of just these is there already."""
        count, untitled, digest = _write_records(self._aside, papers)
        self._progress(untitled)
        made_of = [str(FORMAT), RECIPE, TOKENISER, self._encoder.digest, _EXPORTED_AS, digest]
        identity = blake2b("\n".join(made_of).encode(), digest_size=8).hexdigest()
        serving = _serving(self._home)
        ready = _built_already(self._home, identity, serving)
        if ready is None:
            self._refuse(count, serving, allow_shrink=allow_shrink)
            ready = self._build(identity, untitled, serving)
        else:
            self._progress(count)
        unchanged = serving is not None and ready.name == serving.name
        if not unchanged:
            snapshot.point(self._home, ready.name)
            snapshot.tidy(self._home, serving.name if serving else None, keep)
        made = self._made
        return Published(identity, ready, count, made, count - made, unchanged, untitled)

    def _refuse(self, count: int, serving: Path | None, *, allow_shrink: bool) -> None:
        if not count:
            raise SnapshotRefused("there is no paper with a title to index", str(self._home))
        before = _count(serving)
        if count < SHRUNK * before and not allow_shrink:
            asked = "if that is meant, run  paperfeed index --allow-shrink"
            message = f"{count} papers where {before} were: {asked}"
            raise SnapshotRefused(message, str(self._home))

    def _build(self, identity: str, untitled: int, serving: Path | None) -> Path:
        papers = Papers(self._aside)
        before = _counted_before(papers, serving) if serving else None
        if before:
            self._embed_new(papers, np.flatnonzero(before.rows < 0))
        index, measured = self._vectors(papers)
        index.save(self._aside / VECTORS)
        description = index.description
        del index  # 100 MB at 120,000 papers, when words need 300 for a moment
        self._words(papers, before)
        _link_encoder(self._encoder, self._home.parent / "encoders", self._aside / ENCODER)
        facts = Manifest(
            id=identity,
            papers=len(papers),
            untitled=untitled,
            encoder=self._encoder.name,
            encoder_digest=self._encoder.digest,
            dimension=self._encoder.dimension,
            faiss=description,
            recall_at_10=round(measured, 4),
        )
        manifest = snapshot.write_manifest(self._aside, facts)
        audit.audit(self._aside, manifest, self._rows)
        return self._settle(identity)

    def _embed_new(self, papers: Papers, numbers: Numbers) -> None:
        """Make the rows of new papers together: a few at a time are embedded half as fast."""
        for start in range(0, len(numbers), CHUNK):
            part = numbers[start : start + CHUNK].tolist()
            self._rows(list(papers.texts(part)), self._progress)
        self._ahead = len(numbers)

    def _once_more(self, papers: int) -> None:
        """Progress, without the papers that were embedded ahead."""
        known = min(papers, self._ahead)
        self._ahead -= known
        self._progress(papers - known)

    def _words(self, papers: Papers, before: Before | None) -> None:
        """The index of words, counted anew only where the serving snapshot has not that text."""
        fresh = None if before is None else np.flatnonzero(before.rows < 0).tolist()
        texts = (texts.document for texts in papers.texts(fresh))
        lexical.build(texts, self._aside / LEXICAL, before)

    def _settle(self, identity: str) -> Path:
        """Give the finished folder the next number."""
        last = max(map(snapshot.sequence, snapshot.names(self._home)), default=0)
        settled = self._home / f"{last + 1:06d}-{identity}"
        self._aside.rename(settled)
        snapshot.sync_folder(self._home)
        return settled

    def _vectors(self, papers: Papers) -> tuple[Vectors, float]:
        """The FAISS index and its measured recall; exact where the quick one is not enough."""

        def rows_at(numbers: Numbers) -> Rows:
            return self._rows(list(papers.texts(numbers.tolist())))

        dimension = self._encoder.dimension
        description = choose(len(papers), dimension)
        exact = Exact(self._asked(papers), min(RECALL_DEPTH, len(papers)))
        learns = audit.sample(len(papers), learns_from(description))
        learnt = rows_at(learns) if len(learns) else None
        chunks = (self._rows(texts, self._once_more) for texts in _chunks(papers.texts()))
        index = Vectors.build(exact.seeing(chunks), dimension, description, learnt)
        measured = recall(index, exact, rows_at)
        while measured < RECALL_AT_LEAST and index.widen():
            measured = recall(index, exact, rows_at)
        if measured < RECALL_AT_LEAST and description != EXACT:
            again = (self._rows(texts) for texts in _chunks(papers.texts()))
            index = Vectors.build(again, dimension, EXACT)
            measured = recall(index, exact, rows_at)
        return index, measured

    def _asked(self, papers: Papers) -> Rows:
        """Rows to measure an index with, as far from the papers as questions are."""
        sample = papers.texts(audit.sample(len(papers), 2 * RECALL_SAMPLE).tolist())
        titles, _ = self._embedded([texts.title for texts in sample], lambda _: None)
        return questions(titles)

    def _rows(self, texts: list[Texts], progress: Progress = lambda _: None) -> Rows:
        """The papers' rows, from those of their documents and titles."""
        documents, made = self._embedded([one.document for one in texts], progress)
        titles, _ = self._embedded([one.title for one in texts], lambda _: None)
        self._made += made
        return paper_rows(titles, documents)

    def _embedded(self, texts: list[str], progress: Progress) -> tuple[Rows, int]:
        """The texts' rows, and how many the cache missed; these are kept batch by batch."""
        rows, absent = self._cache.known(texts)
        missing = list(dict.fromkeys(texts[place] for place in absent))
        progress(len(texts) - len(missing))
        for places, made in self._encoder.batches(missing) if missing else ():
            self._cache.add([missing[place] for place in places], made)
            progress(len(places))
        if absent:
            rows[absent] = self._cache.rows([texts[place] for place in absent])
        return rows, len(missing)


def _write_records(folder: Path, papers: Iterable[Paper]) -> tuple[int, int, str]:
    """Papers kept, papers left out for want of a title, and the digest of the kept ones."""
    records = Records(folder)
    try:
        for paper in papers:
            records.add(paper)
        return len(records), records.untitled, records.finish()
    finally:
        records.close()


def _serving(index_home: Path) -> Path | None:
    """The current snapshot's folder, None where there is none."""
    try:
        return snapshot.current(index_home)
    except SnapshotError:
        return None


def _count(folder: Path | None) -> int:
    """The papers of a snapshot, 0 for one that this program cannot read."""
    manifest = _manifest(folder) if folder else None
    return manifest.papers if manifest else 0


def _manifest(folder: Path) -> Manifest | None:
    try:
        return snapshot.read_manifest(folder)
    except SnapshotError:
        return None


def _built_already(index_home: Path, identity: str, serving: Path | None) -> Path | None:
    """A sound snapshot of this id, the current one or a later one.

    A later one was finished by a builder that was killed before it could replace CURRENT, or was
    rolled back from.
    """
    first = snapshot.sequence(serving.name) if serving else 0
    for name in snapshot.names(index_home):
        if snapshot.sequence(name) >= first and name.endswith(f"-{identity}"):
            try:
                snapshot.verify(index_home / name)
            except SnapshotError:
                continue
            return index_home / name
    return None


def _counted_before(papers: Papers, serving: Path) -> Before | None:
    """What can be taken over of the serving snapshot's words; None where they are not intact."""
    try:
        snapshot.check_digests(serving, (LEXICAL, "text.npy"))
        known = Papers(serving).column("text")
    except (SnapshotError, OSError, ValueError):
        return None
    wanted, order = papers.column("text"), np.argsort(known, kind="stable")
    places = np.searchsorted(known, wanted, sorter=order).clip(max=len(known) - 1)
    rows = order[places].astype(np.int64)
    return Before(serving / LEXICAL, np.where(known[rows] == wanted, rows, -1))


def _link_encoder(encoder: DocumentEncoder, encoders: Path, folder: Path) -> None:
    """Export the query encoder once a digest; every snapshot shares its files by hard link."""
    exported = encoders / encoder.digest
    if not _is_whole(exported):
        aside = encoders / f"{ASIDE}{encoder.digest}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        encoder.export(aside)
        (aside / _DIGESTS).write_text(json.dumps(_digests(aside)), "utf-8")
        shutil.rmtree(exported, ignore_errors=True)
        aside.rename(exported)
    folder.mkdir()
    for file in sorted(path for path in exported.iterdir() if path.name != _DIGESTS):
        try:
            os.link(file, folder / file.name)
        except OSError:  # another file system, or one without links
            shutil.copyfile(file, folder / file.name)


def _is_whole(exported: Path) -> bool:
    """Whether the export is byte for byte what it was: every snapshot to come shares it."""
    try:
        noted = json.loads((exported / _DIGESTS).read_bytes())
        return bool(noted == _digests(exported))
    except (OSError, ValueError):
        return False


def _digests(exported: Path) -> dict[str, str]:
    files = (path for path in sorted(exported.iterdir()) if path.name != _DIGESTS)
    return {"exported as": _EXPORTED_AS} | {path.name: snapshot.sha256(path) for path in files}


def _chunks(texts: Iterable[Texts]) -> Iterator[list[Texts]]:
    remaining = iter(texts)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk


def _not_written(index_home: Path, error: OSError) -> SnapshotError:
    # numpy's short writes carry no number.
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, None)
    what = "the disk is full: free some space and run again" if full else str(error)
    message = f"the new snapshot could not be written, the one before goes on serving; {what}"
    return SnapshotError(message, str(index_home))
