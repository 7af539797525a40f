"""Asked by many while snapshots come and go: every answer is one whole snapshot's, and no older
than the one before."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, pairwise
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event, Semaphore
from pathlib import Path
from typing import Any

import pytest

from index.build import publish
from index.retriever import Retriever
from index.snapshot import current, names, rollback
from ingest.paper import Paper
from tests.fake_encoder import MemoryCache, WordEncoder, papers

THREADS, LAST = 64, 10
PATIENCE = 120
"""Seconds after which a reader that has not seen the last snapshot gives up."""
SPAWN = multiprocessing.get_context("spawn")

ASK: tuple[Callable[[Retriever], Any], ...] = (
    lambda retriever: retriever.search("diffusion models that draw hands", 5),
    lambda retriever: retriever.search_many(["robots", "proofs about galaxies"], 3),
    lambda retriever: retriever.related_papers_block("speech of robots", 3),
    lambda retriever: retriever.similar("2503.00020", 4),
    lambda retriever: retriever.search("hands", 9, since="2025-03-05", categories="cs"),
    lambda retriever: [p.title for p in map(retriever.paper, ["2503.00020"])],
)


def generation(number: int) -> list[Paper]:
    """Every title and abstract names the generation; each stands elsewhere, among fewer papers."""
    return [
        Paper.from_record(
            {
                **paper.to_record(),
                "title": f"Generation {number}: {paper.title}",
                "abstract": f"{paper.abstract} Told for the time {'again ' * number}.",
            }
        )
        for paper in papers(40)[number:]
    ]


def put(home: Path, number: int, keep: int = 5) -> None:
    index_home = home / "index"
    publish(
        index_home, generation(number), WordEncoder(), MemoryCache(), allow_shrink=True, keep=keep
    )


def opened(path: Path) -> Retriever:
    return Retriever.open(path, encoder=WordEncoder.open)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each generation answers to everything that is asked, when nothing else goes on."""
    home = tmp_path_factory.mktemp("whole")
    answers = []
    for number in range(LAST + 1):
        put(home, number)
        retriever = opened(current(home / "index"))
        answers.append([ask(retriever) for ask in ASK])
    return answers


def test_generations_have_no_answer_in_common(whole: list[list[Any]]) -> None:
    for answers in zip(*whole, strict=True):
        assert all(one != other for n, one in enumerate(answers) for other in answers[:n])
        assert all(answers)
    for number, (hits, many, block, similar, narrowed, titles) in enumerate(whole):
        told = [hit.paper.title for hit in [*hits, *similar, *narrowed, *many[0], *many[1]]]
        assert [title.split(":")[0] for title in told + titles] == [f"Generation {number}"] * 25
        assert block.count(f"Model: Generation {number}: ") == 3


def seen(retriever: Retriever, whole: list[list[Any]], threads: int, last: int) -> list[list[int]]:
    """The generations of every thread's answers, in order, until each was answered by the last.

    Raises whatever a question raises, and AssertionError for an answer that is no generation's.
    """
    end = time.monotonic() + PATIENCE

    def ask(thread: int) -> list[int]:
        own: list[int] = []
        for turn in count(thread):
            kind = turn % len(ASK)
            answer = ASK[kind](retriever)
            found = [number for number, answers in enumerate(whole) if answers[kind] == answer]
            assert len(found) == 1, f"torn: {answer}"
            own.append(found[0])
            if found[0] == last or time.monotonic() > end:
                return own
        raise AssertionError

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ask, range(threads)))


def assert_forward(generations: list[list[int]], last: int) -> None:
    for own in generations:
        assert all(before <= after for before, after in pairwise(own))
        assert own[-1] == last


def publishing(
    home: Path, steps: Sequence[int | str], keep: int, ready: Event, go: Semaphore
) -> None:
    """What another process does: publish each generation, go back, or wait until it may `go` on."""
    ready.set()
    for step in ("wait", *steps):
        if step == "wait":
            go.acquire()
        elif step == "back":
            rollback(home / "index")
        else:
            put(home, int(step), keep)


@contextmanager
def another_process(home: Path, steps: Sequence[int | str], keep: int = 5) -> Iterator[Semaphore]:
    """Started and waiting: the steps begin when the semaphore is released."""
    ready, go = SPAWN.Event(), SPAWN.Semaphore(0)
    process = SPAWN.Process(target=publishing, args=(home, steps, keep, ready, go), daemon=True)
    process.start()
    try:
        assert ready.wait(PATIENCE)
        yield go
        process.join(PATIENCE)
        assert process.exitcode == 0
    finally:
        process.kill()


def test_sixty_four_threads_ask_while_ten_snapshots_are_published(tmp_path: Path, whole) -> None:
    put(tmp_path, 0)
    retriever = opened(tmp_path)
    with another_process(tmp_path, [1, 2, 3, 4, 5, "wait", 6, 7, 8, 9, 10]) as go:
        go.release()
        first = seen(retriever, whole, THREADS, last=5)
        go.release()
        then = seen(retriever, whole, THREADS, LAST)
    assert_forward([[*a, *b] for a, b in zip(first, then, strict=True)], LAST)
    assert [ask(retriever) for ask in ASK] == whole[10]
    assert len(names(tmp_path / "index")) == 5


def test_they_are_answered_while_snapshots_are_removed_and_rolled_back(tmp_path, whole) -> None:
    put(tmp_path, 0)
    retriever, stays = opened(tmp_path), opened(current(tmp_path / "index"))
    with another_process(tmp_path, [1, 2, 3, "back", 4, 5, "back", 6], keep=2) as go:
        go.release()
        generations = seen(retriever, whole, 8, last=6)
    assert all(own[-1] == 6 for own in generations)
    assert len(names(tmp_path / "index")) == 2
    assert [ask(stays) for ask in ASK] == whole[0]  # its folder is long gone
    rollback(tmp_path / "index")
    assert [ask(retriever) for ask in ASK] == whole[4]


def reading(home: Path, whole: list[list[Any]], ready: Barrier, told: Queue[Any]) -> None:
    """What a reader process does: ask with four threads and tell what they saw, or what failed."""
    try:
        retriever = opened(home)
        ready.wait(PATIENCE)
        told.put(seen(retriever, whole, 4, LAST))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the test must hear of it
        told.put(repr(error))


def test_two_processes_ask_while_a_third_publishes(tmp_path: Path, whole) -> None:
    put(tmp_path, 0)
    ready, told = SPAWN.Barrier(3), SPAWN.Queue()
    readers = [
        SPAWN.Process(target=reading, args=(tmp_path, whole, ready, told), daemon=True)
        for _ in range(2)
    ]
    try:
        for reader in readers:
            reader.start()
        ready.wait(PATIENCE)
        for number in range(1, LAST + 1):
            put(tmp_path, number, keep=1)
        for _ in readers:
            generations = told.get(timeout=PATIENCE)
            assert isinstance(generations, list), generations
            assert_forward(generations, LAST)
    finally:
        for reader in readers:
            reader.kill()
