"""Vectors by the content of their text, append-only: a killed night loses at most one batch."""

from __future__ import annotations

import os
import zlib
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from ingest.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# One entry of keys.bin: the text's digest, then the CRC-32 of its row, so that a torn row shows.
_ENTRY = np.dtype([("key", "V32"), ("crc", "<u4")])
_READ = 4096  # rows checked and copied at a time: 6 MB at 384 dimensions


def text_key(text: str) -> bytes:
    """The SHA-256 of the text, 32 bytes: the name under which its row is kept."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


class VectorCache:
    """Rows of one encoder in `rows.f32`, in the order of `keys.bin`; one writer at a time."""

    key = staticmethod(text_key)

    def __init__(self, folder: Path, dimension: int) -> None:
        self.dimension = dimension
        self._rows_path, self._keys_path = folder / "rows.f32", folder / "keys.bin"
        self._row_bytes = 4 * dimension
        # What one file has and the other has not is the rest of a killed append: not counted here,
        # cut off by the next append, so that opening never writes to a cache that is in use.
        self._count = min(
            self._rows_path.stat().st_size // self._row_bytes,
            self._keys_path.stat().st_size // _ENTRY.itemsize,
        )
        entries = np.fromfile(self._keys_path, _ENTRY, self._count)
        self._crcs: list[int] = entries["crc"].tolist()
        # A row made again after damage stands later in the file, and the later one counts.
        self._places: dict[bytes, int] = dict(
            zip(entries["key"].tolist(), range(self._count), strict=True)
        )

    @classmethod
    def open(cls, folder: Path, encoder_digest: str, dimension: int) -> VectorCache:
        """The cache below `folder` of the encoder with that digest, made if it is not there."""
        own = folder / encoder_digest[:16]
        own.mkdir(parents=True, exist_ok=True)
        for name in ("rows.f32", "keys.bin"):
            (own / name).touch()
        return cls(own, dimension)

    def __len__(self) -> int:
        return len(self._places)

    def known(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int]]:
        """(len(texts), dimension) the texts' rows, and the places of those without an intact one.

        What stands in these places means nothing.
        """
        keys = [text_key(text) for text in texts]
        out = np.empty((len(keys), self.dimension), np.float32)
        here = [place for place, key in enumerate(keys) if key in self._places]
        for chosen, block, intact in self._blocks(keys, np.array(here, np.intp)):
            out[chosen] = block
            if not all(intact):
                self._forget(keys[n] for n, whole in zip(chosen, intact, strict=True) if not whole)
        return out, [place for place, key in enumerate(keys) if key not in self._places]

    def missing(self, texts: Sequence[str]) -> list[int]:
        """The place of each distinct text without an intact row here, at its first occurrence."""
        _, absent = self.known(texts)
        first = {texts[place]: place for place in reversed(absent)}
        return sorted(first.values())

    def add(self, texts: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Keeps the row of every text not here yet; on disk when it returns.

        Raises EncoderError when `rows` is not (len(texts), dimension) finite numbers, OSError when
        the disk refuses; what was here before stays as it was.
        """
        if rows.shape != (len(texts), self.dimension) or not np.isfinite(rows).all():
            raise EncoderError(
                f"{len(texts)} texts need finite rows of {self.dimension}, got shape {rows.shape}"
            )
        new: dict[bytes, int] = {}
        for place, text in enumerate(texts):
            key = text_key(text)
            if key not in self._places:
                new.setdefault(key, place)
        self._append(list(new), np.ascontiguousarray(rows[list(new.values())], "<f4"))

    def rows(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The rows of the texts, in order, of shape (len(texts), dimension).

        Raises EncoderError when a text has no row here or its row was altered on disk.
        """
        rows, absent = self.known(texts)
        if absent:
            raise EncoderError(
                f"{len(absent)} of {len(texts)} texts have no intact vector in {self._rows_path}: "
                "run again to make them anew"
            )
        return rows

    def _forget(self, keys: Iterable[bytes]) -> None:
        for key in set(keys):
            del self._places[key]

    def _blocks(
        self, keys: list[bytes], chosen: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32], list[bool]]]:
        """Some of the chosen `keys`, their rows, whether each is intact; in the file's order."""
        if not len(chosen):
            return
        places = np.fromiter((self._places[keys[n]] for n in chosen), np.intp, len(chosen))
        order = np.argsort(places, kind="stable")
        stored = np.memmap(self._rows_path, "<f4", "r", shape=(self._count, self.dimension))
        for start in range(0, len(order), _READ):
            some = order[start : start + _READ]
            block = np.ascontiguousarray(stored[places[some]])
            crcs = map(self._crcs.__getitem__, places[some].tolist())
            intact = [zlib.crc32(row) == crc for row, crc in zip(block, crcs, strict=True)]
            yield chosen[some], block, intact

    def _append(self, keys: list[bytes], rows: NDArray[np.float32]) -> None:
        if not keys:
            return
        crcs = [zlib.crc32(row) for row in rows]
        entries = np.empty(len(keys), _ENTRY)
        entries["key"] = np.array(keys, "V32")
        entries["crc"] = crcs
        # Rows first: a key on disk is a promise that its row is there.
        _write_at(self._rows_path, self._count * self._row_bytes, rows.tobytes())
        _write_at(self._keys_path, self._count * _ENTRY.itemsize, entries.tobytes())
        self._places.update(zip(keys, range(self._count, self._count + len(keys)), strict=True))
        self._crcs += crcs
        self._count += len(keys)


def _write_at(path: Path, offset: int, data: bytes) -> None:
    """Writes `data` at `offset` of the file, drops whatever followed, and waits for the disk."""
    with path.open("r+b") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
