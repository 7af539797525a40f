"""OAI-PMH: every recorded page against a second reading, every quirk as a line in a table."""

from __future__ import annotations

import json
import lzma
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sample.replay_oai import PAGE
from data.sample.replay_oai import oai as served
from ingest import arxiv_text
from ingest.catalogue import open_catalogue, quarantine
from ingest.errors import PaperfeedError, SourceChanged, SourceRefused
from ingest.ids import find
from ingest.merge import merge
from ingest.paper import Observation, Paper
from ingest.raw import Archive, Raw
from ingest.record import record_landed
from ingest.sources import oai

SEEN = "2026-03-02T05:00:00.000000Z"
NS = {
    "o": "http://www.openarchives.org/OAI/2.0/",
    "r": "http://arxiv.org/OAI/arXivRaw/",
    "dc": "http://purl.org/dc/elements/1.1/",
}
RAW = """<arXivRaw xmlns="http://arxiv.org/OAI/arXivRaw/"><id>2602.00001</id>
<version version="v10"><date>Mon, 2 Mar 2026 10:00:00 GMT</date></version>
<version version="v1"><date>Sun, 1 Feb 2026 10:00:00 GMT</date></version>
<version version="v2"><date>Mon, 2 Feb 2026 10:00:00 GMT</date><source_type>I</source_type>
</version>
<title>A made-up
  title</title><authors>Ada One and B. Two</authors><categories>cs.LG cs.CL cs.LG</categories>
<abstract>  Made-up words.
</abstract></arXivRaw>"""
WINDOW = oai.Window("cs:cs:LG", "2026-02-20")


def page(*records: str, after: str = "", verb: str = "ListRecords") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="{NS["o"]}">'
        f"<responseDate>2026-03-02T05:00:00Z</responseDate><{verb}>{''.join(records)}{after}</{verb}>"
        "</OAI-PMH>"
    ).encode()


def record(metadata: str = RAW, name: str = "2602.00001", header: str = "") -> str:
    return (
        f"<record><header{header}><identifier>oai:arXiv.org:{name}</identifier>"
        f"<datestamp>2026-03-02</datestamp></header><metadata>{metadata}</metadata></record>"
    )


def error(code: str, words: str = "") -> bytes:
    return f'<OAI-PMH xmlns="{NS["o"]}"><error code="{code}">{words}</error></OAI-PMH>'.encode()


def only(body: bytes) -> Observation:
    (one,) = oai.parse(body, SEEN).parsed.observations
    return one


# what a record says ------------------------------------------------------------------------


def test_a_raw_record_tells_all_versions_in_the_order_of_their_numbers() -> None:
    assert only(page(record())) == Observation(
        "oai",
        "2602.00001",
        SEEN,
        version=10,
        versions=("v1 2026-02-01T10:00:00Z", "v2 2026-02-02T10:00:00Z", "v10 2026-03-02T10:00:00Z"),
        published="2026-02-01T10:00:00Z",
        updated="2026-03-02T10:00:00Z",
        title="A made-up title",
        abstract="Made-up words.",
        authors=("Ada One", "B. Two"),
        categories=("cs.LG", "cs.CL"),
        withdrawn=False,
    )


