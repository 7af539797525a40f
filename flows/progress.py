"""Long work shows a bar on a terminal and plain lines elsewhere, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[[int], None]
_EVERY_SECONDS = 5.0


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Gives a function to call with the number of things done since the last call."""
    if not total:
        yield lambda _: None
    elif sys.stderr.isatty():
        yield from _bar(label, total)
    else:
        yield from _lines(label, total)


def say(line: str) -> None:
    """One plain line of news."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _bar(label: str, total: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total)
        yield lambda done: bars.advance(task, done)


def _lines(label: str, total: int) -> Iterator[Advance]:
    done, told = 0, time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, told
        done += more
        if done < total and time.monotonic() - told >= _EVERY_SECONDS:
            told = time.monotonic()
            say(f"{label}: {done} of {total}")

    yield advance
    say(f"{label}: {done} of {total}")
