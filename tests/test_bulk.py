"""Bulk files: arXiv's snapshot and our own export, read, packed, killed, repeated, replayed."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ingest import as_snapshot
from ingest import bulk_file, bulk_import, catalogue
from ingest.batch import UNMERGED, batch_of
from ingest.catalogue import (
    add_batch,
    add_observations,
    all_papers,
    merge_owed,
    open_catalogue,
    paper,
)
from ingest.errors import BadInput
from ingest.merge import merge
from ingest.paper import Observation, Paper
from ingest.raw import Archive
from ingest.record import record_landed
from ingest.sources import bulk
from serve import inspect
from tests.conftest import ROOT
from tests.home import exported
from tests.test_merge import observations as any_observation

SEEN = "2026-03-01T05:00:00.000000Z"
NIGHT = "2026-03-01"
SNAPSHOT = {
    "id": "0704.0001",
    "submitter": "Somebody Else",
    "authors": "P. Erd\\H{o}s, A. Lovelace (1) and C. Babbage ((1) London, (2) Paris)",
    "title": "A calculation of\n  Poincar\\'e hands",
    "comments": "37 pages; code at https://github.com/hands/count",
    "journal-ref": "Phys.Rev.D76:013009,2007",
    "doi": "10.1103/PhysRevD.76.013009",
    "report-no": "ANL-HEP-PR-07-12",
    "categories": "hep-ph cs.CV",
    "license": "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
    "abstract": "  We count\nfingers of $\\alpha$ hands.\n",
    "versions": [
        {"version": "v2", "created": "Tue, 24 Jul 2007 20:10:27 GMT"},
        {"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"},
    ],
    "update_date": "2008-11-26",
    "authors_parsed": [
        ["Erdős", "P.", ""],
        ["Lovelace", "A.", "Jr"],
        ["Babbage", "", "", "London"],
    ],
}


def snapshot(number: int, **changed: object) -> dict:
    given = {"id": f"2401.{number:05}", "title": f"Paper {number}", **changed}
    return {**SNAPSHOT, "comments": None, **given}


def v1(created: str) -> dict:
    return {"version": "v1", "created": created}


def lines(records: list[dict]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def parse_one(record: dict) -> Observation:
    parsed = bulk.parse(lines([record]), SEEN)
    assert not parsed.rejected
    return parsed.observations[0]


def test_a_line_of_the_snapshot_is_read_whole() -> None:
    assert parse_one(SNAPSHOT) == Observation(
        source="arxiv_bulk",
        arxiv_id="0704.0001",
        seen_at="2008-11-26T23:59:59.999999Z",
        version=2,
        title="A calculation of Poincaré hands",
        abstract="We count fingers of $\\alpha$ hands.",
        authors=("P. Erdős", "A. Lovelace Jr", "Babbage"),
        categories=("hep-ph", "cs.CV"),
        published="2007-04-02T19:18:42Z",
        updated="2007-07-24T20:10:27Z",
        versions=("v1 2007-04-02T19:18:42Z", "v2 2007-07-24T20:10:27Z"),
        comment="37 pages; code at https://github.com/hands/count",
        journal_ref="Phys.Rev.D76:013009,2007",
        doi="10.1103/PhysRevD.76.013009",
        license="http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
        withdrawn=False,
    )


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({"authors_parsed": None}, "authors", ("P. Erdős", "A. Lovelace", "C. Babbage")),
        ({"authors_parsed": [], "authors": None}, "authors", ()),
        ({"authors_parsed": [["A"], []], "authors": "Ada L."}, "authors", ("Ada L.",)),
        ({"categories": None}, "categories", ()),
        ({"id": "hep-th/9901001"}, "arxiv_id", "hep-th/9901001"),
        ({"versions": None}, "version", None),
        ({"versions": [{"version": "v3"}, {}, {"version": "x"}]}, "version", 3),
        ({"versions": [{"version": "v3"}, {}, {"version": "x"}]}, "updated", None),
        ({"versions": [{"version": "v10", "created": "32 Foo"}, {"version": "v9"}]}, "version", 10),
        ({"versions": [v1("Fri, 30 Feb 2007 00:00:00 GMT")]}, "published", None),
        ({"versions": [v1("Fri, 2 Apr 2007 19:18:42 +0000")]}, "published", "2007-04-02T19:18:42Z"),
        ({"versions": [v1("2007-04-02T21:18:42+02:00")]}, "published", "2007-04-02T19:18:42Z"),
        ({"comments": "This paper has been withdrawn by the author"}, "withdrawn", True),
        ({"comments": "Withdrawn from ICML"}, "withdrawn", False),
        ({"comments": None, "abstract": "This paper has been withdrawn."}, "withdrawn", True),
        ({"update_date": None}, "seen_at", SEEN),
        ({"update_date": "2099-01-01"}, "seen_at", SEEN),
        ({"update_date": "soon"}, "seen_at", SEEN),
        ({"abstract": "  \n"}, "abstract", None),
    ],
)  # fmt: skip
def test_what_is_missing_or_odd_in_a_line(changed, field, value) -> None:
    assert getattr(parse_one({**SNAPSHOT, **changed}), field) == value


@pytest.mark.parametrize(
    ("line", "reason", "arxiv_id"),
    [
        (b"{", "Input data was truncated", None),
        (b'{"id": "\xff"}', "'utf-8' codec can't decode", None),
        (b"[1, 2]", "Expected `object`, got `array`", None),
        (b"[" * 10_000, "Expected `object`", None),
        (b'{"more":' * 10_000, "maximum recursion depth", None),
        (b"{}", "no arXiv id: None", None),
        (b'{"id": 704.0001}', "Expected `str | null`, got `float` - at `$.id`", None),
        (b'{"id": "0704.0001"}', "no title", "0704.0001"),
        (b'{"id": "0704.0001", "doi": 7}', "Expected `str | null`, got `int`", "0704.0001"),
        (b'{"id": "0704.0001", "versions": [7]}', "Expected `object`, got `int`", "0704.0001"),
        (b'{"arxiv_id": "0704.0001", "authors": 1}', "authors is no list", "0704.0001"),
        (b'{"arxiv_id": "0704.0001", "title": {}}', "title is no text", "0704.0001"),
        (b'{"arxiv_id": "0704.0001", "version": true}', "version is no number", "0704.0001"),
    ],
)
def test_a_bad_line_is_refused_alone(line, reason, arxiv_id) -> None:
    parsed = bulk.parse(lines([SNAPSHOT]) + line + b"\r\n\n" + lines([snapshot(2)]), SEEN)
    assert [o.arxiv_id for o in parsed.observations] == ["0704.0001", "2401.00002"]
    (bad,) = parsed.rejected
    assert bad.reason.startswith(f"not a record: {reason}")
    assert bad.payload == line.decode(errors="replace")
    assert bad.arxiv_id == arxiv_id


@given(st.binary() | st.lists(st.sampled_from([b"{", b'"id":', b'"0704.0001"', b"\n", b"[", b"}"])))
def test_arbitrary_bytes_raise_nothing_and_no_line_is_lost(body) -> None:
    body = body if isinstance(body, bytes) else b"".join(body)
    parsed = bulk.parse(body, SEEN)
    filled = [line for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    assert len({o.arxiv_id for o in parsed.observations}) + len(parsed.rejected) <= len(filled)
    assert len(parsed.observations) + len(parsed.rejected) >= len(filled)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
PAPER = merge("0704.0001", [parse_one(SNAPSHOT)])


@given(
    st.sampled_from([SNAPSHOT, PAPER.to_record()]),
    st.dictionaries(st.sampled_from([*SNAPSHOT, *PAPER.to_record()]), anything, max_size=4),
)
def test_a_record_with_anything_in_it_is_read_or_refused(record, odd) -> None:
    parsed = bulk.parse(lines([{**record, **odd}]), SEEN)
    assert bool(parsed.observations) != bool(parsed.rejected)
    batch_of(parsed.observations)  # what is read can be kept


@pytest.mark.parametrize(
    ("begins", "name", "expected"),
    [
        (b'{"id": "0704', "arxiv-metadata-oai-snapshot.json", True),
        (b'\xef\xbb\xbf\n {"arxiv_id"', "papers", True),
        (gzip.compress(b"{}"), "x", True),
        (lzma.compress(b"{}"), "x", True),
        (b"PK\x03\x04", "archive.zip", True),
        (b"PAR1", "papers.parquet", True),
        (b"", "papers.jsonl", True),
        (b"", "page.html", False),
        (b"<!doctype html>", "papers.json", False),
        (b"Daily Papers\n", "page.txt", False),
        (b"[{", "day.json", False),
    ],
)
def test_bulk_files_are_told_by_how_they_begin(begins, name, expected) -> None:
    assert bulk.is_bulk(begins, name) is expected


def test_an_old_snapshot_imported_late_never_hides_what_was_said_since() -> None:
    old = parse_one({**SNAPSHOT, "update_date": "2025-01-01", "doi": "10.1/old"})
    since = Observation(
        "arxiv_api", "0704.0001", "2025-06-01T00:00:00.000000Z", version=2, doi="10.1/new"
    )
    assert merge("0704.0001", [old, since]).doi == "10.1/new"
    before = Observation(
        "arxiv_api", "0704.0001", "2024-06-01T00:00:00.000000Z", version=2, doi="10.1/older"
    )
    assert merge("0704.0001", [old, before]).doi == "10.1/old"


class Home:
    """A home with its archive and catalogue opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.archive = Archive(path / "raw")
        self.engine = open_catalogue(path / "catalogue.sqlite")

    def take(self, file: Path, night: str = NIGHT):
        return bulk_import.import_file(self.engine, self.archive, file, night)

    def export(self) -> bytes:
        return exported(self.path, self.path / "out.jsonl")

    def papers(self) -> dict[str, Paper]:
        with self.engine.connect() as db:
            return {paper.arxiv_id: paper for paper in all_papers(db)}

    def tables(self) -> dict[str, list]:
        return tables(self.engine)


