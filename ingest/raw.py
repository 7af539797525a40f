"""The immutable archive of what was received, written before anything is parsed.

One gzip file a response: a line of JSON saying what it is, then the body as it came. A file is
written aside, synced and renamed, so a killed process leaves whole files or none.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from isal import igzip

from ingest.errors import SourceChanged


@dataclass(frozen=True, slots=True)
class Raw:
    """One thing received."""

    kind: str
    """Which reader can parse it: see `ingest.record`."""
    partition: str
    """The day it was asked for."""
    url: str
    received_at: str
    """A moment with microseconds: the order of receipt."""
    body: bytes
    about: str = ""
    """What the request named besides its URL, such as the ids asked for."""


class Archive:
    """The folder `raw/`: kind/partition/time.gz."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def land(self, raw: Raw, mark: str = "") -> str:
        """Write `raw` durably and give the name it can be read by.

        A `mark` of letters and digits, such as a digest, stays in the name, for `marks` to find.
        """
        folder = self.path / raw.kind / raw.partition
        folder.mkdir(parents=True, exist_ok=True)
        stamp = raw.received_at.replace(":", "").replace("-", "")
        stamp = f"{stamp}-{mark}" if mark else stamp
        target, count = folder / f"{stamp}.gz", 0
        while target.exists():
            count += 1
            target = folder / f"{stamp}~{count}.gz"
        _write_aside(target, _pack(raw))
        return target.relative_to(self.path).as_posix()

    def read(self, name: str) -> Raw:
        """The entry that `land` called `name`; raises SourceChanged where its file is damaged."""
        try:
            head, _, body = gzip.decompress((self.path / name).read_bytes()).partition(b"\n")
            return Raw(body=body, **json.loads(head))
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, TypeError) as error:
            raise SourceChanged(f"raw/{name} is damaged: {error}") from error

    def names(self, kind: str = "*", partition: str = "*") -> Iterator[str]:
        """Every name, of this kind and partition where one is given, in the order of receipt."""
        found = self.path.glob(f"{kind}/{partition}/*.gz")
        files = (file.relative_to(self.path) for file in found)
        for file in sorted(files, key=lambda file: (file.name, file)):
            yield file.as_posix()

    def marks(self, kind: str) -> set[str]:
        """The marks of everything landed of this kind."""
        found = (file.stem.partition("-")[2] for file in self.path.glob(f"{kind}/*/*-*.gz"))
        return {mark.partition("~")[0] for mark in found}


def moment(now: datetime | None = None) -> str:
    """`now` (the clock's, if None) as a UTC moment with microseconds."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _pack(raw: Raw) -> bytes:
    """As gzip packs it, a sixth larger and five times as fast: a bulk file is large."""
    head = {key: value for key, value in asdict(raw).items() if key != "body"}
    packed: bytes = igzip.compress(json.dumps(head).encode() + b"\n" + raw.body, 1, mtime=0)
    return packed


def _write_aside(target: Path, content: bytes) -> None:
    aside = target.with_suffix(".part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, must outlive a power cut
    finally:
        os.close(folder)
