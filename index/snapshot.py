"""The folder of a snapshot: its manifest and digests, `CURRENT`, rollback, verify.

`CURRENT` in the index home holds one line, the name of the folder that serves; `manifest.json` in
each folder, such as `000012-4f0c21a99b7de835`, lists its files with their sizes and SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from index.lexical import TOKENISER, Lexical
from index.records import Papers
from index.text import RECIPE
from index.vectors import Vectors
from ingest.errors import SnapshotCorrupt, SnapshotMismatch, SnapshotMissing

FORMAT = 4
"""Raise it when a reader of today could not read what a builder of today writes."""
CURRENT, MANIFEST = "CURRENT", "manifest.json"
VECTORS, LEXICAL, ENCODER = "vectors.faiss", "lexical", "encoder"

ASIDE = ".building-"
"""What the name of a folder begins with that is not, or no more, a snapshot."""

_NAME = re.compile(r"(\d{6,})-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """How a snapshot was made, and what it holds."""

    id: str
    """Digest of all records, the encoder, the recipe, the tokeniser and the format."""
    papers: int
    untitled: int
    """Papers left out because they have no title."""
    encoder: str
    encoder_digest: str
    dimension: int
    faiss: str
    """FAISS factory string."""
    recall_at_10: float
    """Of the FAISS index against exact search, measured with rows as far from it as questions."""
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Path inside the folder to size in bytes and SHA-256."""
    recipe: str = RECIPE
    tokeniser: str = TOKENISER
    format: int = FORMAT


class Report(NamedTuple):
    """What `verify` looked at."""

    name: str
    papers: int
    files: int
    size: int
    """In bytes."""


def names(index_home: Path) -> list[str]:
    """The snapshots' folder names, oldest first."""
    found = [p.name for p in index_home.iterdir() if _NAME.fullmatch(p.name)]
    return sorted(found, key=sequence)


def sequence(name: str) -> int:
    """The number in a folder name."""
    return int(name.split("-", 1)[0])


def current(index_home: Path) -> Path:
    """The folder that serves; raises SnapshotMissing, or SnapshotCorrupt where CURRENT is odd."""
    try:
        name = (index_home / CURRENT).read_text("utf-8", "replace").strip()
    except OSError:
        raise _missing(index_home) from None
    if not _NAME.fullmatch(name):
        raise SnapshotCorrupt(f"CURRENT holds {name[:40]!r}: no snapshot's name", str(index_home))
    if not (index_home / name).is_dir():
        raise SnapshotMissing(f"CURRENT names {name}, which is not there", str(index_home))
    return index_home / name


def index_home(path: Path) -> Path | None:
    """The folder of CURRENT for an index home or a paperfeed home; None for anything else."""
    return next((home for home in (path, path / "index") if (home / CURRENT).is_file()), None)


def locate(path: Path) -> Path:
    """The snapshot folder meant by a snapshot, an index home or a paperfeed home.

    Raises SnapshotMissing.
    """
    if (path / MANIFEST).is_file():
        return path
    home = index_home(path)
    if home is None:
        raise _missing(path)
    return current(home)


