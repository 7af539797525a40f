"""The polite client against real sockets on loopback: limits, retries, and every way to fail."""

from __future__ import annotations

import gzip
import json
import logging
import pickle
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from filelock import FileLock

from data.sample.replay import Fault, Replay
from ingest.errors import (
    RateLimited,
    SourceChanged,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from ingest.http import MAX_BYTES, USER_AGENT, Client, safe
from ingest.limit import ArxivLimit
from ingest.upstreams import Upstreams

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2025, 3, 3, 5, 0, 0, 123456, tzinfo=UTC)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.moment = START
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)


class Scripted:
    """A server that sends the scripted bytes, one answer per connection, the last one for ever."""

    def __init__(self, *answers: bytes | Iterable[bytes]) -> None:
        self.asked: list[str] = []
        script = list(answers)

        class Handler(socketserver.StreamRequestHandler):
            def handle(handler) -> None:  # noqa: N805  # `self` is the server
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = handler.rfile.readline()
                    if not line:
                        return
                    head += line
                self.asked.append(head.decode())
                answer = script.pop(0) if len(script) > 1 else script[0]
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    handler.wfile.write(piece)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Scripted:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(status: int, body: bytes = b"", /, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", "Connection: close"]
    headers.setdefault("Content_Length", str(len(body)))
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> Client:
    return Client(tmp_path / "locks", timeout_seconds=5, sleep=clock.sleep, now=clock.now)


# what comes back --------------------------------------------------------------------------


def test_the_response_is_whole_and_dated(client: Client) -> None:
    with Scripted(answer(200, b"hello", X_Kind="plain")) as server:
        response = client.get(f"{server.url}/a?x=1", {"date": "2025-03-03", "q": "a,b c"})
    assert response.status == 200
    assert response.body == b"hello"
    assert response.headers["x-kind"] == "plain"
    assert response.url == f"{server.url}/a?x=1&date=2025-03-03&q=a%2Cb+c"
    assert response.received_at == "2025-03-03T05:00:00.123456Z"
    assert server.asked[0].startswith("GET /a?x=1&date=2025-03-03&q=a%2Cb+c HTTP/1.1\r\n")
    assert f"User-Agent: {USER_AGENT}\r\n" in server.asked[0]
    assert "paperfeed" in USER_AGENT


def test_transfer_compression_is_undone(client: Client) -> None:
    body = json.dumps(list(range(1000))).encode()
    with Scripted(answer(200, gzip.compress(body), Content_Encoding="gzip")) as server:
        assert client.get(server.url).body == body


def test_a_chunked_body_is_put_together(client: Client) -> None:
    chunked = b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    with Scripted(answer(200, chunked, Content_Length="", Transfer_Encoding="chunked")) as server:
        assert client.get(server.url).body == b"abcdefg"


def test_another_status_is_handed_over_where_the_caller_knows_it(client: Client) -> None:
    with Scripted(answer(400, b"<feed/>")) as server:
        response = client.get(server.url, ok=(200, 400))
    assert (response.status, response.body) == (400, b"<feed/>")


def test_redirects_are_followed(client: Client) -> None:
    with Scripted(answer(302, Location="/there"), answer(200, b"here")) as server:
        response = client.get(f"{server.url}/gone")
    assert (response.url, response.body) == (f"{server.url}/there", b"here")


# what does not come back ------------------------------------------------------------------


def test_a_refusal_is_final_and_carries_the_services_words(client: Client, clock: Clock) -> None:
    words = json.dumps({"error": "no\nsuch \u202epage " + "x" * 500}).encode()
    with Scripted(answer(404, words)) as server, pytest.raises(SourceRefused) as caught:
        client.get(f"{server.url}/a?token=hush&date=2025-03-03")
    error = caught.value
    assert error.status == 404
    assert error.url == f"{server.url}/a?token=***&date=2025-03-03"
    assert "answered 404: no such page xxx" in error.message
    assert len(error.message) < 260
    assert len(server.asked) == 1
    assert clock.slept == []


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": 1}', b"[]", b"[" * 100_000])
def test_a_refusal_without_words_is_still_one(client: Client, body: bytes) -> None:
    with Scripted(answer(400, body)) as server, pytest.raises(SourceRefused) as caught:
        client.get(server.url)
    assert caught.value.message == f"{server.url.removeprefix('http://')} answered 400"


HALF_GZIP = gzip.compress(b"whole" * 99)[:20]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (answer(500), "answered 500"),
        (answer(503), "answered 503"),
        (answer(200, b"half", Content_Length="8"), "cut off"),
        (
            answer(200, b"9\r\nhalf", Content_Length="", Transfer_Encoding="chunked"),
            "cut off",
        ),
        (answer(200, HALF_GZIP, Content_Encoding="gzip", Content_Length="99"), "cut off"),
        (answer(200, b"no gzip", Content_Encoding="gzip"), "does not decompress"),
        (b"", "cannot be reached"),
        (b"NOT HTTP AT ALL\r\n\r\n", "cannot be reached"),
    ],
)
def test_what_may_pass_is_asked_three_times(
    client: Client, clock: Clock, raw: bytes, says: str
) -> None:
    with Scripted(raw) as server, pytest.raises(SourceUnavailable, match=says):
        client.get(server.url)
    assert len(server.asked) == 3
    first, second = clock.slept
    assert 0.5 <= first <= 0.75
    assert 1.0 <= second <= 1.5


