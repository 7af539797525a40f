"""The immutable archive of what was received, written before anything is parsed.

One gzip file a response: a line of JSON saying what it is, then the body as it came. A file is
written aside, synced and renamed, so a killed process leaves whole files or none.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


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

    def land(self, raw: Raw) -> str:
        """Write `raw` durably and give the name it can be read by."""
        folder = self.path / raw.kind / raw.partition
        folder.mkdir(parents=True, exist_ok=True)
        stamp = raw.received_at.replace(":", "").replace("-", "")
        target, count = folder / f"{stamp}.gz", 0
        while target.exists():
            count += 1
            target = folder / f"{stamp}~{count}.gz"
        _write_aside(target, _pack(raw))
        return target.relative_to(self.path).as_posix()

    def read(self, name: str) -> Raw:
        """The entry that `land` called `name`."""
        head, _, body = gzip.decompress((self.path / name).read_bytes()).partition(b"\n")
        return Raw(body=body, **json.loads(head))

    def names(self) -> Iterator[str]:
        """Every name, in the order of receipt."""
        files = (file.relative_to(self.path) for file in self.path.glob("*/*/*.gz"))
        for file in sorted(files, key=lambda file: (file.name, file)):
            yield file.as_posix()


def moment(now: datetime | None = None) -> str:
    """`now` (the clock's, if None) as a UTC moment with microseconds."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _pack(raw: Raw) -> bytes:
    head = {key: value for key, value in asdict(raw).items() if key != "body"}
    return gzip.compress(json.dumps(head).encode() + b"\n" + raw.body, 6, mtime=0)


def _write_aside(target: Path, content: bytes) -> None:
    aside = target.with_suffix(".part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(target)
