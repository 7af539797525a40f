"""The replay answers as the real services are recorded to do, and misbehaves on request."""

from __future__ import annotations

import html
import json
import re
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from data.sample.replay import Fault, Replay, Source

SCRIPT = Path(__file__).resolve().parent.parent / "data" / "sample" / "replay.py"
ATOM = "{http://www.w3.org/2005/Atom}"
SEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"

SOURCES: tuple[Source, ...] = ("huggingface_api", "huggingface_listing", "arxiv_api")
MONDAY, TUESDAY = "2025-03-03", "2025-03-04"


def item(number: int) -> dict[str, Any]:
    title = f'Paper {number} & "friends" <of one>'
    return {"paper": {"id": f"2503.{number:05}", "title": title, "upvotes": 40 - number}}


def entry(idv: str, title: str) -> str:
    return (
        f"<entry>\n    <id>http://arxiv.org/abs/{idv}</id>\n    <title>{title}</title>\n"
        "    <arxiv:comment>5 pages</arxiv:comment>\n  </entry>"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    days = {MONDAY: [item(n) for n in range(1, 32)], TUESDAY: [item(40)]}
    (tmp_path / "huggingface").mkdir()
    for day, items in days.items():
        (tmp_path / "huggingface" / f"{day}.json").write_text(json.dumps(items))
    head = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom">\n'
    )
    one = [
        entry("2503.00001v1", "Steering hands &amp; feet"),
        entry("2503.00002v3", "Five\n  Fingers"),
    ]
    two = [entry("2503.00001v2", "Steering hands, again"), entry("hep-th/9901001v1", "Strings")]
    (tmp_path / "arxiv").mkdir()
    for name, entries in (("one", one), ("two", two)):
        text = f"{head}{''.join(entries)}</feed>\n"
        (tmp_path / "arxiv" / f"{name}.xml").write_text(text)
    return tmp_path


@pytest.fixture
def replay(folder: Path) -> Iterator[Replay]:
    with Replay(folder) as replay:
        yield replay


def daily(replay: Replay, **query: str) -> requests.Response:
    address = replay.env["PAPERFEED_HF_URL"] + "/api/daily_papers"
    return requests.get(address, params=query, timeout=5)


def page(replay: Replay, day: str) -> requests.Response:
    return requests.get(f"{replay.env['PAPERFEED_HF_URL']}/papers/date/{day}", timeout=5)


def atom(replay: Replay, **query: str) -> requests.Response:
    address = replay.env["PAPERFEED_ARXIV_API_URL"] + "/api/query"
    return requests.get(address, params=query, timeout=5)


def ids(answer: requests.Response) -> list[str]:
    feed = ET.fromstring(answer.content)
    found = [str(node.findtext(f"{ATOM}id")) for node in feed.iter(f"{ATOM}entry")]
    return [name.removeprefix("http://arxiv.org/abs/") for name in found]


def counts(answer: requests.Response) -> tuple[int, ...]:
    """totalResults, startIndex, itemsPerPage."""
    feed = ET.fromstring(answer.content)
    names = "totalResults", "startIndex", "itemsPerPage"
    return tuple(int(str(feed.findtext(SEARCH + name))) for name in names)


def props(answer: requests.Response) -> Any:
    found = re.search(r'data-target="DailyPapers" data-props="([^"]*)"', answer.text)
    assert found
    return json.loads(html.unescape(found[1]))


# the daily papers API ---------------------------------------------------------------------


def test_a_day_comes_in_pages_that_lead_to_one_another(replay: Replay) -> None:
    sizes, seen, answer = [], [], daily(replay, date=MONDAY, limit="100")
    while True:
        sizes.append(len(answer.json()))
        seen += answer.json()
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["RateLimit"] == '"api";r=489;t=123'
        if "next" not in answer.links:
            break
        answer = requests.get(answer.links["next"]["url"], timeout=5)
    assert sizes == [15, 15, 1]
    assert seen == [item(n) for n in range(1, 32)]
    assert [request.query.get("p") for request in replay.requests] == [None, "1", "2"]


def test_the_limit_may_be_lower_than_a_page(replay: Replay) -> None:
    answer = daily(replay, date=MONDAY, limit="4", p="7")
    assert answer.json() == [item(29), item(30), item(31)]
    assert "Link" not in answer.headers
    assert daily(replay, date=MONDAY, limit="4", p="100").json() == []


def test_without_a_date_the_newest_come_first(replay: Replay) -> None:
    assert daily(replay).json()[:2] == [item(40), item(1)]


def test_a_day_without_papers_is_empty(replay: Replay) -> None:
    assert daily(replay, date="2025-03-02").json() == []
    today = datetime.now(UTC).date()
    assert daily(replay, date=str(today)).json() == []


@pytest.mark.parametrize(
    "query",
    [
        {"date": "2025-13-40"},
        {"date": "2025-3-3"},
        {"date": "20250303"},
        {"date": "2025-W10-1"},
        {"date": ""},
        {"date": str(datetime.now(UTC).date() + timedelta(days=2))},
        {"date": MONDAY, "limit": "101"},
        {"date": MONDAY, "limit": "0"},
        {"date": MONDAY, "limit": "many"},
        {"date": MONDAY, "p": "-1"},
        {"date": MONDAY, "p": "9" * 5000},
    ],
)
def test_wrong_parameters_are_refused(replay: Replay, query: dict[str, str]) -> None:
    answer = daily(replay, **query)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


