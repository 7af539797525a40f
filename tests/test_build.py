from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from index import build, lexical, snapshot
from index.build import Published, publish
from index.records import Papers
from index.snapshot import current, names, rollback, verify
from index.vectors import Vectors
from ingest.errors import SnapshotError, SnapshotRefused
from ingest.paper import Paper
from tests.fake_encoder import MemoryCache, Rows, WordEncoder, paper_row, papers


class DiskCache(MemoryCache):
    """Keeps each batch in a file of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(exist_ok=True)
        self._folder = folder
        for file in sorted(folder.iterdir()):
            self.held.update((text, np.float32(row)) for text, row in json.loads(file.read_text()))

    def add(self, texts, rows) -> None:
        super().add(texts, rows)
        pairs = [(text, row.tolist()) for text, row in zip(texts, rows, strict=True)]
        (self._folder / f"{len(self.held):06d}").write_text(json.dumps(pairs))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "index"


def published(home: Path, count: int = 30, **options) -> Published:
    return publish(home, papers(count), WordEncoder(), MemoryCache(), **options)


def test_the_first_publish_makes_every_vector_and_serves(home: Path):
    made = published(home)
    assert made == (made.snapshot_id, current(home), 30, 30, 0, False, 0)
    assert current(home).name == f"000001-{made.snapshot_id}"
    held = Papers(current(home))
    assert [held[number] for number in range(30)] == papers(30)
    index = Vectors.load(current(home) / "vectors.faiss", "Flat")
    expected = np.stack([paper_row(paper) for paper in papers(30)])
    np.testing.assert_allclose(index.rows(np.arange(30)), expected, atol=1e-6)


def test_twice_is_once(home: Path):
    cache, encoder = MemoryCache(), WordEncoder()
    first = publish(home, papers(30), encoder, cache)
    before = (home / "CURRENT").stat()
    again = publish(home, iter(papers(30)), encoder, cache)
    assert again == first._replace(unchanged=True, vectors_made=0, vectors_reused=30)
    assert (home / "CURRENT").stat().st_mtime_ns == before.st_mtime_ns
    assert names(home) == [first.path.name]


def test_the_id_depends_on_the_papers_and_the_encoder_alone(home: Path, tmp_path: Path):
    one = published(home).snapshot_id
    other = tmp_path / "elsewhere" / "index"
    assert published(other).snapshot_id == one
    changed = [*papers(29), replace(papers(30)[29], upvotes=1000)]
    assert publish(other, changed, WordEncoder(), MemoryCache()).snapshot_id != one
    assert publish(other, papers(30), WordEncoder("9" * 16), MemoryCache()).snapshot_id != one


def test_only_changed_texts_are_embedded_anew(home: Path):
    cache = MemoryCache()
    publish(home, papers(30), WordEncoder(), cache)
    changed = [replace(p, upvotes=7) for p in papers(30)]
    changed[3] = replace(changed[3], abstract="An abstract rewritten.")
    made = publish(home, [*changed, papers(31)[30]], WordEncoder(), cache)
    assert (made.papers, made.vectors_made, made.vectors_reused) == (31, 2, 29)
    assert current(home).name.startswith("000002-")


@pytest.mark.parametrize("damaged", [None, "lexical/counts.npy", "text.npy"])
def test_words_are_taken_over_where_they_are_intact(home: Path, monkeypatch, damaged):
    first = published(home)
    if damaged:
        whole = (first.path / damaged).read_bytes()
        (first.path / damaged).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    counted = []
    right = lexical.build

    def noted(texts, folder, before):
        counted.extend(texts := list(texts))
        return right(texts, folder, before)

    monkeypatch.setattr(lexical, "build", noted)
    now = [
        replace(one, abstract="Other words.") if n == 3 else one for n, one in enumerate(papers(40))
    ]
    again = publish(home, now, WordEncoder(), MemoryCache())
    assert len(counted) == (40 if damaged else 11)
    anew = publish(home.parent / "anew", now, WordEncoder(), MemoryCache())
    for file in (anew.path / "lexical").iterdir():
        assert (again.path / "lexical" / file.name).read_bytes() == file.read_bytes()


def test_progress_adds_up_to_all_papers(home: Path):
    told: list[int] = []
    given = [*papers(30), Paper("2504.00001")]
    publish(home, given, WordEncoder(), MemoryCache(), progress=told.append)
    assert sum(told) == 31
    publish(home, given, WordEncoder(), MemoryCache(), progress=told.append)
    assert sum(told) == 62


def test_new_papers_are_embedded_together(home: Path, monkeypatch):
    monkeypatch.setattr(build, "CHUNK", 5)
    cache, told, asked = MemoryCache(), [], []
    publish(home, papers(20), WordEncoder(), cache)

    class Asked(WordEncoder):
        def batches(self, texts):
            asked.append(len(texts))
            return super().batches(texts)

    now = papers(22)
    now[3] = replace(now[3], abstract="Another abstract.")
    again = publish(home, now, Asked(), cache, progress=told.append)
    assert asked == [3, 2]  # abstracts, then titles, of papers in three chunks
    assert again.vectors_made == 3
    assert sum(told) == 22


def test_a_paper_needs_a_title_but_no_abstract(home: Path):
    bare = replace(papers(1)[0], abstract=None)
    given = [bare, Paper("2503.90001"), Paper("2503.90002", title=" \u200b", abstract="Lost.")]
    made = publish(home, given, WordEncoder(), MemoryCache())
    assert (made.papers, made.untitled) == (1, 2)
    assert list(Papers(made.path).texts()) == [(bare.title, bare.title)]
    assert snapshot.read_manifest(made.path).untitled == 2


def test_lone_surrogates_do_not_stop_a_night(home: Path):
    odd = Paper("2503.00001", title="Half \ud83d of a smile", abstract="\udc00")
    publish(home, [odd], WordEncoder(), MemoryCache())
    assert verify(home).papers == 1


@pytest.mark.parametrize("given", [papers(3)[::-1], papers(2) + papers(2)[1:]])
def test_papers_out_of_order_or_twice_are_refused(home: Path, given):
    with pytest.raises(SnapshotRefused, match="in id order, each once"):
        publish(home, given, WordEncoder(), MemoryCache())
    assert list(home.iterdir()) == []


def test_nothing_to_index_is_refused(home: Path):
    with pytest.raises(SnapshotRefused, match="no paper with a title"):
        publish(home, [], WordEncoder(), MemoryCache(), allow_shrink=True)


def test_a_snapshot_that_shrank_is_refused_unless_meant(home: Path):
    published(home, 30)
    with pytest.raises(SnapshotRefused, match="26 papers where 30 were"):
        published(home, 26)
    assert verify(home).papers == 30
    assert published(home, 27).papers == 27
    assert published(home, 2, allow_shrink=True).papers == 2


def test_only_the_newest_are_kept(home: Path):
    for count in range(20, 26):
        published(home, count, keep=3)
    assert [name[:6] for name in names(home)] == ["000004", "000005", "000006"]
    published(home, 26, keep=1)
    assert names(home) == [current(home).name]


def test_what_was_rolled_back_from_is_never_rolled_back_to(home: Path):
    first = published(home, 20)
    published(home, 21)
    rollback(home)
    third = published(home, 22)
    assert [name[:6] for name in names(home)] == ["000001", "000003"]
    assert current(home) == third.path
    assert rollback(home) == first.path.name


def test_a_lost_current_loses_no_snapshot(home: Path):
    first = published(home, 20)
    (home / "CURRENT").unlink()
    second = published(home, 21)
    assert names(home) == [first.path.name, second.path.name]


def test_publishing_what_was_rolled_back_from_serves_it_again(home: Path):
    published(home, 20)
    second = published(home, 21)
    rollback(home)
    again = published(home, 21)
    assert (again.path, again.unchanged, again.vectors_made) == (second.path, False, 0)
    assert current(home) == second.path


def test_the_encoder_is_exported_once_and_shared_by_link(home: Path):
    encoder = WordEncoder()
    one = publish(home, papers(20), encoder, MemoryCache()).path
    two = publish(home, papers(21), encoder, MemoryCache()).path
    exported = home.parent / "encoders" / encoder.digest
    assert encoder.exports == 1
    inodes = {
        (folder / "model.onnx").stat().st_ino
        for folder in (exported, one / "encoder", two / "encoder")
    }
    assert len(inodes) == 1


def test_where_links_fail_the_encoder_is_copied(home: Path, monkeypatch):
    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", no_links)
    made = published(home)
    assert (made.path / "encoder" / "model.onnx").read_bytes() == b"not really"
    assert verify(home).papers == 30


def test_an_export_that_failed_is_made_again(home: Path):
    class Failing(WordEncoder):
        def export(self, folder: Path) -> None:
            super().export(folder)
            if self.exports == 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    encoder = Failing()
    with pytest.raises(SnapshotError, match="disk is full"):
        publish(home, papers(20), encoder, MemoryCache())
    assert publish(home, papers(20), encoder, MemoryCache()).papers == 20
    assert encoder.exports == 2


@pytest.mark.parametrize("where", ["cache", "vectors", "words", "manifest", "current", "columns"])
def test_a_full_disk_leaves_the_snapshot_before_serving(home: Path, monkeypatch, where):
    before = published(home, 20)

    def full(*_: object, **__: object) -> None:
        if where == "columns":
            raise OSError("2656 requested and 2016 written")  # as numpy says it
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    cache = MemoryCache()
    target = {
        "cache": (cache, "add"),
        "vectors": (Vectors, "save"),
        "words": (lexical, "build"),
        "manifest": (snapshot, "write_manifest"),
        "current": (snapshot, "point"),
        "columns": (np, "save"),
    }[where]
    monkeypatch.setattr(*target, full)
    with pytest.raises(SnapshotError, match="the disk is full: free some space") as caught:
        publish(home, papers(21), WordEncoder(), cache)
    assert "\n" not in str(caught.value)
    assert verify(home).name == before.path.name
    assert not list(home.glob(".building*"))
    monkeypatch.undo()
    assert publish(home, papers(21), WordEncoder(), cache).papers == 21
    assert verify(home).papers == 21


class Killed(WordEncoder):
    """Dies as `kill -9` would have it, in its third batch or in its export."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self._moment = moment

    def batches(self, texts):
        for number, batch in enumerate(super().batches(texts)):
            if self._moment == "embedding" and number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    def export(self, folder: Path) -> None:
        super().export(folder)
        if self._moment == "exporting":
            os.kill(os.getpid(), signal.SIGKILL)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def publish_and_die(place: str, moment: str) -> None:
    home = Path(place)
    if moment == "publishing":
        snapshot.point = die
    if moment == "settling":
        Path.rename = die
    publish(home, papers(30), Killed(moment), DiskCache(home.parent / "cache"))


