"""Ten nights without a source end, after one good night, in the records of nights without outage.

The world of this test moves on by the day: listings grow, repositories and versions arrive late,
papers are replaced and one is withdrawn, arXiv has weekends and a holiday, and the clocks of New
York change (8 March 2026).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from data.sample.replay import Fault, Replay, Source
from flows import arxiv_steps, nightly, steps
from ingest import calendar
from ingest.calendar import is_expected_empty, previous_announcement_day
from tests.home import environment, exported

FIRST = date(2026, 2, 24)
NIGHTS = [str(FIRST + timedelta(days=n)) for n in range(13)]
OUTAGE = range(2, 12)
SOME = (2, 6, 11, 12)
"""Nights enough to see an outage begin, go on over a weekend, and end."""

HOLIDAY = "2026-03-03"
"""An evening without a mailing: no year has one of arXiv's own so near to a change of clocks."""
CATEGORY = "cs.CL"
Outage = dict[Source, Fault]
OUTAGES: dict[str, Outage] = {
    "huggingface": {"huggingface_api": Fault.status(429), "huggingface_listing": Fault.html},
    "arxiv_api": {"arxiv_api": Fault.status(429)},
    "announcements": {"arxiv_catchup": Fault.status(503), "arxiv_new": Fault.status(503)},
    "oai": {"oai": Fault.status(503)},
    "feeds": {"arxiv_feed": Fault.status(429)},
    "github": {"github": Fault.status(503)},
}
OUTAGES["everything"] = {name: fault for one in OUTAGES.values() for name, fault in one.items()}
LIES: dict[str, Outage] = {
    "nothing": dict.fromkeys(("huggingface_api", "arxiv_catchup", "oai"), Fault.empty),
    "what was said the day before": {"huggingface_api": Fault.late},
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """The home after the good nights that every run of this test begins with."""
    folder = tmp_path_factory.mktemp("begun")
    nights(folder, {}, range(OUTAGE.start))
    return folder / "home"


@pytest.fixture(scope="module")
def undisturbed(begun, tmp_path_factory) -> list[dict[str, Any]]:
    return nights(copied(begun, tmp_path_factory.mktemp("undisturbed")), {})


@pytest.mark.parametrize("source", OUTAGES)
def test_a_ten_night_outage_leaves_no_trace(source, tmp_path, begun, undisturbed) -> None:
    assert nights(copied(begun, tmp_path), OUTAGES[source], SOME) == undisturbed


def test_nights_that_were_not_run_at_all_leave_no_trace(tmp_path, begun, undisturbed) -> None:
    assert nights(copied(begun, tmp_path), {}, SOME[-1:]) == undisturbed


@pytest.mark.parametrize("said", LIES)
def test_ten_nights_of_wrong_answers_leave_no_trace(said, tmp_path, begun, undisturbed) -> None:
    assert nights(copied(begun, tmp_path), LIES[said], SOME) == undisturbed


def test_the_world_of_this_test_is_eventful(undisturbed) -> None:
    assert any(paper["withdrawn"] for paper in undisturbed)
    assert any(paper["version"] == 3 for paper in undisturbed)
    assert sum(bool(paper["repos"]) for paper in undisturbed) > 15
    assert len([p for p in undisturbed if not p["listed_on"]]) > 5, "papers announced, not listed"


def copied(home: Path, folder: Path) -> Path:
    shutil.copytree(home, folder / "home")
    return folder


def nights(
    folder: Path, down: Outage, run: Iterable[int] = range(OUTAGE.start, len(NIGHTS))
) -> list[Any]:
    """The records after the nights that are `run`, sources being `down` in the middle of them."""
    wire, home = folder / "wire", folder / "home"
    with Replay(wire) as replay, pytest.MonkeyPatch.context() as patch:
        without_prefect(patch)
        free = calendar.EVENINGS_WITHOUT_MAILING | {HOLIDAY}
        patch.setattr(calendar, "EVENINGS_WITHOUT_MAILING", free)
        for name, value in environment(replay, home).items():
            patch.setenv(name, value)
        patch.setenv("PAPERFEED_CATEGORIES", CATEGORY)
        for n in run:
            write_world(wire, NIGHTS[n])
            replay.github.used = 0  # another hour
            for source, fault in down.items() if n in OUTAGE else ():
                replay.misbehave(source, fault)
            nightly.nightly.fn(home=home, date=NIGHTS[n])
            replay.behave()
    records = map(json.loads, exported(home, folder / "export").splitlines())
    return [without_run_times(record) for record in records]


def without_run_times(record: dict[str, Any]) -> dict[str, Any]:
    for repo in record["repos"]:
        repo["verified"] = None
    return record


def without_prefect(patch: pytest.MonkeyPatch) -> None:
    """The night without its decorators, and without embedding."""
    for name in ("record", "follow", "enrich", "verify_links", "search_titles"):
        patch.setattr(nightly, name, getattr(nightly, name).fn)
    patch.setattr(nightly, "publish", lambda home: None)
    patch.setattr(nightly, "fetch_day", fetched)
    patch.setattr(nightly, "create_table_artifact", lambda *args, **more: None)
    patch.setattr("ingest.http.Client._wait", lambda client, seconds, url: None)
    cheaply(patch)


def cheaply(patch: pytest.MonkeyPatch) -> None:
    """What costs time and is no part of the matter: power cuts, and statements compiled anew."""
    engines, create = dict[str, sa.Engine](), sa.create_engine

    def shared(url: str, **more: Any) -> sa.Engine:
        if url not in engines:
            engines[url] = create(url, **more)
        return engines[url]

    patch.setattr("ingest.catalogue.sa.create_engine", shared)
    patch.setattr("ingest.raw.os.fsync", lambda file: None)


def fetched(home: Path, day: str, night: str, return_state: bool) -> Any:
    class State:
        def result(self, raise_on_failure: bool) -> Any:
            return value

    try:
        value: Any = steps.fetch_day(home, day, night)
    except nightly.SourceError as error:
        value = error
    return State()


# The world, as it stands on a night.


def write_world(wire: Path, night: str) -> None:
    days = [str(FIRST + timedelta(days=n)) for n in range(-3, 13)]
    days = [day for day in days if day <= night and date.fromisoformat(day).weekday() < 5]
    papers = [paper(day, number, night) for day in days for number in range(4)]
    write(wire / "arxiv" / "feed.xml", feed(papers))
    oai = "\n".join(json.dumps(oai_record(p)) for p in papers)
    write(wire / "oai" / "records.jsonl", oai)
    write(wire / "github" / "repos.json", json.dumps({p["repo"]: repo(p) for p in papers}))
    for day in days:
        ours = [p for p in papers if p["day"] == day]
        listed = [daily_entry(p, night) for p in ours if p["number"] < 3]
        write(wire / "huggingface" / f"{day}.json", json.dumps(listed))
        if not is_expected_empty(day):
            entries = [announced(p) for p in ours] + [replaced(p) for p in papers if new_on(p, day)]
            write(wire / "announcements" / CATEGORY / f"{day}.json", json.dumps(entries))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf8")


def paper(day: str, number: int, night: str) -> dict[str, Any]:
    """A paper of `day` as it is on `night`: number 1 gets versions, number 2 is withdrawn."""
    age = (date.fromisoformat(night) - date.fromisoformat(day)).days
    versions = [(1, day)]
    if number == 1:
        versions += [(v, later(day, 2 * v)) for v in (2, 3) if age >= 2 * v]
    withdrawn = number == 2 and age >= 5 and day.endswith("6")
    if withdrawn:
        versions.append((2, later(day, 5)))
    return {
        "id": f"{day[2:4]}{day[5:7]}.{int(day[8:]):03d}{number:02d}",
        "number": number,
        "day": day,
        "age": age,
        "versions": versions,
        "withdrawn": withdrawn,
        "title": f"On subject {number} of {day}, version {versions[-1][0]}",
        "abstract": f"What was found on {day} about subject {number}.",
        "repo": f"owner-{number}/repo-{day}",
    }


def later(day: str, days: int) -> str:
    return str(date.fromisoformat(day) + timedelta(days=days))


def comment(p: dict[str, Any]) -> str | None:
    return "This paper has been withdrawn by the authors" if p["withdrawn"] else None


def daily_entry(p: dict[str, Any], night: str) -> dict[str, Any]:
    inner = {
        "id": p["id"],
        "title": p["title"],
        "summary": p["abstract"],
        "authors": [{"name": "Ada One"}],
        "upvotes": min(p["age"], 6),
        "publishedAt": f"{p['day']}T10:00:00.000Z",
    }
    if p["age"] >= 3:
        inner["githubRepo"] = f"https://github.com/{p['repo']}"
    return {"paper": inner, "title": p["title"], "publishedAt": f"{p['day']}T05:00:00.000Z"}


def announced(p: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": p["id"],
        "version": 1,
        "type": "new",
        "title": p["title"],
        "authors": ["Ada One"],
        "comments": comment(p),
        "categories": [CATEGORY],
        "abstract": p["abstract"],
    }


def replaced(p: dict[str, Any]) -> dict[str, Any]:
    return {**announced(p), "version": p["versions"][-1][0], "type": "replace"}


def new_on(p: dict[str, Any], day: str) -> bool:
    """Whether the listing of `day` tells of a new version: one since the listing before."""
    before = previous_announcement_day(day)
    return any(before < since <= day for version, since in p["versions"] if version > 1)


def oai_record(p: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": p["id"],
        "versions": [{"version": f"v{v}", "date": f"{day}T10:00:00Z"} for v, day in p["versions"]],
        "title": p["title"],
        "authors": ["Ada One"],
        "categories": [CATEGORY],
        "abstract": p["abstract"],
        "comments": comment(p),
        "datestamp": p["versions"][-1][1],
        "set": "cs:cs:CL",
    }


def repo(p: dict[str, Any]) -> dict[str, Any]:
    return {"full_name": p["repo"], "stargazers_count": 1, "archived": False, "license": None}


def feed(papers: list[dict[str, Any]]) -> str:
    entries = "".join(map(atom_entry, papers))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom">'
        f"<id>made-up</id><title>made-up</title>{entries}</feed>"
    )


