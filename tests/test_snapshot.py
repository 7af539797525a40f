from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from index import snapshot
from index.build import publish
from index.retriever import Retriever
from index.snapshot import current, locate, rollback, verify
from ingest.errors import SnapshotCorrupt, SnapshotMismatch, SnapshotMissing
from tests.fake_encoder import MemoryCache, WordEncoder, papers


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An index home with a snapshot of 20 papers that serves, and one of 19 before it."""
    for count in (19, 20):
        publish(tmp_path / "index", papers(count), WordEncoder(), MemoryCache())
    return tmp_path / "index"


def alter(folder: Path, **values: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **values}))


def test_the_manifest_tells_how_the_snapshot_was_made(home: Path):
    manifest = snapshot.read_manifest(current(home))
    assert current(home).name == f"000002-{manifest.id}"
    assert (manifest.format, manifest.papers, manifest.untitled) == (4, 20, 0)
    assert (manifest.encoder, manifest.encoder_digest, manifest.dimension) == (
        "words",
        "f" * 16,
        32,
    )
    assert (manifest.faiss, manifest.recall_at_10) == ("Flat", 1.0)
    assert manifest.recipe == "title. abstract + 0.4 title/2"
    assert "snowball" in manifest.tokeniser
    there = {
        p.relative_to(current(home)).as_posix() for p in current(home).rglob("*") if p.is_file()
    }
    assert set(manifest.files) == there - {"manifest.json"}
    assert {"papers.jsonl", "vectors.faiss", "encoder/model.onnx"} <= there


def test_locate_takes_a_snapshot_an_index_home_and_a_paperfeed_home(home: Path):
    folder = current(home)
    assert locate(folder) == locate(home) == locate(home.parent) == folder


def test_where_nothing_is_published_the_message_says_what_to_run(tmp_path: Path):
    for ask in (locate, current, verify, rollback, Retriever.open):
        with pytest.raises(SnapshotMissing, match="run  paperfeed nightly"):
            ask(tmp_path)


@pytest.mark.parametrize("line", ["", "../elsewhere", "000009", "\x00"])
def test_an_odd_current_is_said_to_be_one(home: Path, line: str):
    (home / "CURRENT").write_text(line)
    with pytest.raises(SnapshotCorrupt, match="CURRENT holds"):
        current(home)


def test_a_current_that_names_nothing_is_missing(home: Path):
    (home / "CURRENT").write_text(f"000009-{'0' * 16}\n")
    with pytest.raises(SnapshotMissing, match="000009"):
        current(home)


def test_rollback_goes_back_one_at_a_time_until_none_is_left(home: Path):
    assert rollback(home).startswith("000001-")
    assert current(home).name.startswith("000001-")
    assert verify(home).papers == 19
    with pytest.raises(SnapshotMissing, match="no snapshot before 000001"):
        rollback(home)
    assert current(home).name.startswith("000001-")


def test_rollback_refuses_a_broken_snapshot(home: Path):
    (home / snapshot.names(home)[0] / "vectors.faiss").unlink()
    with pytest.raises(SnapshotCorrupt, match=r"vectors\.faiss is missing"):
        rollback(home)
    assert current(home).name.startswith("000002-")


def test_pointing_replaces_the_line_and_leaves_nothing_beside_it(home: Path, monkeypatch):
    def torn(descriptor: int) -> None:
        raise OSError("power cut")

    before = (home / "CURRENT").read_bytes()
    monkeypatch.setattr(os, "fsync", torn)
    with pytest.raises(OSError, match="power cut"):
        snapshot.point(home, snapshot.names(home)[0])
    assert (home / "CURRENT").read_bytes() == before
    monkeypatch.undo()
    snapshot.point(home, snapshot.names(home)[0])
    assert (home / "CURRENT").read_text() == f"{snapshot.names(home)[0]}\n"
    assert not (home / "CURRENT.new").exists()


def test_verify_reports_what_it_read(home: Path):
    report = verify(home)
    files = [p for p in current(home).rglob("*") if p.is_file() and p.name != "manifest.json"]
    assert report == (current(home).name, 20, len(files), sum(p.stat().st_size for p in files))
    assert verify(home.parent) == verify(current(home)) == report


def test_verify_finds_one_flipped_bit_in_any_file(home: Path):
    folder = current(home)
    for name in snapshot.read_manifest(folder).files:
        path = folder / name
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(SnapshotCorrupt, match="SHA-256"):
            verify(home)
        path.write_bytes(whole)
    verify(home)


@pytest.mark.parametrize("name", ["papers.jsonl", "vectors.faiss", "lexical/scores.npy"])
def test_opening_finds_a_file_cut_short(home: Path, name: str):
    path = current(home) / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotCorrupt, match=name):
        Retriever.open(home, encoder=WordEncoder.open)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"format": 1}, "format is 1, but 4 is needed"),
        ({"recipe": "other/9"}, "recipe is other/9, but title. abstract + 0.4 title/2 is needed"),
        ({"tokeniser": None}, "tokeniser is None, but nfkc"),
        ({"encoder_digest": "e" * 16}, f"encoder digest is {'e' * 16}, but {'f' * 16} is needed"),
    ],
)
def test_a_mismatch_refuses_to_open_and_prints_both_values(home: Path, values, said):
    alter(current(home), **values)
    with pytest.raises(SnapshotMismatch) as caught:
        Retriever.open(home, encoder=WordEncoder.open)
    assert said in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}', "\x00"])
def test_a_broken_manifest_is_one_of_our_errors(home: Path, content: str):
    (current(home) / "manifest.json").write_text(content)
    with pytest.raises((SnapshotCorrupt, SnapshotMismatch)):
        verify(home)


def test_parts_that_count_differently_are_corrupt(home: Path):
    alter(current(home), papers=21)
    with pytest.raises(SnapshotCorrupt, match="different counts"):
        verify(home)
