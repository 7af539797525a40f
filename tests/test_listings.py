"""Weeks, months, trending and single papers of Hugging Face: parsed, and against the replay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sample.replay import Fault
from ingest import listings
from ingest.errors import BadInput, SourceChanged, SourceUnavailable
from ingest.paper import Observation
from ingest.sources import huggingface_lists
from ingest.sources.huggingface_lists import Period, period
from tests.site import Site

SEEN, NIGHT = "2025-04-01T05:00:00.000000Z", "2025-04-01"
MONDAY, FRIDAY, SUNDAY = "2025-03-03", "2025-03-07", "2025-03-09"


def item(number: int, own_day: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"submittedOnDailyAt": f"{own_day}T00:12:34.567Z"} if own_day else {}
    inner = {"id": f"2503.{number:05}", "title": f"Paper {number}", "upvotes": 90 - number}
    return {"paper": inner | told | more, "title": f"Paper {number}"}


# periods


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2025-W10", Period("week", "2025-W10", MONDAY, SUNDAY)),
        ("2024-W01", Period("week", "2024-W01", "2024-01-01", "2024-01-07")),
        ("2020-W53", Period("week", "2020-W53", "2020-12-28", "2021-01-03")),
        ("2025-02", Period("month", "2025-02", "2025-02-01", "2025-02-28")),
        ("2024-12", Period("month", "2024-12", "2024-12-01", "2024-12-31")),
        ("trending", Period("trending", "trending")),
    ],
)
def test_periods(name, expected) -> None:
    assert period(name) == expected


@pytest.mark.parametrize("name", ["2025-W54", "2025-W00", "2025-13", "2025", "2025-W1", "", "week"])
def test_what_is_no_period(name) -> None:
    with pytest.raises(BadInput, match="give 2025-W10, 2025-03 or trending"):
        period(name)


# parsing


def days(read) -> list[str | None]:
    return [o.listed_on for o in read.observations]


def test_an_entry_was_listed_on_the_day_that_it_names_if_that_can_be() -> None:
    body = json.dumps([item(1, MONDAY), item(2, SUNDAY), item(3), item(4, "2025-03-10")]).encode()
    week = huggingface_lists.parse(body, period("2025-W10"), SEEN)
    assert days(week) == [MONDAY, SUNDAY, None, None]
    month = huggingface_lists.parse(body, period("2025-03"), SEEN)
    assert days(month) == [MONDAY, SUNDAY, None, "2025-03-10"]
    trending = huggingface_lists.parse(body, period("trending"), SEEN)
    assert days(trending) == [None] * 4
    assert [o.upvotes for o in trending.observations] == [89, 88, 87, 86]


@pytest.mark.parametrize("told", [None, 5, "", "soon", "2025-03-03", ["2025-03-03T00:00:00Z"]])
def test_odd_days_are_no_days_and_no_crash(told) -> None:
    body = json.dumps([item(1, submittedOnDailyAt=told)]).encode()
    (day,) = days(huggingface_lists.parse(body, period("2025-W10"), SEEN))
    assert day == (MONDAY if told == "2025-03-03" else None)


def page(**props: Any) -> bytes:
    words = json.dumps(props).replace('"', "&quot;")
    return f'<div data-target="DailyPapers" data-props="{words}"></div>'.encode()


@pytest.mark.parametrize(
    "props",
    [
        {"periodType": "week", "dateString": "2025-W09"},
        {"periodType": "day", "dateString": MONDAY},
        {"periodType": "month", "dateString": "2025-W10"},
        {},
    ],
)
def test_a_page_of_something_else_is_refused(props) -> None:
    body = page(dailyPapers=[item(1)], **props)
    with pytest.raises(SourceChanged, match=r"the page of week 2025-W10 is due"):
        huggingface_lists.parse_page(body, period("2025-W10"), SEEN)
    assert len(huggingface_lists.parse_page(body, period("trending"), SEEN).observations) == 1


def test_a_single_paper_has_everything_at_the_top() -> None:
    body = json.dumps(item(1, FRIDAY, githubRepo="https://github.com/a/b")["paper"]).encode()
    (seen,) = huggingface_lists.parse_paper(body, SEEN).observations
    assert seen == Observation(
        "huggingface",
        "2503.00001",
        SEEN,
        listed_on=FRIDAY,
        title="Paper 1",
        github="https://github.com/a/b",
        upvotes=89,
    )


@given(st.binary())
def test_no_bytes_raise_anything_of_others(body) -> None:
    for read in (
        lambda: huggingface_lists.parse(body, period("2025-W10"), SEEN),
        lambda: huggingface_lists.parse_page(body, period("2025-W10"), SEEN),
        lambda: huggingface_lists.parse_paper(body, SEEN),
    ):
        try:
            read()
        except SourceChanged:
            continue


# against the replay


LISTS = {
    MONDAY: [item(n, MONDAY) for n in range(1, 21)],
    FRIDAY: [item(n) for n in range(21, 31)],
    "2025-03-10": [item(31, "2025-03-10", githubRepo="https://github.com/a/b")],
}


class ListsSite(Site):
    def fetch(self, name: str) -> int:
        return listings.fetch_list(*self.at, name, NIGHT)

    def ledger(self) -> dict[tuple[str, str], str]:
        return {(p.source, p.day): p.label for p in self.partitions()}


@pytest.fixture
def site(tmp_path):
    with ListsSite.opened(tmp_path, tmp_path / "wire") as site:
        for day, items in LISTS.items():
            site.write(f"huggingface/{day}.json", json.dumps(items))
        yield site


@pytest.mark.parametrize("fault", [None, Fault.status(503), Fault.html], ids=str)
def test_a_week_comes_whole_from_the_api_or_the_page(site, fault) -> None:
    if fault:
        site.replay.misbehave("huggingface_api", fault)
    assert site.fetch("2025-W10") == 30
    papers = site.papers()
    assert len(papers) == 30
    assert papers["2503.00001"].listed_on == (MONDAY,)
    assert papers["2503.00021"].listed_on == ()
    assert papers["2503.00021"].upvotes == 69
    assert site.ledger() == {("huggingface_list/week", SUNDAY): "ok(30)"}


def test_a_month_and_what_is_trending(site) -> None:
    assert site.fetch("2025-03") == 31
    assert site.fetch("trending") == 15, "one page of it"
    assert site.papers()["2503.00031"].listed_on == ("2025-03-10",)
    assert site.ledger() == {
        ("huggingface_list/month", "2025-03-31"): "ok(31)",
        ("huggingface_list/trending", NIGHT): "ok(15)",
    }
    asked = [r.query for r in site.replay.requests]
    assert {"month": "2025-03", "limit": "100"} in asked
    assert asked[-1] == {"sort": "trending", "limit": "100"}


def test_trending_never_lists_a_paper_on_a_day(site) -> None:
    site.fetch("trending")
    assert {p.listed_on for p in site.papers().values()} == {()}


def test_a_week_that_nobody_gives_is_open(site) -> None:
    for source in ("huggingface_api", "huggingface_listing"):
        site.replay.misbehave(source, Fault.status(503))
    with pytest.raises(SourceUnavailable):
        site.fetch("2025-W10")
    assert site.ledger()["huggingface_list/week", SUNDAY].startswith("failed(")
    site.replay.behave()
    assert site.fetch("2025-W10") == 30
    assert site.ledger()["huggingface_list/week", SUNDAY] == "ok(30)"


def test_single_papers_known_and_unknown(site) -> None:
    ids = ["2503.00031", "2503.99999"]
    assert listings.fetch_papers(*site.at, ids, NIGHT) == 1
    papers = site.papers()
    assert list(papers) == ["2503.00031"]
    assert papers["2503.00031"].listed_on == ("2025-03-10",)
    assert papers["2503.00031"].repo is not None
    with pytest.raises(BadInput):
        listings.fetch_papers(*site.at, ["x"], NIGHT)


def test_everything_is_rebuilt_from_raw(site) -> None:
    site.fetch("2025-W10")
    site.fetch("trending")
    listings.fetch_papers(*site.at, ["2503.00031"], NIGHT)
    before = site.papers(), site.ledger()
    with site.rebuilt() as again:
        assert (again.papers(), again.ledger()) == before
