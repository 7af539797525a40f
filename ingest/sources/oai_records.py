"""The records of arXiv's OAI-PMH endpoint in its formats: `arXivRaw`, `arXiv` and `oai_dc`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date
from email.utils import parsedate_to_datetime
from typing import Any

from lxml import etree  # type: ignore[import-untyped]  # ships no types

from ingest import arxiv_text, ids
from ingest.errors import SourceChanged
from ingest.paper import Observation, Rejected
from ingest.text import one_line
from ingest.withdrawn import says_withdrawn

SOURCE = "oai"

_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_VERSION = re.compile(r"v([1-9][0-9]{0,3})")
_COMMENT = "Comment: "

_Fields = dict[str, Any]


def observe(record: etree._Element, seen_at: str) -> Observation | Rejected:
    """What one `<record>` says of its paper, or why it cannot be believed."""
    told = identifier(record)
    found = ids.find(told)
    if found is None:
        return Rejected(f"not an arXiv id: {told[:80]}", _payload(record))
    try:
        return Observation(SOURCE, found.base, seen_at, **_said(record, found.base))
    except SourceChanged as unread:
        return Rejected(unread.message, _payload(record), found.base)


def identifier(record: etree._Element) -> str:
    """The name in a record's header, `oai:arXiv.org:2304.08733`."""
    return text(record.find(f"{_OAI}header/{_OAI}identifier"))


def text(element: etree._Element | None) -> str:
    """All text in the element as one line, without comments."""
    return "" if element is None else one_line("".join(element.itertext("*")))


def _said(record: etree._Element, base: str) -> _Fields:
    """What a record says of the paper `base`; raises SourceChanged where it cannot be believed."""
    header, metadata = record.find(f"{_OAI}header"), record.find(f"{_OAI}metadata")
    # The protocol knows deleted records, arXiv's server sends none: withdrawn papers stay listed.
    if header is not None and header.get("status") == "deleted":
        raise SourceChanged("its header says that arXiv has deleted it")
    told = next(iter(_elements(metadata)), None)
    form = "nothing" if told is None else etree.QName(told).localname
    if form not in _FORMATS:
        raise SourceChanged(f"no metadata of arXiv's: {form[:80]}")
    said = _FORMATS[form](told, base)
    if not said["title"]:
        raise SourceChanged("no title")
    return said


def _arxiv_raw(told: etree._Element, base: str) -> _Fields:
    history = {}
    for version in told.iterchildren("{*}version"):
        number = _VERSION.fullmatch(version.get("version") or "")
        if number is None:
            raise SourceChanged(f"no version: {(version.get('version') or '')[:80]}")
        history[int(number[1])] = version
    if not history:
        raise SourceChanged("no version at all")
    moments = {number: _moment(_child_text(history[number], "date")) for number in sorted(history)}
    newest = max(history)
    said = _of_both(told, base)
    flagged = "I" in _child_text(history[newest], "source_type")
    return {
        **said,
        "version": newest,
        "versions": tuple(f"v{number} {moment}" for number, moment in moments.items()),
        "authors": arxiv_text.authors(_child_text(told, "authors")),
        "published": moments.get(1),
        "updated": moments[newest],
        "withdrawn": flagged or said["withdrawn"],
    }


def _arxiv(told: etree._Element, base: str) -> _Fields:
    """In this format days stand for moments, and no version is named."""
    created, updated = _day(_child_text(told, "created")), _day(_child_text(told, "updated"))
    names = (
        " ".join(_child_text(author, part) for part in ("forenames", "keyname", "suffix"))
        for author in told.iterfind("{*}authors/{*}author")
    )
    return {
        **_of_both(told, base),
        "authors": tuple(clean for name in names if (clean := _line(name)).strip(":")),
        "published": created if created and _is_of_first(created, base) else None,
        "updated": updated or created,
    }


