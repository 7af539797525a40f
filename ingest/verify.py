"""Which repositories to ask GitHub for tonight, asking, and what its answers come to.

An answer that confirms a repository holds for thirty nights. One that is missing is asked for again
after 1, 2, 4, ... 32 nights: repositories often open later than their papers. Whatever says nothing
about a repository ends the night's verification, and that repository goes to the end of the queue.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from ingest import collect
from ingest.catalogue import links, merge_linking, repositories
from ingest.errors import RateLimited, SourceChanged, SourceError
from ingest.http import Client, Response
from ingest.paper import Parsed
from ingest.raw import Archive, Raw, moment
from ingest.sources import github
from ingest.upstreams import Upstreams

BUDGET = 50
"""Requests a night without a token: GitHub allows 60 an hour."""
BUDGET_WITH_TOKEN = 1000
"""Requests a night with one: GitHub allows 5,000 an hour."""
HOLDS_NIGHTS = 30
LONGEST_WAIT_NIGHTS = 32


class Due(NamedTuple):
    """A repository to ask for, and the mark of the answer already known."""

    name: str
    etag: str | None


class Verification(NamedTuple):
    """What a night's verification came to: answers of each kind, and why it stopped, if it did."""

    found: int = 0
    moved: int = 0
    missing: int = 0
    unchanged: int = 0
    left: int = 0
    """Repositories due tonight and not asked for."""
    failure: str | None = None

    @property
    def asked(self) -> int:
        """Answers that said something about their repository."""
        return self.found + self.moved + self.missing + self.unchanged


class Standing(NamedTuple):
    """A row of `repositories`."""

    name: str
    state: str = "unknown"
    full_name: str | None = None
    stars: int | None = None
    archived: bool | None = None
    pushed_at: str | None = None
    license: str | None = None
    etag: str | None = None
    verified: str | None = None
    misses: int = 0
    checked_on: str = ""
    next_night: str = ""


def due(db: sa.Connection, night: str) -> list[Due]:
    """Own repositories to ask for on `night`, the most wanted first.

    Those never asked for, of the most recently listed papers first; then the missing ones whose
    wait is over; then the rest, the longest unconfirmed first.
    """
    link, known = links.c, repositories.c
    rank = sa.case((known.name.is_(None), 0), (known.state == "missing", 1), else_=2)
    query = (
        sa.select(sa.func.min(link.spelled), known.etag)
        .outerjoin_from(links, repositories, link.name == known.name)
        .where(link.own, sa.or_(known.name.is_(None), known.next_night <= night))
        .group_by(link.name)
        .order_by(
            rank,
            known.next_night,
            sa.func.max(link.listed_on).desc(),
            sa.func.max(link.arxiv_id).desc(),
            link.name,
        )
    )
    return [Due(*row) for row in db.execute(query)]