@pytest.mark.parametrize(
    ("newest", "comment", "withdrawn"),
    [
        ("<source_type>I</source_type>", "", True),
        ("<source_type>SI</source_type>", "4 pages", True),
        ("<source_type>DS</source_type>", "4 pages", False),
        ("", "This paper has been withdrawn", True),
        ("", "", False),
    ],
)
def test_the_newest_version_or_the_comment_says_withdrawn(newest, comment, withdrawn) -> None:
    raw = RAW.replace("10:00:00 GMT</date></version>", f"10:00:00 GMT</date>{newest}</version>", 1)
    raw = raw.replace("<abstract>", f"<comments>{comment}</comments><abstract>")
    assert only(page(record(raw))).withdrawn is withdrawn


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (record(name="no-id"), "not an arXiv id"),
        (record(name="2602.00002"), "its header names 2602.00002, it itself 2602.00001"),
        (record(RAW.replace("<id>2602.00001</id>", "")), "it itself no paper"),
        (record(RAW.replace('version="v2"', 'version="two"')), "no version: two"),
        (record(re.sub("<version.*</version>", "", RAW, flags=re.DOTALL)), "no version at all"),
        (record(RAW.replace("Mon, 2 Feb 2026", "Someday")), "no date: Someday"),
        (record(re.sub("<title>.*</title>", "", RAW, flags=re.DOTALL)), "no title"),
        (record("<other/>"), "no metadata of arXiv's: other"),
        (record(""), "no metadata of arXiv's: nothing"),
        (record("", header=' status="deleted"'), "its header says that arXiv has deleted it"),
    ],
)
def test_what_cannot_be_believed_is_rejected_and_harms_no_neighbour(spoilt, reason) -> None:
    good = record(RAW.replace("2602.00001", "2602.00009"), "2602.00009")
    read = oai.parse(page(spoilt, good), SEEN)
    assert [o.arxiv_id for o in read.parsed.observations] == ["2602.00009"]
    (rejected,) = read.parsed.rejected
    assert reason in rejected.reason
    assert "<header" in rejected.payload
    assert len(read.identifiers) == 2


def test_a_day_that_cannot_be_version_1_s_is_not_published() -> None:
    """arXiv's server of 2025 gives the newest version's day as `created`."""
    arxiv = (
        '<arXiv xmlns="http://arxiv.org/OAI/arXiv/"><id>{id}</id><created>{day}</created>'
        "<title>T</title></arXiv>"
    )
    for name, day, published in [
        ("1407.7587", "2014-07-28", "2014-07-28"),
        ("1407.7587", "2014-06-30", "2014-06-30"),
        ("1407.7587", "2017-03-27", None),
        ("hep-th/9912001", "1999-12-01", "1999-12-01"),
        ("hep-th/9912001", "2000-01-01", None),
    ]:
        said = only(page(record(arxiv.format(id=name, day=day), name)))
        assert (said.published, said.updated) == (published, day)


def test_comments_of_dublin_core_are_known_by_their_mark_or_their_place() -> None:
    def said(*descriptions: str) -> tuple[str | None, str | None]:
        told = "".join(f"<dc:description>{text}</dc:description>" for text in descriptions)
        dc = (
            f'<x:dc xmlns:x="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="{NS["dc"]}">'
            f"<dc:title>T</dc:title>{told}"
            "<dc:identifier>http://arxiv.org/abs/2602.00001</dc:identifier></x:dc>"
        )
        one = only(page(record(dc)))
        return one.abstract, one.comment

    assert said("Words.", "Comment: 4 pages") == ("Words.", "4 pages")
    assert said("Words.", "4 pages") == ("Words.", "4 pages")
    assert said("Comment: 4 pages") == (None, "4 pages")
    assert said("Words.") == ("Words.", None)
    assert said() == (None, None)


# what a page says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "token"),
    [
        ("<resumptionToken expires='2026-03-03T00:00:00Z'>a</resumptionToken>",
         oai.Token("a", "2026-03-03T00:00:00Z")),
        ("<resumptionToken expirationDate='2026-03-03T00:00:00Z' cursor='0'>a b </resumptionToken>",
         oai.Token("a b", "2026-03-03T00:00:00Z")),
        ("<resumptionToken>a</resumptionToken>", oai.Token("a")),
        ("<resumptionToken cursor='2000'/>", None),
        ("<resumptionToken> </resumptionToken>", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_token_is_read_with_its_end_in_either_spelling(element, token) -> None:
    read = oai.parse(page(record(), after=element), SEEN)
    assert (read.token, read.complete, read.refused) == (token, token is None, False)


def test_errors_come_with_status_200() -> None:
    nothing = oai.parse(error("noRecordsMatch", "none"), SEEN)
    assert (nothing.parsed.observations, nothing.complete, nothing.refused) == ((), True, False)
    assert oai.parse(error("badResumptionToken"), SEEN).refused
    for code in ("badArgument", "badVerb", "cannotDisseminateFormat", "idDoesNotExist"):
        with pytest.raises(SourceRefused, match=f"{code}: why so$"):
            oai.parse(error(code, "why\n so"), SEEN)
    with pytest.raises(SourceChanged, match=r"undefinedError$"):
        oai.parse(error("undefinedError"), SEEN)


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (b"", "0 bytes of no XML"),
        (b"<!DOCTYPE html><html><body><br></body></html>", "a page of HTML"),
        (page(record())[:-40], "of no XML, or half of one"),
        (b"<feed/>", "<feed> came"),
        (page(), "without any came"),
        (page(record(), verb="ListSets"), "without any came"),
        (b'<!DOCTYPE x [<!ENTITY e "e">]><OAI-PMH xmlns="%s"/>' % NS["o"].encode(), "came"),
    ],
)
def test_anything_else_is_no_answer(body, came) -> None:
    with pytest.raises(SourceChanged, match=re.escape(came)):
        oai.parse(body, SEEN)