def atom_entry(p: dict[str, Any]) -> str:
    version, day = p["versions"][-1]
    said = comment(p)
    return (
        f"<entry><id>http://arxiv.org/abs/{p['id']}v{version}</id><title>{p['title']}</title>"
        f"<updated>{day}T10:00:00Z</updated><published>{p['day']}T10:00:00Z</published>"
        f"<summary>{p['abstract']}</summary><author><name>Ada One</name></author>"
        f'<link href="http://arxiv.org/abs/{p["id"]}v{version}" rel="alternate" type="text/html"/>'
        f'<category term="{CATEGORY}"/><arxiv:primary_category term="{CATEGORY}"/>'
        + (f"<arxiv:comment>{said}</arxiv:comment>" if said else "")
        + "</entry>"
    )


def test_categories_are_checked(monkeypatch) -> None:
    monkeypatch.setenv("PAPERFEED_CATEGORIES", " cs.LG, cs.CL,,cs.LG ")
    assert arxiv_steps.categories() == ["cs.CL", "cs.LG"]
    monkeypatch.setenv("PAPERFEED_CATEGORIES", "cs.CL/../x")
    with pytest.raises(steps.BadInput, match="names 'cs"):
        arxiv_steps.categories()


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("cs.LG", "cs:cs:LG"),
        ("stat.ML", "stat:stat:ML"),
        ("hep-lat", "physics:hep-lat"),
        ("physics.optics", "physics:physics:optics"),
        ("astro-ph.CO", "physics:astro-ph:CO"),
    ],
)
def test_a_category_is_named_as_oai_names_it(category, name) -> None:
    assert arxiv_steps.oai_set(category) == name