def tables(engine: sa.Engine) -> dict[str, list]:
    def rows(table: sa.Table) -> list:
        return list(map(tuple, db.execute(sa.select(table).order_by(*table.primary_key))))

    with engine.connect() as db:
        return {table.name: rows(table) for table in catalogue.tables.sorted_tables}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(bulk_file, "BYTES", 6 * len(lines([snapshot(1)])))


RECORDS = [snapshot(n, comments=f"https://github.com/a/b{n % 5}") for n in range(1, 41)]
BAD = b'{"id": "0000.0000", "title": "no such id"}\n'


@pytest.fixture
def file(tmp_path):
    """Forty papers, one of them twice, one as a second version, and a line that is bad."""
    again = snapshot(3, versions=[{"version": "v5", "created": "Wed, 1 Jan 2025 00:00:00 GMT"}])
    path = tmp_path / "snapshot.jsonl"
    path.write_bytes(lines(RECORDS[:20]) + BAD + lines([*RECORDS[20:], RECORDS[7], again]))
    return path


def test_a_file_is_imported_and_counted(home, file, small_chunks) -> None:
    done: list[int] = []
    tally = bulk_import.import_file(home.engine, home.archive, file, NIGHT, done.append)
    assert tally == ("bulk", NIGHT, 43, 40, 1, 1)
    assert sum(done) == file.stat().st_size
    assert min(done) >= 0
    assert home.papers()["2401.00003"].version == 5
    assert [row[3:5] for row in home.tables()["quarantine"]] == [
        (None, "not a record: no arXiv id: '0000.0000'")
    ]
    assert len(list((home.path / "raw" / "bulk" / NIGHT).glob("*.gz"))) == 7


