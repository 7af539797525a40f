"""Bulk files, one JSON object a line: arXiv's public metadata snapshot, and our own export.

A snapshot's line has `id`, `submitter`, `authors`, `title`, `comments`, `journal-ref`, `doi`,
`report-no`, `categories`, `license`, `abstract`, `versions`, `update_date`, `authors_parsed`; an
export's has the fields of `Paper.to_record`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from ingest import arxiv_text, ids
from ingest.paper import Observation, Parsed, Rejected
from ingest.sources import exported
from ingest.text import is_plain, one_line
from ingest.withdrawn import says_withdrawn

KIND = "bulk"
"""Of a chunk of lines in the archive."""
SOURCE = "arxiv_bulk"
GZIP, ZIP, XZ, PARQUET = b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ\x00", b"PAR1"
"""How packed files begin."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NAME = re.compile(r"\.(?:jsonl?(?:\.gz|\.xz)?|zip|parquet)$", re.IGNORECASE)
_NUMBER = re.compile(r"v?([1-9][0-9]{0,3})")
_CREATED = re.compile(
    r"(?:\w+, )?([0-9]{1,2}) (\w+) ([0-9]{4}) ([0-9]{2}:[0-9]{2}:[0-9]{2}) (?:GMT|[+-]0000)"
)
_MONTHS = dict(
    zip(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
        (f"{number:02}" for number in range(1, 13)),
        strict=True,
    )
)


def is_bulk(first_bytes: bytes, name: str) -> bool:
    """Whether a file that begins so is for `parse`, once unpacked; an empty one by its name."""
    begins = first_bytes.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not begins:
        return _NAME.search(name) is not None
    return begins.startswith((GZIP, ZIP, XZ, PARQUET, b"{"))


class _Version(Struct):
    version: str | None = None
    created: str | None = None


class _Line(Struct, rename={"journal_ref": "journal-ref"}):
    """What is read of a snapshot's line; everything else in it is passed over."""

    id: str | None = None
    title: str | None = None
    abstract: str | None = None
    comments: str | None = None
    journal_ref: str | None = None
    doi: str | None = None
    license: str | None = None
    categories: str | None = None
    authors: str | None = None
    authors_parsed: list[list[str]] | None = None
    versions: list[_Version] | None = None
    update_date: str | None = None


_line_of = msgspec.json.Decoder(_Line).decode
_record_of = msgspec.json.Decoder(dict[str, Any]).decode


def parse(body: bytes, seen_at: str) -> Parsed:
    """Every line of `body`; one that is no record of either kind is rejected alone."""
    observations: list[Observation] = []
    rejected: list[Rejected] = []
    for line in body.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        if not line or line.isspace():
            continue
        try:
            if b'"arxiv_id"' in line:
                observations += _exported(_record_of(line), seen_at)
            else:
                observations.append(_observation(_line_of(line), seen_at))
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            payload = line.decode(errors="replace").strip()
            rejected.append(Rejected(f"not a record: {error}", payload, _id_in(line)))
    return Parsed(tuple(observations), tuple(rejected))


def _exported(record: dict[str, Any], seen_at: str) -> list[Observation]:
    return exported.observations(_base(record.get("arxiv_id")), record, seen_at)


def _base(told: object) -> str:
    arxiv_id = ids.find(told) if isinstance(told, str) else None
    if arxiv_id is None:
        raise ValueError(f"no arXiv id: {told and str(told)[:80]!r}")
    return arxiv_id.base


def _id_in(line: bytes) -> str | None:
    """The paper that a line refused is about, where it tells."""
    try:
        record = _record_of(line)
        return _base(record.get("arxiv_id", record.get("id")))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def _observation(line: _Line, seen_at: str) -> Observation:
    title, abstract, comment = _clean(line.title), _clean(line.abstract), _clean(line.comments)
    arxiv_id = _base(line.id)
    if title is None:
        raise ValueError("no title")
    history = _history(line.versions or [])
    return Observation(
        source=SOURCE,
        arxiv_id=arxiv_id,
        seen_at=min(_end_of(line.update_date) or seen_at, seen_at),
        version=history[-1][0] if history else None,
        title=title,
        abstract=abstract,
        authors=_authors(line.authors_parsed or []) or arxiv_text.authors(line.authors or ""),
        categories=_words(line.categories or ""),
        published=next((moment for number, moment in history if number == 1), None),
        updated=history[-1][1] if history else None,
        versions=tuple(f"v{number} {moment}" for number, moment in history if moment),
        comment=comment,
        journal_ref=_clean(line.journal_ref),
        doi=_clean(line.doi),
        license=_license(line.license),
        withdrawn=says_withdrawn(comment or "", abstract or ""),
    )


@lru_cache(maxsize=4096)
def _end_of(update_date: str | None) -> str | None:
    """The end of the day of the record's last change, the newest moment that it tells of.

    A snapshot may be months old when it is imported: whatever another source said since then is
    newer.
    """
    try:
        day = date.fromisoformat((update_date or "")[:10])
    except ValueError:
        return None
    return f"{day.isoformat()}T23:59:59.999999Z"


def _history(versions: list[_Version]) -> list[tuple[int, str | None]]:
    """Each version and the moment it was submitted at, oldest first."""
    history = {}
    for told in versions:
        if number := _NUMBER.fullmatch(told.version or ""):
            history[int(number[1])] = _moment(told.created or "")
    return sorted(history.items())


def _moment(created: str) -> str | None:
    """`Mon, 2 Apr 2007 19:18:42 GMT` (or a moment in ISO 8601) as a moment, None for no such."""
    if told := _CREATED.fullmatch(created):
        day, month, year, time = told.groups()
        created = f"{year}-{_MONTHS.get(month)}-{day:0>2}T{time}Z"
    try:
        moment = datetime.fromisoformat(created)
        if told:
            return created
        utc = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
    return utc.isoformat(timespec="seconds") + "Z"


def _authors(parsed: list[list[str]]) -> tuple[str, ...]:
    """The names, taken apart to `[key name, forenames, suffix, affiliation ...]`, as people say."""
    names = [f"{name[1]} {name[0]} {name[2]}".strip() for name in parsed if len(name) > 2]
    together = "".join(names)
    if is_plain(together) and "\\" not in together:
        return tuple(filter(None, names))
    return tuple(filter(None, map(_clean, names)))


@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one_line(text).split()))


@lru_cache(maxsize=64)
def _license(text: str | None) -> str | None:
    return _clean(text)


def _clean(text: str | None) -> str | None:
    if not text:
        return None
    return one_line(arxiv_text.letters(text) if "\\" in text else text) or None