# the listing page -------------------------------------------------------------------------


def test_the_page_of_a_day_holds_the_whole_day(replay: Replay) -> None:
    answer = page(replay, MONDAY)
    assert props(answer) == {
        "periodType": "day",
        "dateString": MONDAY,
        "dailyPapers": [item(n) for n in range(1, 32)],
        "prevDate": MONDAY,
        "nextDate": TUESDAY,
    }
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("day", ["2025-03-02", "2025-13-40", "never"])
def test_the_page_of_no_day_is_another_days(replay: Replay, day: str) -> None:
    answer = page(replay, day)
    assert answer.url.endswith(f"/papers/date/{TUESDAY}")
    assert props(answer)["dateString"] == TUESDAY
    assert props(answer)["dailyPapers"] == [item(40)]


# the Atom API -----------------------------------------------------------------------------


def test_ids_are_answered_with_their_newest_version_in_another_order(replay: Replay) -> None:
    answer = atom(replay, id_list="2503.00001,2503.00002, 2503.99999,hep-th/9901001")
    assert ids(answer) == ["hep-th/9901001v1", "2503.00002v3", "2503.00001v2"]
    assert counts(answer) == (3, 0, 10)
    assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    assert "<arxiv:comment>5 pages</arxiv:comment>" in answer.text


def test_a_version_is_answered_where_it_is_asked(replay: Replay) -> None:
    assert ids(atom(replay, id_list="2503.00001v1")) == ["2503.00001v1"]
    assert ids(atom(replay, id_list="2503.00001v3")) == []


def test_results_are_cut_by_start_and_max_results(replay: Replay) -> None:
    answer = atom(replay, id_list="2503.00001,2503.00002", start="1", max_results="1")
    assert ids(answer) == ["2503.00001v2"]
    assert counts(answer) == (2, 1, 1)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ('ti:"five fingers"', ["2503.00002v3"]),
        ('ti:"Hands, again!"', ["2503.00001v2"]),
        ('ti:"hands feet"', []),  # stood in version 1 only
        ("ti:hands AND ti:again", ["2503.00001v2"]),
        ('ti:"fing"', []),
        ("cat:cs.LG", []),
    ],
)
def test_titles_are_searched_by_words(replay: Replay, search: str, found: list[str]) -> None:
    assert ids(atom(replay, search_query=search)) == found


def test_one_malformed_id_spoils_the_batch(replay: Replay) -> None:
    answer = atom(replay, id_list="2503.00001,<abc>")
    assert answer.status_code == 400
    feed = ET.fromstring(answer.content)
    (wrong,) = feed.iter(f"{ATOM}entry")
    assert wrong.findtext(f"{ATOM}title") == "Error"
    assert wrong.findtext(f"{ATOM}summary") == "incorrect id format for <abc>"
    assert str(wrong.findtext(f"{ATOM}id")).startswith("https://arxiv.org/api/errors#")
    assert wrong.find(f"{ATOM}published") is None


@pytest.mark.parametrize("query", [{"start": "-1"}, {"max_results": "x"}, {"max_results": "2001"}])
def test_wrong_numbers_are_an_error_feed(replay: Replay, query: dict[str, str]) -> None:
    answer = atom(replay, id_list="2503.00001", **query)
    assert answer.status_code == 400
    assert "<title>Error</title>" in answer.text


# the server -------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(replay: Replay) -> None:
    with requests.Session() as session:
        first = session.get(replay.url + "/huggingface/api/daily_papers", stream=True, timeout=5)
        connection: Any = first.raw.connection
        port = connection.sock.getsockname()
        assert len(first.json()) == 15
        again = session.get(replay.url + "/arxiv/api/query", stream=True, timeout=5)
        connection = again.raw.connection
        assert connection.sock.getsockname() == port


def test_every_upstream_points_here_and_the_rest_is_not_found(replay: Replay) -> None:
    addresses = {name: value for name, value in replay.env.items() if name.endswith("_URL")}
    assert len(set(addresses.values())) == 6
    assert all(value.startswith(replay.url + "/") for value in addresses.values())
    assert replay.env["PAPERFEED_ARXIV_DELAY_SECONDS"] == "0"
    for name in ("RSS", "WEB"):
        assert requests.get(addresses[f"PAPERFEED_ARXIV_{name}_URL"], timeout=5).status_code == 404


def test_requests_are_logged_in_order(replay: Replay) -> None:
    before = time.monotonic()
    daily(replay, date=MONDAY)
    page(replay, MONDAY)
    atom(replay, id_list="abc")
    requests.get(replay.url + "/nowhere", timeout=5)
    assert [(request.source, request.path, request.query) for request in replay.requests] == [
        ("huggingface_api", "/huggingface/api/daily_papers", {"date": MONDAY}),
        ("huggingface_listing", f"/huggingface/papers/date/{MONDAY}", {}),
        ("arxiv_api", "/arxiv/api/query", {"id_list": "abc"}),
        ("other", "/nowhere", {}),
    ]
    moments = [before, *(request.at for request in replay.requests), time.monotonic()]
    assert moments == sorted(moments)


