"""The archive gives back what it was given, whole files or none."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.raw import Archive, Raw

MOMENT = "2025-03-03T05:00:00.000001Z"


def entry(body: bytes, received_at: str = MOMENT, kind: str = "closing") -> Raw:
    return Raw(kind, "2025-03-03", "http://127.0.0.1/x", received_at, body, about="a,b")


@given(body=st.binary(max_size=2000))
def test_gives_back_every_byte(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    archive = Archive(tmp_path_factory.mktemp("raw"))
    assert archive.read(archive.land(entry(body))) == entry(body)


def test_names_stand_in_the_order_of_receipt_over_all_kinds(tmp_path) -> None:
    archive = Archive(tmp_path)
    late = archive.land(entry(b"3", "2025-03-04T00:00:00.000000Z", "arxiv_ids"))
    early = archive.land(entry(b"1", kind="saved_listing"))
    middle = archive.land(entry(b"2", "2025-03-03T05:00:00.000002Z"))
    assert list(archive.names()) == [early, middle, late]


def test_two_of_the_same_moment_are_both_kept_in_order(tmp_path) -> None:
    archive = Archive(tmp_path)
    names = [archive.land(entry(body)) for body in (b"1", b"2", b"3")]
    assert [archive.read(name).body for name in archive.names()] == [b"1", b"2", b"3"]
    assert list(archive.names()) == names


def test_a_half_written_file_is_not_an_entry(tmp_path) -> None:
    archive = Archive(tmp_path)
    name = archive.land(entry(b"whole"))
    (tmp_path / name).with_suffix(".part").write_bytes(gzip.compress(b"half")[:9])
    assert list(archive.names()) == [name]
