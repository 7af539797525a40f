"""The `paperfeed` command: each verb is a thin skin over one function.

Only the verbs that collect import flows, and only when they run: a question loads neither torch
nor Prefect.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import click
import typer
from dotenv import load_dotenv

from ingest.errors import BadInput, MissingExtra, PaperfeedError
from ingest.ids import parse
from ingest.layout import Home

app = typer.Typer(
    help="The paper feed that prompt builders trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Count = Annotated[int, typer.Option("-k", help="How many papers.")]
Since = Annotated[str | None, typer.Option(help="Published on this day or later.")]
Until = Annotated[str | None, typer.Option(help="Published on this day or earlier.")]
Categories = Annotated[
    list[str] | None, typer.Option("--category", help="An arXiv category; may be repeated.")
]
HasCode = Annotated[bool, typer.Option("--has-code", help="Only papers with a repository.")]
ListedOnly = Annotated[bool, typer.Option("--listed-only", help="Only Daily Papers.")]
Withdrawn = Annotated[bool, typer.Option("--include-withdrawn", help="Withdrawn papers too.")]
RerankedBy = Annotated[
    str | None,
    typer.Option(
        "--reranker",
        envvar="PAPERFEED_RERANKER",
        help="A cross-encoder that reads the first papers again: a folder or hub name.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


class Format(StrEnum):
    """What `export` can write."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def main() -> None:
    """Run the command; every expected error is one line on standard error and exit code 1."""
    try:
        load_dotenv(".env")
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # always a TextIOWrapper
        sys.exit(app(standalone_mode=False))
    except click.UsageError as error:
        _fail(f"{error.format_message()} See  paperfeed --help", 2)
    except click.Abort:
        _fail("interrupted", 130)
    except UnicodeDecodeError as error:
        _fail(f"a file cannot be read as UTF-8 (is it .env?): {error}")
    except PaperfeedError as error:
        _fail(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        _fail(_os_error(error))
    except KeyboardInterrupt:
        _fail("interrupted: run the same command again, it goes on where it stopped", 130)


@app.command()
def nightly(
    date: Annotated[
        str | None, typer.Option(help="The night's day; today (UTC) if left out.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days to ask for again.")] = 7,
) -> None:
    """Collect every open day, publish a snapshot and show the night's table."""
    if date:
        _flows("days").checked_day(date)  # before Prefect takes its seconds to load
    _night("nightly", date=date, days=days)


@app.command()
def backfill(
    first: Annotated[str, typer.Option("--from", help="The first day.")],
    last: Annotated[str, typer.Option("--to", help="The last day.")],
) -> None:
    """Do the night's work over a range of days."""
    days = _flows("days")
    if days.checked_day(first) > days.checked_day(last):
        raise BadInput(f"--from {first} is after --to {last}: swap them")
    _night("backfill", first=first, last=last)


@app.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="arXiv's metadata snapshot or our own export (plain, .gz, .zip, .xz, .parquet), "
            "or a saved listing (HTML, plain text)."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Import records in bulk, or a saved listing whose titles are then resolved to ids."""
    bulk, today = _flows("bulk"), _flows("days").today()
    if bulk.is_bulk(file):
        with _run_lock():
            tally = bulk.import_bulk(_home(), file, today)
        _print_json(tally._asdict()) if as_json else typer.echo(_imported(tally))
        return
    with _run_lock():
        entries = _flows("steps").import_listing(_home(), file.name, file.read_bytes(), today)
    _print_json(entries) if as_json else _print_entries(entries)


@app.command()
def add(
    names: Annotated[
        list[str],
        typer.Argument(help="arXiv ids or addresses; or lists: 2025-W10, 2025-03, trending."),
    ],
) -> None:
    """Add single papers, or what Hugging Face lists for a week, a month or as trending."""
    asked, today = _flows("on_request"), _flows("days").today()
    lists, papers = asked.told_apart(names)
    with _run_lock():
        failed = asked.fetch_lists(_home(), lists, today)
        found = {p.arxiv_id: p for p in asked.add_papers(_home(), papers, today)}
    for paper in found.values():
        typer.echo(f"{paper.arxiv_id:<18}{paper.title}")
    unknown = [name for name in papers if name not in found]
    if failed or unknown:
        reasons = [*(f"{name}: {why}" for name, why in failed.items()), *unknown]
        raise PaperfeedError(f"could not be added: {'; '.join(reasons)}")


@app.command()
def replay() -> None:
    """Rebuild the catalogue from the raw responses alone."""
    with _run_lock():
        tallies = _flows("steps").replay(_home())
    received, bad = sum(t.received for t in tallies), sum(t.quarantined for t in tallies)
    typer.echo(f"replayed {len(tallies)} responses: {received} entries, {bad} in quarantine")


@app.command()
def index(
    allow_shrink: Annotated[
        bool, typer.Option(help="Publish even if the snapshot loses a tenth of its papers.")
    ] = False,
) -> None:
    """Embed what is new in the catalogue and publish a snapshot."""
    with _run_lock():
        published = _flows("publish").publish(_home(), allow_shrink=allow_shrink)
    state = "unchanged" if published.unchanged else "published"
    typer.echo(
        f"snapshot {published.snapshot_id} {state}: {published.papers} papers, "
        f"{published.vectors_made} vectors made, {published.vectors_reused} reused"
    )


@app.command()
def related(
    query: Annotated[str, typer.Argument(help="The question.")],
    k: Count = 3,
    since: Since = None,
    until: Until = None,
    category: Categories = None,
    has_code: HasCode = False,
    listed_only: ListedOnly = False,
    include_withdrawn: Withdrawn = False,
    reranker: RerankedBy = None,
    as_json: AsJson = False,
) -> None:
    """Print the Related Papers block for a question."""
    retriever = _retriever(reranker)
    filters = _filters(since, until, category, has_code, listed_only, include_withdrawn)
    if as_json:
        _print_hits(retriever.related_papers(query, k, **filters))
    else:
        typer.echo(retriever.related_papers_block(query, k, **filters))


@app.command()
def prompt(
    question: Annotated[str, typer.Argument(help="The question.")],
    models: Annotated[
        Path | None, typer.Option(help="A catalogue, JSON Lines; a bundled one if left out.")
    ] = None,
    k: Count = 3,
    model_count: Annotated[int, typer.Option("-m", min=0, help="How many models.")] = 1,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Most tokens; summaries are cut, entries left out.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Its file or hub name; the snapshot's own if left out.")
    ] = None,
    drop_suspicious: Annotated[
        bool, typer.Option("--drop-suspicious", help="No paper that talks to the reader.")
    ] = False,
    since: Since = None,
    until: Until = None,
    category: Categories = None,
    has_code: HasCode = False,
    listed_only: ListedOnly = False,
    include_withdrawn: Withdrawn = False,
    reranker: RerankedBy = None,
    as_json: AsJson = False,
) -> None:
    """Print the whole prompt for a question: tasks, recommended models, related papers."""
    asking = importlib.import_module("index.ask")
    made = asking.prompt_at(
        question,
        _home(),
        models,
        k,
        model_count=model_count,
        budget=budget,
        tokenizer=tokenizer,
        drop_suspicious=drop_suspicious,
        reranker=reranker,
        **_filters(since, until, category, has_code, listed_only, include_withdrawn),
    )
    _print_json(asking.to_record(made)) if as_json else typer.echo(str(made), nl=False)
    if made.left_out:
        typer.echo(f"{len(made.left_out)} found, but left out of the prompt", err=True)


@app.command()
def similar(
    arxiv_id: Annotated[str, typer.Argument(help="An arXiv id or address.")],
    k: Count = 10,
    as_json: AsJson = False,
) -> None:
    """Print the papers most like one paper."""
    hits = _retriever().similar(_base_id(arxiv_id), k)
    if as_json:
        _print_hits(hits)
    else:
        for hit in hits:
            typer.echo(f"{hit.paper.arxiv_id:<18}{hit.score:7.3f}  {hit.paper.title}")


@app.command()
def show(arxiv_id: Annotated[str, typer.Argument(help="An arXiv id or address.")]) -> None:
    """Print everything the catalogue knows about one paper, as JSON."""
    record = _inspect().record_of(_home(), _base_id(arxiv_id))
    _print_json(record)


@app.command()
def status(
    date: Annotated[
        str | None, typer.Option(help="The day to judge freshness on; today (UTC) if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print how each source, the catalogue and the snapshot stand: exit code 0 fresh, 3 stale."""
    days, told = _flows("days"), _needing_nightly("serve.status")
    day = days.checked_day(date) if date else days.today()
    report = told.status(_home(), day, _flows("arxiv_steps").categories())
    if as_json:
        _print_json(report)
    else:
        typer.echo("\n".join(told.status_lines(report)))
    if report["stale"]:
        raise typer.Exit(3)


@app.command()
def quarantine(
    digest: Annotated[
        str | None, typer.Argument(help="Show the entry whose digest begins so, as it came.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Read all of it again.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what could not be read, show one entry, or read all of it again."""
    if retry:
        with _run_lock():
            tallies = _flows("steps").retry_quarantined(_home())
        read = sum(t.received - t.quarantined for t in tallies)
        typer.echo(f"{read} entries could be read, {sum(t.quarantined for t in tallies)} stay")
        return
    rows = _inspect().quarantined(_home())
    if digest:
        rows = [row for row in rows if row["digest"].startswith(digest)]
        if not rows:
            raise BadInput(f"nothing in quarantine begins with {digest}: see  paperfeed quarantine")
    if as_json:
        _print_json(rows)
    elif digest:
        typer.echo("\n".join(row["payload"] for row in rows))
    else:
        for row in rows:
            where = f"{row['digest'][:8]}  {row['kind']:<20} {row['partition']}"
            typer.echo(f"{where}  {row['arxiv_id'] or '-':<12} {row['reason']}")
        typer.echo(f"{len(rows)} in quarantine")


@app.command()
def verify() -> None:
    """Check every file of the current snapshot against its manifest."""
    snapshot = importlib.import_module("index.snapshot")
    report = snapshot.verify(Home(_home()).index)
    typer.echo(
        f"{report.name} is sound: {report.papers} papers, {report.files} files, {report.size} bytes"
    )


@app.command()
def rollback() -> None:
    """Go back to the snapshot published before the current one."""
    snapshot = importlib.import_module("index.snapshot")
    with _run_lock():
        typer.echo(f"current snapshot: {snapshot.rollback(Home(_home()).index)}")


@app.command()
def export(
    form: Annotated[Format, typer.Option("--format", help="jsonl or parquet.")] = Format.JSONL,
    out: Annotated[Path | None, typer.Option(help="A file; standard output if left out.")] = None,
) -> None:
    """Write every paper of the catalogue, one record a line, in the order of ids."""
    written = _inspect().export(_home(), form, out)
    if out:
        typer.echo(f"{written} papers written to {out}", err=True)


def _filters(
    since: str | None,
    until: str | None,
    category: list[str] | None,
    has_code: bool,
    listed_only: bool,
    include_withdrawn: bool,
) -> dict[str, Any]:
    """The options that narrow an answer, as `index.Retriever` takes them."""
    return {
        "since": since,
        "until": until,
        "categories": category,
        "has_code": has_code or None,
        "listed_only": listed_only,
        "include_withdrawn": include_withdrawn,
    }


def _home() -> Path:
    return Path(os.environ.get("PAPERFEED_HOME") or "data")


def _retriever(reranker: str | None = None) -> Any:  # noqa: ANN401 -- index.Retriever, imported only where it is asked
    return importlib.import_module("index").Retriever.open(_home(), reranker=reranker)


def _run_lock() -> AbstractContextManager[None]:
    lock: AbstractContextManager[None] = _flows("home").run_lock(_home())
    return lock


def _flows(name: str) -> ModuleType:
    """A module of flows; without the packages of the extra `nightly`, the command to get them."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # our own lines tell the story
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    return _needing_nightly(f"flows.{name}")


def _inspect() -> ModuleType:
    return _needing_nightly("serve.inspect")


def _needing_nightly(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or name, "nightly") from error


def _base_id(text: str) -> str:
    return parse(text).base


def _night(name: str, **parameters: Any) -> None:  # noqa: ANN401 -- the flow checks them
    """Run a flow of `flows.nightly`, show its table, and fail where a day could not be fetched."""
    flows = _flows("nightly")
    try:
        night = getattr(flows, name)(home=str(_home()), **parameters)
    except RuntimeError as error:
        if "API" not in str(error):
            raise
        where = os.environ.get("PREFECT_API_URL", "its temporary server")
        raise PaperfeedError(f"Prefect does not answer ({where}): {error}") from error
    for row in night.rows:
        typer.echo(
            f"{row['source']:<13} {row['day']}  {row['state'][:40] or '-':<16} "
            f"{row['received']:>4} received {row['new']:>4} new {row['changed']:>4} changed "
            f"{row['quarantined']:>3} quarantined"
        )
    typer.echo(night.summary())
    if night.failed:
        day, reason = next(iter(night.failed.items()))
        more = f", and {len(night.failed) - 1} more days" if len(night.failed) > 1 else ""
        raise PaperfeedError(
            f"{day} could not be fetched{more}: {reason}; run the same command again later, "
            "open days are caught up and the last snapshot goes on serving"
        )


def _imported(tally: Any) -> str:  # noqa: ANN401 -- ingest.recorded.Tally, not imported here
    more = "" if tally.new + tally.changed == 0 else "; publish them with  paperfeed index"
    return (
        f"{tally.received} lines: {tally.new} new, {tally.changed} changed, "
        f"{tally.quarantined} in quarantine{more}"
    )


def _print_entries(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        repos = " ".join(entry["repos"])
        typer.echo(f"{entry['arxiv_id'] or 'unresolved':<14}{entry['title']}  {repos}".rstrip())
    counted = sum(entry["author_count"] is not None for entry in entries)
    found = sum(entry["arxiv_id"] is not None for entry in entries)
    typer.echo(
        f"{len(entries)} papers, {counted} with an author count; "
        f"{found} resolved to ids, {len(entries) - found} unresolved"
    )


def _print_hits(hits: list[Any]) -> None:
    _print_json([{"rank": h.rank, "score": h.score, **h.paper.to_record()} for h in hits])


def _print_json(value: Any) -> None:  # noqa: ANN401 -- anything JSON can say
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _os_error(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full: free some space and run the same command again; nothing is lost"
    what = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return f"{what}; check PAPERFEED_HOME and the paths you gave"


def _fail(message: str, code: int = 1) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"paperfeed: {line}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
