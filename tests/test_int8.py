"""Products in 8 bits against numpy, on graphs small enough to be written down here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from index import int8, query_encoder
from index.query_encoder import QueryEncoder
from ingest.errors import EncoderError

WORDS = ["[UNK]", *sorted(set(re.findall(r"\w+", " ".join(int8._ORDINARY))))]
WIDTH, OUTLIERS = 96, [3, 50]
QUESTIONS = [
    "the papers",
    "Which models forget",
    "noise " * 30,
    "robots that learn to fold laundry",
]
rng = np.random.default_rng(11)
TABLE = rng.standard_normal((len(WORDS), WIDTH)).astype(np.float32)
TABLE[:, OUTLIERS] *= 60
FIRST = (rng.standard_normal((WIDTH, 128)) / 10).astype(np.float32)
BIAS = rng.standard_normal(128).astype(np.float32)
SECOND = (rng.standard_normal((WIDTH, 128)) / 10).astype(np.float32)


def pooled(text: str) -> np.ndarray:
    """The row by numpy: two products of the same words, one with a bias, squashed, averaged."""
    inputs = TABLE[[WORDS.index(w) if w in WORDS else 0 for w in text.split()]]
    row = np.tanh(inputs @ FIRST + BIAS).mean(axis=0) + (inputs @ SECOND).mean(axis=0) / 100
    return np.asarray(row / np.linalg.norm(row))


def traced(width: int = 128) -> onnx.ModelProto:
    """The same as a graph of `width` numbers; between, each word is cut into heads and put together
    again, and the shapes for that are computed, as tracing does."""
    node = helper.make_node
    shape = [
        node("Shape", ["inputs"], ["shape"]),
        node("Constant", [], ["at0"], value=numpy_helper.from_array(np.array(0))),
        node("Constant", [], ["at1"], value=numpy_helper.from_array(np.array(1))),
        node("Gather", ["shape", "at0"], ["texts"]),
        node("Gather", ["shape", "at1"], ["words"]),
        node("Unsqueeze", ["texts", "zero"], ["texts1"]),
        node("Unsqueeze", ["words", "zero"], ["words1"]),
        node("Concat", ["texts1", "words1", "heads", "rest"], ["cut"], axis=0),
        node("Concat", ["texts1", "words1", "rest"], ["whole"], axis=0),
    ]
    nodes = [
        node("Gather", ["table", "input_ids"], ["inputs"]),
        *shape,
        node("MatMul", ["inputs", "first"], ["product"]),
        node("Add", ["bias", "product"], ["biased"]),
        node("Reshape", ["biased", "cut"], ["in_heads"]),
        node("Tanh", ["in_heads"], ["squashed"]),
        node("Reshape", ["squashed", "whole"], ["together"]),
        node("MatMul", ["inputs", "second"], ["other"]),
        node("Mul", ["other", "hundredth"], ["small"]),
        node("Add", ["together", "small"], ["sum"]),
        node("ReduceMean", ["sum", "one"], ["mean"], keepdims=0),
        node("LpNormalization", ["mean"], ["vector"], axis=1, p=2),
    ]
    constants = {
        "table": TABLE,
        "first": FIRST[:, :width],
        "bias": BIAS[:width],
        "second": SECOND[:, :width],
        "heads": np.array([4]),
        "rest": np.array([-1]),
        "zero": np.array([0]),
        "one": np.array([1]),
        "hundredth": np.array(0.01, np.float32),
    }
    tokens = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", width])
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "tiny", [tokens], [vector], weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def export(folder: Path, model: onnx.ModelProto) -> Path:
    folder.mkdir()
    onnx.save_model(
        model, folder / "model.onnx", save_as_external_data=True, location="weights.bin"
    )
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    card = {"name": "tiny", "digest": "d", "dimension": 128, "query_prompt": ""}
    (folder / "encoder.json").write_text(json.dumps(card))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kinds(folder: Path) -> list[str]:
    return [
        n.op_type for n in onnx.load(folder / "model.onnx", load_external_data=False).graph.node
    ]


def accepted(near: Path) -> None:
    """An audit that finds no fault."""


def test_rows_stay_though_two_channels_are_sixty_times_as_large(tmp_path: Path) -> None:
    folder = export(tmp_path / "encoder", traced())
    expected = np.stack([*map(pooled, QUESTIONS)])
    np.testing.assert_allclose(
        QueryEncoder.open(folder).encode_many(QUESTIONS), expected, atol=1e-5
    )
    before = files(folder)
    int8.replace(folder, accepted)
    cosines = (QueryEncoder.open(folder).encode_many(QUESTIONS) * expected).sum(axis=1)
    assert 0.9995 < cosines.min() < 0.9999999
    assert kinds(folder).count("DynamicQuantizeMatMul") == 1  # both products are of the same words
    after = files(folder)
    assert after.keys() == before.keys()
    assert len(after["weights.bin"]) < 0.7 * len(before["weights.bin"])


def test_without_the_channels_apart_they_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_WORTH", 0.0)
    folder = export(tmp_path / "encoder", traced())
    int8.replace(folder, accepted)
    rows = QueryEncoder.open(folder).encode_many(QUESTIONS)
    assert (rows * np.stack([*map(pooled, QUESTIONS)])).sum(axis=1).min() < 0.999


def test_a_table_of_words_is_kept_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, halved = (export(tmp_path / name, traced()) for name in ("plain", "halved"))
    int8.replace(plain, accepted)
    monkeypatch.setattr(int8, "_TABLE", TABLE.size - 1)
    int8.replace(halved, accepted)
    rows = [QueryEncoder.open(folder).encode_many(QUESTIONS) for folder in (plain, halved)]
    assert (rows[0] * rows[1]).sum(axis=1).min() > 0.9995
    tables = {one.name: one for one in onnx.load(halved / "model.onnx").graph.initializer}
    stored = numpy_helper.to_array(tables["table/half"])
    np.testing.assert_array_equal(stored, TABLE.astype(np.float16))
    assert "table" not in tables
    saved = len(files(plain)["weights.bin"]) - len(files(halved)["weights.bin"])
    assert abs(saved - 2 * TABLE.size) < 256  # weights begin at rounded places


def test_shapes_are_no_more_computed(tmp_path: Path) -> None:
    folder = export(tmp_path / "encoder", traced())
    int8.replace(folder, accepted)
    assert not {"Shape", "Concat", "Unsqueeze", "Constant"} & {*kinds(folder)}
    assert kinds(folder).count("Reshape") == 2


def test_the_same_export_twice_is_the_same_to_the_byte(tmp_path: Path) -> None:
    folders = [export(tmp_path / name, traced()) for name in ("a", "b")]
    for folder in folders:
        int8.replace(folder, accepted)
    assert files(folders[0]) == files(folders[1])


def test_what_the_audit_refuses_is_not_put_in_place(tmp_path: Path) -> None:
    folder = export(tmp_path / "encoder", traced())
    before = files(folder)

    def refusing(near: Path) -> None:
        assert files(near).keys() == before.keys()
        raise EncoderError("other rows")

    int8.replace(folder, refusing)
    assert files(folder) == before


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    folder = export(tmp_path / "encoder", traced())

    def full(near: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        int8.replace(folder, full)
    assert not (folder / "int8").exists()


def test_small_products_are_left_alone(tmp_path: Path) -> None:
    folder = export(tmp_path / "encoder", traced(width=60))
    before = files(folder)
    int8.replace(folder, accepted)
    assert files(folder) == before


def test_a_graph_that_cannot_be_made_over_is_left_alone(tmp_path: Path) -> None:
    """Its reshape folds texts and words into one dimension: two zeros there are one too many."""
    model = traced()
    (cut,) = (node for node in model.graph.node if node.output[0] == "cut")
    cut.input[:] = ["words1", "texts1", "rest", "heads"]
    folder = export(tmp_path / "encoder", model)
    expected = QueryEncoder.open(folder).encode_many(QUESTIONS)
    before = files(folder)

    def audit(near: Path) -> None:
        rows = QueryEncoder.open(near).encode_many(QUESTIONS)
        if (rows * expected).sum(axis=1).min() < 0.999:
            raise EncoderError("other rows")

    int8.replace(folder, audit)
    after = files(folder)
    assert (QueryEncoder.open(folder).encode_many(QUESTIONS) * expected).sum(axis=1).min() > 0.999
    assert after.keys() == before.keys()


def test_a_processor_without_vnni_gives_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export(tmp_path / "encoder", traced())
    int8.replace(folder, accepted)
    rows = QueryEncoder.open(folder).encode_many(QUESTIONS)
    monkeypatch.setattr(query_encoder, "_has_vnni", lambda: False)
    np.testing.assert_allclose(QueryEncoder.open(folder).encode_many(QUESTIONS), rows, atol=1e-6)


MATRICES = arrays.arrays(
    np.float32, (5, 3), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
)


@given(MATRICES)
def test_whole_numbers_are_at_most_half_a_step_off(weights: np.ndarray) -> None:
    whole, steps = int8._quantised(weights)
    assert whole.dtype == np.int8
    assert np.abs(whole.astype(int)).max() <= 127
    off = np.abs(whole * steps.astype(float) - weights)
    assert (off <= 0.5001 * steps).all()


def test_the_largest_channels_are_told_only_where_they_stand_out() -> None:
    extremes = np.array([[-1.0] * 20, [1.0] * 20], np.float32)
    assert int8._largest(extremes).tolist() == []
    extremes[0, 7], extremes[1, 2] = -9, 4
    found = int8._largest(extremes)
    assert len(found) == 8
    assert {2, 7} <= {*found.tolist()}
    assert found.tolist() == sorted(found)
