"""The papers of a snapshot on disk: one JSON line each, read lazily, and columns to filter by."""

from __future__ import annotations

import json
import mmap
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from string import ascii_letters
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from index.text import Texts, document, text_hash, title_hash
from ingest.errors import BadInput, SnapshotRefused
from ingest.paper import Paper
from ingest.text import one_line

PAPERS, OFFSETS, IDS, CATEGORIES = "papers.jsonl", "offsets.npy", "ids.npy", "categories.json"
NO_DAY = 0
"""In the columns of days (days since 0001-01-01, as `date.toordinal` counts) an unknown day."""
COLUMNS = {
    "title": np.uint64,
    "text": np.uint64,
    "day": np.int32,
    "listed_day": np.int32,
    "has_code": np.bool_,
    "has_abstract": np.bool_,
    "withdrawn": np.bool_,
}
"""Name to type of each column file: one value a paper."""
_OF_PAPER, _OF_CATEGORY = "category_papers.npy", "category_spans.npy"

Column = NDArray[Any]
"""(n,) one value a paper."""
Mask = NDArray[np.bool_]


_LETTERS = dict(zip(Paper.__struct_fields__, ascii_letters, strict=False))
_FIELDS = {letter: name for name, letter in _LETTERS.items()}
"""A line tells which fields are a source's by a letter each."""


class _Head(msgspec.Struct):
    """What of a line most readers want."""

    arxiv_id: str
    title: str
    abstract: str | None = None


_head_of = msgspec.json.Decoder(_Head).decode


class Records:
    """Writes the papers, given one by one in id order, and remembers what the columns need."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = (folder / PAPERS).open("wb")
        self._offsets = array("q", [0])
        self._ids: list[str] = []
        self._rows: list[tuple[int, ...]] = []
        """Of each paper the values of COLUMNS."""
        self._categories: dict[str, array[int]] = {}
        self._digest = sha256()  # three times as fast as blake2b on most processors
        self.untitled = 0
        """Papers left out because they have no title."""

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, paper: Paper) -> None:
        """Keep the paper unless it has no title; raises SnapshotRefused when out of order."""
        if not one_line(paper.title or ""):
            self.untitled += 1
            return
        if self._ids and paper.arxiv_id <= self._ids[-1]:
            message = f"papers must come in id order, each once: {paper.arxiv_id} came too late"
            raise SnapshotRefused(message, str(self._folder.parent))
        line = _line(paper)
        self._file.write(line)
        self._digest.update(line)
        self._offsets.append(self._offsets[-1] + len(line))
        self._remember(paper)

    def finish(self) -> str:
        """Write what `add` remembered, close the files, return the digest of all lines."""
        self._file.close()
        np.save(self._folder / OFFSETS, np.array(self._offsets, np.int64))
        np.save(self._folder / IDS, np.array(self._ids, np.bytes_))
        table = np.array(self._rows, [*COLUMNS.items()])
        for name in COLUMNS:
            np.save(self._folder / f"{name}.npy", table[name])
        self._save_categories()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file; harmless after `finish`."""
        self._file.close()

    def _remember(self, paper: Paper) -> None:
        listed = _ordinal(min(paper.listed_on, default=None))
        self._rows.append(
            (
                title_hash(paper.title or ""),
                text_hash(document(paper.title, paper.abstract)),
                _ordinal(paper.published) or listed,
                listed,
                paper.repo is not None,
                bool(paper.abstract),
                paper.withdrawn,
            )
        )
        for category in dict.fromkeys(paper.categories):
            self._categories.setdefault(category, array("i")).append(len(self._ids))
        self._ids.append(paper.arxiv_id)

    def _save_categories(self) -> None:
        names = sorted(self._categories)
        (self._folder / CATEGORIES).write_text(json.dumps(names))
        papers = [np.array(self._categories[name], np.int32) for name in names]
        spans = np.cumsum([0, *map(len, papers)], dtype=np.int64)
        np.save(self._folder / _OF_PAPER, np.concatenate([np.array([], np.int32), *papers]))
        np.save(self._folder / _OF_CATEGORY, spans)


