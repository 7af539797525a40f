"""A bulk file into the archive and the catalogue: in chunks, by several processes, restartable.

A chunk is landed before it is read, under the digest of its lines. One whose digest is there is
passed over: a killed import goes on where it stopped, and one done twice changes nothing.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from ingest.bulk_file import Chunk, chunks
from ingest.bulk_reader import land_and_read, set_up, unpack
from ingest.catalogue import titles_indexed_afterwards
from ingest.errors import BadInput, PaperfeedError
from ingest.raw import Archive, Raw, moment
from ingest.recorded import Tally, add_up, record_read, unrecorded
from ingest.sources import bulk
from ingest.titles import resolve_titles

READERS = 2
"""Processes beside this one, which writes: more would wait for it."""
AHEAD = 2 * READERS
"""Chunks read or being read while one is written."""
SMALL = 2 << 20
"""Bytes of a file that is read before a process could start."""


class Step(NamedTuple):
    """A chunk on its way."""

    lines: int
    read_to: int
    raw: Raw
    """Without its body."""
    read: Future[bytes] | None
    """None for one that the archive has already."""


Submit = Callable[..., Future[bytes]]


def import_file(
    engine: sa.Engine,
    archive: Archive,
    file: Path,
    night: str,
    progress: Callable[[int], None] = lambda _: None,
) -> Tally:
    """Land and record the lines of `file`; `received` counts all of them, known ones too.

    `progress` is told how many more bytes of the file are done, the whole of its size together.
    Raises BadInput for a file that holds no records, and for one that cannot be read to its end:
    the whole chunks before the damage are then recorded.
    """
    size = _size(file)
    tallies, lines, done = [Tally(bulk.KIND, night), *_finished(engine, archive, night)], 0, 0
    with _no_collecting(), titles_indexed_afterwards(engine), _readers(size) as submit:
        for step in _steps(archive, file, night, submit):
            if step.read:
                tallies.append(record_read(engine, step.raw, *unpack(step.read.result())))
            lines += step.lines
            progress(max(step.read_to - done, 0))
            done = max(step.read_to, done)
    with engine.begin() as db:
        resolve_titles(db)
    progress(size - done)
    return add_up(tallies)[0]._replace(received=lines)


def _finished(engine: sa.Engine, archive: Archive, night: str) -> list[Tally]:
    """Record what a killed import had landed; gives what that brought."""
    if not unrecorded(engine, archive):
        return []
    from ingest.record import record_landed  # waits for the packages of all sources

    tallies = record_landed(engine, archive)
    return [tally._replace(partition=night) for tally in tallies if tally.kind == bulk.KIND]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from error


def _steps(archive: Archive, file: Path, night: str, submit: Submit) -> Iterator[Step]:
    """Every chunk in the order of the file, the next ones being read meanwhile."""
    landed = archive.marks(bulk.KIND)
    waiting: deque[Step] = deque()
    damage = None
    try:
        for number, chunk in enumerate(chunks(file)):
            if number == 0:
                _refuse_unlike(chunk, file)
            waiting.append(_step(chunk, archive, file.name, night, landed, submit))
            if len(waiting) > AHEAD:
                yield waiting.popleft()
    except BadInput as error:
        damage = error
    while waiting:
        yield waiting.popleft()
    if damage:
        raise damage


def _step(
    chunk: Chunk, archive: Archive, name: str, night: str, landed: set[str], submit: Submit
) -> Step:
    raw = Raw(bulk.KIND, night, name, moment(), chunk.body)
    read = None
    if chunk.digest not in landed:
        landed.add(chunk.digest)
        read = submit(land_and_read, archive, raw, chunk.digest)
    return Step(chunk.lines, chunk.read_to, replace(raw, body=b""), read)


def _refuse_unlike(chunk: Chunk, file: Path) -> None:
    """Raise BadInput for a file of something else, before any of it is kept."""
    first = bulk.parse(b"\n".join(chunk.body.split(b"\n", 100)[:100]), "")
    if first.rejected and not first.observations:
        raise BadInput(
            f"{file} holds no records, neither of arXiv's snapshot nor of  paperfeed export: "
            f"{first.rejected[0].reason}"
        )


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Look for no garbage: rows make no circles, and millions of them are looked through."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _readers(size: int) -> Iterator[Submit]:
    """Where chunks are read: in other processes, but those of a small file here and at once."""
    if size <= SMALL:
        yield _at_once
        return
    pool = ProcessPoolExecutor(READERS, get_context("spawn"), initializer=set_up)
    try:
        yield pool.submit
    except BrokenProcessPool as error:
        raise PaperfeedError(
            "a process that reads the file was killed, for want of memory perhaps: run the same "
            "command again, it goes on where it stopped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _at_once(work: Callable[..., bytes], *arguments: object) -> Future[bytes]:
    done: Future[bytes] = Future()
    done.set_result(work(*arguments))
    return done
