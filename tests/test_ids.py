"""Section 7 of the sources' facts, row by row, and what must hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadInput
from ingest.ids import ARCHIVES, ArxivId, find, parse

GRAMMAR = [
    ("2304.08733v2", "2304.08733", 2),
    ("arXiv:2304.08733", "2304.08733", None),
    ("arxiv: 2304.08733", "2304.08733", None),
    ("2605.15202V1", "2605.15202", 1),
    ("hep-th/9901001v2", "hep-th/9901001", 2),
    ("math.CA/0611800v2", "math/0611800", 2),
    ("math.GT/0309136", "math/0309136", None),
    ("physics.acc-ph/9607003", "physics/9607003", None),
    ("cond-mat.mes-hall/0001001", "cond-mat/0001001", None),
    ("solv-int/9901001v1", "solv-int/9901001", 1),
    ("solv-int/9901001", "solv-int/9901001", None),
    ("cs/9901002v1.pdf", "cs/9901002", 1),
    ("1501.1234", "1501.01234", None),
    ("1501.0001", "1501.00001", None),
    ("0704.00001", "0704.0001", None),
    ("0704.0001", "0704.0001", None),
    ("1412.9999", "1412.9999", None),
    ("hep-th/9107001", "hep-th/9107001", None),
    ("math/0703999", "math/0703999", None),
    ("2304.08733v123", "2304.08733", 123),
    ("  2304.08733\n", "2304.08733", None),
]

INVALID = [
    *("704.0001", "1412.99999", "1501.00000", "0000.0000", "2313.00001", "2304.08733v0"),
    *("2304.08733v", "2304.087339", "9901001", "foo/9901001", "", " ", "0703.0001", "2300.00001"),
    *("2304.08733v01", "2304.08733 v2", "2304.08733v2v3", "2304.08733x", "x2304.08733"),
    *("hep-th/9106001", "hep-th/0704001", "hep-th/9901000", "hep-th/9913001", "hep-th/990100"),
    *("hep-th/99010011", "stat/0611800", "hepth/9901001", "math./0611800", "hep-th/9901001v0"),
    *("2304.08733/", "2304.08733?x", "2304.08733#x", "https://arxiv.org/abs/2304.08733 v2"),
    *("https://arxiv.org/abs/2304.08733/x", "https://arxiv.org/pdf/2304.08733.pdf.pdf"),
    *("２３０４.08733", "2304.0873３", "2304,08733", "2304.08733, 2304.08734"),
    *("2304.08733v" + "9" * 5000, "https://arxiv.org/list/cs.CL/new", "https://arxiv.org/abs/"),
    *("https://arxiv.org.evil.com/abs/2304.08733", "https://example.com/abs/2304.08733"),
    *("https://notarxiv.org/abs/2304.08733", "https://huggingface.co/2304.08733"),
    *("https://doi.org/10.1234/2304.08733", "10.48550/2304.08733"),
]

ADDRESSES = [
    *("https://arxiv.org/abs/ID", "https://arxiv.org/pdf/ID", "https://arxiv.org/html/ID"),
    *("https://arxiv.org/format/ID", "https://arxiv.org/e-print/ID", "https://arxiv.org/ps/ID"),
    *("http://arxiv.org/abs/ID", "https://www.arxiv.org/abs/ID", "https://export.arxiv.org/abs/ID"),
    *("http://xx.arxiv.org/abs/ID", "http://cn.arxiv.org/pdf/ID", "HTTPS://ArXiv.org/abs/ID"),
    *("arxiv.org/abs/ID", "http://arxiv.org/pdf/ID.pdf", "https://arxiv.org/pdf/ID.pdf?download=1"),
    *("https://arxiv.org/abs/ID?context=cs.CL", "https://arxiv.org/html/ID#S2.F1"),
    *("https://arxiv.org/abs/ID/", "https://arxiv.org/html/ID?a=b#c", " https://arxiv.org/abs/ID "),
    *("https://doi.org/10.48550/arXiv.ID", "http://dx.doi.org/10.48550/arXiv.ID"),
    *("10.48550/arXiv.ID", "doi:10.48550/ARXIV.ID", "https://doi.org/10.48550/arxiv.ID"),
    *("https://alphaxiv.org/abs/ID", "https://www.alphaxiv.org/abs/ID"),
    *("https://huggingface.co/papers/ID", "huggingface.co/papers/ID#community"),
    *("oai:arXiv.org:ID", "arXiv:ID", "arxiv:ID"),
]


@pytest.mark.parametrize(("text", "base", "version"), GRAMMAR)
def test_grammar(text: str, base: str, version: int | None) -> None:
    assert parse(text) == (base, version)
    assert find(text) == ArxivId(base, version)


@pytest.mark.parametrize("text", INVALID)
def test_invalid(text: str) -> None:
    assert find(text) is None
    with pytest.raises(BadInput, match=r"not an arXiv id: type one like 2304\.08733"):
        parse(text)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2304.08733v2", ("2304.08733", 2)),
        ("2304.08733", ("2304.08733", None)),
        ("solv-int/9901001v1", ("solv-int/9901001", 1)),
        ("math.GT/0309136", ("math/0309136", None)),
    ],
)
def test_addresses(address: str, written: str, expected: tuple[str, int | None]) -> None:
    assert parse(address.replace("ID", written)) == expected


def test_written_form() -> None:
    assert str(ArxivId("2304.08733", 2)) == "2304.08733v2"
    assert str(ArxivId("solv-int/9901001")) == "solv-int/9901001"


def test_message_stays_one_short_line() -> None:
    with pytest.raises(BadInput) as refused:
        parse("first\nsecond " * 1000)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


months = st.builds("{:02}{:02}".format, st.integers(0, 99), st.integers(0, 13))
versions = st.one_of(st.just(""), st.integers(0, 9999).map("v{}".format))
new_style = st.builds(
    "{}.{}{}".format, months, st.text("0123456789", min_size=4, max_size=5), versions
)
old_style = st.builds(
    "{}/{}{:03}{}".format, st.sampled_from(sorted(ARCHIVES)), months, st.integers(0, 999), versions
)


@given(st.one_of(new_style, old_style))
def test_reading_what_was_written_changes_nothing(text: str) -> None:
    found = find(text)
    if found:
        assert parse(str(found)) == found
        assert parse(f"https://arxiv.org/pdf/{found}.pdf?x#y") == found


@given(st.integers(7, 99), st.integers(1, 12), st.integers(1, 9999), st.integers(1, 99))
def test_every_valid_new_style_id_is_read(year: int, month: int, number: int, version: int) -> None:
    if (year, month) < (7, 4):
        return
    width = 4 if year < 15 else 5
    base = f"{year:02}{month:02}.{number:0{width}}"
    assert parse(f"{base}v{version}") == (base, version)


@given(st.one_of(st.text(), st.text("0123456789.v/-arXivhtps:", max_size=40)))
def test_any_other_text_is_bad_input_and_nothing_else(text: str) -> None:
    try:
        found = parse(text)
    except BadInput:
        return
    assert parse(str(found)) == found
