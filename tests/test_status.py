"""What `paperfeed status` calls fresh, source by source."""

from __future__ import annotations

import pytest

from ingest.ledger import Partition, State
from serve.status import Standing, standings, status_lines

TODAY = "2026-03-03"  # a Tuesday


def standing(rows: list[tuple[str, str, State]], source: str, followed: str = "") -> Standing:
    known = [
        Partition(name, day, state, 0 if state is State.EMPTY_SUSPECT else 3, "timed out")
        for name, day, state in rows
    ]
    return next(s for s in standings(known, TODAY, {followed}) if s.source == source)


OK, FAILED, EMPTY = State.OK, State.FAILED, State.EMPTY_EXPECTED
SUSPECT, PARTIAL = State.EMPTY_SUSPECT, State.PARTIAL


def test_a_small_day_is_open_and_no_alarm() -> None:
    small = Partition("huggingface", "2026-03-02", SUSPECT, 4, "4 entries where 20 are usual")
    (found,) = standings([small], TODAY)
    assert (found.stale, found.last_good) == (None, "2026-03-02")
    assert found.open == {"2026-03-02": "empty-suspect(4 entries where 20 are usual)"}


@pytest.mark.parametrize(
    ("rows", "stale"),
    [
        ([], "2026-03-02 was due, the last good one is none"),
        ([("2026-03-02", OK)], None),
        ([("2026-03-02", OK), ("2026-03-03", FAILED)], None),  # today's is due tomorrow
        ([("2026-03-01", EMPTY)], "2026-03-02 was due, the last good one is 2026-03-01"),
        ([("2026-03-02", EMPTY)], None),
        (
            [("2026-02-20", FAILED), ("2026-02-23", PARTIAL), ("2026-03-03", OK)],
            "2026-02-20 is open: failed(timed out), and 1 more",
        ),
        (
            [("2026-03-02", SUSPECT), ("2026-03-03", OK)],
            "2026-03-02 is open: empty-suspect(timed out)",
        ),
    ],
)
def test_daily_papers_are_fresh_when_every_day_until_yesterday_is_whole(rows, stale) -> None:
    found = standing([("huggingface", *row) for row in rows], "huggingface")
    assert found.stale == stale


@pytest.mark.parametrize(
    ("last", "stale"),
    [
        ("2026-03-03", None),
        ("2026-03-02", None),  # tonight's run has not been yet
        ("2026-02-27", "2026-03-02 was due, the last good one is 2026-02-27"),
    ],
)
def test_a_followed_category_is_due_by_the_announcement_before(last, stale) -> None:
    rows = [("arxiv_catchup/cs.CL", last, OK)]
    assert standing(rows, "arxiv_catchup/cs.CL", "cs.CL").stale == stale
    assert standing(rows, "arxiv_catchup/cs.CL").stale is None  # not followed any more


@pytest.mark.parametrize("source", ["arxiv_api", "oai/cs:cs:CL", "github"])
def test_a_service_may_be_silent_for_some_nights_and_not_for_more(source) -> None:
    good = (source, "2026-02-26", OK)
    assert standing([good, (source, "2026-03-01", FAILED)], source).stale is None
    late = standing([good, (source, "2026-02-28", FAILED), (source, "2026-03-03", FAILED)], source)
    assert late.stale == "2026-02-28 is open: failed(timed out)"
    assert late.open == {"2026-02-28": "failed(timed out)", "2026-03-03": "failed(timed out)"}
    answered = standing([(source, "2026-02-27", FAILED), (source, "2026-03-02", OK)], source)
    assert (answered.stale, answered.open, answered.days_behind) == (None, {}, 1)


def test_a_feed_is_a_hint_and_never_stale() -> None:
    found = standing([("arxiv_feed/cs.CL", "2026-02-02", FAILED)], "arxiv_feed/cs.CL", "cs.CL")
    assert (found.stale, found.last_good) == (None, None)


def test_people_read_the_verdict_first() -> None:
    report = {
        "day": TODAY,
        "stale": ["huggingface: 2026-03-02 is open: failed(timed out)"],
        "sources": [
            {
                "source": "huggingface",
                "last_good": "2026-03-01",
                "days_behind": 2,
                "open": {"2026-03-02": "failed(timed out)"},
            }
        ],
        "papers": 5,
        "pending": 2,
        "titles_unresolved": ["Hands"],
        "quarantined": {"oai": 3},
        "snapshot": None,
    }
    assert list(status_lines(report)) == [
        "STALE on 2026-03-03",
        "  huggingface: 2026-03-02 is open: failed(timed out)",
        "huggingface           last good 2026-03-01, 2 days ago",
        "  open  2026-03-02  failed(timed out)",
        "papers                5, 2 wait for arXiv's metadata",
        "titles unresolved     1",
        "  Hands",
        "quarantine            3",
        "  oai  3",
        "snapshot              none",
    ]
