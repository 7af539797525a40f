"""A question to a unit row with ONNX Runtime and tokenizers alone, without torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from ingest.errors import SnapshotCorrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CARD, GRAPH, WEIGHTS, TOKENIZER = "encoder.json", "model.onnx", "weights.bin", "tokenizer.json"
_SMALL = 80_000_000  # bytes of weights
INPUTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


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
        return cls(**card, _session=session(folder / GRAPH), _tokenizer=_tokenizer(folder))

    def encode(self, query: str) -> NDArray[np.float32]:
        """One unit row of shape (dimension,); what exceeds the model's tokens is cut off."""
        return np.asarray(self._session.run(["vector"], self.tokens(query))[0][0], np.float32)

    def encode_many(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows of shape (len(queries), dimension), in order, each as `encode` gives it."""
        rows = [self.encode(query) for query in queries]
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

    def tokens(self, query: str) -> dict[str, NDArray[np.int64]]:
        """What enters the graph for a question: arrays of shape (1, tokens)."""
        tokens = self._tokenizer.encode(self.prompt + encodable(query))
        names = (wanted.name for wanted in self._session.get_inputs())
        return {name: np.array([getattr(tokens, INPUTS[name])], np.int64) for name in names}


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


def session(graph: Path) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    """ONNX Runtime ready to run the graph; SnapshotCorrupt where it or its weights are bad."""
    chosen = options(graph)
    # Products of 8 bits overflow on an x86 processor without VNNI, unless made with more care.
    chosen.add_session_config_entry("session.x64quantprecision", "0" if _has_vnni() else "1")
    try:
        return ort.InferenceSession(str(graph), chosen, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no other base class
        what = f"the query encoder's {GRAPH} or {WEIGHTS} cannot be loaded"
        raise SnapshotCorrupt(what, str(graph)) from error


def options(graph: Path) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    """How one question is answered fastest on a busy machine, whatever processor it has."""
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 3
    # Threads that spin while they wait gain nothing, and on a busy machine cost 22 ms where these
    # take 9. A small model's products are over before a second thread has woken: 8 ms for 7.
    chosen.intra_op_num_threads = min(2 if _size(graph) > _SMALL else 1, os.cpu_count() or 1)
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Planning which buffers to share takes half of the opening, and no memory is saved by it.
    chosen.enable_mem_reuse = False
    return chosen


def _size(graph: Path) -> int:
    weights = graph.with_name(WEIGHTS)
    return weights.stat().st_size if weights.exists() else 0


def _has_vnni() -> bool:
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False


def _tokenizer(folder: Path) -> Any:  # noqa: ANN401 - tokenizers ships partial types
    path = folder / TOKENIZER
    try:
        return Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # the library raises bare Exception on a bad file
        raise SnapshotCorrupt(
            f"the query encoder's {TOKENIZER} cannot be read", str(path)
        ) from error
