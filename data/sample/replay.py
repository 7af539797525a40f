"""A replay of the upstream services on loopback, and of their bad days.

    python data/sample/replay.py [--port N]     prints the environment to set, then serves

What lies in the folder at that moment is what is served: `huggingface/YYYY-MM-DD.json` holds a
day's array as the daily papers API gives it, `arxiv/*.xml` Atom feeds whose entries are the papers.
The answers take their form from what is recorded of the real services; only the pages are
shorter (15), so that a day of ordinary size needs a second one.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

if not __package__:  # run as a script, from which its siblings cannot be named otherwise
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from data.sample import replay_announcements as announcements
from data.sample.replay_github import GitHub
from data.sample.replay_oai import MEDIA, oai, refusal

Source = (
    Literal["huggingface_api", "huggingface_listing", "arxiv_api", "github", "oai", "other"]
    | announcements.Source
)
Query = Mapping[str, str]

HERE = Path(__file__).resolve().parent
PAGE = 15
NUMBER = re.compile(r"[0-9]{1,9}")
PATHS = {
    "PAPERFEED_HF_URL": "/huggingface",
    "PAPERFEED_ARXIV_API_URL": "/arxiv",
    "PAPERFEED_ARXIV_OAI_URL": "/oai",
    "PAPERFEED_ARXIV_RSS_URL": "/rss",
    "PAPERFEED_ARXIV_WEB_URL": "/web",
    "PAPERFEED_GITHUB_API_URL": "/github",
}

JSON, HTML, ATOM, TEXT = "application/json", "text/html", "application/atom+xml", "text/plain"
STRANGE_PAGE = b"<!DOCTYPE html><html><body><h1>Scheduled maintenance</h1></body></html>"


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `at` is the monotonic clock in seconds."""

    source: Source
    path: str
    query: dict[str, str]
    at: float


@dataclass(frozen=True)
class Fault:
    """One way to misbehave; use the ready ones: `status(...)`, `slow(...)`, `cut_off`, ..."""

    kind: str
    code: int = 200
    retry_after: str | None = None
    seconds: float = 0.0

    cut_off: ClassVar[Fault]
    """Announces the whole body and hangs up half-way."""
    wrong_page: ClassVar[Fault]
    """Status 200 with an unrelated page; the JSON API sends an object of another shape."""
    empty: ClassVar[Fault]
    """A well-formed answer that holds no paper."""
    half_json: ClassVar[Fault]
    """Half the body, honestly announced."""
    html: ClassVar[Fault]
    """Status 200 with an HTML page, whatever was due."""
    expired: ClassVar[Fault]
    """OAI refuses the resumption token, if the request has one."""

    @classmethod
    def status(cls, code: int, retry_after: str | None = None) -> Fault:
        """Answer every request with this status."""
        return cls("status", code=code, retry_after=retry_after)

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """Drip the body over this time."""
        return cls("slow", seconds=seconds)


Fault.cut_off = Fault("cut_off")
Fault.wrong_page = Fault("wrong_page")
Fault.empty = Fault("empty")
Fault.half_json = Fault("half_json")
Fault.html = Fault("html")
Fault.expired = Fault("expired")


@dataclass(frozen=True)
class Answer:
    """What goes back: status, body, media type, further headers."""

    status: int
    body: bytes
    media: str
    headers: tuple[tuple[str, str], ...] = ()


# Hugging Face ------------------------------------------------------------------------------


def daily_papers(folder: Path, query: Query, address: str) -> Answer:
    """The JSON API: one day's page, with the link to the next one."""
    refusal = _refusal(query)
    if refusal:
        return _json({"error": refusal}, 400)
    items = _day(folder, query["date"]) if "date" in query else _newest_first(folder)
    size = min(int(query.get("limit", 50)), PAGE)
    page = int(query.get("p", 0))
    rest = items[page * size :]
    headers = [
        ("RateLimit", '"api";r=489;t=123'),
        ("RateLimit-Policy", '"fixed window";"api";q=500;w=300'),
    ]
    if len(rest) > size:
        following = urlencode({**query, "p": str(page + 1)})
        headers.append(("Link", f'<{address}?{following}>; rel="next"'))
    return replace(_json(rest[:size]), headers=tuple(headers))


