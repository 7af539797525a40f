"""arXiv's OAI-PMH endpoint for the replay: forms, order and tokens as its own code has them.

`oai/records.jsonl` of the wire folder is what it knows, one record a line: `id`, `versions` (each
`version`, `date` as a moment, perhaps `source_type`), `title`, `authors` (names, or the one line of
arXivRaw), `categories`, `abstract`, `datestamp` (a day), `set` (one, or several), and where there
are any `comments`, `journal_ref`, `doi`, `license`. The file is read at every request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode
from xml.sax.saxutils import escape, quoteattr

PAGE = 20
EARLIEST = "2005-09-16"
MEDIA = "text/xml"

Query = Mapping[str, str]
Record = Mapping[str, Any]
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_ARGUMENTS = {"verb", "metadataPrefix", "from", "until", "set"}
_SET = re.compile(r"[a-z-]+(:[a-z-]+(:[A-Za-z-]+)?)?")


class _Refused(Exception):
    """An OAI error: code and words."""


def oai(folder: Path, query: Query) -> Reply:
    """The answer to one request; errors come with status 200."""
    verbs = {"ListRecords": _list_records, "GetRecord": _get_record, "Identify": _identify}
    try:
        if query.get("verb") not in verbs:
            raise _Refused("badVerb", "Illegal or missing OAI verb")
        return _envelope(verbs[query["verb"]](folder, query), query)
    except _Refused as refused:
        return refusal(*refused.args)


def refusal(code: str, words: str = "") -> Reply:
    """The answer that tells an error."""
    return _envelope(f"<error code={quoteattr(code)}>{escape(words)}</error>", {})


def records(folder: Path) -> list[Record]:
    """What the wire folder holds, in the order in which it is listed."""
    path = folder / "oai" / "records.jsonl"
    lines = path.read_text("utf8").splitlines() if path.is_file() else []
    return sorted(map(json.loads, lines), key=lambda record: (record["datestamp"], record["id"]))


def _list_records(folder: Path, query: Query) -> str:
    asked, skip = _resumed(query) if "resumptionToken" in query else (query, 0)
    form, chosen = _form(asked), _chosen(folder, asked)[skip : skip + PAGE + 1]
    if not chosen:
        raise _Refused("noRecordsMatch", "No records match these criteria")
    page = "".join(_record(record, form) for record in chosen[:PAGE])
    token = _token(asked, skip, chosen) if len(chosen) > PAGE else ""
    return f"<ListRecords>{page}{token}</ListRecords>"


def _resumed(query: Query) -> tuple[Query, int]:
    """What a token stands for; there is no memory of tokens, only what is written in them."""
    if set(query) != {"verb", "resumptionToken"}:
        raise _Refused("badArgument", "No other parameters allowed with resumptionToken")
    told = {name: values[0] for name, values in parse_qs(unquote(query["resumptionToken"])).items()}
    skip = told.pop("skip", "")
    if not skip.isdigit() or told.get("verb") != query["verb"]:
        raise _Refused("badResumptionToken", "Token decoding failed or format is invalid.")
    return told, int(skip)


def _token(asked: Query, skip: int, chosen: Sequence[Record]) -> str:
    """For what comes after these: by their number, or from the last of their days on."""
    first, last = chosen[0]["datestamp"], chosen[-1]["datestamp"]
    following = {**asked, "skip": str(skip + PAGE)}
    if first != last:
        of_last = sum(record["datestamp"] == last for record in chosen[:PAGE])
        following |= {"from": last, "skip": str(of_last)}
    expires = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    text = escape(quote(urlencode(following)))
    return f'<resumptionToken expires="{expires}">{text}</resumptionToken>'


def _chosen(folder: Path, asked: Query) -> list[Record]:
    if unknown := set(asked) - _ARGUMENTS:
        raise _Refused("badArgument", f"Unallowed parameter: {', '.join(sorted(unknown))}")
    tomorrow = str(datetime.now(UTC).date() + timedelta(days=1))
    since = _day(asked.get("from", EARLIEST), "from")
    until = _day(asked.get("until", tomorrow), "until")
    if since < EARLIEST:
        raise _Refused("badArgument", "start date too early")
    if since > until:
        raise _Refused("badArgument", "until date must be greater than or equal to from date")
    if until > tomorrow:
        raise _Refused("badArgument", "until date too late")
    if not _SET.fullmatch(wanted := asked.get("set", "cs")):
        raise _Refused("badArgument", "Set does not exist")
    return [
        record
        for record in records(folder)
        if since <= record["datestamp"] <= until and ("set" not in asked or _is_in(record, wanted))
    ]


def _day(text: str, name: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).strftime("%Y-%m-%d")
    except ValueError:
        raise _Refused("badArgument", f"{name} date format must be YYYY-MM-DD") from None


def _is_in(record: Record, wanted: str) -> bool:
    return any(spec == wanted or spec.startswith(f"{wanted}:") for spec in _sets(record))


def _sets(record: Record) -> list[str]:
    return [record["set"]] if isinstance(record["set"], str) else record["set"]


def _form(asked: Query) -> str:
    form = asked.get("metadataPrefix")
    if form is None:
        raise _Refused("badArgument", "metadataPrefix required.")
    if form not in _FORMS:
        raise _Refused("cannotDisseminateFormat", "Did not recognize requested format")
    return form


def _get_record(folder: Path, query: Query) -> str:
    if set(query) != {"verb", "identifier", "metadataPrefix"}:
        raise _Refused("badArgument", "Parameters provided did not match expected.")
    form, wanted = _form(query), query["identifier"].removeprefix("oai:arXiv.org:")
    found = next((record for record in records(folder) if record["id"] == wanted), None)
    if found is None:
        raise _Refused("idDoesNotExist", f"{query['identifier']} is no item of this repository")
    return f"<GetRecord>{_record(found, form)}</GetRecord>"


def _identify(_folder: Path, _query: Query) -> str:
    return (
        "<Identify><repositoryName>arXiv</repositoryName><protocolVersion>2.0</protocolVersion>"
        f"<earliestDatestamp>{EARLIEST}</earliestDatestamp><deletedRecord>persistent</deletedRecord>"
        "<granularity>YYYY-MM-DD</granularity></Identify>"
    )


def _record(record: Record, form: str) -> str:
    sets = "".join(f"<setSpec>{escape(spec)}</setSpec>" for spec in _sets(record))
    return (
        f"<record><header><identifier>oai:arXiv.org:{record['id']}</identifier>"
        f"<datestamp>{record['datestamp']}</datestamp>{sets}</header>"
        f"<metadata>{_FORMS[form](record)}</metadata></record>\n"
    )


def _arxiv_raw(record: Record) -> str:
    versions = "".join(map(_version, record["versions"]))
    authors = record["authors"]
    line = authors if isinstance(authors, str) else ", ".join(authors)
    return (
        f'<arXivRaw xmlns="http://arxiv.org/OAI/arXivRaw/" {_XSI}><id>{record["id"]}</id>'
        f"<submitter>A Submitter</submitter>{versions}{_tag('title', record['title'])}"
        f"{_tag('authors', line)}{_rest(record)}</arXivRaw>"
    )


def _version(version: Mapping[str, Any]) -> str:
    number = str(version["version"]).removeprefix("v")
    moment = format_datetime(datetime.fromisoformat(version["date"]).astimezone(UTC), usegmt=True)
    source = _tag("source_type", version.get("source_type"))
    return f'<version version="v{number}"><date>{moment}</date><size>9kb</size>{source}</version>'


def _arxiv(record: Record) -> str:
    days = [version["date"][:10] for version in record["versions"]]
    updated = _tag("updated", days[-1] if len(days) > 1 else None)
    authors = "".join(map(_author, _names(record)))
    return (
        f'<arXiv xmlns="http://arxiv.org/OAI/arXiv/" {_XSI}><id>{record["id"]}</id>'
        f"<created>{days[0]}</created>{updated}<authors>{authors}</authors>"
        f"{_tag('title', record['title'])}{_rest(record)}</arXiv>"
    )


def _author(name: str) -> str:
    fore, _, key = name.rpartition(" ")
    return f"<author>{_tag('keyname', key)}{_tag('forenames', fore)}</author>"


def _rest(record: Record) -> str:
    """What both of arXiv's own formats end with."""
    values = {
        "categories": " ".join(record["categories"]),
        "comments": record.get("comments"),
        "journal-ref": record.get("journal_ref"),
        "doi": record.get("doi"),
        "license": record.get("license"),
        "abstract": record["abstract"],
    }
    return "".join(_tag(name, value) for name, value in values.items())


