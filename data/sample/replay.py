"""A replay of the upstream services on loopback, and of their bad days.

    python data/sample/replay.py [--port N]     prints the environment to set, then serves

What lies in the folder at that moment is what is served: `huggingface/YYYY-MM-DD.json` holds a
day's array as the daily papers API gives it, `arxiv/*.xml` Atom feeds whose entries are the papers.
The answers take their form from what is recorded of the real services; only the pages are
shorter (15), so that a day of ordinary size needs a second one.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal
from urllib.parse import parse_qsl, urlsplit

if not __package__:  # run as a script, from which its siblings cannot be named otherwise
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from data.sample import replay_announcements as announcements
from data.sample import replay_arxiv as arxiv
from data.sample import replay_huggingface as huggingface
from data.sample.replay_github import GitHub
from data.sample.replay_oai import MEDIA, oai, refusal

Source = (
    Literal["huggingface_api", "huggingface_listing", "huggingface_paper"]
    | Literal["arxiv_api", "github", "oai", "other"]
    | announcements.Source
)
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

HERE = Path(__file__).resolve().parent
PATHS = {
    "PAPERFEED_HF_URL": "/huggingface",
    "PAPERFEED_ARXIV_API_URL": "/arxiv",
    "PAPERFEED_ARXIV_OAI_URL": "/oai",
    "PAPERFEED_ARXIV_RSS_URL": "/rss",
    "PAPERFEED_ARXIV_WEB_URL": "/web",
    "PAPERFEED_GITHUB_API_URL": "/github",
}

JSON, HTML, TEXT = "application/json", "text/html", "text/plain"
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
    short: ClassVar[Fault]
    """arXiv's API gives half of the entries that it counts."""
    late: ClassVar[Fault]
    """The newest day of Daily Papers is not there yet: that of the day before is given for it."""
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
Fault.short = Fault("short")
Fault.late = Fault("late")
Fault.expired = Fault("expired")


@dataclass(frozen=True)
class Answer:
    """What goes back: status, body, media type, further headers."""

    status: int
    body: bytes
    media: str
    headers: tuple[tuple[str, str], ...] = ()


# the server --------------------------------------------------------------------------------


def _route(folder: Path, path: str, query: dict[str, str], root: str) -> tuple[Source, Answer]:
    pages = "/huggingface/papers"
    if path == "/huggingface/api/daily_papers":
        return "huggingface_api", _answer(huggingface.daily_papers(folder, query, root + path))
    if path.startswith("/huggingface/api/papers/"):
        arxiv_id = path.removeprefix("/huggingface/api/papers/")
        return "huggingface_paper", _answer(huggingface.paper(folder, arxiv_id))
    if path.startswith(pages):
        reply = huggingface.listing(folder, path.removeprefix(pages), root + pages)
        return "huggingface_listing", _answer(reply)
    if path == "/arxiv/api/query":
        return "arxiv_api", _answer(arxiv.atom(folder, query))
    if path == "/oai":
        return "oai", _answer(oai(folder, query), MEDIA)
    if announced := announcements.answer(folder, path, query):
        return announced[0], _answer(announced[1])
    return "other", _answer(huggingface.as_json({"error": "this replay has no such page"}, 404))


def _answer(reply: Reply, media: str = "") -> Answer:
    status, headers, body = reply
    others = tuple(item for item in headers.items() if item[0] != "Content-Type")
    return Answer(status, body, media or headers["Content-Type"], others)


def _spoilt(answer: Answer, request: Request, fault: Fault) -> Answer:
    """The answer with this fault; `cut_off` and `slow` spoil the sending instead."""
    source = request.source
    if fault.kind == "status":
        retry = (("Retry-After", fault.retry_after),) if fault.retry_after is not None else ()
        words = _answer(huggingface.as_json({"error": "Asked to misbehave"}, fault.code))
        if source.startswith("arxiv"):
            words = Answer(fault.code, b"Rate exceeded.", TEXT)
        return replace(words, headers=retry)
    if fault.kind == "wrong_page" and source == "huggingface_api":
        return _answer(huggingface.as_json({"models": [], "numTotalItems": 0}))
    if fault.kind in ("wrong_page", "html"):
        return Answer(200, STRANGE_PAGE, HTML)
    if fault.kind == "half_json":
        return replace(answer, body=answer.body[: len(answer.body) // 2])
    if fault.kind == "empty" and source in announcements.SOURCES:
        return replace(answer, body=announcements.without_entries(answer.body))
    if fault.kind == "empty":
        return _empty(request)
    if fault.kind == "expired" and "resumptionToken" in request.query:
        return _answer(refusal("badResumptionToken", "The token has expired."), MEDIA)
    if fault.kind == "short" and source == "arxiv_api":
        return replace(answer, body=arxiv.cut_short(answer.body))
    return answer


def _empty(request: Request) -> Answer:
    if request.source == "arxiv_api":
        return _answer(arxiv.feed(()))
    if request.source == "huggingface_listing":
        day = request.path.rpartition("/date/")[2]
        return _answer(huggingface.listing_page("day", day, (), (day,)))
    if request.source == "oai":
        return _answer(refusal("noRecordsMatch", "No records match these criteria"), MEDIA)
    return _answer(huggingface.as_json([]))


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
        if fault == Fault.late and source == "huggingface_api":
            query = huggingface.of_the_day_before(replay.folder, query)
            source, answer = _route(replay.folder, address.path, query, replay.url)
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