@pytest.mark.parametrize("moment", ["embedding", "exporting", "settling", "publishing"])
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_at_any_moment_the_next_run_ends_as_an_undisturbed_one(
    home: Path, tmp_path: Path, moment
):
    undisturbed = published(tmp_path / "undisturbed" / "index", 30)
    before = published(home, 28)
    shutil.rmtree(home.parent / "encoders")
    program = "import sys; from tests.test_build import publish_and_die as p; p(*sys.argv[1:])"
    command = [sys.executable, "-c", program, str(home), moment]
    child = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert verify(home).name == before.path.name
    kept = len(DiskCache(tmp_path / "cache").held)
    assert kept == (12 if moment == "embedding" else 60)  # two new papers, then titles
    after = publish(home, papers(30), WordEncoder(), DiskCache(tmp_path / "cache"))
    assert after.snapshot_id == undisturbed.snapshot_id
    assert after.vectors_made == (28 if moment == "embedding" else 0)
    assert verify(home).papers == 30
    assert not list(home.glob(".building*"))
    assert rollback(home) == before.path.name


class MixedUp(MemoryCache):
    """Gives the rows of the whole catalogue in the wrong order."""

    def known(self, texts) -> tuple[Rows, list[int]]:
        rows, absent = super().known(texts)
        return (np.roll(rows, 1, axis=0) if len(texts) == 100 else rows), absent

    def rows(self, texts) -> Rows:
        return self.known(texts)[0]


