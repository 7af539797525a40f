"""GitHub's repositories: whether one is there, what it is called now, and what it says of itself.

Facts of the service: a moved repository answers 301 to `/repositories/ID`, which tells its new
`full_name`; one that is private, removed or not yet public answers 404; one that GitHub has blocked
answers 451, or 403 with a `block`. An answer of 304 costs nothing of the limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from ingest.errors import SourceChanged, SourceRefused
from ingest.http import Client, Response
from ingest.upstreams import Upstreams

SOURCE = "github"
ANSWERS = (200, 301, 304, 403, 404, 410, 429, 451)

_FULL_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_LICENSE = re.compile(r"[A-Za-z0-9.+-]{1,64}")
_TOKEN = re.compile(r"[!-~]+")
_ETAG = re.compile(r'(W/)?"[!#-~]*"')
_MOST_STARS = 2**31 - 1


class Verdict(NamedTuple):
    """What one answer says of a repository."""

    state: Literal["found", "moved", "missing", "unchanged"]
    full_name: str | None = None
    """Its name now, as GitHub spells it."""
    stars: int | None = None
    archived: bool | None = None
    pushed_at: str | None = None
    """The moment of the last push."""
    license: str | None = None
    """SPDX identifier; None where there is no licence or none that GitHub can name."""


def fetch(
    client: Client, upstreams: Upstreams, name: str, etag: str | None, token: str | None
) -> Response:
    """GitHub's answer about `owner/name`; with `etag`, 304 where nothing changed since.

    The token goes to GitHub alone and into no message. Raises SourceRefused (401) for one that is
    not accepted, SourceUnavailable and SourceChanged as the client does.
    """
    url = f"{upstreams.github_api}/repos/{name}"
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if etag and _ETAG.fullmatch(etag):
        headers["If-None-Match"] = etag
    if token:
        if not _TOKEN.fullmatch(token):  # sent so, it would stand in the error
            raise SourceRefused("the token for GitHub is not one word of plain ASCII", url, 401)
        headers["Authorization"] = f"Bearer {token}"
    return client.get(url, ok=ANSWERS, headers=headers)


def parse(body: bytes, status: int, name: str) -> Verdict:
    """What the answer says of `name`; raises SourceChanged where it says nothing about it."""
    if status == 304:
        return Verdict("unchanged")
    if status in (404, 410, 451):
        return Verdict("missing")
    said = _object(body, status)
    if status == 403 and isinstance(said.get("block"), dict):
        return Verdict("missing")
    if status != 200:
        raise SourceChanged(f"an answer of {status} says nothing about a repository")
    if said.get("private") is True:  # only the token's owner can see it
        return Verdict("missing")
    return _found(said, name)


def silence_asked(response: Response) -> str | None:
    """GitHub's wish not to be asked further, in words; None where there is none.

    It is told by 429, by 403 with Retry-After, and by a limit that is used up.
    """
    headers = response.headers
    used_up = headers.get("x-ratelimit-remaining", "").strip() == "0"
    pushed_back = response.status == 429 or (response.status == 403 and "retry-after" in headers)
    if not (used_up or pushed_back):
        return None
    wait, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if re.fullmatch(r"[0-9]{1,9}", wait):
        return f"GitHub asks for {wait} s of silence"
    if re.fullmatch(r"[0-9]{1,11}", reset):
        until = datetime.fromtimestamp(int(reset), UTC)
        return f"GitHub's limit is used up until {until:%Y-%m-%d %H:%M} UTC"
    return "GitHub asks for silence"


def _object(body: bytes, status: int) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise SourceChanged(f"an answer of {status} that is not JSON") from None
    if not isinstance(said, dict):
        raise SourceChanged(f"an answer of {status} that is not an object")
    return said


def _found(said: Mapping[str, Any], name: str) -> Verdict:
    """Wrong types in what is optional are left out; without its name it is no repository."""
    full_name, stars = said.get("full_name"), said.get("stargazers_count")
    if not (isinstance(full_name, str) and _FULL_NAME.fullmatch(full_name)):
        raise SourceChanged("a repository without full_name")
    archived, license_ = said.get("archived"), said.get("license")
    return Verdict(
        "found" if full_name.casefold() == name.casefold() else "moved",
        full_name,
        stars if type(stars) is int and 0 <= stars <= _MOST_STARS else None,
        archived if isinstance(archived, bool) else None,
        _text(said.get("pushed_at"), _MOMENT),
        _spdx(license_.get("spdx_id") if isinstance(license_, dict) else None),
    )


def _spdx(value: object) -> str | None:
    """GitHub says NOASSERTION of a licence that it cannot name."""
    return None if value == "NOASSERTION" else _text(value, _LICENSE)


def _text(value: object, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None
