"""Papers that answer a question, and its prompt: `from index import Retriever, build_prompt`."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from index.ask import prompt_for
from index.budget import token_counter
from index.models import Model, ModelSearch, read_models
from index.opened import Hit
from index.prompt import Prompt, build_prompt, compose, parse_prompt
from index.related import Entry, parse_block
from index.retriever import Retriever

__all__ = [
    "Entry",
    "Hit",
    "Model",
    "ModelSearch",
    "Prompt",
    "Retriever",
    "build_prompt",
    "compose",
    "parse_block",
    "parse_prompt",
    "prompt_for",
    "read_models",
    "related_papers",
    "related_papers_block",
    "token_counter",
]


def related_papers(query: str, k: int = 3, path: str | Path | None = None) -> list[Hit]:
    """The k best papers for a prompt about `query`, from the snapshot at `path`.

    Without a path: the home that PAPERFEED_HOME names, else `./data`. Reranked where
    PAPERFEED_RERANKER names a cross-encoder. Raises BadInput, SnapshotError.
    """
    return _retriever(path).related_papers(query, k)


def related_papers_block(query: str, k: int = 3, path: str | Path | None = None) -> str:
    """The same papers as the "Related Papers" block of a prompt."""
    return _retriever(path).related_papers_block(query, k)


def _retriever(path: str | Path | None) -> Retriever:
    return _opened(Path(path or os.environ.get("PAPERFEED_HOME") or "data").resolve())


@lru_cache(maxsize=4)
def _opened(home: Path) -> Retriever:
    return Retriever.open(home, reranker=os.environ.get("PAPERFEED_RERANKER"))
