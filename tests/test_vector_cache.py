"""The store of vectors: what was added comes back exactly, whatever a kill or a disk did to it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.vector_cache import VectorCache, text_key
from ingest.errors import EncoderError

DIGEST = "0123456789abcdef" * 4
D = 5


def row_of(text: str) -> np.ndarray:
    """A row that only this text has, from numpy's own generator."""
    seed = int.from_bytes(hashlib.md5(text.encode("utf-8", "surrogatepass")).digest(), "big")
    return np.random.default_rng(seed).standard_normal(D).astype(np.float32)


def rows_of(texts: list[str]) -> np.ndarray:
    return np.array([row_of(text) for text in texts], np.float32).reshape(len(texts), D)


def opened(folder: Path) -> VectorCache:
    return VectorCache.open(folder, DIGEST, D)


def test_a_key_is_the_sha256_of_the_text() -> None:
    assert text_key("abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert VectorCache.key("é") == hashlib.sha256(b"\xc3\xa9").digest()
    assert text_key("\ud800") != text_key("\ud801")


def test_rows_come_back_exactly_and_in_the_order_asked(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(40)]
    opened(tmp_path).add(texts, rows_of(texts))
    again = opened(tmp_path)
    asked = [*reversed(texts), texts[3], texts[3]]
    assert len(again) == 40
    assert np.array_equal(again.rows(asked), rows_of(asked))
    assert again.rows([]).shape == (0, D)


def test_missing_names_each_distinct_text_once(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.add(["b"], rows_of(["b"]))
    assert cache.missing(["a", "b", "a", "c", "c"]) == [0, 3]
    assert cache.missing([]) == []


def test_a_text_is_kept_once(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.add(["a", "a", "b"], rows_of(["a", "a", "b"]))
    cache.add(["b", "c"], rows_of(["b", "c"]))
    cache.add([], rows_of([]))
    assert len(cache) == 3
    assert (tmp_path / DIGEST[:16] / "rows.f32").stat().st_size == 3 * D * 4


def test_encoders_do_not_share_rows(tmp_path: Path) -> None:
    opened(tmp_path).add(["a"], rows_of(["a"]))
    other = VectorCache.open(tmp_path, "f" * 64, 3)
    assert other.missing(["a"]) == [0]
    assert opened(tmp_path).missing(["a"]) == []


def test_a_text_without_a_row_is_a_clear_error(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.add(["a"], rows_of(["a"]))
    with pytest.raises(EncoderError, match="2 of 3 texts have no intact vector"):
        cache.rows(["a", "b", "c"])


@pytest.mark.parametrize("rows", [np.zeros((1, D + 1)), np.zeros((2, D)), np.full((1, D), np.nan)])
def test_rows_that_cannot_be_are_refused(tmp_path: Path, rows: np.ndarray) -> None:
    cache = opened(tmp_path)
    with pytest.raises(EncoderError, match="finite rows of 5"):
        cache.add(["a"], rows.astype(np.float32))
    assert len(opened(tmp_path)) == 0


def test_an_altered_row_is_noticed_and_made_anew(tmp_path: Path) -> None:
    texts = ["a", "b", "c"]
    opened(tmp_path).add(texts, rows_of(texts))
    path = tmp_path / DIGEST[:16] / "rows.f32"
    altered = bytearray(path.read_bytes())
    altered[D * 4 + 7] ^= 1
    path.write_bytes(altered)
    cache = opened(tmp_path)
    with pytest.raises(EncoderError, match="1 of 3 texts have no intact vector"):
        cache.rows(texts)
    assert cache.missing(texts) == [1]
    cache.add(["b"], rows_of(["b"]))
    assert np.array_equal(cache.rows(texts), rows_of(texts))
    again = opened(tmp_path)
    assert again.missing(texts) == []
    assert np.array_equal(again.rows(texts), rows_of(texts))


def test_a_disk_that_refuses_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = opened(tmp_path)
    cache.add(["a"], rows_of(["a"]))

    def full(path: Path, offset: int, data: bytes) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("index.vector_cache._write_at", full)
        with pytest.raises(OSError, match="No space"):
            cache.add(["b", "c", "d"], rows_of(["b", "c", "d"]))
    for survivor in (opened(tmp_path), cache):
        assert survivor.missing(["a", "b"]) == [1]
    cache.add(["c", "d"], rows_of(["c", "d"]))
    assert np.array_equal(opened(tmp_path).rows(["d", "a", "c"]), rows_of(["d", "a", "c"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(st.text(max_size=4), max_size=6), st.floats(0, 1)), max_size=6))
def test_a_kill_at_any_byte_loses_at_most_the_batch_being_written(
    batches: list[tuple[list[str], float]],
) -> None:
    with TemporaryDirectory() as temporary:
        home, before = Path(temporary) / "cache", Path(temporary) / "before"
        kept: set[str] = set()
        opened(home)
        for texts, when in batches:
            shutil.rmtree(before, ignore_errors=True)
            shutil.copytree(home, before)
            opened(home).add(texts, rows_of(texts))
            if cut(home / DIGEST[:16], before / DIGEST[:16], when):
                kept |= set(texts)
            check(opened(home), kept, texts)
            kept |= {t for t in texts if not opened(home).missing([t])}


def cut(now: Path, before: Path, when: float) -> bool:
    """Undoes what comes after the share `when` of the bytes that an append wrote: rows, then keys.

    Whether nothing was undone.
    """
    grown = {
        n: (now / n).stat().st_size - (before / n).stat().st_size for n in ("rows.f32", "keys.bin")
    }
    left = round(when * sum(grown.values()))
    for name, size in grown.items():
        written = min(left, size)
        left -= written
        with (now / name).open("r+b") as file:
            file.truncate((before / name).stat().st_size + written)
    return when == 1


def check(cache: VectorCache, kept: set[str], last: list[str]) -> None:
    """All that was kept is there, exactly, and what else is there is of the last batch, exactly."""
    assert cache.missing(sorted(kept)) == []
    there = [text for text in [*sorted(kept), *last] if not cache.missing([text])]
    assert np.array_equal(cache.rows(there), rows_of(there))
    assert len(cache) == len(set(there))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.binary(max_size=50), st.binary(max_size=50))
def test_whatever_stands_in_the_files_no_wrong_row_comes_out(
    rows_left: int, keys_left: int, rows_more: bytes, keys_more: bytes
) -> None:
    texts = [f"t{i}" for i in range(10)]
    with TemporaryDirectory() as temporary:
        home = Path(temporary)
        opened(home).add(texts, rows_of(texts))
        for name, left, more in (
            ("rows.f32", rows_left, rows_more),
            ("keys.bin", keys_left, keys_more),
        ):
            path = home / DIGEST[:16] / name
            path.write_bytes(path.read_bytes()[:left] + more)
        cache = opened(home)
        lost = [texts[i] for i in cache.missing(texts)]
        there = [text for text in texts if text not in lost]
        assert np.array_equal(cache.rows(there), rows_of(there))
        cache.add(lost, rows_of(lost))
        assert np.array_equal(opened(home).rows(texts), rows_of(texts))
