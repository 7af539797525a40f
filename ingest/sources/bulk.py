"""Bulk files, one JSON object a line: arXiv's public metadata snapshot, and our own export.

A snapshot's line has `id`, `submitter`, `authors`, `title`, `comments`, `journal-ref`, `doi`,
`report-no`, `categories`, `license`, `abstract`, `versions`, `update_date`, `authors_parsed`; an
export's has the fields of `Paper.to_record`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import orjson

from ingest import arxiv_text, ids
from ingest.paper import Observation, Parsed, Rejected
from ingest.sources import exported
from ingest.sources.arxiv_api import says_withdrawn
from ingest.text import one_line

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


def parse(body: bytes, seen_at: str) -> Parsed:
    """Every line of `body`; one that is no record of either kind is rejected alone."""
    observations: list[Observation] = []
    rejected: list[Rejected] = []
    for line in body.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        if not line or line.isspace():
            continue
        arxiv_id = None
        try:
            record = _record(line)
            arxiv_id = _id_of(record)
            observations += _observations(arxiv_id, record, seen_at)
        except ValueError as error:
            rejected.append(Rejected(str(error), line.decode(errors="replace").strip(), arxiv_id))
    return Parsed(tuple(observations), tuple(rejected))


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}") from None
    if not isinstance(record, dict):
        raise ValueError("the line is no object")
    return record


def _id_of(record: Mapping[str, Any]) -> str:
    told = _text(record.get("arxiv_id", record.get("id")))
    arxiv_id = ids.find(told)
    if arxiv_id is None:
        raise ValueError(f"not an arXiv id: {one_line(told)[:80]}")
    return arxiv_id.base


def _observations(arxiv_id: str, record: Mapping[str, Any], seen_at: str) -> list[Observation]:
    if "arxiv_id" in record:
        return exported.observations(arxiv_id, record, seen_at)
    return [_observation(arxiv_id, record, seen_at)]


def _observation(arxiv_id: str, record: Mapping[str, Any], seen_at: str) -> Observation:
    title, abstract = _line(record.get("title")), _line(record.get("abstract"))
    if title is None:
        raise ValueError("no title")
    comment = _line(record.get("comments"))
    history = _history(record.get("versions"))
    newest = max(history, default=None)
    dated = ((number, moment) for number, moment in history.items() if moment)
    return Observation(
        source=SOURCE,
        arxiv_id=arxiv_id,
        seen_at=_true_at(record.get("update_date"), seen_at),
        version=newest,
        title=title,
        abstract=abstract,
        authors=_authors(record.get("authors_parsed"), record.get("authors")),
        categories=_words(record.get("categories")),
        published=history.get(1),
        updated=history[newest] if newest else None,
        versions=tuple(f"v{number} {moment}" for number, moment in sorted(dated)),
        comment=comment,
        journal_ref=_line(record.get("journal-ref")),
        doi=_line(record.get("doi")),
        license=_line(record.get("license")),
        withdrawn=says_withdrawn(comment or "", abstract or ""),
    )


def _true_at(update_date: object, seen_at: str) -> str:
    """The end of the day of the record's last change, the newest moment that it tells of.

    A snapshot may be months old when it is imported: whatever another source said since then is
    newer.
    """
    try:
        day = str(date.fromisoformat(_text(update_date)[:10]))
    except ValueError:
        return seen_at
    return min(f"{day}T23:59:59.999999Z", seen_at)


def _history(told: object) -> dict[int, str | None]:
    """Version to the moment it was submitted at."""
    history = {}
    versions = told if isinstance(told, list) else []
    for version in (one for one in versions if isinstance(one, dict)):
        number = _NUMBER.fullmatch(_text(version.get("version")))
        if number:
            history[int(number[1])] = _moment(_text(version.get("created")))
    return history


def _moment(created: str) -> str | None:
    """`Mon, 2 Apr 2007 19:18:42 GMT` (or a moment in ISO 8601) as a moment, None for no such."""
    if told := _CREATED.fullmatch(created):
        day, month, year, time = told.groups()
        created = f"{year}-{_MONTHS.get(month)}-{day:0>2}T{time}"
    try:
        moment = datetime.fromisoformat(created)
        utc = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
    return utc.isoformat(timespec="seconds") + "Z"


def _authors(parsed: object, line: object) -> tuple[str, ...]:
    """The names, which arXiv has taken apart already, else those in the one line of all."""
    names = map(_name, parsed) if isinstance(parsed, list) else ()
    return tuple(filter(None, names)) or arxiv_text.authors(_text(line))


def _name(parts: object) -> str:
    """`[key name, forenames, suffix, affiliation ...]` as people say it."""
    if not isinstance(parts, list) or len(parts) < 3:
        return ""
    key, fore, suffix = parts[:3]
    if not (type(key) is type(fore) is type(suffix) is str):
        return ""
    return one_line(arxiv_text.letters(f"{fore} {key} {suffix}"))


def _words(told: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one_line(_text(told)).split()))


def _line(told: object) -> str | None:
    return one_line(arxiv_text.letters(_text(told))) or None


def _text(told: object) -> str:
    return told if isinstance(told, str) else ""
