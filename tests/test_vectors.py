from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import vectors
from index.vectors import Exact, Rows, Vectors, choose, learns_from, questions, recall


def unit_rows(count: int, dimension: int = 16, seed: int = 0) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


SCANNED = "PQ4x4fs,Refine(SQfp16)"
LISTED = "IVF32,PQ4x4fs,Refine(SQfp16)"
ODD = ("RaBitQfs,Refine(SQfp16)", "IVF8,RaBitQfs,Refine(SQfp16)")
"""For dimensions that four does not divide."""


def widened(rows: Rows, description: str) -> Vectors:
    """An index that looks as far as it can."""
    index = Vectors.build([rows], 16, description, rows)
    while index.widen():
        pass
    return index


def test_exact_while_small_then_scanned_then_in_lists():
    assert choose(1, 384) == choose(10_000, 384) == "Flat"
    assert choose(10_001, 384) == choose(699_999, 384) == "PQ96x4fs,Refine(SQfp16)"
    assert choose(700_000, 384) == "IVF2048,PQ96x4fs,Refine(SQfp16)"
    assert choose(10_001, 770) == "RaBitQfs,Refine(SQfp16)"
    assert choose(700_000, 770) == "IVF2048,RaBitQfs,Refine(SQfp16)"
    learnt_from = [learns_from(choose(count, 384)) for count in (10_000, 699_999, 700_000)]
    assert learnt_from == [0, 8192, 81_920]


@pytest.mark.parametrize(
    "description", ["Flat", "SQfp16", SCANNED, "IVF8,PQ4x4fs,Refine(SQfp16)", *ODD]
)
def test_built_in_chunks_saved_and_mapped_it_finds_what_numpy_finds(tmp_path: Path, description):
    rows, queries = unit_rows(500), unit_rows(20, seed=1)
    built = Vectors.build([rows[:123], rows[123:]], 16, description, rows)
    while built.widen():
        pass
    built.save(tmp_path / "v")
    index = Vectors.load(tmp_path / "v", description)
    assert (len(index), index.dimension, index.description) == (500, 16, description)
    for query in queries:
        products = rows @ query
        found, scores = index.search(query, 5)
        assert found.tolist() == np.argsort(-products)[:5].tolist()
        np.testing.assert_allclose(scores, products[found], atol=1e-3)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_mask_gives_the_best_of_what_it_allows(count, wanted, seed):
    rows, query = unit_rows(count, seed=seed), unit_rows(1, seed=seed + 1)[0]
    mask = np.random.default_rng(seed).random(count) < 0.5
    found, _ = Vectors.build([rows], 16, "Flat").search(query, wanted, mask)
    allowed = np.flatnonzero(mask)
    best = allowed[np.argsort(-(rows[allowed] @ query), kind="stable")][:wanted]
    assert found.tolist() == best.tolist()


@pytest.mark.parametrize("description", [SCANNED, LISTED])
@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.2, 0.03, 0.001])
def test_a_mask_on_a_scanned_index_gives_the_best_of_what_it_allows(share, description):
    rows, queries = unit_rows(5000), unit_rows(20, seed=1)
    index = widened(rows, description)
    mask = np.random.default_rng(2).random(5000) < share
    allowed = np.flatnonzero(mask)
    for query in queries:
        best = allowed[np.argsort(-(rows[allowed] @ query))][:20]
        found, scores = index.search(query, 20, mask)
        assert mask[found].all()
        np.testing.assert_allclose(scores, rows[found] @ query, atol=1e-3)
        np.testing.assert_allclose(scores, rows[best] @ query, atol=1e-3)


@pytest.mark.parametrize("description", [SCANNED, LISTED])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.8])
def test_a_mask_of_what_is_far_away_still_gives_its_best(share, description):
    rows = unit_rows(5000)
    query = rows[0]
    mask = rows @ query < np.quantile(rows @ query, share)
    index = Vectors.build([rows], 16, description, rows)
    found, scores = index.search(query, 10, mask)
    assert mask[found].all()
    np.testing.assert_allclose(scores, np.sort(rows[mask] @ query)[:-11:-1], atol=1e-3)


def test_rows_in_lists_that_are_not_scanned_are_found_when_so_many_are_asked_for():
    rows = unit_rows(5000)
    query = rows[0]
    found, scores = Vectors.build([rows], 16, LISTED, rows).search(query, 4000)
    assert len(set(found.tolist())) == 4000
    np.testing.assert_allclose(scores, np.sort(rows @ query)[:-4001:-1], atol=0.05)


