"""The night: which days are open, fetch, record, enrich, publish, report.

Tasks are thin and pass dates and paths; only fetches are retried. Remove the decorators and the
night still runs.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run

from flows import arxiv_steps, steps
from flows.days import checked_day, today
from flows.home import run_lock
from flows.progress import progress
from flows.publish import publish as publish_snapshot
from flows.report import Night, night_rows
from flows.steps import Enrichment
from index.build import Published
from ingest.errors import RateLimited, SourceError, SourceUnavailable
from ingest.ledger import days_between
from ingest.recorded import Tally
from ingest.verify import Verification


def _worth_retrying(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, SourceUnavailable) and not isinstance(error, RateLimited)


@task(
    task_run_name="fetch {day}",
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=_worth_retrying,
    cache_policy=NO_CACHE,
)
def fetch_day(home: Path, day: str, night: str) -> int:
    """One day of Daily Papers, landed."""
    return steps.fetch_day(home, day, night)


@task(cache_policy=NO_CACHE)
def record(home: Path) -> list[Tally]:
    """Everything landed, recorded."""
    return steps.record(home)


@task(cache_policy=NO_CACHE)
def enrich(home: Path, night: str) -> steps.Enrichment:
    """arXiv's metadata, as far as arXiv is willing."""
    return steps.enrich(home, night)


@task(cache_policy=NO_CACHE)
def follow(home: Path, night: str, first: str, today: str) -> str | None:
    """What arXiv announced and changed in the categories followed; gives why it stopped, if so."""
    return arxiv_steps.follow(home, night, first, today)


@task(cache_policy=NO_CACHE)
def verify_links(home: Path, night: str) -> Verification:
    """GitHub's word on the repositories due tonight, as far as its budget goes."""
    return steps.verify_links(home, night)


@task(cache_policy=NO_CACHE)
def search_titles(home: Path, night: str) -> str | None:
    """Imported titles that arXiv could not be asked for before."""
    return steps.search_titles(home, night)


@task(cache_policy=NO_CACHE)
def publish(home: Path) -> Published:
    """A new snapshot, or the old one where nothing changed."""
    return publish_snapshot(home)


@flow(name="nightly", validate_parameters=False)
def nightly(home: str | Path = "data", date: str | None = None, days: int = 7) -> Night:
    """The night of `date` (the scheduled day, if None) with a window of `days` behind it."""
    home = Path(home)  # a deployment's parameters are JSON
    night = checked_day(date) if date else _scheduled_day()
    with run_lock(home):
        recovered = record(home)
        wanted = steps.open_days(home, night, days)
        owed, window = wanted[:-days], wanted[-days:]
        return _collect_and_publish(home, [owed, window], night, night, recovered)


@flow(name="backfill", validate_parameters=False)
def backfill(home: str | Path, first: str, last: str) -> Night:
    """The night's work over the days from `first` to `last`."""
    home = Path(home)
    days = days_between(checked_day(first), checked_day(last))
    with run_lock(home):
        return _collect_and_publish(home, [days], last, today(), record(home))


def _scheduled_day() -> str:
    """The UTC day this run was scheduled for: a late run still does its own night."""
    scheduled: datetime | None = flow_run.scheduled_start_time
    return min(str(scheduled.date()), today()) if scheduled else today()


def _collect_and_publish(
    home: Path, spans: list[list[str]], night: str, today: str, tallies: list[Tally]
) -> Night:
    """Each span of days is given up on its own: what is owed must not block what is new.

    `today` tells what arXiv still lists: of a backfill it is later than the `night` caught up.
    """
    days = [day for span in spans for day in span]
    failed = {d: why for span in spans for d, why in _fetch_days(home, span, night).items()}
    stopped = follow(home, night, days[0], today)
    tallies = tallies + record(home)
    enrichment = Enrichment(0, stopped) if stopped else enrich(home, night)
    if not enrichment.failure:
        search_titles(home, night)
    tallies += record(home)
    verify_links(home, night)
    tallies += record(home)
    published = publish(home) if steps.has_papers(home) else None
    touched = {*days, *(t.partition for t in tallies)}
    rows = night_rows(steps.states(home, touched), tallies)
    pending, links = steps.count_pending(home), steps.count_links(home)
    done = Night(rows, failed, enrichment, pending, links, published)
    create_table_artifact(rows, key="night", description=done.summary())
    return done


def _fetch_days(home: Path, days: list[str], night: str) -> dict[str, str]:
    """Fetch each day, in order; gives those that failed and why.

    Where the source is silent, or has had enough, twice in a row, the rest is left open unasked.
    """
    failed: dict[str, str] = {}
    down = 0
    with progress("Daily Papers", len(days)) as advance:
        for day in days:
            if down >= 2:
                failed[day] = "not asked: the days before it had no answer"
                steps.leave_open(home, day, failed[day])
            else:
                error = _error(fetch_day(home, day, night, return_state=True))
                down = down + 1 if _is_down(error) else 0
                failed |= {day: str(error)} if error else {}
            advance(1)
    return failed


def _is_down(error: SourceError | None) -> bool:
    """Whether the source itself is away, and not only one day of it."""
    unanswered = isinstance(error, SourceUnavailable) and error.status is None
    return unanswered or isinstance(error, RateLimited)


def _error(state: State[int]) -> SourceError | None:
    """What a fetch failed of, if it did; an error that is not a source's is raised."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, BaseException) and not isinstance(error, SourceError):
        raise error
    return error if isinstance(error, SourceError) else None