def test_a_character_that_xml_cannot_hold_does_not_spoil_a_page() -> None:
    for bad in (b"\x0c", b"&#12;", b"&#x1F;", b"\xff", b"&#x1d;"):
        body = page(record()).replace(b"Made-up", b"Made" + bad + b"up")
        assert only(body).abstract in ("Made up words.", "Made\ufffdup words."), bad


def test_entities_are_not_expanded() -> None:
    body = b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]>' + page(record())
    with pytest.raises(SourceChanged):
        oai.parse(body.replace(b'<?xml version="1.0" encoding="UTF-8"?>', b""), SEEN)


# tokens ------------------------------------------------------------------------------------


def test_a_token_is_rebuilt_as_arxiv_writes_it(tmp_path) -> None:
    wire(tmp_path, PAGE + 1)
    first = oai.parse(served(tmp_path, WINDOW.arguments())[2], SEEN)
    assert first.token is not None
    assert oai.token_at(WINDOW, PAGE) == first.token.text
    assert oai.step_back(first.token.text, 5) == (oai.token_at(WINDOW, PAGE - 5), False)
    assert oai.step_back(first.token.text, None) == (oai.token_at(WINDOW, 0), True)
    assert oai.step_back(first.token.text, PAGE) == (oai.token_at(WINDOW, 0), True)
    until = WINDOW._replace(until="2026-03-01")
    assert "until%3D2026-03-01%26set%3Dcs%253Acs%253ALG%26skip%3D7" in oai.token_at(until, 7)


@pytest.mark.parametrize("token", ["496549|95001", "", "skip=4", "verb%3DListRecords%26skip%3Dx"])
def test_a_token_of_another_form_stays_as_it_is(token) -> None:
    assert oai.step_back(token, 5) == (token, True)


# names and accents -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("Ada One, B. Two, and C. D. Three", ("Ada One", "B. Two", "C. D. Three")),
        ("Ada One & B. Two and C. Three", ("Ada One", "B. Two", "C. Three")),
        ("A. One (1 and 2), B. Two (2) ((1) Here (There), (2) Elsewhere, Else)",
         ("A. One", "B. Two")),
        ("A. One (X (Y), Z), B. Two", ("A. One", "B. Two")),
        ("A. One (X, B. Two", ("A. One (X", "B. Two")),
        ("A. One Jr., B. Two, Jr., C. Three, III", ("A. One Jr.", "B. Two Jr.", "C. Three III")),
        ("THE Collaboration: A. One, et al", ("THE Collaboration", "A. One")),
        ("A. One, et al.", ("A. One",)),
        ("Sandy Brand, R. Anderson", ("Sandy Brand", "R. Anderson")),
        (r"Paul Erd\H{o}s, S{\o}ren \O rsted, Fran\c cois \'Etienne, \v{C}ech",
         ("Paul Erdős", "Søren Ørsted", "François Étienne", "Čech")),
        (r"L.~D. Landau, J. G\'{\i}n\'{e} and {\'E}. {\AA}gren, Wei\ss, K\aa re",
         ("L. D. Landau", "J. Gíné", "É. Ågren", "Weiß", "Kåre")),
        ("", ()),
        (" , and, ", ()),
    ],
)  # fmt: skip
def test_one_line_of_authors(line, names) -> None:
    assert arxiv_text.authors(line) == names


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"A Schr\"odinger and a Poincar\'e", "A Schrödinger and a Poincaré"),
        (r"On $\tilde{O}(n)$ by Erd\H{o}s, $\'e$", r"On $\tilde{O}(n)$ by Erdős, $\'e$"),
        (r"use \cite{x}, \bf word and \verb|x|", r"use \cite{x}, \bf word and \verb|x|"),
        (r"at 5 \AA and 6 \AA{}, S\o ren", "at 5 Å and 6 Å, Søren"),
        (r"C:\users\default", r"C:\users\default"),
        ("no accents { } $", "no accents { } $"),
    ],
)
def test_accents_outside_formulas_become_letters(text, plain) -> None:
    assert arxiv_text.letters(text) == plain