def listing(folder: Path, day: str, pages: str) -> Answer:
    """The HTML page of a day; a day without one redirects to the newest, as the site does."""
    days = _days(folder)
    if not days:
        return _json({"error": "no papers at all"}, 404)
    if day not in days:
        return Answer(302, b"", TEXT, (("Location", f"{pages}/date/{days[-1]}"),))
    return _listing_page(day, _day(folder, day), days)


def _listing_page(day: str, items: Sequence[Any], days: Sequence[str]) -> Answer:
    here = days.index(day)
    props = {
        "periodType": "day",
        "dateString": day,
        "dailyPapers": items,
        "prevDate": days[max(here - 1, 0)],
        "nextDate": days[min(here + 1, len(days) - 1)],
    }
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Daily Papers</title>'
        '</head><body>\n<div class="SVELTE_HYDRATER contents" data-target="MainHeader" '
        'data-props="{}"></div>\n<div class="SVELTE_HYDRATER contents" data-target="DailyPapers" '
        f'data-props="{html.escape(json.dumps(props))}"></div>\n'
        '<a href="https://github.com/huggingface">GitHub</a>\n</body></html>\n'
    )
    return Answer(200, page.encode(), HTML)


def _refusal(query: Query) -> str | None:
    """The service's words for parameters that it does not take."""
    if "date" in query:
        asked = _as_day(query["date"])
        if asked is None:
            return "Invalid date"
        if asked > datetime.now(UTC).date():
            return "Date is in the future"
    for name, lowest in (("p", 0), ("limit", 1)):
        value = query.get(name, "1")
        if not NUMBER.fullmatch(value) or int(value) < lowest:
            return f"{name}: expected number to be >={lowest}"
    if int(query.get("limit", 1)) > 100:
        return "Too big: expected number to be <=100"
    return None


def _as_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def _days(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "huggingface").glob("????-??-??.json"))


def _day(folder: Path, day: str) -> list[Any]:
    """The day's items; none on a day without a file, a weekend say."""
    path = folder / "huggingface" / f"{day}.json"
    items: list[Any] = json.loads(path.read_bytes()) if path.is_file() else []
    return items


def _newest_first(folder: Path) -> list[Any]:
    return [item for day in reversed(_days(folder)) for item in _day(folder, day)]


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, ensure_ascii=False).encode(), JSON)


# arXiv -------------------------------------------------------------------------------------

WELL_FORMED = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v[1-9]\d*)?")


@dataclass(frozen=True)
class Entry:
    """One `<entry>` as it stands in a wire file."""

    base: str
    version: int
    words: tuple[str, ...]
    xml: str


def atom(folder: Path, query: Query) -> Answer:
    """The Atom API: by ids, by title words, or both; one malformed id spoils the whole batch."""
    asked = [part.strip() for part in query.get("id_list", "").split(",") if part.strip()]
    for name in asked:
        if not WELL_FORMED.fullmatch(name):
            return _atom_error(f"incorrect id format for {name}")
    for name in ("start", "max_results"):
        if not NUMBER.fullmatch(query.get(name, "0")):
            return _atom_error(f"{name} must be an integer")
    start, size = int(query.get("start", 0)), int(query.get("max_results", 10))
    if size > 2000:
        return _atom_error("max_results must be less than or equal to 2000")
    found = _found(_entries(folder), asked, query.get("search_query", ""))
    page = [entry.xml for entry in found[start : start + size]]
    return _atom(page, 200, len(found), start, size)


def _found(entries: Mapping[str, list[Entry]], asked: list[str], search: str) -> list[Entry]:
    """The entries meant, never in the order in which two ids were asked."""
    if asked:
        meant = [_version_of(entries, name) for name in reversed(dict.fromkeys(asked))]
        chosen = [entry for entry in meant if entry]
    else:
        chosen = [versions[-1] for versions in entries.values()] if search.strip() else []
    return [entry for entry in chosen if _has_title(entry, search)] if search.strip() else chosen


def _version_of(entries: Mapping[str, list[Entry]], name: str) -> Entry | None:
    """The version asked for, or the newest."""
    base, _, version = re.fullmatch(r"(.*?)(v(\d+))?", name).groups()  # type: ignore[union-attr]  # matches any line
    versions = entries.get(base, [])
    if version is None:
        return versions[-1] if versions else None
    return next((entry for entry in versions if entry.version == int(version)), None)