def test_after_the_block_nobody_answers_not_even_on_an_open_connection(folder: Path) -> None:
    with requests.Session() as session:
        with Replay(folder) as replay:
            session.get(replay.url, timeout=5)
        with pytest.raises(requests.ConnectionError):
            session.get(replay.url, timeout=5)


def test_it_runs_as_a_program() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(SCRIPT), "--port", str(port)]
    # What starts in the background ignores interrupts, and so do all that it starts.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        signal.signal(signal.SIGINT, ours)
        assert program.stdout
        lines = [program.stdout.readline() for _ in range(7)]
        assert lines[0] == f"export PAPERFEED_HF_URL=http://127.0.0.1:{port}/huggingface\n"
        assert lines[6] == "export PAPERFEED_ARXIV_DELAY_SECONDS=0\n"
        asked = requests.get(f"http://127.0.0.1:{port}/arxiv/api/query?id_list=abc", timeout=5)
        assert asked.status_code == 400
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=10) == 0


# misbehaviour -----------------------------------------------------------------------------


def test_statuses_with_and_without_a_wait(replay: Replay) -> None:
    replay.misbehave("huggingface_api", Fault.status(429, retry_after="1"))
    answer = daily(replay, date=MONDAY)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert "RateLimit" not in answer.headers
    replay.misbehave("arxiv_api", Fault.status(429))
    answer = atom(replay, id_list="2503.00001")
    assert (answer.status_code, answer.text) == (429, "Rate exceeded.")
    assert "Retry-After" not in answer.headers
    assert page(replay, MONDAY).status_code == 200


def test_it_misbehaves_so_many_times(replay: Replay) -> None:
    replay.misbehave("huggingface_api", Fault.status(503), times=2)
    assert [daily(replay, date=TUESDAY).status_code for _ in range(3)] == [503, 503, 200]


def test_it_behaves_again_one_source_or_all(replay: Replay) -> None:
    replay.misbehave("huggingface_api", Fault.status(503))
    replay.misbehave("arxiv_api", Fault.status(503))
    replay.behave("huggingface_api")
    assert (daily(replay).status_code, atom(replay).status_code) == (200, 503)
    replay.behave()
    assert atom(replay).status_code == 200


def test_cut_off_hangs_up_half_way(replay: Replay) -> None:
    whole = daily(replay, date=MONDAY)
    replay.misbehave("huggingface_api", Fault.cut_off)
    with requests.get(whole.url, stream=True, timeout=5) as answer:
        assert int(answer.headers["Content-Length"]) == len(whole.content)
        pieces: list[bytes] = []
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            pieces.extend(answer.iter_content(1))
    assert b"".join(pieces) == whole.content[: len(whole.content) // 2]


def test_a_slow_body_is_whole(replay: Replay) -> None:
    whole = daily(replay, date=MONDAY).content
    replay.misbehave("huggingface_api", Fault.slow(0.05))
    assert daily(replay, date=MONDAY).content == whole


def test_a_slow_body_does_not_hold_up_the_end(folder: Path) -> None:
    with Replay(folder) as replay:
        replay.misbehave("huggingface_api", Fault.slow(3600))
        address = replay.env["PAPERFEED_HF_URL"] + "/api/daily_papers"
        with requests.get(address, stream=True, timeout=5) as answer:
            assert answer.status_code == 200


def test_half_json_is_announced_as_whole(replay: Replay) -> None:
    whole = daily(replay, date=MONDAY).content
    replay.misbehave("huggingface_api", Fault.half_json)
    answer = daily(replay, date=MONDAY)
    assert answer.content == whole[: len(whole) // 2]
    assert answer.headers["Content-Length"] == str(len(answer.content))


def test_the_wrong_page(replay: Replay) -> None:
    for source in SOURCES:
        replay.misbehave(source, Fault.wrong_page)
    assert daily(replay, date=MONDAY).json() == {"models": [], "numTotalItems": 0}
    for answer in (page(replay, MONDAY), atom(replay, id_list="2503.00001")):
        assert answer.status_code == 200
        assert answer.text.startswith("<!DOCTYPE html>")
        assert "DailyPapers" not in answer.text


def test_html_where_json_is_due(replay: Replay) -> None:
    replay.misbehave("huggingface_api", Fault.html)
    answer = daily(replay, date=MONDAY)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_empty_answers_are_well_formed(replay: Replay) -> None:
    for source in SOURCES:
        replay.misbehave(source, Fault.empty)
    answer = daily(replay, date=MONDAY)
    assert answer.json() == []
    assert "Link" not in answer.headers
    assert props(page(replay, MONDAY))["dailyPapers"] == []
    assert props(page(replay, MONDAY))["dateString"] == MONDAY
    feed = atom(replay, id_list="2503.00001")
    assert (ids(feed), counts(feed)[0]) == ([], 0)
