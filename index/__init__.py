"""Papers that answer a question: `from index import Retriever, related_papers_block`."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from index.retriever import Hit, Retriever

__all__ = ["Hit", "Retriever", "related_papers", "related_papers_block"]


def related_papers(query: str, k: int = 3, path: str | Path | None = None) -> list[Hit]:
    """The k best papers for a prompt about `query`, from the snapshot at `path`.

    Without a path: the home that PAPERFEED_HOME names, else `./data`. Raises BadInput,
    SnapshotError.
    """
    return _retriever(path).related_papers(query, k)


def related_papers_block(query: str, k: int = 3, path: str | Path | None = None) -> str:
    """The same papers as the "Related Papers" block of a prompt."""
    return _retriever(path).related_papers_block(query, k)


def _retriever(path: str | Path | None) -> Retriever:
    return _opened(Path(path or os.environ.get("PAPERFEED_HOME") or "data").resolve())


@lru_cache(maxsize=4)
def _opened(home: Path) -> Retriever:
    return Retriever.open(home)