@pytest.mark.parametrize(
    ("measured", "said"), [(None, "recall@10 against exact search is 0"), (1.0, "not its paper's")]
)
def test_vectors_that_are_not_their_papers_fail_the_audit(home: Path, monkeypatch, measured, said):
    if measured:
        monkeypatch.setattr(build, "recall", lambda *_: measured)
    with pytest.raises(SnapshotRefused, match=f"failed its audit.*{said}"):
        publish(home, papers(100), WordEncoder(), MixedUp())
    assert not (home / "CURRENT").exists()
    assert list(home.iterdir()) == []


def test_words_that_are_not_their_papers_fail_the_audit(home: Path, monkeypatch):
    right = lexical.build
    monkeypatch.setattr(lexical, "build", lambda texts, folder, _: right(list(texts)[::-1], folder))
    with pytest.raises(SnapshotRefused, match=r"of 50 papers are found by their titles"):
        publish(home, papers(1000), WordEncoder(), MemoryCache())


def test_parts_of_different_counts_fail_the_audit(home: Path, monkeypatch):
    right = lexical.build
    monkeypatch.setattr(lexical, "build", lambda texts, folder, _: right(list(texts)[1:], folder))
    with pytest.raises(SnapshotRefused, match="different counts"):
        published(home)


def test_a_large_snapshot_is_scanned_with_its_recall_measured(home: Path, monkeypatch):
    monkeypatch.setattr("index.vectors.EXACT_UP_TO", 10)
    manifest = snapshot.read_manifest(published(home, 300).path)
    assert manifest.faiss.endswith("x4fs,Refine(SQfp16)")
    assert 0.99 <= manifest.recall_at_10 <= 1
    assert verify(home).papers == 300