class Papers:
    """The papers of a snapshot folder by row number; only lines asked for are read."""

    def __init__(self, folder: Path) -> None:
        """Map the files; raises OSError or ValueError where one is damaged."""
        # As a plain array: one that is mapped takes four times as long to give a number.
        self._offsets = np.asarray(np.load(folder / OFFSETS, mmap_mode="r"))
        self._ids = np.load(folder / IDS, mmap_mode="r")
        self._columns = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in COLUMNS}
        self._category_names: list[str] = json.loads((folder / CATEGORIES).read_bytes())
        self._category_papers = np.load(folder / _OF_PAPER, mmap_mode="r")
        self._category_spans = np.load(folder / _OF_CATEGORY)
        with (folder / PAPERS).open("rb") as file:
            self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: int) -> Paper:
        record = msgspec.json.decode(self._line(number))
        by_source = record.get("sources", {})
        told = sorted((_FIELDS[one], source) for source, own in by_source.items() for one in own)
        return Paper.from_record({**record, "sources": dict(told)})

    def texts(self, numbers: Iterable[int] | None = None) -> Iterator[Texts]:
        """The texts of the papers with these row numbers, else of all, in order."""
        for number in range(len(self)) if numbers is None else numbers:
            head = _head_of(self._line(number))
            yield Texts(head.title, document(head.title, head.abstract))

    def find(self, arxiv_id: str) -> int | None:
        """The row number of a base id, None where it is not held."""
        wanted = arxiv_id.encode()
        number = int(np.searchsorted(self._ids, np.bytes_(wanted)))
        found = number < len(self) and bytes(self._ids[number]) == wanted
        return number if found else None

    def column(self, name: str) -> Column:
        """(n,) one of COLUMNS."""
        column: Column = self._columns[name]
        return column

    def column_lengths(self) -> dict[str, int]:
        """How many papers each column and the file of offsets tell of."""
        lengths = {name: len(column) for name, column in self._columns.items()}
        return {**lengths, "offsets": len(self._offsets) - 1}

    def first_misplaced_id(self) -> str | None:
        """The first id that is not its record's own, or not above the one before; None if none."""
        before = b""
        for number, held in enumerate(self._ids):
            if held <= before or _head_of(self._line(number)).arxiv_id.encode() != held:
                return bytes(held).decode("utf-8", "replace")
            before = held
        return None

    def in_categories(self, wanted: Sequence[str]) -> Mask:
        """(n,) True for papers of any category wanted; `cs` stands for all of `cs.*`."""
        mask = np.zeros(len(self), np.bool_)
        for place, name in enumerate(self._category_names):
            if any(name == one or name.startswith(f"{one}.") for one in wanted):
                span = slice(self._category_spans[place], self._category_spans[place + 1])
                mask[self._category_papers[span]] = True
        return mask

    def _line(self, number: int) -> bytes:
        return self._lines[self._offsets[number] : self._offsets[number + 1]]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which papers may be found; raises BadInput for a date that is none."""

    since: date | str | None = None
    """First day of publication (of listing, where that is unknown) allowed."""
    until: date | str | None = None
    """Last day allowed."""
    categories: str | Sequence[str] | None = None
    """Any of these; `cs` stands for all of `cs.*`."""
    has_code: bool | None = None
    """True for papers with a repository of their own only, False for those without."""
    listed_only: bool = False
    """Only papers that stood on Daily Papers."""
    include_withdrawn: bool = False

    def __post_init__(self) -> None:
        since, until = _day("since", self.since), _day("until", self.until)
        if since and until and since > until:
            raise BadInput(f"since ({self.since}) is after until ({self.until}): swap them")

    def mask(self, papers: Papers) -> Mask:
        """(n,) True for the papers that may be found."""
        allowed = np.ones(len(papers), np.bool_)
        if not self.include_withdrawn:
            allowed &= ~papers.column("withdrawn")
        if self.has_code is not None:
            allowed &= papers.column("has_code") == self.has_code
        if self.listed_only:
            allowed &= papers.column("listed_day") != NO_DAY
        if self.categories:
            wanted = [self.categories] if isinstance(self.categories, str) else self.categories
            allowed &= papers.in_categories(wanted)
        return self._within_days(allowed, papers.column("day"))

    def _within_days(self, allowed: Mask, days: Column) -> Mask:
        since, until = _day("since", self.since), _day("until", self.until)
        if since:
            allowed &= days >= since
        if until:
            allowed &= (days <= until) & (days != NO_DAY)
        return allowed


def _line(paper: Paper) -> bytes:
    """The paper as JSON without what is absent, `sources` by source: a fifth is saved."""
    by_source: dict[str, str] = {}
    for name, source in sorted(paper.sources.items()):
        by_source[source] = by_source.get(source, "") + _LETTERS[name]
    record = replace(paper, sources=by_source)
    try:
        return record.to_json() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, as broken JSON can carry, has no UTF-8 form
        text = json.dumps(msgspec.to_builtins(record), ensure_ascii=False)
        return text.encode("utf-8", "replace") + b"\n"


def _day(name: str, given: date | str | None) -> int:
    """The ordinal of a filter's day, NO_DAY for None."""
    if isinstance(given, date):
        return given.toordinal()
    try:
        return date.fromisoformat(given).toordinal() if given is not None else NO_DAY
    except ValueError:
        message = f"{name}={given!r} is not a date: write it as 2025-03-31"
        raise BadInput(message) from None


def _ordinal(moment: str | None) -> int:
    """The day of a record's moment, NO_DAY where it is absent or no date."""
    try:
        return date.fromisoformat(moment[:10]).toordinal() if moment else NO_DAY
    except ValueError:
        return NO_DAY
