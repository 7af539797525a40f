"""What people would pick instead, each as its own pages tell to use it; one small class a peer.

All are given the same papers, the same rows and the same model. A peer that is not installed is
left out: `make bench` installs them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchmarks.model import loaded
from benchmarks.setting import Rows, parts
from flows.progress import say
from index import Retriever
from index.related import block

K = 10
"""Papers in an answer."""


class Answer(NamedTuple):
    """A question's papers."""

    ids: list[str]
    """Best first."""
    block: str
    """As it is printed into a prompt."""


class Peer(Protocol):
    """Something that answers questions."""

    name: str

    def answer(self, question: str) -> Answer:
        """The K best papers, the question encoded on the way."""


class Material(NamedTuple):
    """What every peer is given."""

    folder: Path
    """A peer that keeps files keeps them below this folder, under a name of its own."""
    ids: list[str]
    texts: list[str]
    """Title and abstract of each paper."""
    rows: Rows
    """Of the texts."""
    model: Path


class Paperfeed:
    """Ours, from a published snapshot."""

    name = "paperfeed"

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def answer(self, question: str) -> Answer:
        """As `Retriever.related_papers_block` does, with the ids kept."""
        hits = self._retriever.related_papers(question, K)
        return Answer([hit.arxiv_id for hit in hits], block(hits))


class Plain:
    """sentence-transformers as it comes: `encode`, and `semantic_search` over all rows."""

    name = "sentence-transformers"

    def __init__(self, given: Material) -> None:
        self._model = loaded(given.model)
        self._search = import_module("sentence_transformers").util.semantic_search
        self._rows = import_module("torch").from_numpy(given.rows)
        self._ids, self._texts = given.ids, given.texts

    def answer(self, question: str) -> Answer:
        """Dense search alone."""
        hits = self._search(
            self._model.encode(question, convert_to_tensor=True), self._rows, top_k=K
        )
        places = [hit["corpus_id"] for hit in hits[0]]
        return _told([self._ids[n] for n in places], [self._texts[n] for n in places])


class Txtai:
    """Hybrid search over an index that keeps its texts; it encodes questions itself."""

    name = "txtai hybrid"
    folder = "txtai"
    """Below the material's, where its saved index lies."""

    def __init__(self, given: Material) -> None:
        kind: Any = import_module("txtai").Embeddings
        self._index = kind(path=str(given.model), hybrid=True, content=True)
        self._index.model.encode = _in_order(given.rows)
        self._index.index(zip(given.ids, given.texts, strict=True))
        del self._index.model.encode  # from now on, its own
        self._index.save(str(given.folder / self.folder))

    def answer(self, question: str) -> Answer:
        """Dense and BM25, joined as txtai does."""
        hits = self._index.search(question, K)
        return _told([hit["id"] for hit in hits], [hit["text"] for hit in hits])


class LanceDB:
    """Hybrid search: exact over the rows, which its pages advise for so few, and full text."""

    name = "LanceDB hybrid"

    def __init__(self, given: Material) -> None:
        os.environ.setdefault("LANCEDB_LOG", "error")  # else it warns at each question
        arrow: Any = import_module("pyarrow")
        rows = arrow.FixedSizeListArray.from_arrays(given.rows.ravel(), given.rows.shape[1])
        papers = arrow.table({"id": given.ids, "text": given.texts, "vector": rows})
        database = import_module("lancedb").connect(str(given.folder / "lancedb"))
        self._table = database.create_table("papers", papers)
        self._table.create_fts_index("text")
        self._model = loaded(given.model)

    def answer(self, question: str) -> Answer:
        """Reciprocal ranks of both, its default."""
        row = self._model.encode(question)
        search = self._table.search(query_type="hybrid").vector(row).text(question)
        hits = search.limit(K).select(["id", "text"]).to_list()
        return _told([hit["id"] for hit in hits], [hit["text"] for hit in hits])


class Chroma:
    """Dense search in its HNSW index on disk; it has no words."""

    name = "chroma"

    def __init__(self, given: Material) -> None:
        chroma: Any = import_module("chromadb")
        quiet = chroma.Settings(anonymized_telemetry=False)
        client = chroma.PersistentClient(str(given.folder / "chroma"), quiet)
        how: Any = {"configuration": {"hnsw": {"space": "cosine"}}, "embedding_function": None}
        self._papers = client.create_collection("papers", **how)
        for part in parts(len(given.ids)):
            ids, texts, rows = given.ids[part], given.texts[part], given.rows[part]
            self._papers.add(ids=ids, documents=texts, embeddings=rows)
        self._model = loaded(given.model)

    def answer(self, question: str) -> Answer:
        """Its nearest rows."""
        row = self._model.encode(question)
        hits = self._papers.query(query_embeddings=[row], n_results=K, include=["documents"])
        return _told(hits["ids"][0], hits["documents"][0])


NEEDS: dict[type[Plain | Txtai | LanceDB | Chroma], str] = {
    Plain: "sentence_transformers",
    Txtai: "txtai",
    LanceDB: "lancedb",
    Chroma: "chromadb",
}
"""Peer to the package that it needs."""


def opened(given: Material) -> list[Peer]:
    """Every peer that is installed, with its index built; says which are not."""
    peers: list[Peer] = []
    for peer, package in NEEDS.items():
        if find_spec(package):
            say(f"building: {peer.name}")
            peers.append(peer(given))
        else:
            say(f"left out, not installed: {peer.name}  (make bench)")
    return peers


def _told(ids: list[str], texts: list[str]) -> Answer:
    entries = (f"Model: {one}\nSummary: {text}" for one, text in zip(ids, texts, strict=True))
    return Answer(ids, "\n\n".join(entries))


def _in_order(rows: Rows) -> Callable[..., Rows]:
    """An `encode` that gives the rows one after another, whatever the texts are."""
    place = 0

    def encode(texts: Sequence[str], *_: object, **__: object) -> Rows:
        nonlocal place
        place += len(texts)
        return rows[place - len(texts) : place]

    return encode