def test_the_second_attempt_may_succeed(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Scripted(answer(200, b"half", Content_Length="8"), answer(200, b"whole")) as server,
        caplog.at_level(logging.INFO),
    ):
        assert client.get(server.url).body == b"whole"
    host = server.url.removeprefix("http://")
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"asking {host} again in 0.")


def test_nobody_at_home(client: Client) -> None:
    with Scripted(b"") as server:
        pass
    with pytest.raises(SourceUnavailable, match="cannot be reached") as caught:
        client.get(server.url)
    assert caught.value.status is None


def test_silence_ends_at_the_timeout(tmp_path: Path) -> None:
    quiet = threading.Event()

    def never() -> Iterator[bytes]:
        quiet.wait(5)
        yield b""

    client = Client(tmp_path, attempts=1, timeout_seconds=0.05)
    with Scripted(never()) as server:
        with pytest.raises(SourceUnavailable, match=r"silent for 0\.05 s"):
            client.get(server.url)
        quiet.set()


def test_a_service_that_thinks_long_is_given_the_time(tmp_path: Path) -> None:
    def late() -> Iterator[bytes]:
        threading.Event().wait(0.1)
        yield answer(200, b"at last")

    client = Client(tmp_path, attempts=1, timeout_seconds=0.05)
    with Scripted(late(), late()) as server:
        assert client.get(server.url, silence_seconds=5).body == b"at last"
        with pytest.raises(SourceUnavailable, match=r"silent for 0\.05 s"):
            client.get(server.url)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_dripping_body_ends_at_the_deadline(tmp_path: Path, framing: str) -> None:
    done = threading.Event()

    def drip() -> Iterator[bytes]:
        chunked = {"Content_Length": "", "Transfer_Encoding": "chunked"}
        yield answer(200, **(chunked if framing == "chunked" else {"Content_Length": "9999"}))
        yield b"2000\r\n" if framing == "chunked" else b""
        for _ in range(500):
            done.wait(0.01)
            yield b"."

    client = Client(tmp_path, attempts=1, timeout_seconds=5, deadline_seconds=0.1)
    with Scripted(drip()) as server:
        with pytest.raises(SourceUnavailable, match=r"not done after 0\.1 s"):
            client.get(server.url)
        done.set()


def test_a_body_without_end_is_refused(client: Client) -> None:
    bomb = gzip.compress(bytes(MAX_BYTES + 1), compresslevel=1)
    with Scripted(answer(200, bomb, Content_Encoding="gzip")) as server:
        with pytest.raises(SourceChanged, match="more than 64 MiB"):
            client.get(server.url)
        assert len(server.asked) == 1


def test_redirects_end_after_five(client: Client) -> None:
    with Scripted(answer(301, Location="/again")) as server:
        with pytest.raises(SourceChanged, match="more than 5 times"):
            client.get(server.url)
        assert len(server.asked) == 6


