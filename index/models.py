"""A catalogue of models, searched for a question through the papers that they belong to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.fusion import rank
from index.lexical import asked, tokens
from index.opened import Opened
from index.postings import sums_of_few
from index.question import subject
from index.retriever import Retriever
from index.text import document
from ingest import ids
from ingest.errors import BadInput

EXAMPLE = Path(__file__).with_name("models.jsonl")
"""The bundled catalogue: ten well-known models."""


@dataclass(frozen=True, slots=True)
class Model:
    """One line of a catalogue."""

    name: str
    paper: str
    """The address of its paper, as the prompt shows it."""
    github: str | None = None
    description: str | None = None
    """What it is for: searched, never shown."""


class Recommendation(NamedTuple):
    """A model that may answer a question."""

    model: Model
    score: float
    """In [0, 1]: comparable within one answer only."""
    rank: int
    """From 1."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def paper(self) -> str:
        """The address of the model's paper."""
        return self.model.paper

    @property
    def github(self) -> str | None:
        """The address of the model's code."""
        return self.model.github


def read_models(path: str | Path = EXAMPLE) -> tuple[Model, ...]:
    """The models of a catalogue file; raises BadInput."""
    try:
        return parse_models(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def parse_models(catalogue: bytes, file: str) -> tuple[Model, ...]:
    """The models of JSON Lines in UTF-8, one object a line, empty lines passed over.

    `name` and `paper` (an address or an arXiv id) must be there, `github` and `description` may.
    Raises BadInput that names the file, the line and what is wrong there.
    """
    models: dict[str, Model] = {}
    for number, line in enumerate(catalogue.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            model = _model(line)
            if model.name in models:
                raise ValueError(f"there is a model {model.name!r} above")
        except ValueError as error:
            raise BadInput(f"{file}, line {number}: {error}") from error
        models[model.name] = model
    if not models:
        raise BadInput(f"{file} holds no model: write one JSON object a line")
    return tuple(models.values())


class ModelSearch:
    """Finds models of a catalogue for questions, by the retriever's snapshot and encoder.

    A model's row is its paper's where the snapshot holds that, else the row of its name and
    description; its words are those of name and description, and of the paper where it is held.
    Safe to use from many threads, and notices a new snapshot as the retriever does.
    """

    def __init__(self, retriever: Retriever, models: Sequence[Model]) -> None:
        self._retriever = retriever
        self._models = tuple(models)
        self._known: _Known | None = None

    def search(self, question: str, k: int = 1) -> list[Recommendation]:
        """The k best models, best first: meaning and words scored as they are for papers."""
        if not self._models or k < 1:
            return []
        opened, known = self._ready()
        row, words = (
            opened.encoder.encode(subject(question)),
            sums_of_few(known.words, asked(question)),
        )
        best = rank(np.arange(len(words)), known.rows, row, words, opened.words_weight)
        found = zip(best.rows[:k].tolist(), best.scores[:k].tolist(), strict=True)
        return [
            Recommendation(self._models[number], score, place)
            for place, (number, score) in enumerate(found, 1)
        ]

    def _ready(self) -> tuple[Opened, _Known]:
        opened, known = self._retriever.opened, self._known
        if known is None or known.snapshot != opened.name:
            known = self._known = _known(opened, self._models)
        return opened, known


class _Known(NamedTuple):
    """What a snapshot tells of the models: (n, d) rows, and the stems of their texts, counted."""

    snapshot: str
    rows: NDArray[np.float32]
    words: list[Counter[str]]


def _known(opened: Opened, models: Sequence[Model]) -> _Known:
    texts = [document(model.name, model.description) for model in models]
    rows = opened.encoder.encode_many(texts)
    for place, number in enumerate(_row_number(opened, model) for model in models):
        if number is not None:
            paper = opened.papers[number]
            texts[place] += "\n" + document(paper.title, paper.abstract)
            rows[place] = opened.vectors.rows(np.array([number]))[0]
    return _Known(opened.name, rows, [Counter(tokens(text)) for text in texts])


def _row_number(opened: Opened, model: Model) -> int | None:
    found = ids.find(model.paper)
    return opened.papers.find(found.base) if found else None


def _model(line: bytes) -> Model:
    """One line read; raises ValueError saying what is wrong with it."""
    try:
        told = json.loads(line)
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise ValueError("is not a JSON object")
    name, paper = _text(told, "name"), _text(told, "paper")
    if not name or not paper:
        raise ValueError(f"has no {'paper' if name else 'name'}")
    bare = ids.find(paper) if "://" not in paper else None
    address = f"https://arxiv.org/pdf/{bare}" if bare else paper
    return Model(name, address, _text(told, "github"), _text(told, "description"))


def _text(told: dict[str, Any], key: str) -> str | None:
    value = told.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} is no text: {str(value)[:40]}")
    return value or None
