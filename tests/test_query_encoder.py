"""The query encoder against numpy, on a model small enough to be written down here."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from index.query_encoder import QueryEncoder
from ingest.errors import SnapshotCorrupt
from tests.process import printed

WORDS = ["[PAD]", "[UNK]", "ask", "cat", "dog", "sat", "?"]
TABLE = np.random.default_rng(7).standard_normal((len(WORDS), 4)).astype(np.float32)
MAX_TOKENS = 6


def expected(text: str, prompt: str = "ask ") -> np.ndarray:
    """The mean of the words' rows, made a unit row, with numpy."""
    words = (prompt + text).replace("?", " ? ").split()[:MAX_TOKENS]
    row = TABLE[[WORDS.index(w) if w in WORDS else 1 for w in words]].mean(axis=0)
    return np.asarray(row / np.linalg.norm(row))


def graph() -> onnx.ModelProto:
    """Rows looked up, the padding's set to nothing, summed and made unit rows."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "first"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["vector"], axis=1, p=2),
    ]
    tokens = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"])
        for name in ("input_ids", "attention_mask")
    ]
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", 4])
    constants = [
        numpy_helper.from_array(TABLE, "table"),
        numpy_helper.from_array(np.array([2]), "last"),
        numpy_helper.from_array(np.array([1]), "first"),
    ]
    body = helper.make_graph(nodes, "tiny", tokens, [vector], constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(graph(), tmp_path / "model.onnx")
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    card = {"name": "tiny", "digest": "d1", "dimension": 4, "max_tokens": 6, "query_prompt": "ask "}
    (tmp_path / "encoder.json").write_text(json.dumps(card))
    return tmp_path


def test_a_question_becomes_its_row(folder: Path) -> None:
    encoder = QueryEncoder.open(folder)
    assert (encoder.name, encoder.digest, encoder.dimension) == ("tiny", "d1", 4)
    row = encoder.encode("cat sat ?")
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, expected("cat sat ?"), atol=1e-6)


def test_many_questions_of_any_lengths_keep_their_order(folder: Path) -> None:
    encoder = QueryEncoder.open(folder)
    queries = [" ".join(["cat", "dog", "sat", "?"][: 1 + i % 4] * (1 + i // 7)) for i in range(37)]
    rows = encoder.encode_many(queries)
    np.testing.assert_allclose(rows, [expected(query) for query in queries], atol=1e-6)
    np.testing.assert_array_equal(rows, [encoder.encode(query) for query in queries])
    assert encoder.encode_many([]).shape == (0, 4)


def test_a_question_of_ten_thousand_words_is_cut(folder: Path) -> None:
    encoder = QueryEncoder.open(folder)
    np.testing.assert_allclose(
        encoder.encode("dog cat sat sat sat " + "cat " * 10_000),
        expected("dog cat sat sat sat"),
        atol=1e-6,
    )


def test_text_that_is_no_text_is_encoded_all_the_same(folder: Path) -> None:
    encoder = QueryEncoder.open(folder)
    np.testing.assert_allclose(encoder.encode("cat \ud800"), expected("cat ?"), atol=1e-6)
    assert np.isfinite(encoder.encode("\0\u2028🙂 \u202e")).all()


def test_a_question_becomes_tokens_behind_its_prompt(folder: Path) -> None:
    tokens = QueryEncoder.open(folder).tokens("cat?")
    assert {name: values.tolist() for name, values in tokens.items()} == {
        "input_ids": [[2, 3, 6]],
        "attention_mask": [[1, 1, 1]],
    }
    assert {values.dtype for values in tokens.values()} == {np.dtype(np.int64)}


def test_threads_get_their_own_answers(folder: Path) -> None:
    encoder = QueryEncoder.open(folder)
    queries = ["cat", "dog dog", "sat cat ? dog", "never seen"] * 50
    with ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(encoder.encode, queries))
    np.testing.assert_allclose(rows, [expected(query) for query in queries], atol=1e-6)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "encoder.json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "half", "other"])
def test_a_bad_file_is_named(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "other": b"\x00[]"}.get(damage, b""))
    if damage == "gone":
        path.unlink()
    with pytest.raises(SnapshotCorrupt, match=name) as caught:
        QueryEncoder.open(folder)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("card", ["[]", "{}", '{"name": "x", "digest": "d", "dimension": "many"}'])
def test_a_card_that_says_too_little_is_corrupt(folder: Path, card: str) -> None:
    (folder / "encoder.json").write_text(card)
    with pytest.raises(SnapshotCorrupt, match=r"encoder\.json"):
        QueryEncoder.open(folder)


def test_opening_imports_no_torch(folder: Path) -> None:
    program = (
        "import sys, pathlib; from index.query_encoder import QueryEncoder;"
        "QueryEncoder.open(pathlib.Path(sys.argv[1])).encode('cat');"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'onnx'} & {*sys.modules}))"
    )
    assert printed(program, folder) == "[]\n"