@pytest.mark.parametrize("target", ["file:///etc/hosts", "ftp://h/x", "http://", "javascript:x"])
def test_redirects_stay_on_the_web(client: Client, target: str) -> None:
    with Scripted(answer(302, Location=target)) as server, pytest.raises(SourceChanged):
        client.get(server.url)


@pytest.mark.parametrize("status", [204, 304, 302])
def test_a_status_nobody_expects_is_a_change(client: Client, status: int) -> None:
    with Scripted(answer(status)) as server, pytest.raises(SourceChanged, match=str(status)):
        client.get(server.url)


# asked to wait ----------------------------------------------------------------------------

IN_20_SECONDS = "Mon, 03 Mar 2025 05:00:20 GMT"


@pytest.mark.parametrize(
    ("status", "header", "value", "wait"),
    [
        (429, "Retry_After", "7", 7.0),
        (503, "Retry_After", "60", 60.0),
        (429, "Retry_After", "0", 0.0),
        (429, "Retry_After", IN_20_SECONDS, 19.876544),
        (429, "Retry_After", "Mon, 03 Mar 2025 05:00:20 -0000", 19.876544),
        (429, "Retry_After", "Mon, 03 Mar 2025 04:00:00 GMT", 0.0),
        (429, "RateLimit", '"api";r=0;t=31', 31.0),
        (503, "RateLimit", '"api";t=9;r=0', 9.0),
        (429, "RateLimit", '"api";r=3;t=50, "search";r=0;t=12', 12.0),
    ],
)
def test_a_short_wait_is_waited_out(
    client: Client, clock: Clock, status: int, header: str, value: str, wait: float
) -> None:
    with Scripted(answer(status, **{header: value}), answer(200, b"now")) as server:
        assert client.get(server.url).body == b"now"
    assert clock.slept == [pytest.approx(wait)]


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {}, None),
        (429, {"Retry_After": "soon"}, None),
        (429, {"Retry_After": "-5"}, None),
        (429, {"Retry_After": "61"}, 61.0),
        (503, {"Retry_After": "3600"}, 3600.0),
        (429, {"RateLimit": '"api";r=0;t=123'}, 123.0),
        (429, {"RateLimit": '"api";r=489;t=12'}, None),
        (429, {"RateLimit": "nonsense"}, None),
        (429, {"Retry_After": "90", "RateLimit": '"api";r=0;t=5'}, 90.0),
    ],
)
def test_a_long_or_unsaid_wait_is_the_callers(
    client: Client, clock: Clock, status: int, headers: dict[str, str], wait: float | None
) -> None:
    with Scripted(answer(status, **headers)) as server, pytest.raises(RateLimited) as caught:
        client.get(server.url)
    assert caught.value.retry_after == wait
    assert caught.value.status == status
    assert len(server.asked) == 1
    assert clock.slept == []


def test_a_limit_used_up_is_waited_out_before_the_next_request(
    client: Client, clock: Clock
) -> None:
    left = ((1, 200), (0, 123), (499, 300))
    with Scripted(*(answer(200, RateLimit=f'"api";r={r};t={t}') for r, t in left)) as server:
        client.get(server.url)
        client.get(server.url)
        assert clock.slept == []
        client.get(server.url)
        client.get(server.url)
    assert clock.slept == [123.0]


def test_only_the_host_that_said_so_is_waited_for_and_not_for_hours(
    client: Client, clock: Clock
) -> None:
    used_up, hours = '"api";r=0;t=100', '"api";r=0;t=3600'
    with (
        Scripted(answer(200, RateLimit=used_up)) as one,
        Scripted(answer(200, RateLimit=hours)) as other,
    ):
        client.get(one.url)
        client.get(other.url)
        client.get(other.url)
        assert clock.slept == []
        clock.moment += timedelta(seconds=40)
        client.get(one.url)
    assert clock.slept == [60.0]


def test_waiting_ends_after_the_last_attempt(client: Client, clock: Clock) -> None:
    with Scripted(answer(429, Retry_After="5")) as server, pytest.raises(RateLimited) as caught:
        client.get(server.url)
    assert caught.value.retry_after == 5.0
    assert clock.slept == [5.0, 5.0]


