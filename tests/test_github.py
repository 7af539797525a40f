"""GitHub's answers read, and asking for them without giving the token away."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sample.replay import Replay
from ingest.errors import PaperfeedError, SourceChanged, SourceRefused
from ingest.http import Client, Response
from ingest.sources import github
from ingest.sources.github import Verdict
from ingest.upstreams import Upstreams
from tests.test_http import Scripted, answer

TOKEN = "ghp_" + "s3cr3t" * 6
DESCRIBED = {
    "id": 7,
    "full_name": "Ada/Hands",
    "private": False,
    "stargazers_count": 12,
    "archived": False,
    "pushed_at": "2025-03-01T10:00:00Z",
    "license": {"key": "mit", "spdx_id": "MIT"},
}
NOT_FOUND = b'{"message": "Not Found", "status": "404"}'
BLOCKED = b'{"message": "Repository access blocked", "block": {"reason": "tos"}}'


def body(**changed: object) -> bytes:
    return json.dumps({**DESCRIBED, **changed}).encode()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "locks", timeout_seconds=5, sleep=lambda _: None)


def at(url: str) -> Upstreams:
    return Upstreams(github_api=url)


# reading ----------------------------------------------------------------------------------


def test_a_repository_is_found_whatever_the_case_of_its_name() -> None:
    expected = Verdict("found", "Ada/Hands", 12, False, "2025-03-01T10:00:00Z", "MIT")
    assert github.parse(body(), 200, "ada/hands") == expected


def test_a_repository_of_another_name_has_moved() -> None:
    verdict = github.parse(body(full_name="lab/hands", archived=True), 200, "Ada/Hands")
    assert verdict == Verdict("moved", "lab/hands", 12, True, "2025-03-01T10:00:00Z", "MIT")


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, NOT_FOUND), (410, b""), (451, BLOCKED), (403, BLOCKED), (200, body(private=True))],
)
def test_what_nobody_can_see_is_missing(status: int, said: bytes) -> None:
    assert github.parse(said, status, "a/b") == Verdict("missing")


def test_304_is_unchanged() -> None:
    assert github.parse(b"", 304, "a/b") == Verdict("unchanged")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"license": None}, "license"),
        ({"license": {"spdx_id": "NOASSERTION"}}, "license"),
        ({"license": "MIT"}, "license"),
        ({"stargazers_count": True}, "stars"),
        ({"stargazers_count": -1}, "stars"),
        ({"stargazers_count": 2**80}, "stars"),
        ({"archived": "no"}, "archived"),
        ({"pushed_at": "yesterday"}, "pushed_at"),
        ({"pushed_at": None}, "pushed_at"),
    ],
)
def test_what_is_optional_and_odd_is_left_out_alone(changed, field) -> None:
    whole = github.parse(body(), 200, "ada/hands")
    assert github.parse(body(**changed), 200, "ada/hands") == whole._replace(**{field: None})


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, b"<html>Scheduled maintenance</html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, body(full_name="hands")),
        (200, body(full_name="a/b\ud800")),
        (200, b"[" * 100_000),
        (301, b'{"message": "Moved Permanently"}'),
        (403, b'{"message": "Resource protected"}'),
        (403, b'{"block": "no"}'),
        (0, b""),
        (500, b""),
    ],
)
def test_an_answer_about_something_else_is_a_change(status: int, said: bytes) -> None:
    with pytest.raises(SourceChanged):
        github.parse(said, status, "a/b")


values = st.sampled_from(
    [None, True, -1, 0, 2**70, 0.5, "", "a/b", "a/c", "a/\ud800", "MIT", [], {}, {"spdx_id": "MIT"}]
)
objects = st.dictionaries(st.sampled_from([*DESCRIBED, "block"]), values).map(
    lambda said: json.dumps(said).encode()
)


@given(st.binary() | objects, st.sampled_from([0, 200, 200, 301, 304, 403, 404, 500]))
def test_arbitrary_bytes_raise_only_our_errors(said: bytes, status: int) -> None:
    try:
        verdict = github.parse(said, status, "a/b")
    except PaperfeedError:
        return
    assert verdict.state in ("found", "moved", "missing", "unchanged")
    assert (verdict.full_name is None) == (verdict.state in ("missing", "unchanged"))
    json.dumps(verdict).encode()


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (200, {}, None),
        (200, {"x-ratelimit-remaining": "1"}, None),
        (404, {"retry-after": "5"}, None),
        (403, {"x-ratelimit-remaining": "12"}, None),
        (403, {"retry-after": "60"}, "GitHub asks for 60 s of silence"),
        (429, {}, "GitHub asks for silence"),
        (
            200,
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1741000000"},
            "GitHub's limit is used up until 2025-03-03 11:06 UTC",
        ),
    ],
)
def test_the_wish_for_silence_is_heard(status, headers, words) -> None:
    assert github.silence_asked(Response("", status, headers, b"", "")) == words


# asking -----------------------------------------------------------------------------------


def test_a_request_carries_token_and_etag(client: Client) -> None:
    with Scripted(answer(200, body())) as server:
        github.fetch(client, at(f"{server.url}/api"), "Ada/Hands", 'W/"abc"', TOKEN)
    (asked,) = server.asked
    assert asked.startswith("GET /api/repos/Ada/Hands HTTP/1.1\r\n")
    assert f"Authorization: Bearer {TOKEN}\r\n" in asked
    assert 'If-None-Match: W/"abc"\r\n' in asked
    assert "Accept: application/vnd.github+json\r\n" in asked


def test_without_token_and_etag_neither_is_sent(client: Client) -> None:
    with Scripted(answer(200, body())) as server:
        github.fetch(client, at(server.url), "a/b", None, None)
        github.fetch(client, at(server.url), "a/b", "no mark\r\nX: y", None)
    for asked in server.asked:
        assert "Authorization" not in asked
        assert "If-None-Match" not in asked


@pytest.mark.parametrize("status", github.ANSWERS)
def test_every_answer_about_a_repository_comes_back(client: Client, status: int) -> None:
    with Scripted(answer(status)) as server:
        assert github.fetch(client, at(server.url), "a/b", None, None).status == status
    assert len(server.asked) == 1


def test_a_move_is_followed_with_the_token(client: Client) -> None:
    moved = answer(301, Location="/repositories/7"), answer(200, body(full_name="lab/hands"))
    with Scripted(*moved) as server:
        response = github.fetch(client, at(server.url), "Ada/Hands", None, TOKEN)
    assert response.url == f"{server.url}/repositories/7"
    assert github.parse(response.body, 200, "Ada/Hands").full_name == "lab/hands"
    assert all(TOKEN in asked for asked in server.asked)
    assert len(server.asked) == 2


def test_another_host_never_gets_the_token_nor_does_the_first_one_again(client: Client) -> None:
    def back():  # by then it is known where the first one stands
        yield answer(302, Location=f"{first.url}/back")

    with (
        Scripted(back()) as other,
        Scripted(answer(301, Location=f"{other.url}/there"), answer(200, body())) as first,
    ):
        github.fetch(client, at(first.url), "Ada/Hands", '"mark"', TOKEN)
    one, two, three = first.asked[0], other.asked[0], first.asked[1]
    assert TOKEN in one
    assert three.startswith("GET /back ")
    for asked in (two, three):
        assert TOKEN not in asked
        assert "Authorization" not in asked
        assert "mark" not in asked


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "tökén", "\x00"])
def test_a_token_that_cannot_be_sent_is_refused_unseen(client: Client, token: str) -> None:
    with Scripted(answer(200)) as server, pytest.raises(SourceRefused) as caught:
        github.fetch(client, at(server.url), "a/b", None, token)
    assert server.asked == []
    assert caught.value.status == 401
    assert token not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("said", [answer(401), answer(500), answer(422), b"", b"nonsense"])
def test_no_failure_tells_the_token(client: Client, caplog, said: bytes) -> None:
    caplog.set_level(logging.DEBUG)
    with Scripted(said) as server, pytest.raises(PaperfeedError) as caught:
        github.fetch(client, at(server.url), "a/b", None, TOKEN)
    told = caplog.text
    error: BaseException | None = caught.value
    while error:
        told += repr(error) + str(error)
        error = error.__cause__ or error.__context__
    assert TOKEN not in told


# the replay -------------------------------------------------------------------------------


@pytest.fixture
def replay(tmp_path: Path):
    (tmp_path / "github").mkdir()
    wire = {
        "Ada/Hands": {"stargazers_count": 12, "archived": False, "license": "MIT"},
        "ada/old": {"moved_to": "Ada/Hands"},
        "ada/late": {"public_from": "2025-03-10"},
    }
    (tmp_path / "github" / "repos.json").write_text(json.dumps(wire))
    with Replay(tmp_path) as served:
        served.github.today = "2025-03-09"
        yield served


def test_the_replay_moves_marks_and_counts(client: Client, replay: Replay) -> None:
    upstreams = Upstreams.from_env(replay.env)
    first = github.fetch(client, upstreams, "ada/hands", None, None)
    assert github.parse(first.body, first.status, "ada/hands").license == "MIT"
    assert first.headers["x-ratelimit-remaining"] == "59"
    again = github.fetch(client, upstreams, "ada/hands", first.headers["etag"], None)
    assert (again.status, again.headers["x-ratelimit-remaining"]) == (304, "59")
    moved = github.fetch(client, upstreams, "Ada/Old", None, None)
    assert github.parse(moved.body, moved.status, "Ada/Old")[:3] == ("moved", "Ada/Hands", 12)
    assert moved.headers["x-ratelimit-remaining"] == "57"
    assert github.fetch(client, upstreams, "ada/none", None, None).status == 404
    assert github.fetch(client, upstreams, "ada/late", None, TOKEN).status == 404
    replay.github.today = "2025-03-10"
    late = github.fetch(client, upstreams, "ada/late", None, TOKEN)
    assert (late.status, late.headers["x-ratelimit-limit"]) == (200, "5000")
    replay.github.limit = replay.github.used
    spent = github.fetch(client, upstreams, "ada/hands", None, TOKEN)
    assert spent.status == 403
    assert "used up until" in (github.silence_asked(spent) or "")
