"""Text as the index sees it: what is embedded and searched, and when two titles are one."""

from __future__ import annotations

from hashlib import blake2b

from ingest.text import title_key

RECIPE = "title. abstract/1"
"""The document text's recipe, kept in every manifest: raise its number when `document` changes."""


def document(title: str | None, abstract: str | None) -> str:
    """What is embedded and searched for a paper: its title, a full stop, its abstract if any."""
    return ". ".join(part for part in (title, abstract) if part)


def title_hash(title: str) -> int:
    """`title_key` as 64 bits; a title without letters or digits counts as it is written."""
    key = title_key(title) or title
    return int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "big")
