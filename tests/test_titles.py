"""Titles of saved listings: resolved by the catalogue, by a page's own ids, or kept."""

from __future__ import annotations

import pytest

from ingest import titles
from ingest.catalogue import add_observations, open_catalogue, paper
from ingest.paper import Observation
from ingest.sources.saved_listing import Entry, Listing

SEEN = "2025-03-03T05:00:00.000000Z"
LISTING = Listing(
    (
        Entry("Drawing HANDS: a Study", "We draw.", 4),
        Entry("With an Id", None, arxiv_id="2503.00009"),
        Entry("Nobody Knows “me”", "We hide.", day="2025-01-02"),
    )
)


@pytest.fixture
def db(tmp_path):
    with open_catalogue(tmp_path / "catalogue.sqlite").begin() as connection:
        yield connection


def test_a_title_is_resolved_by_the_paper_that_bears_it_however_it_is_written(db) -> None:
    titles.keep_entries(db, LISTING, SEEN)
    assert [t.title for t in titles.unresolved(db)] == [
        "Drawing HANDS: a Study",
        "Nobody Knows “me”",
    ]
    arxiv = Observation("arxiv_api", "2503.00001", SEEN, version=1, title="drawing hands — A study")
    add_observations(db, [arxiv])
    assert titles.resolve_titles(db) == 1
    assert [t.title for t in titles.unresolved(db)] == ["Nobody Knows “me”"]
    resolved = paper(db, "2503.00001")
    assert (resolved.title, resolved.abstract) == ("drawing hands — A study", "We draw.")
    assert resolved.sources["abstract"] == "saved_listing"


def test_an_entry_with_its_id_is_a_paper_at_once(db) -> None:
    titles.keep_entries(db, LISTING, SEEN)
    assert paper(db, "2503.00009").title == "With an Id"


def test_importing_again_changes_nothing(db) -> None:
    titles.keep_entries(db, LISTING, SEEN)
    before = titles.all_titles(db)
    titles.keep_entries(db, LISTING, "2025-03-04T05:00:00.000000Z")
    assert titles.all_titles(db) == before


def test_a_later_listing_without_abstract_keeps_the_earlier_abstract(db) -> None:
    titles.keep_entries(db, LISTING, SEEN)
    titles.keep_entries(db, Listing((Entry("Drawing HANDS: a Study"),)), SEEN)
    add_observations(
        db, [Observation("arxiv_api", "2503.00001", SEEN, title="Drawing hands a study")]
    )
    titles.resolve_titles(db)
    assert paper(db, "2503.00001").abstract == "We draw."


def test_a_title_without_a_letter_is_kept_and_never_asked_for(db) -> None:
    titles.keep_entries(db, Listing((Entry("???"),)), SEEN)
    assert [t.title for t in titles.unresolved(db)] == ["???"]
    assert titles.titles_to_ask(db) == []


def test_arxiv_is_asked_for_a_title_once_an_import(db) -> None:
    titles.keep_entries(db, LISTING, SEEN)
    assert len(titles.titles_to_ask(db)) == 2
    titles.wanted_titles(db, "Drawing HANDS: a Study", "2025-03-03")
    assert titles.titles_to_ask(db) == ["Nobody Knows “me”"]
    titles.keep_entries(db, LISTING, "2025-03-04T05:00:00.000000Z")
    assert len(titles.titles_to_ask(db)) == 2
