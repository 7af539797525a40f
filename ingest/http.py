"""The polite client: the only file that opens sockets to the outside."""

from __future__ import annotations

import ipaddress
import json
import logging
import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Self
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
import stamina
import urllib3

from ingest.errors import RateLimited, SourceChanged, SourceRefused, SourceUnavailable
from ingest.limit import ArxivLimit
from ingest.upstreams import ARXIV_DELAY_SECONDS, Upstreams, is_arxiv

USER_AGENT = "paperfeed/0.1 (nightly paper index)"
MAX_BYTES = 64 * 2**20
MAX_REDIRECTS = 5
MAX_WAIT_SECONDS = 60.0
"""The longest silence that is waited out here; a longer one is the caller's to plan for."""

LONGEST_REST_SECONDS = 300.0
"""The window of Hugging Face's limits: a used-up one is waited out before the next request."""

BACKOFF_SECONDS = 0.5

_CHUNK = 2**16
_REDIRECTS = (301, 302, 303, 307, 308)
_SECRETS = re.compile(r"(?i)(?<=[?&])((?:access_)?token|secret|password|api_?key)=[^&#]*")
_log = logging.getLogger(__name__)
# This client says itself why it waits and for how long, which stamina is not told.
stamina.instrumentation.set_on_retry_hooks(())


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, whole: `url` is where it came from after redirects, `received_at` a moment."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """As served, with any transfer compression undone."""
    received_at: str


class Client:
    """GET with timeouts, retries and each service's own limits; share one over a whole run.

    Requests to arXiv (its own hosts, and everything under `arxiv`) go one at a time and
    `arxiv_delay_seconds` apart, over every process that is given the same `locks` folder.
    """

    def __init__(
        self,
        locks: Path,
        *,
        arxiv: Collection[str] = (),
        arxiv_delay_seconds: float = ARXIV_DELAY_SECONDS,
        arxiv_silence_seconds: float = 0.0,
        attempts: int = 3,
        timeout_seconds: float = 30.0,
        deadline_seconds: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._arxiv = tuple(_prepared(address).rstrip("/") + "/" for address in arxiv)
        self._limit = ArxivLimit(locks, arxiv_delay_seconds, sleep, now)
        self._silence_seconds = arxiv_silence_seconds
        self._attempts = attempts
        self._timeout_seconds = timeout_seconds
        self._deadline_seconds = deadline_seconds
        self._sleep = sleep
        self._now = now
        self._used_up: dict[str, datetime] = {}  # host: when its limit begins anew
        self._session = _session()
        self._loopback = _session()
        self._loopback.trust_env = False  # a proxy cannot reach this machine's own loopback

    @classmethod
    def of(
        cls,
        upstreams: Upstreams,
        locks: Path,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Self:
        """The client for these upstreams, with arXiv's limit over all of arXiv's addresses."""
        return cls(
            locks,
            arxiv=upstreams.arxiv_addresses,
            arxiv_delay_seconds=upstreams.arxiv_delay_seconds,
            arxiv_silence_seconds=upstreams.arxiv_silence_seconds,
            sleep=sleep,
            now=now,
        )

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        ok: Collection[int] = (200,),
        headers: Mapping[str, str] | None = None,
        silence_seconds: float | None = None,
    ) -> Response:
        """The answer, if its status is one of `ok`.

        `headers`, which may hold a secret, go to that address's own service only: a redirect to
        another one is followed without them. `silence_seconds` is for a service known to think
        longer before it answers than others may. A limit that the last answer called used up
        (`RateLimit` with r=0) is waited out first.

        Raises RateLimited (with the wait asked for, unless that was short and waited out),
        SourceUnavailable after the last attempt, SourceRefused for another 4xx at once, and
        SourceChanged for a redirect that leads nowhere or a body over 64 MiB.
        """
        address = _prepared(url, params)
        patience = silence_seconds or self._timeout_seconds
        pauses: list[float] = []

        def worth_asking_again(error: Exception) -> bool:
            pause = _pause(error, len(pauses))
            if pause is None:
                return False
            pauses.append(pause)
            return True

        with self._silence_after_429(address):
            for attempt in stamina.retry_context(
                on=worth_asking_again,
                attempts=self._attempts,
                timeout=2 * self._deadline_seconds,
                # The pause depends on the answer and is slept here, through the caller's `sleep`.
                wait_initial=0,
                wait_max=0,
                wait_jitter=0,
            ):
                with attempt:
                    if attempt.num > 1:
                        self._wait(pauses[-1], address)
                    return self._accepted(self._follow(address, headers or {}, patience), ok)
        raise AssertionError  # the last attempt returns or raises

    @contextmanager
    def _silence_after_429(self, url: str) -> Iterator[None]:
        """When arXiv has had enough, no process asks it again for the configured silence."""
        try:
            yield
        except RateLimited as error:
            if self._silence_seconds and error.status and self._is_limited(url):
                self._limit.fall_silent(max(self._silence_seconds, error.retry_after or 0.0))
            raise

    def _wait(self, seconds: float, url: str) -> None:
        _log.warning("asking %s again in %.1f s", _host(url), seconds)
        self._sleep(seconds)

    def _follow(self, url: str, headers: Mapping[str, str], patience: float) -> Response:
        """The first answer that is not a redirect."""
        for _ in range(MAX_REDIRECTS + 1):
            self._rest(url)
            with self._turn(url):
                response = self._exchange(url, headers, patience)
            self._note_limit(response)
            target = response.headers.get("location")
            if response.status not in _REDIRECTS or not target:
                return response
            url, before = _prepared(urljoin(url, target)), url
            headers = headers if _service(url) == _service(before) else {}
        message = f"{_host(url)} redirected more than {MAX_REDIRECTS} times"
        raise SourceChanged(message, safe(url))

    def _rest(self, url: str) -> None:
        """Wait until the limit begins anew that the host's last answer called used up."""
        until = self._used_up.pop(_host(url), None)
        if until and (left := (until - self._now()).total_seconds()) > 0:
            self._wait(left, url)

    def _note_limit(self, response: Response) -> None:
        left = _bucket_wait(response.headers.get("ratelimit", ""))
        if left and left <= LONGEST_REST_SECONDS and response.status not in (429, 503):
            self._used_up[_host(response.url)] = self._now() + timedelta(seconds=left)

    def _turn(self, url: str) -> AbstractContextManager[None]:
        """arXiv's own hosts are never asked faster than arXiv wants, whatever the delay is."""
        least = ARXIV_DELAY_SECONDS if is_arxiv(url) else 0.0
        return self._limit.turn(least) if self._is_limited(url) else nullcontext()

    def _is_limited(self, url: str) -> bool:
        return is_arxiv(url) or f"{url.partition('?')[0]}/".startswith(self._arxiv)

    def _exchange(self, url: str, headers: Mapping[str, str], patience: float) -> Response:
        """One request and its answer; every failure below HTTP is a SourceUnavailable."""
        end = time.monotonic() + self._deadline_seconds + patience - self._timeout_seconds
        session = self._loopback if _is_loopback(url) else self._session
        # A kept-alive connection would go on counting as ours while another process asks.
        closing = {"Connection": "close"} if self._is_limited(url) else {}
        try:
            with session.get(
                url,
                headers={**headers, **closing},
                timeout=(self._timeout_seconds, patience),
                stream=True,
                allow_redirects=False,
            ) as answer:
                # What a service that pushes back has to say stands in the headers.
                pushed_back = answer.status_code in (429, 503)
                body = b"" if pushed_back else self._body(answer, end)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            message = f"{_host(url)} {_what_happened(error, patience)}"
            raise SourceUnavailable(message, safe(url)) from error
        return Response(
            url=safe(url),
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
            received_at=self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )

    def _body(self, answer: requests.Response, end: float) -> bytes:
        """The whole body; read as it comes in, or a dripping one would outlast every timeout."""
        body = bytearray()
        while piece := answer.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if len(body) > MAX_BYTES:
                message = f"{_host(answer.url)} sent more than {MAX_BYTES >> 20} MiB"
                raise SourceChanged(message, safe(answer.url))
            if time.monotonic() > end:
                message = f"{_host(answer.url)} was not done after {self._deadline_seconds:g} s"
                raise SourceUnavailable(message, safe(answer.url))
        return bytes(body)

    def _accepted(self, response: Response, ok: Collection[int]) -> Response:
        """The response, or the error that its status stands for."""
        status, url = response.status, response.url
        if status in ok:
            return response
        message = f"{_host(url)} answered {status}{_words(response)}"
        wait = _wait_asked(response.headers, self._now())
        if status == 429 or (status == 503 and wait is not None):
            asks = "" if wait is None else f" and asks for {wait:.0f} s of silence"
            raise RateLimited(message + asks, url, status, wait)
        if status >= 500:
            raise SourceUnavailable(message, url, status)
        if status >= 400:
            raise SourceRefused(message, url, status)
        raise SourceChanged(message, url, status)