def verify(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    engine: sa.Engine,
    night: str,
    *,
    budget: int | None = None,
    token: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Land GitHub's answers about the repositories due on `night`, and how it ended.

    `budget` is in requests a night; None takes the usual one. Nothing that GitHub does is raised:
    the first refusal or failure ends it, and the rest is left for the next night.
    """
    token = (token or "").strip() or None
    usual = BUDGET_WITH_TOKEN if token else BUDGET
    with engine.connect() as db:
        wanted = due(db, night)
        left_to_spend = (usual if budget is None else budget) - _asked_on(db, night)
    states: Counter[str] = Counter()
    failure = None
    for repository in wanted:
        if failure or left_to_spend <= 0:
            break
        try:
            response = _ask(client, upstreams, archive, repository, night, token)
            states[github.parse(response.body, response.status, repository.name).state] += 1
        except SourceError as error:
            failure = str(error)
            break
        left_to_spend -= 2 if _was_redirected(response) else 1
        failure = github.silence_asked(response)
        if progress:
            progress(1)
    asked = states.total()
    failure = failure if asked < len(wanted) else None
    if asked or failure:
        collect.close(archive, github.SOURCE, night, asked, failure)
    return Verification(**states, left=len(wanted) - asked, failure=failure)


def keep_answer(db: sa.Connection, raw: Raw) -> Parsed:
    """One landed answer into `repositories` and into the papers that link there.

    Raises SourceChanged for one that cannot be read; it has then been noted that it was asked for.
    """
    about = json.loads(raw.about)
    before = _standing(db, about["name"].casefold())
    overtaken = raw.partition < before.checked_on  # read again from quarantine, long after
    try:
        verdict = github.parse(raw.body, about["status"], about["name"])
        if verdict.state == "unchanged" and not before.full_name:
            raise SourceChanged("an answer of 304 about a repository that was never described")
    except SourceChanged:
        if not overtaken:
            _keep(db, after(before, None, None, raw.partition))
        if raw.body:
            raise
        return Parsed(())  # ours: the note that no answer came
    if not overtaken:
        _keep(db, after(before, verdict, about["etag"], raw.partition))
        merge_linking(db, before.name)
    return Parsed(())


def after(
    before: Standing, verdict: github.Verdict | None, etag: str | None, night: str
) -> Standing:
    """How a repository stands after an answer on `night`; None is one that says nothing of it."""
    asked = before._replace(checked_on=night)
    if verdict is None:
        state = "unknown" if before.state == "missing" else before.state
        return asked._replace(state=state, next_night=_nights_after(night, 1))
    if verdict.state == "missing":
        misses = before.misses + 1
        wait = min(1 << before.misses, LONGEST_WAIT_NIGHTS)
        gone = Standing(before.name, "missing", misses=misses, checked_on=night)
        return gone._replace(next_night=_nights_after(night, wait))
    confirmed = asked._replace(
        verified=night, misses=0, next_night=_nights_after(night, HOLDS_NIGHTS)
    )
    if verdict.state == "unchanged":
        return confirmed
    return confirmed._replace(**verdict._asdict(), etag=etag)


def _ask(
    client: Client,
    upstreams: Upstreams,
    archive: Archive,
    repository: Due,
    night: str,
    token: str | None,
) -> Response:
    """The answer, landed; a wish for silence says nothing of the repository and is raised."""
    try:
        response = github.fetch(client, upstreams, *repository, token)
    except RateLimited:
        raise
    except SourceError as error:
        _land(archive, repository, night, Response(error.url, error.status or 0, {}, b"", moment()))
        raise
    silence = github.silence_asked(response) if response.status in (403, 429) else None
    if silence:
        raise RateLimited(silence, response.url, response.status)
    _land(archive, repository, night, response)
    return response


def _land(archive: Archive, repository: Due, night: str, response: Response) -> None:
    about = {
        "name": repository.name,
        "status": response.status,
        "etag": response.headers.get("etag"),
    }
    archive.land(
        Raw(
            github.SOURCE,
            night,
            response.url,
            response.received_at,
            response.body,
            json.dumps(about),
        )
    )


def _was_redirected(response: Response) -> bool:
    """Whether the answer took two requests: a moved repository stands under its number."""
    return "/repositories/" in response.url


def _asked_on(db: sa.Connection, night: str) -> int:
    query = sa.select(sa.func.count()).where(repositories.c.checked_on == night)
    return db.scalar(query) or 0


def _standing(db: sa.Connection, name: str) -> Standing:
    columns = [repositories.c[field] for field in Standing._fields]
    row = db.execute(sa.select(*columns).where(repositories.c.name == name)).first()
    return Standing(*row) if row else Standing(name)


def _keep(db: sa.Connection, standing: Standing) -> None:
    db.execute(repositories.insert().prefix_with("OR REPLACE").values(standing._asdict()))


def _nights_after(night: str, count: int) -> str:
    return str(date.fromisoformat(night) + timedelta(days=count))