def _has_title(entry: Entry, search: str) -> bool:
    """Whether the title holds every `ti:` phrase of the search, word for word."""
    phrases = [_words(phrase) for phrase in re.findall(r'\bti:("[^"]*"|\S+)', search)]
    title = f" {' '.join(entry.words)} "
    return bool(phrases) and all(f" {' '.join(phrase)} " in title for phrase in phrases)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def _entries(folder: Path) -> dict[str, list[Entry]]:
    """Every entry of every file by base id, oldest version first."""
    entries: dict[str, list[Entry]] = {}
    for path in sorted((folder / "arxiv").glob("*.xml")):
        for xml in re.findall(r"<entry\b.*?</entry>", path.read_text("utf-8"), re.DOTALL):
            entry = _entry(xml)
            entries.setdefault(entry.base, []).append(entry)
    return {base: sorted(same, key=lambda entry: entry.version) for base, same in entries.items()}


def _entry(xml: str) -> Entry:
    where = re.search(r"<id>\s*https?://arxiv\.org/abs/(\S+?)v(\d+)\s*</id>", xml)
    title = re.search(r"<title[^>]*>(.*?)</title>", xml, re.DOTALL)
    if not where or not title:
        message = f"an entry without a versioned id or a title: {xml[:80]!r}"
        raise ValueError(message)
    return Entry(where[1], int(where[2]), _words(html.unescape(title[1])), xml)


def _atom_error(words: str) -> Answer:
    anchor = f"https://arxiv.org/api/errors#{html.escape(words.replace(' ', '_'))}"
    entry = (
        f"<entry>\n    <id>{anchor}</id>\n    <title>Error</title>\n"
        f"    <updated>{_moment()}</updated>\n"
        f'    <link href="{anchor}" rel="alternate" type="text/html"/>\n'
        f"    <summary>{html.escape(words)}</summary>\n"
        "    <author>\n      <name>arXiv api core</name>\n    </author>\n  </entry>"
    )
    return _atom([entry], 400, total=1, start=0, size=1)


def _atom(entries: Sequence[str], status: int, total: int, start: int, size: int) -> Answer:
    feed = (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" '
        'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">\n'
        "  <id>https://arxiv.org/api/replay</id>\n  <title>arXiv Query</title>\n"
        f"  <updated>{_moment()}</updated>\n"
        f"  <opensearch:itemsPerPage>{size}</opensearch:itemsPerPage>\n"
        f"  <opensearch:totalResults>{total}</opensearch:totalResults>\n"
        f"  <opensearch:startIndex>{start}</opensearch:startIndex>\n"
        f"{''.join(f'  {entry}' + chr(10) for entry in entries)}</feed>\n"
    )
    return Answer(status, feed.encode(), ATOM)


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# the server --------------------------------------------------------------------------------


def _route(folder: Path, path: str, query: Query, root: str) -> tuple[Source, Answer]:
    if path == "/huggingface/api/daily_papers":
        return "huggingface_api", daily_papers(folder, query, root + path)
    if path.startswith("/huggingface/papers"):
        day = path.rpartition("/date/")[2]
        return "huggingface_listing", listing(folder, day, f"{root}/huggingface/papers")
    if path == "/arxiv/api/query":
        return "arxiv_api", atom(folder, query)
    if path == "/oai":
        return "oai", _xml(*oai(folder, query))
    if announced := announcements.answer(folder, path, query):
        kind, (status, headers, body) = announced
        return kind, Answer(status, body, headers["Content-Type"])
    return "other", _json({"error": "this replay has no such page"}, 404)