@given(st.text(alphabet="ab \\'{}()\"$,cHiAandEt.:"))
def test_text_of_any_form_can_be_read(text) -> None:
    once = arxiv_text.letters(text)
    assert all(name and name == name.strip() for name in arxiv_text.authors(text))
    if "\\" not in once:
        assert arxiv_text.letters(once) == once


# the recorded answers ----------------------------------------------------------------------


def recorded(shared: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((shared / "captures/oai").iterdir()):
        body = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        if body.lstrip().startswith(b"<record"):  # saved without its envelope
            body = page(body.decode())
        yield path.name, body


def test_the_recorded_page_of_1000_records_says_what_a_second_reader_reads(shared: Path) -> None:
    body = dict(recorded(shared))["arXivRaw_list_2014-01-16.xml.xz"]
    read = oai.parse(body, SEEN)
    told = ET.fromstring(body).findall(".//r:arXivRaw", NS)
    assert (len(told), len(read.identifiers), read.token) == (1000, 1000, ("496549|96001", None))
    assert [r.payload.count("0811.36489") for r in read.parsed.rejected] == [2]
    by_id = {o.arxiv_id: o for o in read.parsed.observations}
    assert len(by_id) == 999
    compared = sum(_agree(by_id[raw.findtext("r:id", "", NS)], raw) for raw in told[1:])
    assert compared == 834, "lines of authors that can be split at commas"


def _agree(said: Observation, raw: ET.Element) -> bool:
    """The same record as the standard library reads it; whether its authors were compared."""

    def line(name: str) -> str | None:
        return " ".join(raw.findtext(f"r:{name}", "", NS).split()) or None

    history = {
        int(v.get("version", "")[1:]): datetime.strptime(
            v.findtext("r:date", "", NS), "%a, %d %b %Y %H:%M:%S GMT"
        ).strftime("%Y-%m-%dT%H:%M:%SZ")
        for v in raw.iterfind("r:version", NS)
    }
    newest = raw.find(f"r:version[@version='v{said.version}']", NS)
    assert newest is not None
    assert said.versions == tuple(f"v{n} {history[n]}" for n in sorted(history))
    assert (said.version, said.published) == (max(history), history[1])
    assert said.updated == history[max(history)]
    assert said.withdrawn == ("I" in newest.findtext("r:source_type", "", NS))
    assert (said.license, said.doi) == (line("license"), line("doi"))
    assert list(said.categories) == raw.findtext("r:categories", "", NS).split()
    for name, ours in [("title", said.title), ("abstract", said.abstract),
                       ("comments", said.comment), ("journal-ref", said.journal_ref)]:  # fmt: skip
        assert _bare(ours) == _bare(line(name)), name
    authors = line("authors") or ""
    if re.search(r"[(\\:~]|et al|Jr", authors):
        return False
    assert said.authors == tuple(re.split(r",? and |, ?", authors.rstrip(",")))
    return True


def _bare(text: str | None) -> str:
    """Without accents in either spelling, and whatever else TeX needs for them."""
    spelled = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "Å": "AA", "å": "aa", "ß": "ss"}
    plain = unicodedata.normalize("NFKD", (text or "").translate(str.maketrans(spelled)))
    return re.sub(r"""[\u0300-\u036f{}\\`'"^~=.]|(?<=\\)[uvHcrk]\b|\\[uvHcrk](?={)""", "", plain)


