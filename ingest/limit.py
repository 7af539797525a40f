"""arXiv's one limit: a single connection and a gap between requests, over all processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ingest.errors import RateLimited, SourceUnavailable

LOCK_PATIENCE_SECONDS = 600.0
_CLOCK_NOISE_SECONDS = 1e-5  # what a moment loses on its way through a file and back
LONGEST_SILENCE_SECONDS = 86_400.0


class ArxivLimit:
    """One connection at a time and a gap between requests, over every process on the folder.

    The gap is from the end of one request to the start of the next: arXiv counts arrivals, and a
    request may arrive at any moment in between.
    """

    def __init__(
        self,
        folder: Path,
        delay_seconds: float,
        sleep: Callable[[float], None],
        now: Callable[[], datetime],
    ) -> None:
        self._lock = FileLock(folder / "arxiv.lock", timeout=LOCK_PATIENCE_SECONDS)
        self._last = folder / "arxiv.last"  # its modification time is the end of the last request
        self._silent = folder / "arxiv.silent"  # its modification time is the end of a silence
        self._delay = delay_seconds
        self._sleep = sleep
        self._now = now

    @contextmanager
    def turn(self, least_seconds: float = 0.0) -> Iterator[None]:
        """Hold arXiv's only connection, at least so long after the last request ended.

        Raises RateLimited while arXiv is left alone, SourceUnavailable if others never let go.
        """
        self._respect_silence()
        delay = max(self._delay, least_seconds)
        self._last.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._acquire(delay)
            try:
                yield
            finally:
                self._stamp(self._now().timestamp())
        finally:
            self._lock.release()

    def fall_silent(self, seconds: float) -> None:
        """Ask arXiv for nothing, from any process, for so long."""
        self._silent.touch()
        end = self._now().timestamp() + seconds
        os.utime(self._silent, (end, end))

    def _respect_silence(self) -> None:
        now = self._now().timestamp()
        left = self._silent.stat().st_mtime - now if self._silent.exists() else 0.0
        if 0 < left <= LONGEST_SILENCE_SECONDS:  # a clock that was set back must not silence us
            message = f"arXiv asked for silence and is left alone for {left:.0f} s more"
            raise RateLimited(message, status=None, retry_after=left)

    def _acquire(self, gap: float) -> None:
        """Wait without the lock, so that processes take turns instead of one starving the rest."""
        try:
            self._lock.acquire()
            while wait := self._seconds_left(gap):
                self._lock.release()
                self._sleep(wait)
                self._lock.acquire()
        except Timeout:
            message = f"another paperfeed has kept arXiv's turn for {LOCK_PATIENCE_SECONDS:g} s"
            raise SourceUnavailable(message) from None
        self._stamp(self._now().timestamp())

    def _seconds_left(self, gap: float) -> float:
        now = self._now().timestamp()
        last = self._last.stat().st_mtime if self._last.exists() else float("-inf")
        if last > now:
            # The clock went back: one gap from now, not until the old time comes round again.
            self._stamp(last := now)
        left = last + gap - now
        return left if left > _CLOCK_NOISE_SECONDS else 0.0

    def _stamp(self, moment: float) -> None:
        self._last.touch()
        os.utime(self._last, (moment, moment))