def _xml(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    return Answer(status, body, MEDIA, tuple(headers.items()))


def _spoilt(answer: Answer, request: Request, fault: Fault) -> Answer:
    """The answer with this fault; `cut_off` and `slow` spoil the sending instead."""
    source = request.source
    if fault.kind == "status":
        retry = (("Retry-After", fault.retry_after),) if fault.retry_after is not None else ()
        words = _json({"error": "Asked to misbehave"}, fault.code)
        if source.startswith("arxiv"):
            words = Answer(fault.code, b"Rate exceeded.", TEXT)
        return replace(words, headers=retry)
    if fault.kind == "wrong_page" and source == "huggingface_api":
        return _json({"models": [], "numTotalItems": 0})
    if fault.kind in ("wrong_page", "html"):
        return Answer(200, STRANGE_PAGE, HTML)
    if fault.kind == "half_json":
        return replace(answer, body=answer.body[: len(answer.body) // 2])
    if fault.kind == "empty" and source in announcements.SOURCES:
        return replace(answer, body=announcements.without_entries(answer.body))
    if fault.kind == "empty":
        return _empty(request)
    if fault.kind == "expired" and "resumptionToken" in request.query:
        return _xml(*refusal("badResumptionToken", "The token has expired."))
    return answer


def _empty(request: Request) -> Answer:
    if request.source == "arxiv_api":
        return _atom((), 200, total=0, start=0, size=10)
    if request.source == "huggingface_listing":
        day = request.path.rpartition("/date/")[2]
        return _listing_page(day, (), (day,))
    if request.source == "oai":
        return _xml(*refusal("noRecordsMatch", "No records match these criteria"))
    return _json([])


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each kept-alive answer waits 40 ms for an acknowledgement

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        replay = self.server.replay
        arrived = time.monotonic()
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        source: Source
        if address.path.startswith("/github/"):
            source, answer = "github", self._github(address.path.removeprefix("/github"))
        else:
            source, answer = _route(replay.folder, address.path, query, replay.url)
        request = Request(source, address.path, query, arrived)
        fault = replay.note(request)
        self._send(_spoilt(answer, request, fault) if fault else answer, fault)

    def _github(self, path: str) -> Answer:
        replay = self.server.replay
        root = f"{replay.url}/github"
        asked = dict(self.headers.items())
        status, headers, body = replay.github.answer(replay.folder, path, asked, root)
        return Answer(status, body, JSON, tuple(headers.items()))

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", f"{answer.media}; charset=utf-8")
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if fault and fault.kind == "slow":
            self._drip(answer.body, fault.seconds)
        elif fault and fault.kind == "cut_off":
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(answer.body)

    def _drip(self, body: bytes, seconds: float) -> None:
        step = len(body) // 50 + 1
        starts = range(0, len(body), step)
        for at in starts:
            if self.server.replay.closing.wait(seconds / len(starts)):
                self.close_connection = True
                return
            self.wfile.write(body[at : at + step])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """Say nothing: `Replay.requests` is the log."""


class _Server(ThreadingHTTPServer):
    def __init__(self, port: int, replay: Replay) -> None:
        self.replay = replay
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Let a caller hang up; report anything else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed: any socket


class Replay:
    """The upstreams of one folder on a loopback port, while the `with` block lasts."""

    def __init__(self, folder: Path = HERE, port: int = 0) -> None:
        self.folder = folder
        self.requests: list[Request] = []
        self.github = GitHub()
        self.closing = threading.Event()
        self._faults: dict[Source, tuple[Fault, int | None]] = {}
        self._lock = threading.Lock()
        self._server = _Server(port, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def env(self) -> dict[str, str]:
        """The environment that sends paperfeed here and nowhere else."""
        addresses = {name: self.url + path for name, path in PATHS.items()}
        return {**addresses, "PAPERFEED_ARXIV_DELAY_SECONDS": "0"}

    def misbehave(self, source: Source, fault: Fault, times: int | None = None) -> None:
        """Answer this source's next requests with the fault: so many of them, or all."""
        with self._lock:
            self._faults[source] = (fault, times)

    def behave(self, source: Source | None = None) -> None:
        """End the misbehaviour of one source, or of all."""
        with self._lock:
            self._faults = {k: v for k, v in self._faults.items() if source not in (None, k)}

    def note(self, request: Request) -> Fault | None:
        """Log one request and tell its fault, used up by one."""
        with self._lock:
            self.requests.append(request)
            fault, left = self._faults.get(request.source, (None, None))
            if fault is None or left == 0:
                return None
            self._faults[request.source] = (fault, None if left is None else left - 1)
            return fault

    def __enter__(self) -> Replay:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._server.connections):
            # A kept-alive connection must not outlive the service that it stands for.
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the sample until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    with Replay(port=parser.parse_args(arguments).port) as replay:
        for name, value in replay.env.items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