def _oai_dc(record: Record) -> str:
    doi = record.get("doi")
    days = dict.fromkeys(record["versions"][at]["date"][:10] for at in (0, -1))
    values = [
        ("title", record["title"]),
        *(("creator", ", ".join(name.rpartition(" ")[::-2])) for name in _names(record)),
        ("description", record["abstract"]),
        ("description", record.get("comments")),
        *(("date", day) for day in days),
        ("type", "text"),
        ("identifier", f"http://arxiv.org/abs/{record['id']}"),
        ("identifier", record.get("journal_ref")),
        ("identifier", f"doi:{doi}" if doi else None),
    ]
    return (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/" {_XSI}>'
        f"{''.join(_tag(f'dc:{name}', value) for name, value in values)}</oai_dc:dc>"
    )


_FORMS = {"arXivRaw": _arxiv_raw, "arXiv": _arxiv, "oai_dc": _oai_dc}


def _names(record: Record) -> list[str]:
    authors = record["authors"]
    return authors.split(", ") if isinstance(authors, str) else authors


def _tag(name: str, value: str | None) -> str:
    return f"<{name}>{escape(value)}</{name}>" if value else ""


def _envelope(content: str, query: Query) -> Reply:
    asked = "".join(f" {name}={quoteattr(value)}" for name, value in query.items())
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" {_XSI}>\n'
        f"<responseDate>{moment}</responseDate>\n<request{asked}>https://oaipmh.arxiv.org/oai"
        f"</request>\n{content}\n</OAI-PMH>\n"
    )
    return 200, {}, body.encode()
