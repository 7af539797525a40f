"""Text as the index sees it: what is embedded and searched, and when two titles are one."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.text import title_key

TITLE = 0.4
"""What a paper's title counts for in its row, beside the whole document; see docs/retrieval.md."""
RECIPE = f"title. abstract + {TITLE} title/2"
"""How a paper becomes a row, kept in every manifest: raise its number when that changes."""

Rows = NDArray[np.float32]
"""(n, d) unit rows."""


class Texts(NamedTuple):
    """What of a paper is embedded."""

    title: str
    document: str


def paper_rows(titles: Rows, documents: Rows) -> Rows:
    """The rows of papers from those of their titles and of their documents.

    A title says in a line what an abstract spreads over ten: both in one row find more than either,
    and take no more room.
    """
    rows = documents + TITLE * titles
    unit: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def document(title: str | None, abstract: str | None) -> str:
    """What is embedded and searched for a paper: its title, a full stop, its abstract if any."""
    return ". ".join(part for part in (title, abstract) if part)


def text_hash(text: str) -> int:
    """64 bits that tell a text from every other."""
    return int.from_bytes(sha256(text.encode("utf-8", "replace")).digest()[:8], "big")


def title_hash(title: str) -> int:
    """`title_key` as 64 bits; a title without letters or digits counts as it is written."""
    return text_hash(title_key(title) or title)
