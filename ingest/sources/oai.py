"""arXiv's OAI-PMH endpoint: whole sets by the day of their last change, with all versions.

Of the formats `arXivRaw` tells most: every version with its moment, and which are withdrawn. Errors
come with HTTP 200. What arXiv's server does is taken from its own code (github.com/arXiv/oaipmh).
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from lxml import etree  # type: ignore[import-untyped]  # ships no types

from ingest.errors import SourceChanged, SourceRefused
from ingest.http import Client, Response
from ingest.paper import Observation, Parsed, Rejected
from ingest.sources.oai_records import identifier, observe, text
from ingest.text import one_line
from ingest.upstreams import Upstreams

SILENCE_SECONDS = 100.0
"""How long a page may take: 60 to 90 seconds have been seen before the first byte."""

FULLEST = "arXivRaw"
"""The metadata format that tells most."""

_OAI = "{http://www.openarchives.org/OAI/2.0/}"
_REFUSALS = ("badArgument", "badVerb", "cannotDisseminateFormat", "idDoesNotExist")
# XML has no way to write these; some abstracts hold them, and one would spoil a page of 1,000.
_NO_XML = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|"
    "&#(?:x0*(?:[0-8bcef]|1[0-9a-f]|d[89a-f]..)|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));",
    re.IGNORECASE,
)


class Window(NamedTuple):
    """What is listed: one set, changed from `since` to `until` (None: to now), both days."""

    set_spec: str
    since: str
    until: str | None = None
    prefix: str = FULLEST

    def arguments(self) -> dict[str, str]:
        """The request's parameters, in the order of arXiv's own tokens."""
        until = {"until": self.until} if self.until else {}
        return {
            "verb": "ListRecords",
            "metadataPrefix": self.prefix,
            "from": self.since,
            **until,
            "set": self.set_spec,
        }


class Token(NamedTuple):
    """A resumption token; `expires` is as the server wrote it."""

    text: str
    expires: str | None = None


class Page(NamedTuple):
    """One answer, read: with neither a token nor an end it is the refusal of a token."""

    parsed: Parsed
    token: Token | None
    complete: bool
    """Whether the list ends here."""
    identifiers: tuple[str, ...] = ()
    """Of every record in order, those rejected too."""

    @property
    def refused(self) -> bool:
        """Whether the resumption token was refused: it is unknown or expired."""
        return self.token is None and not self.complete


def fetch(client: Client, upstreams: Upstreams, window: Window) -> Response:
    """The first page of a list."""
    return _ask(client, upstreams, window.arguments())


def fetch_next(client: Client, upstreams: Upstreams, token: str) -> Response:
    """The page that `token` stands for."""
    return _ask(client, upstreams, {"verb": "ListRecords", "resumptionToken": token})


def token_at(window: Window, skip: int) -> str:
    """The token that arXiv itself would give for the rest of `window` after `skip` records."""
    return quote(urlencode({**window.arguments(), "skip": skip}))


def step_back(token: str, records: int | None) -> tuple[str, bool]:
    """The token for so many records earlier, None for the start of what it lists.

    With it, whether it stands at that start. A token that is not of arXiv's form stays as it is
    and counts as standing there: of it nothing better can be made.
    """
    told = dict(parse_qsl(unquote(token)))
    skip = told.get("skip", "")
    if not (skip.isascii() and skip.isdigit() and len(skip) < 10 and "verb" in told):
        return token, True
    left = 0 if records is None else max(0, int(skip) - records)
    return quote(urlencode({**told, "skip": left})), left == 0


def parse(body: bytes, seen_at: str) -> Page:
    """One answer to ListRecords or GetRecord, in any of arXiv's formats.

    Nothing that matches is an empty, complete page. Raises SourceRefused with arXiv's own words
    for a request that can never succeed, SourceChanged for everything that is no such answer.
    """
    root = _document(body)
    error = root.find(f"{_OAI}error")
    if error is not None:
        return _error(error)
    verbs = (root.find(f"{_OAI}{name}") for name in ("ListRecords", "GetRecord"))
    verb = next((one for one in verbs if one is not None), None)
    records = [] if verb is None else verb.findall(f"{_OAI}record")
    if verb is None or not records:
        raise SourceChanged("an OAI answer with records is due, one without any came")
    read = [observe(record, seen_at) for record in records]
    parsed = Parsed(
        tuple(one for one in read if isinstance(one, Observation)),
        tuple(one for one in read if isinstance(one, Rejected)),
    )
    token = _token(verb)
    return Page(parsed, token, token is None, tuple(map(identifier, records)))


def _ask(client: Client, upstreams: Upstreams, arguments: dict[str, str]) -> Response:
    return client.get(upstreams.arxiv_oai_endpoint, arguments, silence_seconds=SILENCE_SECONDS)


def _document(body: bytes) -> etree._Element:
    """The answer's root, read strictly, but for characters that XML cannot hold at all."""
    root = _strictly(body)
    if root is None:
        root = _strictly(_NO_XML.sub(" ", body.decode("utf-8", "replace")).encode())
    if root is None:
        page = b"<html" in body[:1000].lower()
        came = "a page of HTML" if page else f"{len(body)} bytes of no XML, or half of one,"
        raise SourceChanged(f"an OAI answer is due, {came} came")
    if root.tag != f"{_OAI}OAI-PMH" or root.getroottree().docinfo.internalDTD is not None:
        raise SourceChanged(f"an OAI answer is due, <{etree.QName(root).localname}> came")
    return root


def _strictly(body: bytes) -> etree._Element | None:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        return etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _error(error: etree._Element) -> Page:
    """The page that an error stands for; raises the SourceError that it stands for otherwise."""
    code = one_line(error.get("code") or "an error without a code")
    if code == "noRecordsMatch":
        return Page(Parsed(()), None, complete=True)
    if code == "badResumptionToken":
        return Page(Parsed(()), None, complete=False)
    words = text(error)[:200]
    message = f"arXiv's OAI says {code[:80]}{f': {words}' if words else ''}"
    raise SourceRefused(message) if code in _REFUSALS else SourceChanged(message)


def _token(verb: etree._Element) -> Token | None:
    """The token at the end of a page; an empty one ends the list."""
    token = verb.find(f"{_OAI}resumptionToken")
    told = text(token)
    if token is None or not told:
        return None
    # arXiv writes `expires`, the protocol's own name is the other one.
    return Token(told, token.get("expires") or token.get("expirationDate"))