def test_imported_a_second_time_nothing_changes(home, file, small_chunks) -> None:
    home.take(file)
    before, landed = home.tables(), list(home.archive.names())
    assert home.take(file, "2026-03-02") == ("bulk", "2026-03-02", 43, 0, 0, 0)
    assert (home.tables(), list(home.archive.names())) == (before, landed)


def test_the_next_snapshot_changes_only_what_changed(home, file, small_chunks) -> None:
    home.take(file)
    before = home.papers()
    newer = snapshot(9, title="Paper nine", update_date="2025-12-01")
    file.write_bytes(lines([snapshot(77), *RECORDS[:8], newer, *RECORDS[9:]]))
    assert home.take(file, "2026-03-02")[2:] == (41, 1, 1, 0)
    after = home.papers()
    assert after.pop("2401.00077").title == "Paper 77"
    assert {i for i in before if before[i] != after[i]} == {"2401.00009"}
    assert after["2401.00009"].title == "Paper nine"


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", "not a record")
        archive.writestr("arxiv-metadata-oai-snapshot.json", content)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zipped], ids=["gz", "xz", "zip"])
def test_every_packing_lands_the_same_chunks(pack, home, file, tmp_path, small_chunks) -> None:
    home.take(file)
    packed = tmp_path / "packed"
    packed.write_bytes(pack(file.read_bytes()))
    assert bulk.is_bulk(packed.read_bytes()[:64], packed.name)
    assert home.take(packed) == ("bulk", NIGHT, 43, 0, 0, 0)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_our_own_export_brings_every_record_back(form, home, sample_home, tmp_path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"papers.{form}"
    written = inspect.export(sample_home, form, out)
    assert home.take(out) == ("bulk", NIGHT, written, written, 0, 0)
    assert home.export() == exported(sample_home, tmp_path / "again.jsonl")


@given(st.lists(any_observation, min_size=1, max_size=5))
def test_a_record_comes_back_as_it_was(seen) -> None:
    paper = merge("2503.00001", seen)
    parsed = bulk.parse(lines([paper.to_record()]), SEEN)
    assert not parsed.rejected
    assert merge("2503.00001", parsed.observations) == paper


def test_an_old_export_never_hides_what_its_sources_said_since() -> None:
    def listing(moment: str, upvotes: int) -> Observation:
        return Observation(
            "huggingface", "2503.00001", moment, "2025-03-03", title="T", upvotes=upvotes
        )

    old = merge("2503.00001", [listing("2025-03-03T05:00:00.000000Z", 3)])
    live = listing("2025-03-05T05:00:00.000000Z", 30)
    restored = bulk.parse(lines([old.to_record()]), SEEN).observations
    assert merge("2503.00001", [*restored, live]).upvotes == 30


def test_replay_rebuilds_an_equal_catalogue_from_raw_alone(home, file, small_chunks) -> None:
    home.take(file)
    again = open_catalogue(home.path / "again.sqlite")
    record_landed(again, home.archive)
    assert tables(again) == home.tables()


def test_what_was_landed_before_a_kill_is_recorded_first(
    home, file, tmp_path, small_chunks, monkeypatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bulk_import, "record_read", killed)
        with pytest.raises(KeyboardInterrupt):
            home.take(file)
    assert not home.papers()
    assert list(home.archive.names())
    home.take(file)
    undisturbed = Home(tmp_path / "undisturbed")
    undisturbed.take(file)
    assert home.export() == undisturbed.export()
    assert len(list(home.archive.names())) == len(list(undisturbed.archive.names()))


RUN = """
import sys
from pathlib import Path
from ingest import bulk_file, bulk_import
from tests.test_bulk import NIGHT, Home
if __name__ == "__main__":
    bulk_import.SMALL = 0
    bulk_file.BYTES = 40_000
    Home(Path(sys.argv[1])).take(Path(sys.argv[2]))
"""


def test_kill_9_half_way_leaves_nobody_and_resumes_to_the_same(tmp_path, monkeypatch) -> None:
    file, script = tmp_path / "snapshot.jsonl", tmp_path / "run.py"
    file.write_bytes(lines([snapshot(n) for n in range(1, 6001)]))
    script.write_text(RUN)
    home = Home(tmp_path / "home")
    run = subprocess.Popen(
        [sys.executable, script, home.path, file], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    give_up = time.monotonic() + 120
    while not recorded(home) and run.poll() is None and time.monotonic() < give_up:
        time.sleep(0.002)
    helpers = children(run.pid)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "the import was over before it could be killed"
    assert 0 < recorded(home) < file.stat().st_size // 40_000
    while any(map(alive, helpers)) and time.monotonic() < give_up:
        time.sleep(0.002)
    assert not any(map(alive, helpers))
    monkeypatch.setattr(bulk_file, "BYTES", 40_000)
    before = len(home.papers())
    assert home.take(file, "2026-03-02") == ("bulk", "2026-03-02", 6000, 6000 - before, 0, 0)
    undisturbed = Home(tmp_path / "undisturbed")
    undisturbed.take(file)
    assert home.export() == undisturbed.export()
    assert len(home.papers()) == 6000


def recorded(home: Home) -> int:
    with home.engine.connect() as db:
        return catalogue.count(db, catalogue.responses)


def children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in told.read_text().split()] if told.exists() else []


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_damage_stops_after_all_that_came_before_it(home, file, tmp_path, small_chunks) -> None:
    whole, packed = file.read_bytes(), tmp_path / "snapshot.json.gz"
    packed.write_bytes(gzip.compress(whole)[:-40])
    with pytest.raises(BadInput, match=r"snapshot\.json\.gz cannot be read to its end"):
        home.take(packed)
    assert 14 <= len(home.papers()) < 40
    packed.write_bytes(gzip.compress(whole))
    home.take(packed)
    assert len(home.papers()) == 40


@pytest.mark.parametrize(
    "content",
    [b"{\n" * 500, b"PK\x03\x04nothing", zipped(b"")[:-9], b"PAR1 or not", b"\x1f\x8b\x08nothing"],
    ids=["braces", "zip", "cut-off", "parquet", "gzip"],
)
def test_a_file_of_something_else_is_refused_before_anything_is_kept(
    content, home, tmp_path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        home.take(file)
    assert "\n" not in str(refused.value)
    assert not list(home.archive.names())


def test_a_zip_without_records_says_so(home, tmp_path) -> None:
    file = tmp_path / "archive.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(BadInput, match="holds no"):
        home.take(file)


def test_an_empty_file_brings_nothing(home, tmp_path) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_bytes(b"\n")
    assert home.take(file) == ("bulk", NIGHT, 0, 0, 0, 0)


def test_a_file_of_any_size_is_read_in_the_same_memory(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bulk_file, "BYTES", 100_000)

    def peak(count: int) -> int:
        file = tmp_path / f"{count}.json.gz"
        with gzip.open(file, "wb", 1) as out:
            for n in range(count // 100):
                out.write(lines([snapshot(n)]) * 100)
        tracemalloc.start()
        assert sum(chunk.lines for chunk in bulk_file.chunks(file)) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(10_000) < peak(1_000) + (256 << 10)


def test_a_line_without_end_is_cut_into_refused_pieces(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bulk_file, "LONGEST_LINE", 1000)
    file = tmp_path / "x.json"
    file.write_bytes(
        lines([SNAPSHOT | {"abstract": "", "authors": ""}]) + b'{"id": "' + b"x" * 5000
    )
    (chunk,) = bulk_file.chunks(file)
    parsed = bulk.parse(chunk.body, SEEN)
    assert [o.arxiv_id for o in parsed.observations] == ["0704.0001"]


@given(st.lists(st.lists(any_observation, max_size=4), max_size=4))
def test_batches_come_to_what_merging_everything_comes_to(tmp_path_factory, batches) -> None:
    engine = open_catalogue(tmp_path_factory.mktemp("batches") / "catalogue.sqlite")
    with engine.begin() as db:
        new = sum(add_batch(db, batch_of(batch)).new for batch in batches)
        assert add_observations(db, [o for batch in batches for o in batch]) == (0, 0)
        papers = list(all_papers(db))
    everything = [o for batch in batches for o in batch]
    assert papers == ([merge("2503.00001", everything)] if everything else [])
    assert new == len(papers)


@given(
    st.lists(st.tuples(st.lists(any_observation, max_size=3), st.booleans()), max_size=4),
    st.integers(0, 4),
)
def test_what_is_merged_later_comes_to_the_same(tmp_path_factory, batches, owed_after) -> None:
    folder = tmp_path_factory.mktemp("later")
    at_once, later = (open_catalogue(folder / name) for name in ("at_once", "later"))
    for n, (batch, importing) in enumerate(batches):
        with at_once.begin() as one, later.begin() as other:
            changes = add_batch(one, batch_of(batch))
            assert add_batch(other, batch_of(batch, later=importing)) == changes
            assert list(all_papers(other)) == list(all_papers(one))
            assert paper(other, "2503.00001") == paper(one, "2503.00001")
        if n == owed_after:
            merge_owed(later)
    merge_owed(later)
    assert merge_owed(later) == 0
    assert tables(later) == tables(at_once)


def test_papers_of_an_import_are_merged_when_they_are_published(home, tmp_path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(lines([snapshot(1), snapshot(2, comments="https://github.com/a/b")]))
    home.take(file)
    told = home.papers()
    assert [row[-1] == UNMERGED for row in home.tables()["papers"]] == [True, False]
    assert merge_owed(home.engine) == 1
    merged = [Paper.from_json(row[-1]) for row in home.tables()["papers"]]
    assert merged == list(told.values())


def test_real_records_equal_a_second_reading(shared) -> None:
    with lzma.open(shared / "bench" / "arxiv_120k.jsonl.xz", "rt", encoding="utf8") as source:
        records = [json.loads(next(source)) for _ in range(2000)]
    public = [as_snapshot(record) for record in records]
    parsed = bulk.parse(lines(public), SEEN)
    assert len(parsed.observations) + len(parsed.rejected) == 2000
    read = {o.arxiv_id: o for o in parsed.observations}
    assert len(read) > 1900
    for line in public:
        paper = read.get(line["id"])
        if paper is None:
            continue
        moments = [parsedate_to_datetime(v["created"]) for v in line["versions"]]
        assert (paper.published, paper.updated) == (iso(moments[0]), iso(moments[-1]))
        assert paper.version == len(moments)
        assert paper.categories == tuple(dict.fromkeys(line["categories"].split()))
        assert paper.doi == (line["doi"] or None)
        assert len(paper.authors) == len(line["authors_parsed"])
        if "\\" not in line["title"] and line["title"].isascii():
            assert paper.title == " ".join(line["title"].split())
        if "\\" not in line["abstract"] and line["abstract"].isascii():
            assert paper.abstract == " ".join(line["abstract"].split())


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
