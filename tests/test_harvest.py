"""Harvesting a set: against the replay, its bad days, kills at every page and a moving list."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import requests

from data.sample.replay import Fault, Replay
from data.sample.replay_oai import PAGE
from ingest import harvest as harvesting
from ingest.errors import RateLimited, SourceChanged, SourceError, SourceRefused, SourceUnavailable
from ingest.harvest import harvest, next_since, resume_point
from ingest.ledger import Partition, State
from ingest.paper import Observation
from ingest.sources import oai
from tests.site import Site

SET, SINCE, NIGHT = "cs:cs:LG", "2026-02-20", "2026-03-03"  # a Tuesday
DAYS = ("2026-02-23", "2026-02-24", "2026-02-25")


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class HarvestSite(Site):
    def harvest(self, since: str = SINCE, night: str = NIGHT, **more: str) -> int:
        return harvest(*self.at, SET, since, night=night, **more)

    def before_page(self, number: int, act) -> None:
        """Once, `act` happens before the request for this page (from 1) is sent."""
        good, asked = self.client.get, iter(range(1, 10_000))

        def get(url, params=None, **more):
            if next(asked) == number:
                act()
            return good(url, params, **more)

        self.client.get = get  # type: ignore[method-assign]

    def record(self) -> dict[str, dict]:
        """The export, by id."""
        return {name: paper.to_record() for name, paper in self.papers().items()}

    def ledger(self) -> list[Partition]:
        return self.partitions(f"oai/{SET}")

    def asked(self) -> list[dict[str, str]]:
        return [request.query for request in self.replay.requests if request.source == "oai"]

    def pages(self) -> int:
        return len(list(self.archive.names("oai")))


def made(count: int, days: tuple[str, ...] = DAYS) -> list[dict]:
    """So many records, one day after the other, of all the kinds there are."""
    return [
        {
            "id": f"2602.{n:05}",
            "versions": [
                {"version": v, "date": f"2026-02-{10 + v}T1{n % 10}:00:00Z"}
                for v in range(1, 2 + n % 3)
            ],
            "title": f"Made-up title {n}",
            "authors": ["Ada One", f"B. Two{n % 7}"],
            "categories": ["cs.LG", "cs.CL"],
            "abstract": f"Made-up words {n}.",
            "license": "http://arxiv.org/licenses/nonexclusive-distrib/1.0/",
            "datestamp": days[(n - 1) * len(days) // count],
            "set": ["cs:cs:CL", SET] if n % 2 else SET,
        }
        for n in range(1, count + 1)
    ]


def write(folder: Path, records: list[dict]) -> None:
    (folder / "oai").mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "oai" / "records.jsonl").write_text(lines)


@pytest.fixture
def wire(tmp_path) -> Path:
    folder = tmp_path / "wire"
    write(folder, made(95))
    return folder


@pytest.fixture
def site(tmp_path, wire):
    with HarvestSite.opened(tmp_path / "home", wire) as site:
        yield site


def test_a_harvest_over_several_pages_equals_the_wire_data(site) -> None:
    assert site.harvest() == 95
    papers = site.record()
    assert len(papers) == 95
    for record in made(95):
        paper = papers[record["id"]]
        dates = [f"v{v['version']} {v['date']}" for v in record["versions"]]
        assert list(paper["versions"]) == dates
        assert paper["version"] == len(dates)
        assert f"v1 {paper['published']}" == dates[0]
        assert dates[-1].endswith(paper["updated"])
        for name in ("title", "abstract", "license"):
            assert paper[name] == record[name]
        assert list(paper["authors"]) == record["authors"]
        assert list(paper["categories"]) == record["categories"]
        assert paper["sources"]["versions"] == "oai"
    assert site.labels() == {NIGHT: "ok(95)"}


def test_the_set_and_the_days_are_those_asked_for(site, wire) -> None:
    other = {**made(1)[0], "id": "2602.09999", "set": "cs:cs:CV"}
    old = {**made(1)[0], "id": "2602.09998", "datestamp": "2026-02-19"}
    late = {**made(1)[0], "id": "2602.09997", "datestamp": "2026-02-26"}
    write(wire, [*made(30), other, old, late])
    assert site.harvest(until="2026-02-25") == 30
    assert set(site.record()) == {record["id"] for record in made(30)}
    assert site.labels() == {"2026-02-25": "ok(30)"}
    assert site.harvest("2026-02-26") == 1


@pytest.mark.parametrize("prefix", ["arXiv", "oai_dc"])
def test_other_formats_can_be_harvested_too(site, prefix) -> None:
    assert site.harvest(prefix=prefix) == 95
    papers = site.record()
    assert {i: p["title"] for i, p in papers.items()} == {r["id"]: r["title"] for r in made(95)}
    assert all(list(papers[r["id"]]["authors"]) == r["authors"] for r in made(95))
    assert {p["version"] for p in papers.values()} == {None}


# kills -------------------------------------------------------------------------------------


@pytest.mark.parametrize("landed", range(6))
@pytest.mark.parametrize("recorded", [False, True])
def test_killed_after_any_page_the_next_run_ends_in_the_same_catalogue(
    tmp_path, wire, landed, recorded
) -> None:
    with (
        Replay(wire) as replay,
        closing(HarvestSite(tmp_path / "whole", replay)) as whole,
        closing(HarvestSite(tmp_path / "broken", replay)) as broken,
    ):
        whole.harvest()
        good = broken.archive.land

        def land(raw):
            if (broken.pages() == landed and raw.kind == "oai") or raw.kind == "closing":
                raise Killed
            return good(raw)

        broken.archive.land = land
        with pytest.raises(Killed):
            broken.harvest()
        assert broken.pages() == min(landed, whole.pages())
        if recorded:
            broken.record()
        broken.archive.land = good
        asked = len(broken.asked())
        assert broken.harvest() == 95
        assert broken.record() == whole.record()
        assert broken.labels() == whole.labels() == {NIGHT: "ok(95)"}
        assert broken.pages() == whole.pages(), "nothing was asked for twice"
        assert len(broken.asked()) - asked == whole.pages() - landed


def test_another_night_other_days_and_a_harvest_that_ended_begin_anew(site) -> None:
    window = oai.Window(SET, SINCE)
    site.before_page(3, lambda: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        site.harvest()
    point = resume_point(site.archive, window, NIGHT)
    assert point is not None
    assert (point.received, point.page.complete) == (35, False)
    assert resume_point(site.archive, window, "2026-03-04") is None
    assert resume_point(site.archive, window._replace(since="2026-02-21"), NIGHT) is None
    assert resume_point(site.archive, window._replace(set_spec="cs:cs:CL"), NIGHT) is None
    assert resume_point(site.archive, window._replace(prefix="arXiv"), NIGHT) is None
    assert site.harvest() == 95
    assert resume_point(site.archive, window, NIGHT) is None
    pages = site.pages()
    assert site.harvest() == 95
    assert site.pages() > pages


def test_a_failure_is_noted_and_the_next_run_goes_on_from_it(site) -> None:
    site.before_page(3, lambda: site.replay.misbehave("oai", Fault.status(500)))
    with pytest.raises(SourceUnavailable):
        site.harvest()
    site.record()
    assert site.labels()[NIGHT].startswith("partial(127.0.0.1")
    assert site.ledger()[0].received == 35
    site.replay.behave()
    before = len(site.asked())
    assert site.harvest() == 95
    assert "resumptionToken" in site.asked()[before]
    assert len(site.record()) == 95
    assert site.labels() == {NIGHT: "ok(95)"}


@pytest.mark.parametrize("fault", [Fault.half_json, Fault.html, Fault.cut_off, Fault.wrong_page])
@pytest.mark.parametrize("page", [1, 2, 4])
def test_an_answer_of_another_shape_is_kept_and_gone_back_behind(site, fault, page) -> None:
    site.before_page(page, lambda: site.replay.misbehave("oai", fault))
    with pytest.raises(SourceError):
        site.harvest()
    site.record()
    assert site.ledger()[0].state is (State.FAILED if page == 1 else State.PARTIAL)
    kept = [row.kind for row in site.quarantined()]
    assert kept == ([] if fault is Fault.cut_off else ["oai"])
    site.replay.behave()
    assert site.harvest() == 95
    assert len(site.record()) == 95
    assert site.labels() == {NIGHT: "ok(95)"}


# tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [2, 3, 5])
def test_an_expired_token_is_rebuilt(site, page) -> None:
    site.before_page(page, lambda: site.replay.misbehave("oai", Fault.expired, times=1))
    assert site.harvest() == 95
    assert len(site.record()) == 95
    assert site.labels() == {NIGHT: "ok(95)"}
    rebuilt = site.asked()[page]["resumptionToken"]
    received = {2: 20, 3: 35, 5: 67}[page]
    assert rebuilt == oai.token_at(oai.Window(SET, SINCE), received - 5)
    assert len(site.asked()) == 7


def test_a_server_that_takes_no_token_at_all_leaves_the_night_open(site) -> None:
    site.replay.misbehave("oai", Fault.expired)
    with pytest.raises(SourceChanged, match="refuses its own resumption token"):
        site.harvest()
    papers = site.record()
    assert len(papers) == PAGE
    assert site.labels()[NIGHT].startswith("partial(arXiv refuses its own resumption token")
    site.replay.behave()
    assert site.harvest() == 95
    assert len(site.record()) == 95


def test_503_with_a_short_retry_after_is_waited_out(site) -> None:
    site.before_page(
        3, lambda: site.replay.misbehave("oai", Fault.status(503, retry_after="7"), times=1)
    )
    assert site.harvest() == 95
    assert site.slept == [7.0]


def test_503_with_a_long_retry_after_leaves_the_night_open(site) -> None:
    site.replay.misbehave("oai", Fault.status(503, retry_after="3600"))
    with pytest.raises(RateLimited) as caught:
        site.harvest()
    assert caught.value.retry_after == 3600
    assert site.slept == []
    site.record()
    assert site.labels()[NIGHT].startswith("failed(")


# nothing, and nothing good -----------------------------------------------------------------


def test_nothing_that_matches_is_an_empty_night_and_moves_nothing_on(site, wire) -> None:
    assert site.harvest("2026-02-27") == 0
    assert site.record() == {}
    assert site.labels() == {NIGHT: "empty-expected"}
    assert next_since(site.ledger(), SET) is None
    site.replay.misbehave("oai", Fault.empty)
    assert site.harvest(night="2026-03-04") == 0
    assert next_since(site.ledger(), SET) is None


def test_a_refused_request_is_a_failure_in_arxivs_words(site) -> None:
    with pytest.raises(SourceRefused, match="badArgument: start date too early"):
        site.harvest("1999-01-01")
    site.record()
    assert "badArgument" in site.labels()[NIGHT]
    site.replay.behave()
    assert site.harvest() == 95


# the list moves ----------------------------------------------------------------------------


def touched(records: list[dict], ids: list[str], day: str) -> list[dict]:
    """The records with a new version of `ids`, changed on `day`."""
    return [
        {
            **record,
            "datestamp": day,
            "versions": [*record["versions"], {"version": 4, "date": f"{day}T12:00:00Z"}],
        }
        if record["id"] in ids
        else record
        for record in records
    ]


@pytest.mark.parametrize("count", [1, 4, 5, 19])
@pytest.mark.parametrize("day", ["2026-02-25", NIGHT])
def test_records_that_change_during_a_harvest_push_none_past_it(site, wire, count, day) -> None:
    """Each of them moves what is still to come up a place, of which a plain harvest loses one."""
    moving = [f"2602.{n:05}" for n in range(1, count + 1)]
    site.before_page(2, lambda: write(wire, touched(made(95), moving, day)))
    site.harvest()
    papers = site.record()
    assert len(papers) == 95
    assert all(papers[i]["version"] == 4 for i in moving)


def test_a_list_that_never_stands_still_is_left_for_the_next_run(site, wire) -> None:
    """Between any two pages every record gives way to another one."""
    good = site.client.get

    def get(url, params=None, **more):
        month = 1 + len(site.asked()) % 12
        records = made(95, ("2026-02-23",))
        write(wire, [{**r, "id": f"25{month:02}{r['id'][4:]}"} for r in records])
        return good(url, params, **more)

    site.client.get = get
    with pytest.raises(SourceChanged, match="moves faster than it can be read"):
        site.harvest()
    site.record()
    assert site.labels()[NIGHT].startswith("partial(arXiv's list moves faster")


def test_a_page_that_does_not_meet_the_last_is_never_gone_on_from(site, wire) -> None:
    """A kill between the page with the gap and the one that closes it."""
    write(wire, records := made(95, ("2026-02-23",)))
    moved = touched(records, [f"2602.{n:05}" for n in range(1, 16)], NIGHT)
    site.before_page(2, lambda: write(wire, moved))
    good, landed = site.archive.land, []

    def land(raw):
        if len(landed) == 2:
            raise Killed
        landed.append(raw)
        return good(raw)

    site.archive.land = land
    with pytest.raises(Killed):
        site.harvest()
    point = resume_point(site.archive, oai.Window(SET, SINCE), NIGHT)
    assert point is not None
    assert point.received == PAGE
    site.archive.land = good
    site.harvest()
    assert len(site.record()) == 95


def test_what_a_harvest_did_not_see_is_seen_by_the_next_one(site, wire) -> None:
    """A record changes behind the cursor after it was read, and a new one comes late."""
    late = {**made(1)[0], "id": "2603.00001", "datestamp": NIGHT, "title": "Late"}
    changed = [*touched(made(95), ["2602.00003"], NIGHT), late]
    write(wire, made(95))
    site.harvest()
    write(wire, changed)
    assert "2603.00001" not in site.record()
    since = next_since(site.ledger(), SET)
    assert since == "2026-02-28"
    assert site.harvest(since, "2026-03-04") == 2
    papers = site.record()
    assert papers["2603.00001"]["title"] == "Late"
    assert papers["2602.00003"]["version"] == 4
    assert len(papers) == 96


def test_an_outage_of_ten_nights_ends_after_one_in_the_same_papers(tmp_path, wire) -> None:
    nights = [f"2026-03-{n:02}" for n in range(2, 13)]
    records = made(60, tuple(nights))

    def known(night: str) -> list[dict]:
        return [record for record in records if record["datestamp"] <= night]

    with (
        Replay(wire) as replay,
        closing(HarvestSite(tmp_path / "steady", replay)) as steady,
        closing(HarvestSite(tmp_path / "away", replay)) as away,
    ):
        for night in nights:
            write(wire, known(night))
            steady.harvest(next_since(steady.ledger(), SET) or SINCE, night)
            steady.record()
            if night == nights[0]:
                away.harvest(SINCE, night)
                away.record()
        replay.misbehave("oai", Fault.status(500))
        for night in nights[1:-1]:
            with pytest.raises(SourceUnavailable):
                away.harvest(next_since(away.ledger(), SET) or SINCE, night)
            away.record()
        replay.behave()
        away.harvest(next_since(away.ledger(), SET) or SINCE, nights[-1])
        assert away.record() == steady.record()
        assert len(away.record()) == 60


@pytest.mark.parametrize(
    ("known", "since"),
    [
        ([], None),
        ([(NIGHT, State.FAILED)], None),
        ([(NIGHT, State.OK)], "2026-02-28"),
        ([("2026-03-01", State.OK), (NIGHT, State.PARTIAL)], "2026-02-26"),
        ([(NIGHT, State.OK), ("2026-03-01", State.OK)], "2026-02-28"),
        ([("2026-03-01", State.OK), (NIGHT, State.EMPTY_EXPECTED)], "2026-02-26"),
    ],
)
def test_the_next_harvest_starts_days_before_the_last_good_one(known, since) -> None:
    rows = [Partition(f"oai/{SET}", day, state, 1) for day, state in known]
    others = [Partition("oai/stat:stat:ML", "2026-03-09", State.OK, 1)]
    assert next_since([*rows, *others], SET) == since


def test_replay_rebuilds_the_same_catalogue_from_raw(site) -> None:
    site.before_page(3, lambda: site.replay.misbehave("oai", Fault.expired, times=1))
    site.harvest()
    papers = site.record()
    with site.rebuilt() as again:
        assert again.record() == papers
        assert [p.label for p in again.ledger()] == ["ok(95)"]


# the replay itself -------------------------------------------------------------------------


def test_the_replay_answers_as_arxiv_does(site) -> None:
    address = f"{site.replay.url}/oai"

    def ask(**query: str) -> oai.Page:
        body = requests.get(address, {name.rstrip("_"): v for name, v in query.items()}, timeout=5)
        return oai.parse(body.content, "2026-03-03T00:00:00.000000Z")

    one = ask(verb="GetRecord", identifier="oai:arXiv.org:2602.00001", metadataPrefix="arXivRaw")
    assert [o.title for o in one.parsed.observations] == ["Made-up title 1"]
    assert isinstance(one.parsed.observations[0], Observation)
    assert one.complete
    listed = {"verb": "ListRecords", "metadataPrefix": "arXivRaw"}
    first = ask(**listed, set="cs")
    assert first.token is not None
    assert (first.token.expires or "").endswith("T00:00:00Z")
    assert ask(verb="ListRecords", resumptionToken="nonsense").refused
    assert ask(
        verb="ListRecords", resumptionToken=oai.token_at(oai.Window(SET, SINCE), 95)
    ).complete
    wrong = [
        ({"verb": "Nothing"}, "badVerb"),
        ({"verb": "ListRecords"}, "badArgument"),
        ({**listed, "from_": "2026-02-30"}, "from date format"),
        ({**listed, "from_": "20260220"}, "from date format"),
        ({**listed, "from_": "2026-02-20", "until": "2026-02-19"}, "greater than or equal"),
        ({**listed, "until": "2999-01-01"}, "until date too late"),
        ({**listed, "set": "no set"}, "Set does not exist"),
        ({**listed, "resumptionToken": "x"}, "No other parameters"),
        ({"verb": "ListRecords", "metadataPrefix": "marc"}, "cannotDisseminateFormat"),
        ({"verb": "GetRecord", "identifier": "oai:arXiv.org:9", "metadataPrefix": "arXiv"},
         "idDoesNotExist"),
    ]  # fmt: skip
    for query, words in wrong:
        with pytest.raises(SourceRefused, match=words):
            ask(**query)
    assert b"<granularity>" in requests.get(address, {"verb": "Identify"}, timeout=5).content


def test_the_overlap_is_shorter_than_the_replays_pages() -> None:
    assert harvesting.OVERLAP_RECORDS < PAGE
