"""The record: a frozen Paper, and the Observation it is merged from.

Dates are ISO 8601 strings: days `2025-03-03`, moments `2025-03-03T17:08:18Z` (UTC).
They sort as text, and JSON carries them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

Place = Literal["huggingface", "project_page", "comment", "abstract"]


class Repo(Struct, frozen=True, omit_defaults=True):
    """A GitHub repository and the place where it was found; one repository may stand at several."""

    name: str
    """`owner/name`, spelled as its most trusted place spells it."""
    found_in: Place
    own: bool
    """True for the paper's own code, False where the text only mentions it."""
    repaired: bool = False
    """True where the address was mended (a dash, a line break): worth verifying."""
    verified: str | None = None
    """The day GitHub last confirmed it; what follows is what it said then."""
    stars: int | None = None
    archived: bool | None = None

    @property
    def url(self) -> str:
        """The address people open."""
        return f"https://github.com/{self.name}"


class Confirmation(NamedTuple):
    """What GitHub last said of a repository that is there."""

    full_name: str
    """Its name now: another one than was asked for where it has moved."""
    day: str
    stars: int | None = None
    archived: bool | None = None


class Paper(Struct, frozen=True, omit_defaults=True):
    """One arXiv paper, as all its observations together tell it. Absent is None or ()."""

    arxiv_id: str
    """Base id without version: the identity."""
    version: int | None = None
    """The newest version known; None until arXiv has told."""
    title: str | None = None
    abstract: str | None = None
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    """Primary first."""
    published: str | None = None
    """Moment of version 1, or its day where no source gives more; so is `updated`."""
    updated: str | None = None
    """Moment of the newest version."""
    versions: tuple[str, ...] = ()
    """The whole history where a source gives it, oldest first: `v1 2023-04-17T08:50:11Z`, ..."""
    comment: str | None = None
    journal_ref: str | None = None
    doi: str | None = None
    license: str | None = None
    withdrawn: bool = False
    repos: tuple[Repo, ...] = ()
    """Most trusted first."""
    project_page: str | None = None
    listed_on: tuple[str, ...] = ()
    """The days it stood on Daily Papers, oldest first."""
    upvotes: int | None = None
    keywords: tuple[str, ...] = ()
    organization: str | None = None
    sources: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Field name to the source that its value came from."""

    @property
    def repo(self) -> Repo | None:
        """The paper's own repository, the most trusted one, if it has any."""
        return next((repo for repo in self.repos if repo.own), None)

    @property
    def abs_url(self) -> str:
        """The arXiv page to link to."""
        return f"https://arxiv.org/abs/{self.arxiv_id}"

    @property
    def pdf_url(self) -> str:
        """The PDF of the newest version known, in the form prompts carry."""
        version = f"v{self.version}" if self.version else ""
        return f"http://arxiv.org/pdf/{self.arxiv_id}{version}.pdf"

    def to_record(self) -> dict[str, Any]:
        """Every field under its own name, ready for JSON."""
        record = asdict(self)
        record["repos"] = tuple({**asdict(repo), "url": repo.url} for repo in self.repos)
        record["sources"] = dict(self.sources)
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Paper:
        """The inverse of `to_record`."""
        return msgspec.convert(record, cls)

    def to_json(self) -> bytes:
        """What is not absent, as one line for `from_json`."""
        return _encode(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Paper:
        """The inverse of `to_json`."""
        return _decode_paper(text)


class Observation(Struct, frozen=True, omit_defaults=True):
    """What one source said about one paper at one time; None or () where it said nothing."""

    source: str
    """`huggingface`, `arxiv_api`, `saved_listing`, ..."""
    arxiv_id: str
    seen_at: str
    """When the response was received, a moment."""
    listed_on: str | None = None
    """The Daily Papers day whose listing this is."""
    version: int | None = None
    title: str | None = None
    abstract: str | None = None
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    published: str | None = None
    updated: str | None = None
    versions: tuple[str, ...] = ()
    """Every version with its moment, as in `Paper`."""
    comment: str | None = None
    journal_ref: str | None = None
    doi: str | None = None
    license: str | None = None
    withdrawn: bool | None = None
    github: str | None = None
    """The source's own repository field, as it stood there."""
    github_by: str | None = None
    """Who filled it: `user` or `auto`."""
    project_page: str | None = None
    upvotes: int | None = None
    keywords: tuple[str, ...] = ()
    organization: str | None = None

    def to_json(self) -> bytes:
        """One line with only what was said."""
        return _encode(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Observation:
        """The inverse of `to_json`."""
        return _decode_observation(text)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that could not be read: what stood there, and why it was refused."""

    reason: str
    payload: str
    """The entry as JSON or text, as it came."""
    arxiv_id: str | None = None


class Parsed(NamedTuple):
    """One response, read: every entry of it is in one of the two."""

    observations: tuple[Observation, ...]
    rejected: tuple[Rejected, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode_paper = msgspec.json.Decoder(Paper).decode
_decode_observation = msgspec.json.Decoder(Observation).decode