def test_widening_looks_deeper_until_it_is_deep_enough():
    rows = unit_rows(20_000, seed=3)
    index = Vectors.build([rows], 16, SCANNED, rows[:2000])
    exact = Exact(rows[:50], 10)
    list(exact.seeing([rows]))
    measured = [recall(index, exact, lambda numbers: rows[numbers])]
    while index.widen():
        measured.append(recall(index, exact, lambda numbers: rows[numbers]))
    assert len(measured) == 5  # 1, 2, 4, 8 and 16 times
    assert measured == sorted(measured)
    assert measured[-1] >= 0.99
    assert not Vectors.build([rows], 16, "Flat").widen()


def test_widening_scans_more_lists_until_all_are_scanned():
    rows = unit_rows(5000, seed=3)
    index = Vectors.build([rows], 16, LISTED, rows)
    exact = Exact(rows[:50], 10)
    list(exact.seeing([rows]))
    measured = [recall(index, exact, lambda numbers: rows[numbers])]
    while index.widen():
        measured.append(recall(index, exact, lambda numbers: rows[numbers]))
    assert measured == sorted(measured)
    assert measured[0] < 0.9
    assert measured[-1] >= 0.99


@pytest.mark.parametrize("description", ["Flat", SCANNED, LISTED, *ODD])
def test_the_same_rows_make_the_same_bytes(tmp_path: Path, description):
    rows = unit_rows(2000)
    for name, chunks in (("one", [rows]), ("other", [rows[:777], rows[777:]])):
        index = Vectors.build(chunks, 16, description, rows)
        index.widen()
        index.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("description", [SCANNED, LISTED])
def test_rows_come_back_by_number(tmp_path: Path, description):
    rows = unit_rows(1500)
    numbers = np.array([7, 0, 49])
    np.testing.assert_array_equal(Vectors.build([rows], 16, "Flat").rows(numbers), rows[numbers])
    Vectors.build([rows], 16, description, rows).save(tmp_path / "v")
    halves = Vectors.load(tmp_path / "v", description).rows(numbers)
    assert halves.dtype == np.float32
    np.testing.assert_array_equal(halves, rows[numbers].astype(np.float16).astype(np.float32))


@given(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1))
def test_every_number_in_half_precision_comes_back(numbers):
    rows = np.array([numbers], np.float32)
    index = Vectors.build([rows], len(numbers), "SQfp16")
    np.testing.assert_array_equal(index.rows(np.array([0])), rows)


def test_questions_lie_between_two_titles():
    titles = unit_rows(5)
    expected = np.stack([titles[0] + titles[2], titles[1] + titles[3], titles[2] + titles[4]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(questions(titles), expected, atol=1e-6)
    np.testing.assert_allclose(questions(titles[:1]), titles[:1], atol=1e-6)
    opposite = np.stack([titles[0], -titles[0]])
    np.testing.assert_array_equal(questions(opposite), np.zeros((1, 16)))


def test_recall_is_what_counting_by_hand_gives():
    rows, queries = unit_rows(300), unit_rows(30, seed=2)
    exact = Exact(queries, 10)
    kept = list(exact.seeing([rows[:100], rows[100:]]))
    assert np.array_equal(np.concatenate(kept), rows)
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    np.testing.assert_allclose(
        np.sort(exact.best, axis=1)[:, ::-1],
        np.take_along_axis(queries @ rows.T, best, 1),
        rtol=1e-5,
    )
    # An index of other rows for the second half: it finds only by luck what it should.
    worse = Vectors.build([rows[:150], unit_rows(150, seed=9)], 16, "Flat")
    right = sum(
        len(set(worse.search(query, 10)[0].tolist()) & set(wanted.tolist()))
        for query, wanted in zip(queries, best, strict=True)
    )
    assert 0 < right < 300
    assert recall(worse, exact, lambda numbers: rows[numbers]) == right / 300
    assert recall(Vectors.build([rows], 16, "Flat"), exact, lambda numbers: rows[numbers]) == 1


def test_any_of_many_equals_is_a_right_answer():
    rows = np.repeat(unit_rows(1), 50, axis=0)
    exact = Exact(rows[:3], 10)
    index = Vectors.build(exact.seeing([rows]), 16, "SQfp16")
    assert recall(index, exact, lambda numbers: rows[numbers]) == 1


@pytest.mark.parametrize("content", [b"", b"half", None])
def test_a_damaged_file_is_an_os_error(tmp_path: Path, content):
    path = tmp_path / "v"
    Vectors.build([unit_rows(100)], 16, "Flat").save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(OSError, match=r"Error in|read error|index"):
        Vectors.load(path, "Flat")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_said_to_be_one():
    with pytest.raises(OSError, match="No space left") as caught:
        Vectors.build([unit_rows(2000)], 16, "Flat").save(Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


def test_only_vectors_imports_faiss():
    folder = Path(vectors.__file__).parent
    importing = [p.name for p in folder.glob("*.py") if "import faiss" in p.read_text("utf-8")]
    assert importing == ["vectors.py"]