@pytest.mark.parametrize("status", [404, 429, 500, 204])
def test_errors_survive_the_way_between_processes(client: Client, status: int) -> None:
    server = Scripted(answer(status, b'{"error": "why"}'))
    with server, pytest.raises(SourceError) as caught:
        client.get(server.url)
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_addresses_are_shown_without_secrets() -> None:
    shown = safe("https://me:pass@host:1/p?api_key=1&access_token=2&resumptionToken=3&monkey=4#f")
    assert shown == "https://host:1/p?api_key=***&access_token=***&resumptionToken=3&monkey=4#f"


def test_a_proxy_is_not_asked_for_loopback(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Scripted(answer(200, b"direct")) as server:
        assert client.get(server.url).body == b"direct"


# arXiv's limit ----------------------------------------------------------------------------

GAP = 3.0


def arxiv_client(locks: Path, server: Scripted, clock: Clock) -> Client:
    return Client(locks, arxiv={server.url + "/arxiv"}, sleep=clock.sleep, now=clock.now)


def test_arxiv_is_asked_every_three_seconds(tmp_path: Path, clock: Clock) -> None:
    with Scripted(answer(200)) as server:
        for _ in range(2):  # a later run of the program finds the first one's state
            client = arxiv_client(tmp_path, server, clock)
            client.get(f"{server.url}/arxiv/api/query")
            client.get(f"{server.url}/arxiv?x=1")
    assert clock.slept == pytest.approx([GAP, GAP, GAP], abs=0.01)
    assert all("Connection: close\r\n" in asked for asked in server.asked)


def test_only_the_time_since_the_last_request_counts(tmp_path: Path, clock: Clock) -> None:
    with Scripted(answer(200)) as server:
        client = arxiv_client(tmp_path, server, clock)
        client.get(f"{server.url}/arxiv")
        clock.moment += timedelta(seconds=2)
        client.get(f"{server.url}/arxiv")
        clock.moment += timedelta(seconds=4)
        client.get(f"{server.url}/arxiv")
    assert clock.slept == pytest.approx([GAP - 2], abs=0.01)


def test_others_on_the_same_host_are_not_slowed(tmp_path: Path, clock: Clock) -> None:
    with Scripted(answer(200)) as server:
        client = arxiv_client(tmp_path, server, clock)
        for path in ("/arxiv", "/huggingface", "/arxivian", "/huggingface?x=/arxiv"):
            client.get(server.url + path)
    assert clock.slept == []


def test_a_retry_and_a_redirect_take_their_turns_too(tmp_path: Path, clock: Clock) -> None:
    script = answer(500), answer(302, Location="/arxiv/there"), answer(200, b"there")
    with Scripted(*script) as server:
        arxiv_client(tmp_path, server, clock).get(f"{server.url}/arxiv")
    backoff, rest_of_the_gap, whole_gap = clock.slept
    assert 0.5 <= backoff <= 0.75
    assert backoff + rest_of_the_gap == pytest.approx(GAP, abs=0.01)
    assert whole_gap == pytest.approx(GAP, abs=0.01)


def test_arxivs_429_is_raised_at_once(tmp_path: Path, clock: Clock) -> None:
    with Scripted(answer(429, b"Rate exceeded.")) as server, pytest.raises(RateLimited):
        arxiv_client(tmp_path, server, clock).get(f"{server.url}/arxiv")
    assert len(server.asked) == 1


def test_a_clock_that_went_back_costs_one_gap(tmp_path: Path, clock: Clock) -> None:
    with Scripted(answer(200)) as server:
        client = arxiv_client(tmp_path, server, clock)
        client.get(f"{server.url}/arxiv")
        clock.moment -= timedelta(hours=5)
        client.get(f"{server.url}/arxiv")
        client.get(f"{server.url}/arxiv")
    assert clock.slept == pytest.approx([GAP, GAP], abs=0.01)


def test_the_client_of_the_upstreams_limits_every_arxiv_address(
    tmp_path: Path, clock: Clock
) -> None:
    with Scripted(answer(200)) as server:
        upstreams = Upstreams(
            huggingface=f"{server.url}/hf",
            arxiv_api=f"{server.url}/a",
            arxiv_oai=f"{server.url}/b",
            arxiv_rss=f"{server.url}/c",
            arxiv_web=f"{server.url}/d",
        )
        client = Client.of(upstreams, tmp_path, sleep=clock.sleep, now=clock.now)
        client.get(f"{server.url}/hf/api/daily_papers")
        client.get(upstreams.arxiv_api_query)
        client.get(upstreams.arxiv_oai_endpoint)
        client.get(f"{upstreams.arxiv_rss}/atom/cs.LG")
        client.get(f"{upstreams.arxiv_web}/list/cs.LG/new")
    assert clock.slept == pytest.approx([GAP, GAP, GAP], abs=0.01)


ASK = """
import sys
from pathlib import Path
from ingest.http import Client
url, locks, delay = sys.argv[1:]
client = Client(Path(locks), arxiv={url}, arxiv_delay_seconds=float(delay))
for _ in range(4):
    client.get(url)
"""


def ask_from_two_processes(replay: Replay, locks: Path, delay: str) -> list[float]:
    """The gaps between the arrivals of two processes' eight requests."""
    command = [sys.executable, "-c", ASK, f"{replay.url}/arxiv/api/query", str(locks), delay]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    arrivals = [request.at for request in replay.requests]
    assert len(arrivals) == 8
    return [later - earlier for earlier, later in pairwise(arrivals)]


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    """arXiv with no papers, which answers every query without ids alike."""
    with Replay(tmp_path) as replay:
        yield replay


def test_two_processes_keep_the_gap_between_them(replay: Replay, tmp_path: Path) -> None:
    assert min(ask_from_two_processes(replay, tmp_path / "locks", "0.1")) >= 0.1


def test_two_processes_use_one_connection(replay: Replay, tmp_path: Path) -> None:
    replay.misbehave("arxiv_api", Fault.slow(0.1))
    # Without a gap, only one's waiting for the other's answer keeps the arrivals apart.
    assert min(ask_from_two_processes(replay, tmp_path / "locks", "0")) >= 0.1


def test_arxivs_own_hosts_keep_their_gap_under_a_short_delay(tmp_path: Path, clock: Clock) -> None:
    limit = ArxivLimit(tmp_path, 0.0, clock.sleep, clock.now)
    for least in (0.0, 3.0, 0.0):
        with limit.turn(least):
            pass
    assert clock.slept == pytest.approx([3.0])


def test_after_a_429_arxiv_is_left_alone_by_every_process(
    replay: Replay, tmp_path: Path, clock: Clock
) -> None:
    base = replay.env["PAPERFEED_ARXIV_API_URL"]
    url = f"{base}/api/query?id_list=2503.00001"

    def client() -> Client:
        return Client(
            tmp_path,
            arxiv={base},
            arxiv_delay_seconds=0,
            arxiv_silence_seconds=600,
            sleep=clock.sleep,
            now=clock.now,
        )

    replay.misbehave("arxiv_api", Fault.status(429))
    for _ in range(3):
        with pytest.raises(RateLimited):
            client().get(url)
    assert len(replay.requests) == 1
    replay.behave()
    clock.sleep(601)
    assert client().get(url).status == 200


def test_a_turn_that_never_comes_is_an_error(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.limit.LOCK_PATIENCE_SECONDS", 0.01)
    with (
        Scripted(answer(200)) as server,
        FileLock(tmp_path / "arxiv.lock"),
        pytest.raises(SourceUnavailable, match="kept arXiv's turn"),
    ):
        arxiv_client(tmp_path, server, clock).get(f"{server.url}/arxiv")
    assert server.asked == []


def test_the_turn_of_a_killed_process_is_free(replay: Replay, tmp_path: Path) -> None:
    replay.misbehave("arxiv_api", Fault.slow(30), times=1)
    url = f"{replay.url}/arxiv/api/query"
    process = subprocess.Popen([sys.executable, "-c", ASK, url, str(tmp_path), "0"], cwd=ROOT)
    wait_until(lambda: bool(replay.requests))
    process.kill()
    process.wait()
    assert Client(tmp_path, arxiv={url}, arxiv_delay_seconds=0).get(url).status == 200


def wait_until(reached: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(10_000):
        if reached():
            return
        pause.wait(0.002)
    pytest.fail("the other process never asked")