def _of_both(told: etree._Element, base: str) -> _Fields:
    """What `arXiv` and `arXivRaw` have in common."""
    named = ids.find(_child_text(told, "id"))
    if named is None or named.base != base:
        raise SourceChanged(f"its header names {base}, it itself {named or 'no paper'}")
    names = ("title", "abstract", "comments", "journal-ref")
    title, abstract, comment, journal_ref = (_line(_child_text(told, name)) for name in names)
    return {
        "title": title,
        "abstract": abstract or None,
        "categories": tuple(dict.fromkeys(_child_text(told, "categories").split())),
        "comment": comment or None,
        "journal_ref": journal_ref or None,
        "doi": _child_text(told, "doi") or None,
        "license": _child_text(told, "license") or None,
        "withdrawn": says_withdrawn(comment, abstract),
    }


def _oai_dc(told: etree._Element, base: str) -> _Fields:
    """Dublin Core: places for title and names, and the rest told apart by its form."""
    of: dict[str, list[str]] = {}
    for element in _elements(told):
        of.setdefault(etree.QName(element).localname, []).append(_line(text(element)))
    addresses = [one for one in of.get("identifier", ()) if "arxiv.org/" in one]
    others = [one for one in of.get("identifier", ()) if one and one not in addresses]
    if {found.base for one in addresses if (found := ids.find(one))} != {base}:
        raise SourceChanged(f"its header names {base}, it itself {', '.join(addresses)[:80]}")
    # Before 2025 comments were marked as such; now the second description is one.
    described = of.get("description", [])
    unmarked = [one for one in described if not one.startswith(_COMMENT)]
    marked = [one.removeprefix(_COMMENT) for one in described if one.startswith(_COMMENT)]
    abstract, comment = "".join(unmarked[:1]), "".join([*marked, *unmarked[1:]][:1])
    days = sorted(filter(None, map(_day, of.get("date", ()))))
    return {
        "title": "".join(of.get("title", ())[:1]),
        "abstract": abstract or None,
        "authors": tuple(_forename_first(name) for name in of.get("creator", ()) if name),
        "published": days[0] if days else None,
        "updated": days[-1] if days else None,
        "comment": comment or None,
        "journal_ref": next((one for one in others if not one.startswith("doi:")), None),
        "doi": next((one[4:] for one in others if one.startswith("doi:")), None) or None,
        "withdrawn": says_withdrawn(comment, abstract),
    }


_FORMATS: dict[str, Callable[[etree._Element, str], _Fields]] = {
    "arXivRaw": _arxiv_raw,
    "arXiv": _arxiv,
    "dc": _oai_dc,
}


def _is_of_first(created: str, base: str) -> bool:
    """Whether this can be version 1's day: arXiv's server of 2025 gives the newest version's."""
    month = base.rpartition("/")[2][:4]
    century = "19" if month > "9000" else "20"
    return created[:7] <= f"{century}{month[:2]}-{month[2:]}"


def _forename_first(name: str) -> str:
    key, _, fore = name.partition(", ")
    return f"{fore} {key}".strip()


def _moment(told: str) -> str:
    """`Fri, 21 Nov 2008 22:55:07 GMT` as a moment; raises SourceChanged on all else."""
    try:
        moment = parsedate_to_datetime(told)
        utc = moment.astimezone(UTC) if moment.tzinfo else moment
        return utc.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    except (ValueError, OverflowError):
        raise SourceChanged(f"no date: {told[:80]}") from None


def _day(told: str) -> str | None:
    """The day, None where there is none; raises SourceChanged for what is no day."""
    try:
        return str(date.fromisoformat(told)) if told else None
    except ValueError:
        raise SourceChanged(f"no date: {told[:80]}") from None


def _payload(record: etree._Element) -> str:
    return str(etree.tostring(record, encoding="unicode", with_tail=False))


def _elements(parent: etree._Element | None) -> list[etree._Element]:
    return [] if parent is None else list(parent.iterchildren("*"))


def _child_text(parent: etree._Element, name: str) -> str:
    return text(parent.find(f"{{*}}{name}"))


def _line(told: str) -> str:
    return one_line(arxiv_text.letters(told))
