"""arXiv's API by time of submission, against the replay: slices, short pages, and what is owed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest

from data.sample.replay import Fault
from ingest import window
from ingest.errors import RateLimited, SourceChanged, SourceUnavailable
from ingest.ledger import Partition, State, days_between, shifted
from ingest.sources import arxiv_api
from ingest.sources.arxiv_api import Slice
from tests.site import Site

CL, NIGHT = "cs.CL", "2024-03-31"
FIRST, LAST = "2024-03-04", "2024-03-17"


def entry(number: int, moment: str, category: str = CL) -> str:
    name = f"2403.{number:05}v1"
    return (
        f"<entry><id>http://arxiv.org/abs/{name}</id><title>Paper {number}</title>"
        f"<updated>{moment}Z</updated><published>{moment}Z</published><summary>S.</summary>"
        f'<link href="http://arxiv.org/abs/{name}" rel="alternate" type="text/html"/>'
        f'<category term="{category}"/><arxiv:primary_category term="{category}"/></entry>'
    )


class WindowSite(Site):
    def submit(self, *moments: str) -> None:
        """One paper a moment, and one of another category."""
        entries = [entry(n, moment) for n, moment in enumerate(moments, start=1)]
        entries.append(entry(99999, f"{FIRST}T12:00:00", "cs.CV"))
        head = (
            '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom">'
        )
        self.write("arxiv/feed.xml", f"{head}{''.join(entries)}</feed>")

    def fetch(self, first: str = FIRST, last: str = LAST) -> int:
        return window.fetch_window(*self.at, CL, first, last, NIGHT)

    def ledger(self) -> dict[str, str]:
        return self.labels(f"arxiv_window/{CL}")

    def slices(self) -> list[str]:
        return [
            r.query["search_query"].partition("submittedDate:")[2] for r in self.replay.requests
        ]


@pytest.fixture
def site(tmp_path):
    with WindowSite.opened(tmp_path, tmp_path / "wire") as site:
        yield site


def spread(count: int, first: str = FIRST, hours: float = 5.0) -> list[str]:
    start = datetime.fromisoformat(first)
    moments = (start + timedelta(hours=hours * n) for n in range(count))
    return [moment.isoformat(timespec="seconds") for moment in moments]


def test_a_window_is_asked_for_week_by_week_and_closed_day_by_day(site) -> None:
    site.submit(*spread(60), "2024-03-18T00:00:00", "2024-03-03T23:59:59")
    assert site.fetch() == 60
    assert site.slices() == [
        "[202403040000 TO 202403110000]",
        "[202403110000 TO 202403180000]",
    ]
    first = site.replay.requests[0].query
    assert (first["search_query"].partition(" ")[0], first["max_results"]) == ("cat:cs.CL", "1000")
    assert (first["sortBy"], first["sortOrder"]) == ("submittedDate", "ascending")
    told = site.ledger()
    assert list(told) == days_between(FIRST, LAST)
    assert (told["2024-03-04"], told["2024-03-05"]) == ("ok(5)", "ok(5)")
    assert told[LAST] == "empty-expected"  # spread over 12.5 days
    # What lies on the edge came, too, and belongs to another day.
    assert list(site.papers()) == [f"2403.{n:05}" for n in range(1, 62)]


def test_no_slice_can_be_cut(site, monkeypatch) -> None:
    monkeypatch.setattr(arxiv_api, "PAGE", 7)
    site.submit(*spread(60))
    assert site.fetch() == 60
    assert len(site.papers()) == 60
    assert len(site.slices()) == len(set(site.slices())), "nothing is asked for twice"
    assert {r.query["max_results"] for r in site.replay.requests} == {"7"}


def test_a_short_page_is_asked_for_again(site) -> None:
    site.submit(*spread(30))
    site.replay.misbehave("arxiv_api", Fault.short, times=2)
    assert site.fetch(FIRST, "2024-03-10") == 30
    assert len(site.slices()) == 3


def test_an_index_that_looks_empty_is_asked_again(site) -> None:
    site.submit(*spread(30))
    site.replay.misbehave("arxiv_api", Fault.empty, times=2)
    assert site.fetch(FIRST, "2024-03-10") == 30
    site.replay.requests.clear()
    assert site.fetch("2024-02-01", "2024-02-01") == 0
    assert len(site.slices()) == window.ASKS
    assert site.ledger()["2024-02-01"] == "empty-expected"


def test_a_page_that_stays_short_is_halved(site) -> None:
    site.submit(*spread(10))
    site.replay.misbehave("arxiv_api", Fault.short)
    assert site.fetch(FIRST, "2024-03-10") == 10
    assert len(site.papers()) == 10


def test_a_page_that_stays_short_to_the_last_leaves_its_days_open(site) -> None:
    site.submit(*spread(60), "2024-03-11T03:00:05", "2024-03-11T03:00:06")
    assert site.fetch(FIRST, "2024-03-10") == 34
    site.replay.requests.clear()
    site.replay.misbehave("arxiv_api", Fault.short)
    with pytest.raises(SourceChanged, match=r"1 of 2 papers of \[.* TO .*\] came, and no more"):
        site.fetch("2024-03-11", LAST)
    assert len(site.replay.requests) < 60
    told = site.ledger()
    assert told["2024-03-10"].startswith("ok(")
    assert told["2024-03-11"].startswith("partial(") or told["2024-03-11"].startswith("failed(")
    assert "2024-03-12" not in told
    known = site.partitions()
    assert window.open_windows(known, CL, FIRST, LAST)[-1] == ("2024-03-11", "2024-03-15")


@pytest.mark.parametrize("fault", [Fault.html, Fault.half_json, Fault.cut_off, Fault.status(503)])
def test_no_fault_closes_a_day(site, fault) -> None:
    site.submit(*spread(30))
    site.replay.misbehave("arxiv_api", fault)
    with pytest.raises((SourceChanged, SourceUnavailable)):
        site.fetch()
    assert [label.partition("(")[0] for label in site.ledger().values()] == ["failed"]
    site.replay.behave()
    assert site.fetch() == 30


def test_429_ends_it_and_what_was_landed_is_not_asked_for_again(site, monkeypatch) -> None:
    monkeypatch.setattr(arxiv_api, "PAGE", 7)
    site.submit(*spread(60))
    asked = 0

    def tires(note):
        def fault(request):
            nonlocal asked
            asked += 1
            note(request)
            return Fault.status(429) if asked == 6 else None

        return fault

    site.replay.note = tires(site.replay.note)
    with pytest.raises(RateLimited):
        site.fetch()
    before = site.slices()
    assert site.fetch() == 60
    repeated = [one for one in site.slices()[len(before) :] if one in before[:-1]]
    assert repeated == []
    assert len(site.papers()) == 60
    assert set(site.ledger()) == set(days_between(FIRST, LAST))


def test_everything_is_rebuilt_from_raw(site) -> None:
    site.submit(*spread(60))
    site.fetch()
    before = site.ledger(), site.papers()
    with site.rebuilt() as again:
        assert (again.ledger(), again.papers()) == before


@pytest.mark.parametrize("hours", [1, 3, 24, 24 * 7])
def test_halves_come_to_the_whole(hours) -> None:
    start = datetime(2024, 3, 4)  # GMT, as all of arXiv's times
    whole = Slice(start, start + timedelta(hours=hours))
    one, other = whole.halves()
    assert (one.first, one.last, other.last) == (whole.first, other.first, whole.last)


def whole(source: str, *days: str) -> list[Partition]:
    return [Partition(f"{source}/{CL}", day, State.OK, 5, None, day) for day in days]


def test_a_backfill_asks_for_everything_once() -> None:
    asked = window.open_windows([], CL, FIRST, LAST)
    assert asked == [("2024-02-29", "2024-03-15")]  # the 16th and 17th have no listing
    done = whole("arxiv_window", *days_between(*asked[0]))
    assert window.open_windows(done, CL, FIRST, LAST) == []
    assert window.open_windows(done, "cs.CV", FIRST, LAST) == asked
    assert window.open_windows([], CL, LAST, FIRST) == []


def test_only_what_the_listings_did_not_give_is_owed() -> None:
    listed = [day for day in days_between(FIRST, LAST) if date.fromisoformat(day).weekday() < 5]
    assert window.open_windows(whole("arxiv_catchup", *listed), CL, FIRST, LAST) == []
    listed.remove("2024-03-13")
    known = whole("arxiv_catchup", *listed)
    assert window.open_windows(known, CL, FIRST, LAST) == [("2024-03-09", "2024-03-13")]
    known += whole("arxiv_window", "2024-03-11")
    runs = window.open_windows(known, CL, FIRST, LAST)
    assert runs == [("2024-03-09", "2024-03-10"), ("2024-03-12", "2024-03-13")]
    assert all(shifted(a[1], 1) < b[0] for a, b in pairwise(runs))
