"""Verification against the replay: whom to ask, when again, and what reaches the record."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data.sample.replay import Fault
from ingest import catalogue
from ingest.catalogue import add_observations, repositories
from ingest.merge import confirm, merge
from ingest.paper import Confirmation, Observation, Paper, Repo
from ingest.raw import Raw
from ingest.record import record_landed, retry_quarantined
from ingest.sources.github import Verdict
from ingest.verify import Standing, Verification, after, due, verify
from tests.site import Site
from tests.test_http import Scripted, answer

TOKEN = "ghp_" + "s3cr3t" * 6
NIGHT = "2025-03-03"
ID = "2503.00001"
HF = Observation("huggingface", ID, f"{NIGHT}T05:00:00.000000Z", listed_on=NIGHT, title="A title")


def night(number: int) -> str:
    """The night so many nights after the first."""
    return str(date.fromisoformat(NIGHT) + timedelta(days=number))


def listed(number: int, name: str, day: str = NIGHT, **more: object) -> Observation:
    paper = replace(HF, arxiv_id=f"2503.{number:05}", listed_on=day, title=f"Title {number}")
    return replace(paper, github=f"https://github.com/{name}", **more)


class GitHubSite(Site):
    """One home, its papers as given, and GitHub as `repos` describes it."""

    def repos(self, **wire: dict) -> None:
        """Repositories by the name `owner__name`."""
        said = {name.replace("__", "/"): entry for name, entry in wire.items()}
        self.write("github/repos.json", json.dumps(said))

    def papers_are(self, *seen: Observation) -> None:
        with self.engine.begin() as db:
            add_observations(db, seen)

    def night(self, number: int = 0, **options: object) -> Verification:
        self.replay.github.today = night(number)
        done = verify(*self.at, self.engine, night(number), **options)
        record_landed(self.engine, self.archive)
        return done

    def due(self, number: int = 0) -> list[str]:
        with self.engine.connect() as db:
            return [repository.name for repository in due(db, night(number))]

    def paper(self, arxiv_id: str = ID) -> Paper:
        return self.papers()[arxiv_id]

    def row(self, name: str):
        with self.engine.connect() as db:
            return db.execute(sa.select(repositories).where(repositories.c.name == name)).one()

    def label(self, number: int = 0) -> str | None:
        return self.labels("github").get(night(number))

    def asked(self) -> list[str]:
        """What GitHub was asked since the last call of this."""
        paths = [r.path.removeprefix("/github") for r in self.replay.requests]
        self.replay.requests.clear()
        return paths


@pytest.fixture
def site(tmp_path: Path):
    with GitHubSite.opened(tmp_path / "home", tmp_path / "wire") as site:
        yield site


FULL = {
    "full_name": "Ada/Hands",
    "stargazers_count": 12,
    "archived": True,
    "pushed_at": "2025-03-01T10:00:00Z",
    "license": {"spdx_id": "MIT"},
}


# what reaches the record ------------------------------------------------------------------


def test_a_repository_that_is_there_is_verified_in_every_place(site) -> None:
    site.repos(Ada__Hands=FULL)
    site.papers_are(listed(1, "ada/hands"), listed(2, "x/y", comment="see github.com/Ada/Hands"))
    assert site.night() == Verification(found=1, missing=1)
    seen = {"verified": NIGHT, "stars": 12, "archived": True}
    assert site.paper().repos == (Repo("ada/hands", "huggingface", own=True, **seen),)
    assert site.paper("2503.00002").repos == (
        Repo("x/y", "huggingface", own=True),
        Repo("Ada/Hands", "comment", own=True, **seen),
    )
    row = site.row("ada/hands")
    assert (row.state, row.full_name, row.license) == ("found", "Ada/Hands", "MIT")
    assert (row.pushed_at, row.next_night) == ("2025-03-01T10:00:00Z", night(30))
    assert site.label() == "ok(2)"


def test_a_moved_repository_has_its_new_name_in_the_old_place(site) -> None:
    site.repos(Lab__Hands={**FULL, "full_name": "Lab/Hands"}, ada__hands={"moved_to": "Lab/Hands"})
    site.papers_are(listed(1, "Ada/Hands", comment="Code: https://github.com/lab/hands"))
    assert site.night() == Verification(found=1, moved=1)
    assert [(r.name, r.found_in, r.verified) for r in site.paper().repos] == [
        ("Lab/Hands", "huggingface", NIGHT),
        ("Lab/Hands", "comment", NIGHT),
    ]
    assert site.paper().repos[0].url == "https://github.com/Lab/Hands"
    site.papers_are(replace(listed(1, "Ada/Hands"), seen_at="2025-03-04T05:00:00.000000Z"))
    assert site.paper().repos[0].name == "Lab/Hands", "merged again, it keeps what GitHub said"


def test_a_record_with_a_verdict_survives_json(site) -> None:
    site.repos(Ada__Hands=FULL)
    site.papers_are(listed(1, "ada/hands"))
    site.night()
    record = json.loads(json.dumps(site.paper().to_record()))
    assert record["repos"] == [
        {
            "name": "ada/hands",
            "found_in": "huggingface",
            "own": True,
            "repaired": False,
            "verified": NIGHT,
            "stars": 12,
            "archived": True,
            "url": "https://github.com/ada/hands",
        }
    ]
    assert Paper.from_record(record) == site.paper()


def test_a_paper_that_comes_later_is_told_what_is_known(site) -> None:
    site.repos(Ada__Hands=FULL)
    site.papers_are(listed(1, "ada/hands"))
    site.night()
    site.papers_are(listed(2, "Ada/Hands"))
    assert site.paper("2503.00002").repo.verified == NIGHT
    assert site.due(1) == []


def test_one_that_disappears_is_no_longer_verified_and_its_link_stays(site) -> None:
    site.repos(ada__hands={"moved_to": "lab/hands"}, lab__hands={"stargazers_count": 5})
    site.papers_are(listed(1, "ada/hands"))
    site.night()
    assert site.paper().repo == Repo("lab/hands", "huggingface", own=True, verified=NIGHT, stars=5)
    site.repos()
    assert site.night(30) == Verification(missing=1)
    assert site.paper().repo == Repo("ada/hands", "huggingface", own=True)


# whom to ask, and when --------------------------------------------------------------------


def test_the_newest_listed_are_asked_first_and_mentions_never(site) -> None:
    printed = Observation("arxiv_api", "2503.00009", f"{NIGHT}T05:00:00.000000Z", version=1)
    site.papers_are(
        listed(1, "old/one", "2025-03-01"),
        listed(2, "fresh/two", "2025-03-03"),
        listed(3, "mid/three", "2025-03-02"),
        replace(printed, comment="https://github.com/never/listed"),
        replace(printed, arxiv_id="2503.00008", abstract="Built on github.com/py/torch, it runs."),
    )
    assert site.due() == ["fresh/two", "mid/three", "old/one", "never/listed"]


def test_one_repository_is_asked_for_once_however_it_is_spelled(site) -> None:
    site.papers_are(listed(1, "Ada/Hands"), listed(2, "ada/HANDS"), listed(3, "ada/hands"))
    site.night()
    assert site.asked() == ["/repos/Ada/Hands"]


def test_a_missing_one_is_asked_for_after_growing_intervals_until_it_opens(site) -> None:
    site.repos(a__late={"public_from": night(70)})
    site.papers_are(listed(1, "a/late"))
    nights = [n for n in range(130) if site.night(n) != Verification()]
    assert nights == [0, 1, 3, 7, 15, 31, 63, 95, 125]
    assert site.row("a/late").misses == 0
    assert site.paper().repo.verified == night(125)


def test_new_ones_come_before_missing_ones_and_those_before_confirmed_ones(site) -> None:
    site.repos(a__confirmed={}, b__confirmed={})
    site.papers_are(listed(1, "a/confirmed"))
    site.night(0)
    site.papers_are(listed(2, "b/confirmed"))
    site.night(1)
    site.papers_are(listed(3, "c/missing"))
    site.night(2)
    site.papers_are(listed(4, "d/new"))
    assert site.due(40) == ["d/new", "c/missing", "a/confirmed", "b/confirmed"]
    assert site.due(30) == ["d/new", "c/missing", "a/confirmed"]


def test_304_confirms_and_costs_github_nothing(site) -> None:
    site.repos(Ada__Hands=FULL)
    site.papers_are(listed(1, "ada/hands"))
    site.night()
    before, used = site.row("ada/hands"), site.replay.github.used
    assert site.night(30) == Verification(unchanged=1)
    assert site.replay.github.used == used
    assert site.row("ada/hands") == (
        *before[:8],
        night(30),  # verified
        0,
        night(30),
        night(60),
    )
    assert site.paper().repo == Repo(
        "ada/hands", "huggingface", own=True, verified=night(30), stars=12, archived=True
    )


def test_what_changed_since_is_told_anew(site) -> None:
    site.repos(Ada__Hands=FULL)
    site.papers_are(listed(1, "ada/hands"))
    site.night()
    site.repos(Ada__Hands={**FULL, "stargazers_count": 99})
    assert site.night(30) == Verification(found=1)
    assert site.paper().repo.stars == 99


# the budget -------------------------------------------------------------------------------


def test_the_rest_of_a_nights_budget_waits_for_the_next(site) -> None:
    site.repos(**{f"a__r{n}": {} for n in range(5)})
    site.papers_are(*(listed(n, f"a/r{n}") for n in range(5)))
    done = []
    assert site.night(0, budget=2, progress=done.append) == Verification(found=2, left=3)
    assert done == [1, 1]
    assert len(site.asked()) == 2
    assert site.night(0, budget=2) == Verification(left=3), "the budget is the night's"
    assert site.asked() == []
    assert site.night(1, budget=2) == Verification(found=2, left=1)
    assert site.night(2, budget=2) == Verification(found=1)
    assert site.night(3) == Verification()
    assert site.label(3) is None


def test_a_move_costs_two_of_the_budget(site) -> None:
    names = {f"a__old{n}": {"moved_to": "a/new"} for n in range(3)}
    site.repos(a__new={}, **names)
    site.papers_are(*(listed(n, f"a/old{n}") for n in range(3)))
    assert site.night(0, budget=4) == Verification(moved=2, left=1)
    assert len(site.asked()) == 4


def test_the_usual_budget_stays_below_githubs_limit(site) -> None:
    site.papers_are(*(listed(n, f"a/r{n}") for n in range(120)))
    assert site.night() == Verification(missing=50, left=70)
    assert site.night(token=f" {TOKEN}\n") == Verification(missing=70)
    assert site.replay.github.used == 120


@pytest.mark.parametrize("limit", [1, 2])
def test_a_used_up_limit_leaves_the_rest_for_the_next_night(site, limit) -> None:
    site.repos(a__r0={}, a__r1={}, a__r2={})
    site.papers_are(*(listed(n, f"a/r{n}") for n in range(3)))
    site.replay.github.limit = limit
    done = site.night()
    assert (done.found, done.left) == (limit, 3 - limit)
    assert done.failure.startswith("GitHub's limit is used up until ")
    assert len(site.asked()) == limit, "the last answer told that nothing is left"
    assert site.label() == f"partial({done.failure})"
    assert site.night(1).found == 0
    assert len(site.asked()) == 1
    site.replay.github.limit = None
    assert site.night(2) == Verification(found=3 - limit)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.status(429, "3600"), "asks for 3600 s"),
        (Fault.status(429), "asks for silence"),
        (Fault.status(403, "60"), "asks for 60 s"),
    ],
)
def test_a_push_back_ends_the_night_at_once_and_blames_no_repository(site, fault, words) -> None:
    site.repos(a__r0={}, a__r1={})
    site.papers_are(listed(0, "a/r0"), listed(1, "a/r1"))
    site.replay.misbehave("github", fault)
    done = site.night()
    assert words in done.failure
    assert (done.asked, done.left, len(site.asked())) == (0, 2, 1)
    assert site.label() == f"failed({done.failure})"
    site.replay.behave()
    assert site.night() == Verification(found=2)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(500),
        Fault.status(503),
        Fault.status(401),
        Fault.status(403),
        Fault.status(422),
        Fault.cut_off,
        Fault.wrong_page,
        Fault.html,
        Fault.half_json,
        Fault.empty,
    ],
)
def test_no_bad_night_of_github_is_raised_or_costs_a_repository_its_turn(site, fault) -> None:
    site.repos(a__r0=FULL, a__r1=FULL)
    site.papers_are(listed(0, "a/r0"), listed(1, "a/r1"))
    site.replay.misbehave("github", fault)
    for number in range(10):
        done = site.night(number)
        assert (done.asked, done.left) == (0, 2)
        assert done.failure
    site.replay.behave()
    assert site.night(10) == Verification(moved=2)
    assert [site.row(f"a/r{n}").misses for n in (0, 1)] == [0, 0]


def test_one_bad_repository_does_not_keep_the_others_from_being_asked(site) -> None:
    site.repos(a__bad={"full_name": 7}, **{f"a__r{n}": {} for n in range(4)})
    site.papers_are(*(listed(n, f"a/r{n}") for n in range(4)), listed(9, "a/bad", "2025-03-04"))
    assert site.night() == replace_failure(site, Verification(left=5))
    assert site.night(1) == replace_failure(site, Verification(found=4, left=1))
    assert site.row("a/bad").state == "unknown"
    with site.engine.connect() as db:
        assert catalogue.count(db, catalogue.quarantine) == 2  # once a night


def replace_failure(site: Site, expected: Verification) -> Verification:
    return expected._replace(failure="a repository without full_name")


def test_nobody_there_is_a_bad_night_too(site) -> None:
    site.papers_are(listed(1, "a/b"))
    nobody = dataclasses.replace(site.upstreams, github_api="http://127.0.0.1:1")
    done = verify(site.client, nobody, site.archive, site.engine, NIGHT)
    assert "cannot be reached" in done.failure


# raw, replay, the token -------------------------------------------------------------------


def test_raw_alone_rebuilds_what_github_said(site) -> None:
    site.repos(Ada__Hands=FULL, a__old={"moved_to": "Ada/Hands"}, a__bad={"full_name": 7})
    day = [{"paper": {"id": ID, "title": "A title", "githubRepo": "https://github.com/a/old"}}]
    landed = Raw(
        "huggingface_api", NIGHT, "", f"{NIGHT}T00:00:00.000000Z", json.dumps(day).encode()
    )
    site.archive.land(landed)
    record_landed(site.engine, site.archive)
    site.night()
    site.replay.misbehave("github", Fault.status(500))
    site.night(30)
    site.replay.behave()
    assert site.night(31) == Verification(unchanged=1)
    with site.rebuilt() as again:
        for table in catalogue.tables.sorted_tables:
            assert site.rows(table) == again.rows(table), table.name
        (paper,) = again.papers().values()
    assert (paper.repo.name, paper.repo.verified) == ("Ada/Hands", night(31))


def test_an_old_answer_read_at_last_does_not_undo_a_newer_one(site) -> None:
    site.repos(a__b={"full_name": 7})
    site.papers_are(listed(1, "a/b"))
    site.night()
    site.repos(a__b=FULL)
    site.night(1)
    row = site.row("a/b")
    retry_quarantined(site.engine, site.archive)
    assert site.row("a/b") == row


def test_the_token_is_sent_and_nowhere_kept(site, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    site.papers_are(*(listed(n, f"a/r{n}") for n in range(4)))
    script = (
        answer(200, json.dumps({"full_name": "a/r3"}).encode(), ETag='W/"x"'),
        answer(301, Location="/repositories/7"),
        answer(404),
        answer(500),
    )
    with Scripted(*script) as server:
        upstreams = dataclasses.replace(site.upstreams, github_api=server.url)
        done = verify(site.client, upstreams, site.archive, site.engine, NIGHT, token=TOKEN)
    record_landed(site.engine, site.archive)
    assert (done.found, done.missing, done.left) == (1, 1, 2)
    assert all(f"Authorization: Bearer {TOKEN}" in asked for asked in server.asked)
    told = [caplog.text, repr(done)]
    told += [repr(site.archive.read(name)) for name in site.archive.names()]
    told += [(site.home / "catalogue.sqlite").read_bytes().decode("latin-1")]
    told += [(site.home / "catalogue.sqlite-wal").read_bytes().decode("latin-1")]
    assert len(told) == 8  # log, counts, four answers less one not given, the note, two files
    for text in told:
        assert TOKEN not in text


# pure parts -------------------------------------------------------------------------------

FOUND = Verdict("found", "a/b", 3, False)
verdicts = st.sampled_from([FOUND, Verdict("moved", "c/d"), Verdict("missing"), None])


@given(st.lists(verdicts, min_size=1, max_size=12))
def test_a_repository_is_always_asked_again_and_never_too_late(answers) -> None:
    standing, tonight = Standing("a/b"), NIGHT
    for verdict in answers:
        standing = after(standing, verdict, '"e"', tonight)
        wait = (date.fromisoformat(standing.next_night) - date.fromisoformat(tonight)).days
        assert 1 <= wait <= 32
        assert standing.checked_on == tonight
        if verdict is not None:
            there = verdict.state != "missing"
            assert standing.state == verdict.state
            assert standing.verified == (tonight if there else None)
            assert standing.etag == ('"e"' if there else None)
            assert (standing.misses == 0) == there
        tonight = standing.next_night


def test_what_says_nothing_changes_nothing_but_the_next_night() -> None:
    known = after(Standing("a/b"), FOUND, '"e"', NIGHT)
    silent = after(known, None, None, night(30))
    assert silent == known._replace(checked_on=night(30), next_night=night(31))


names = st.sampled_from(["a/b", "A/B", "c/d", "e/f"])
said = st.dictionaries(
    st.sampled_from(["a/b", "c/d", "e/f"]),
    st.builds(Confirmation, names, st.just(NIGHT), st.none() | st.integers(0, 9)),
)


@given(st.lists(names, max_size=4), names, said)
def test_confirming_keeps_every_link_in_its_place_and_one_spelling(mentioned, main, said) -> None:
    text = " ".join(f"Code: https://github.com/{name} ." for name in mentioned)
    paper = merge(ID, [replace(HF, github=f"https://github.com/{main}", comment=text)])
    told = confirm(paper, said)
    places = [(r.found_in, r.own, r.repaired) for r in paper.repos]
    assert [(r.found_in, r.own, r.repaired) for r in told.repos] == places
    for before, link in zip(paper.repos, told.repos, strict=True):
        known = said.get(before.name.casefold())
        assert link.verified == (NIGHT if known else None)
        name = known.full_name if known else before.name
        assert link.name.casefold() == name.casefold()
    assert len({r.name for r in told.repos}) == len({r.name.casefold() for r in told.repos})
    assert confirm(paper, {}) == paper