def test_accents_of_the_recorded_authors_are_letters(shared: Path) -> None:
    read = oai.parse(dict(recorded(shared))["arXivRaw_list_2014-01-16.xml.xz"], SEEN)
    names = {name for o in read.parsed.observations for name in o.authors}
    assert {"Ferenc Szöllősi", "Søren Fournais", "Kürşat Aker", "Anja Glišović"} <= names
    assert [name for name in names if re.search(r"[\\{}()\d]", name)] == []


ARXIV_FORMAT = {
    "arXiv_arxiv-physics-hep-ex.xml": 3,
    "arXiv_arxiv-physics-hep-th.xml": 3,
    "arXiv_sample_arxiv_record.xml": 12,
}


def test_recorded_records_of_the_other_formats_say_what_a_second_reader_reads(shared: Path) -> None:
    counts = {"arXiv": 0, "dc": 0}
    for name, body in recorded(shared):
        if not name.startswith(("arXiv_", "oai_dc_", "inspire_")) or b"<error" in body:
            continue
        read = oai.parse(body, SEEN)
        assert read.parsed.rejected == ()
        assert len(read.parsed.observations) == ARXIV_FORMAT.get(name, 3 if "multi" in name else 1)
        raws = ET.fromstring(body).findall(".//o:metadata", NS)
        for said, metadata in zip(read.parsed.observations, raws, strict=True):
            form = _local(metadata[0])
            counts[form] += 1
            (_agree_dc if form == "dc" else _agree_arxiv)(said, metadata[0])
    assert counts == {"arXiv": 34, "dc": 7}


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _texts(parent: ET.Element, name: str) -> list[str]:
    return [" ".join("".join(e.itertext()).split()) for e in parent if _local(e) == name]


def _one(parent: ET.Element, name: str) -> str | None:
    return next(iter(_texts(parent, name)), None) or None


def _agree_arxiv(said: Observation, raw: ET.Element) -> None:
    assert said.arxiv_id == _one(raw, "id")
    assert (said.title, said.abstract) == (_one(raw, "title"), _one(raw, "abstract"))
    assert (said.comment, said.journal_ref) == (_one(raw, "comments"), _one(raw, "journal-ref"))
    assert (said.doi, said.license) == (_one(raw, "doi"), _one(raw, "license"))
    assert " ".join(said.categories) == _one(raw, "categories")
    assert said.updated == (_one(raw, "updated") or _one(raw, "created"))
    assert said.published in (_one(raw, "created"), None)
    assert (said.version, said.versions, said.withdrawn) == (None, (), False)
    names = [
        " ".join(part for name in ("forenames", "keyname", "suffix") if (part := _one(a, name)))
        for authors in raw
        if _local(authors) == "authors"
        for a in authors
    ]
    assert list(said.authors) == [name for name in names if name != ":"]


def _agree_dc(said: Observation, raw: ET.Element) -> None:
    identifiers = _texts(raw, "identifier")
    assert identifiers[0] == f"http://arxiv.org/abs/{said.arxiv_id}"
    assert said.title == _one(raw, "title")
    assert said.doi == next((i[4:] for i in identifiers if i.startswith("doi:")), None)
    journal = [i for i in identifiers[1:] if not i.startswith("doi:")]
    assert said.journal_ref == (journal[0] if journal else None)
    assert [f"{n.split(', ')[-1]} {n.split(', ')[0]}" for n in _texts(raw, "creator")] == list(
        said.authors
    )
    described = _texts(raw, "description")
    assert said.abstract == described[0]
    assert (f"Comment: {said.comment}" if said.comment else None) == (
        described[1] if len(described) > 1 else None
    )
    days = _texts(raw, "date")
    assert (said.published, said.updated) == (days[0], days[-1])
    assert said.categories == ()