def test_a_very_large_snapshot_is_scanned_in_lists(home: Path, monkeypatch):
    for name, value in (("EXACT_UP_TO", 10), ("LISTS_FROM", 300), ("LISTS", 4)):
        monkeypatch.setattr(f"index.vectors.{name}", value)
    manifest = snapshot.read_manifest(published(home, 300).path)
    assert manifest.faiss == "IVF4,PQ8x4fs,Refine(SQfp16)"
    assert 0.99 <= manifest.recall_at_10 <= 1
    assert verify(home).papers == 300


def test_an_index_that_forgets_too_much_looks_deeper_and_is_made_exact_at_last(
    home: Path, monkeypatch
):
    monkeypatch.setattr("index.vectors.EXACT_UP_TO", 10)
    for never, faiss in ((2, "x4fs,Refine(SQfp16)"), (5, "Flat")):
        measured = iter([0.98] * never + [1.0])
        monkeypatch.setattr(build, "recall", lambda *_, told=measured: next(told))
        manifest = snapshot.read_manifest(published(home, 300 + never).path)
        assert manifest.faiss.endswith(faiss)
        assert manifest.recall_at_10 == 1.0


def test_a_broken_current_snapshot_is_built_anew(home: Path):
    first = published(home)
    (first.path / "vectors.faiss").write_bytes(b"")
    second = published(home)
    assert (second.snapshot_id, second.unchanged) == (first.snapshot_id, False)
    assert second.path.name == f"000002-{first.snapshot_id}"
    assert verify(home).papers == 30
