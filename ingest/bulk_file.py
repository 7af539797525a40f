"""A bulk file as chunks of lines, plain or packed, of any size in the same memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

from ingest.errors import BadInput, MissingExtra
from ingest.sources.bulk import GZIP, PARQUET, XZ, ZIP

BYTES = 4 << 20
"""A chunk ends with the line that reaches it."""
LONGEST_LINE = 4 << 20
"""In bytes; a longer one comes in pieces, which no reader takes for a record."""

_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)


class Chunk(NamedTuple):
    """Consecutive lines of a file, the same ones at every reading."""

    body: bytes
    lines: int
    """Those that are not blank."""
    digest: str
    read_to: int
    """How far into the file, in bytes, the reading has come."""


def chunks(file: Path) -> Iterator[Chunk]:
    """All lines of `file`; raises BadInput where it is damaged, after the chunks before."""
    try:
        with file.open("rb") as opened:
            for body in _bodies(opened, file.name):
                digest = hashlib.sha256(body).hexdigest()[:32]
                yield Chunk(body, _filled(body), digest, opened.tell())
    except _DAMAGE as error:
        said = getattr(error, "strerror", None) or error
        raise BadInput(f"{file} cannot be read to its end: {said}") from error


def _filled(body: bytes) -> int:
    return sum(1 for line in body.split(b"\n") if line and not line.isspace())


def _bodies(opened: io.BufferedReader, name: str) -> Iterator[bytes]:
    begins = opened.peek(len(XZ))
    if begins.startswith(GZIP):
        return _whole_lines(cast(IO[bytes], gzip.open(opened)))
    if begins.startswith(XZ):
        return _whole_lines(lzma.open(opened))
    if begins.startswith(ZIP):
        return _zipped(opened, name)
    if begins.startswith(PARQUET):
        return _rows(opened, name)
    return _whole_lines(opened)


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    while body := stream.read(BYTES):
        yield body if body.endswith(b"\n") else body + stream.readline(LONGEST_LINE)


def _zipped(opened: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of every JSON file in the archive, one file after the other."""
    with zipfile.ZipFile(opened) as archive:
        wanted = [i for i in archive.infolist() if i.filename.lower().endswith((".json", ".jsonl"))]
        if not wanted:
            raise BadInput(f"{name} holds no .json or .jsonl file")
        if any(info.flag_bits & 1 for info in wanted):
            raise BadInput(f"{name} is locked with a password: unpack it first")
        for info in wanted:
            with archive.open(info) as member:
                yield from _whole_lines(member)


def _rows(opened: IO[bytes], name: str) -> Iterator[bytes]:
    """The rows of a Parquet file as the lines that the same records are in JSON, 500 at a time."""
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    try:
        for rows in parquet.ParquetFile(opened, pre_buffer=False).iter_batches(500):
            yield msgspec.json.Encoder().encode_lines(map(_with_maps, rows.to_pylist()))
    except (ArrowException, TypeError, ValueError) as error:
        raise BadInput(f"{name} is not a Parquet file of records: {error}") from error


def _with_maps(row: dict[str, Any]) -> dict[str, Any]:
    """Parquet's map of sources comes as pairs."""
    sources = row.get("sources")
    return {**row, "sources": dict(sources)} if isinstance(sources, list) else row