def _what_happened(error: Exception, patience: float) -> str:
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError)
    if isinstance(error, timeouts):
        return f"was silent for {patience:g} s"
    if isinstance(error, urllib3.exceptions.DecodeError):
        return "sent a body that does not decompress"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "was cut off in the middle of its answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "has no certificate that this machine trusts"
    return "cannot be reached"


def safe(url: str) -> str:
    """The address without user name, password or any token in its query."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return _SECRETS.sub(r"\1=***", bare)


def _session() -> requests.Session:
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    return session


def _prepared(url: str, params: Mapping[str, str] | None = None) -> str:
    """The address as it is sent; raises SourceChanged for one that is not http(s)."""
    try:
        prepared = requests.Request("GET", url, params=params).prepare().url or ""
    except (requests.RequestException, ValueError):
        prepared = ""
    if not prepared.startswith(("http://", "https://")):
        message = "the next address is not one of the web"
        raise SourceChanged(message, safe(url))
    return prepared


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _service(url: str) -> tuple[str, str | None, int | None]:
    """What a secret was meant for: another scheme, host or port is another service."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pause(error: Exception, earlier: int) -> float | None:
    """Seconds to wait before asking again, None where that is of no use."""
    if isinstance(error, RateLimited):
        short = error.retry_after is not None and error.retry_after <= MAX_WAIT_SECONDS
        return error.retry_after if short else None
    if isinstance(error, SourceUnavailable):
        jitter = random.uniform(1.0, 1.5)  # noqa: S311  # spreads retries, guards nothing
        return BACKOFF_SECONDS * 2.0**earlier * jitter
    return None


def _wait_asked(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds of silence asked for by Retry-After or, failing that, by a used-up RateLimit."""
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", asked):
        return float(asked)
    try:
        moment = parsedate_to_datetime(asked)
    except ValueError:
        return _bucket_wait(headers.get("ratelimit", ""))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _bucket_wait(header: str) -> float | None:
    """The longest `t` of the buckets with nothing left, as in `"api";r=0;t=123`."""
    buckets = [dict(re.findall(r";\s*([rt])=([0-9]{1,9})", item)) for item in header.split(",")]
    waits = [float(bucket["t"]) for bucket in buckets if bucket.get("r") == "0" and "t" in bucket]
    return max(waits, default=None)


def _words(response: Response) -> str:
    """The service's own reason, where it gives one as JSON `{error}`: one short line."""
    try:
        said = json.loads(response.body)
    except (ValueError, RecursionError):
        return ""
    reason = said.get("error") if isinstance(said, dict) else None
    line = " ".join(reason.split()) if isinstance(reason, str) else ""
    printable = "".join(filter(str.isprintable, line))
    return f": {printable[:200]}" if printable else ""