def point(index_home: Path, name: str) -> None:
    """Let CURRENT name another snapshot: readers see the old line or the new one, never half."""
    aside = index_home / f"{CURRENT}.new"
    with aside.open("w", encoding="utf-8") as file:
        file.write(f"{name}\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(index_home / CURRENT)
    sync_folder(index_home)


def rollback(index_home: Path) -> str:
    """Let the snapshot before the current one serve; return its folder name.

    Raises SnapshotMissing when there is none, SnapshotCorrupt when it cannot be opened.
    """
    now = current(index_home).name
    before = [name for name in names(index_home) if sequence(name) < sequence(now)]
    if not before:
        raise SnapshotMissing(f"there is no snapshot before {now} to go back to", str(index_home))
    check(index_home / before[-1])
    point(index_home, before[-1])
    return before[-1]


def tidy(index_home: Path, before: str | None, keep: int) -> None:
    """Keep the newest `keep` snapshots up to the current one, before which `before` served.

    What lies between the two was rolled back from, or finished by a builder that was killed before
    it could point to it: it goes, so that no rollback meets it.
    """
    now = current(index_home).name
    last = sequence(before or now)
    line = [name for name in names(index_home) if sequence(name) <= last and name != now]
    kept = {*line[max(0, len(line) + 1 - keep) :], now}
    for name in names(index_home):
        if name not in kept and sequence(name) < sequence(now):
            _remove(index_home, name)


def sweep(index_home: Path) -> None:
    """Remove what killed builders left."""
    for leftover in index_home.glob(f"{ASIDE}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def check(folder: Path) -> Manifest:
    """The manifest, if this program can read the snapshot and all its files have their sizes.

    Takes milliseconds: digests are `verify`'s. Raises SnapshotMismatch, SnapshotCorrupt.
    """
    manifest = read_manifest(folder)
    for path, (size, _) in manifest.files.items():
        there = _size(folder / path)
        if there != size:
            held = "is missing" if there is None else f"has {there} bytes instead of {size}"
            raise corrupt(folder, f"{path} {held}")
    return manifest


def verify(index_home: Path) -> Report:
    """Read every byte of the current snapshot again: digests, counts, ids.

    Raises SnapshotMissing, SnapshotMismatch, SnapshotCorrupt.
    """
    folder = locate(index_home)
    manifest = check_digests(folder)
    try:
        check_parts(folder, manifest)
    except (OSError, ValueError, KeyError) as error:
        raise corrupt(folder, f"a part cannot be read: {error}") from error
    size = sum(size for size, _ in manifest.files.values())
    return Report(folder.name, manifest.papers, len(manifest.files), size)


def check_digests(folder: Path, parts: tuple[str, ...] = ("",)) -> Manifest:
    """`check`, and the SHA-256 of every file whose path begins with one of the parts.

    Raises SnapshotMismatch, SnapshotCorrupt.
    """
    manifest = check(folder)
    for path, (_, digest) in manifest.files.items():
        if path.startswith(parts) and sha256(folder / path) != digest:
            raise corrupt(folder, f"{path} was altered: its SHA-256 is not the manifest's")
    return manifest


def check_parts(folder: Path, manifest: Manifest) -> None:
    """Counts and ids are the same in every part; raises SnapshotCorrupt, OSError, ValueError."""
    papers = Papers(folder)
    vectors = Vectors.load(folder / VECTORS, manifest.faiss)
    counts = {
        "manifest": manifest.papers,
        "papers": len(papers),
        "vectors": len(vectors),
        "lexical": len(Lexical(folder / LEXICAL)),
        **papers.column_lengths(),
    }
    if len(set(counts.values())) > 1:
        raise corrupt(folder, f"its parts hold different counts: {counts}")
    if vectors.dimension != manifest.dimension:
        raise mismatch(folder, "dimension", vectors.dimension, manifest.dimension)
    strange = papers.first_misplaced_id()
    if strange:
        raise corrupt(folder, f"{strange} does not stand where its number says")


def write_manifest(folder: Path, facts: Manifest) -> Manifest:
    """Flush every file of the folder to disk and write the manifest, with all of them listed."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {p.relative_to(folder).as_posix(): (p.stat().st_size, sha256(p)) for p in paths}
    manifest = replace(facts, files=files)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True))
    for path in (*paths, folder / MANIFEST):
        _sync(path)
    for inner in filter(Path.is_dir, folder.rglob("*")):
        sync_folder(inner)
    sync_folder(folder)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest; raises SnapshotMissing, SnapshotCorrupt, SnapshotMismatch."""
    try:
        values = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise _missing(folder) from None
    except (OSError, ValueError) as error:
        raise corrupt(folder, f"{MANIFEST} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise corrupt(folder, f"{MANIFEST} is not an object")
    ours = {"format": FORMAT, "recipe": RECIPE, "tokeniser": TOKENISER}
    for name, value in ours.items():
        if values.get(name) != value:
            raise mismatch(folder, name, values.get(name), value)
    return _manifest(folder, values)


def mismatch(folder: Path, name: str, theirs: object, ours: object) -> SnapshotMismatch:
    """The error for a snapshot made otherwise than it would be read."""
    message = f"the snapshot's {name} is {theirs}, but {ours} is needed: run  paperfeed index"
    return SnapshotMismatch(message, str(folder))


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk."""
    _sync(folder)


def _remove(index_home: Path, name: str) -> None:
    """Remove a snapshot in one step: half a snapshot must never bear a snapshot's name."""
    doomed = index_home / f"{ASIDE}no-more-{name}"
    with suppress(OSError):  # it can go another night
        (index_home / name).rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _manifest(folder: Path, values: dict[str, Any]) -> Manifest:
    try:
        files = {path: (int(size), str(digest)) for path, (size, digest) in values["files"].items()}
        return Manifest(**{**values, "files": files})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise corrupt(folder, f"{MANIFEST} is not a manifest: {error}") from error


def _missing(path: Path) -> SnapshotMissing:
    return SnapshotMissing("no snapshot is published there: run  paperfeed nightly", str(path))


def corrupt(folder: Path, what: str) -> SnapshotCorrupt:
    """The error for a snapshot with a part missing, cut short or altered."""
    return SnapshotCorrupt(f"{what}: run  paperfeed rollback  or  paperfeed index", str(folder))


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