def test_every_recorded_answer_is_recorded_or_in_quarantine(shared: Path, tmp_path) -> None:
    archive, engine = Archive(tmp_path / "raw"), open_catalogue(tmp_path / "catalogue.sqlite")
    whole = 0
    for name, body in recorded(shared):
        entry = archive.land(Raw("oai", "2026-03-02", name, SEEN, body))
        (tally,) = record_landed(engine, archive)
        records = body.count(b"<record>")
        if not records:
            empty = name.endswith(("noRecordsMatch.xml", "badResumptionToken.xml"))
            assert (tally.received, tally.quarantined) == ((0, 0) if empty else (1, 1)), name
            whole += not empty
        else:
            assert tally.received == records, name
        assert entry
    with engine.connect() as db:
        reasons = [row.reason for row in db.execute(quarantine.select())]
    assert whole == 15
    assert all(reasons)
    assert sum("idDoesNotExist" in reason for reason in reasons) == 4


# merging -----------------------------------------------------------------------------------


def test_the_longest_history_and_any_sign_of_withdrawal_win() -> None:
    raw = only(page(record(RAW.replace("<source_type>I</source_type>", "")))).versions
    two = Observation("oai", "2602.00001", SEEN, version=2, versions=raw[:2], withdrawn=True)
    api = Observation("arxiv_api", "2602.00001", SEEN, version=2, withdrawn=False, title="T")
    paper = merge("2602.00001", [two, api])
    assert (paper.versions, paper.sources["versions"], paper.withdrawn) == (raw[:2], "oai", True)
    ten = Observation("oai", "2602.00001", "2026-01-01", version=10, versions=raw, withdrawn=False)
    paper = merge("2602.00001", [ten, two, api])
    assert (paper.versions, paper.withdrawn) == (raw, False)
    assert Paper.from_record(json.loads(json.dumps(paper.to_record()))) == paper
    assert Observation.from_json(ten.to_json()) == ten


# whatever comes ----------------------------------------------------------------------------


def wire(folder: Path, count: int, **fields: object) -> list[dict]:
    """So many made-up records of one day in the replay's folder."""
    made = [
        {
            "id": f"2602.{n:05}",
            "versions": [{"version": "v1", "date": "2026-02-20T10:00:00Z"}],
            "title": f"Made-up title {n}",
            "authors": ["Ada One", "B. Two"],
            "categories": ["cs.LG"],
            "abstract": f"Made-up words {n}.",
            "datestamp": "2026-02-23",
            "set": "cs:cs:LG",
            **fields,
        }
        for n in range(1, count + 1)
    ]
    (folder / "oai").mkdir(exist_ok=True)
    lines = (json.dumps(one) + "\n" for one in made)
    (folder / "oai" / "records.jsonl").write_text("".join(lines))
    return made


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("wire")
    wire(folder, 2, comments="4 pages, withdrawn", journal_ref="J. 1", doi="10.1/x", license="l")
    forms = ("arXivRaw", "arXiv", "oai_dc")
    windows = [WINDOW._replace(prefix=form).arguments() for form in forms]
    return [served(folder, window)[2] for window in windows]


@given(st.binary())
def test_on_arbitrary_bytes_only_our_errors(body) -> None:
    _read(body)


@given(st.data())
def test_on_mutated_pages_only_our_errors(samples, data) -> None:
    body = bytearray(data.draw(st.sampled_from(samples)))
    piece = st.binary(max_size=6) | st.sampled_from(
        [b"<version/>", b"v99999", b"</record>", b"<!--x-->", b"&x;", b"<?p?>", b"<a>", b"99999999"]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(300, len(body)))
        body[start : start + data.draw(st.integers(0, 30))] = data.draw(piece)
    _read(bytes(body))


dates = st.text(alphabet="0123456789 :,+-GMTFeb", max_size=30)


@given(number=st.text(alphabet="v0129", max_size=7), day=dates)
def test_on_odd_versions_and_dates_only_our_errors(number, day) -> None:
    odd = RAW.replace("v10", number).replace("Mon, 2 Mar 2026 10:00:00 GMT", day)
    arxiv = f"<arXiv><id>2602.00001</id><created>{day}</created><title>T</title></arXiv>"
    _read(page(record(odd), record(arxiv)))


def _read(body: bytes) -> None:
    try:
        read = oai.parse(body, SEEN)
    except PaperfeedError:
        return
    for one in read.parsed.observations:
        assert find(one.arxiv_id) == (one.arxiv_id, None)
        assert one.title
        assert Observation.from_json(one.to_json()) == one
