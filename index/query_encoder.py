"""A question to a unit row with ONNX Runtime and tokenizers alone, without torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from ingest.errors import SnapshotCorrupt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CARD, GRAPH, WEIGHTS, TOKENIZER = "encoder.json", "model.onnx", "weights.bin", "tokenizer.json"
INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
_BATCH = 8  # questions run together: 1.5 times as many a second as one by one; more is slower


@dataclass(frozen=True, slots=True)
class QueryEncoder:
    """The encoder of one snapshot, ready to turn questions into rows; safe to use from threads."""

    name: str
    digest: str
    dimension: int
    prompt: str
    _session: Any
    _tokenizer: Any

    @classmethod
    def open(cls, folder: Path) -> QueryEncoder:
        """The encoder that `Encoder.export` wrote in `folder`; SnapshotCorrupt names a bad file."""
        card = _card(folder / CARD)
        return cls(**card, _session=_session(folder / GRAPH), _tokenizer=_tokenizer(folder))

    def encode(self, query: str) -> NDArray[np.float32]:
        """One unit row of shape (dimension,); what exceeds the model's tokens is cut off."""
        row: NDArray[np.float32] = self._run([query])[0]
        return row

    def encode_many(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows of shape (len(queries), dimension), in order."""
        out = np.empty((len(queries), self.dimension), np.float32)
        # Equal lengths go together: padding costs as much as words do.
        order = sorted(range(len(queries)), key=lambda i: len(queries[i]))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            out[chosen] = self._run([queries[i] for i in chosen])
        return out

    def _run(self, queries: list[str]) -> NDArray[np.float32]:
        tokens = self._tokenizer.encode_batch([self.prompt + encodable(q) for q in queries])
        feed = {
            wanted.name: np.array([getattr(t, INPUTS[wanted.name]) for t in tokens], np.int64)
            for wanted in self._session.get_inputs()
        }
        return np.asarray(self._session.run(["vector"], feed)[0], np.float32)


def encodable(text: str) -> str:
    """`text` with lone surrogates, which no tokenizer takes, replaced by question marks."""
    return text.encode(errors="replace").decode()


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_bytes())
        return {
            "name": str(card["name"]),
            "digest": str(card["digest"]),
            "dimension": int(card["dimension"]),
            "prompt": str(card["query_prompt"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotCorrupt(f"the query encoder's {CARD} cannot be read", str(path)) from error


def _session(path: Path) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # A second thread takes a third off a question's time: 5.6 ms for 8.6. Threads that spin while
    # they wait gain nothing more, and on a busy machine cost 22 ms where these take 9.
    options.intra_op_num_threads = min(2, os.cpu_count() or 1)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no other base class
        what = f"the query encoder's {GRAPH} or {WEIGHTS} cannot be loaded"
        raise SnapshotCorrupt(what, str(path)) from error


def _tokenizer(folder: Path) -> Any:  # noqa: ANN401 - tokenizers ships partial types
    path = folder / TOKENIZER
    try:
        return Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the library raises bare Exception on a bad file
        raise SnapshotCorrupt(
            f"the query encoder's {TOKENIZER} cannot be read", str(path)
        ) from error
