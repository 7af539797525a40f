"""Where the upstreams stand: defaults, bad addresses, and a delay that arXiv's hosts refuse."""

from __future__ import annotations

import pytest

from ingest.errors import BadInput
from ingest.upstreams import VARIABLES, Upstreams, is_arxiv

ELSEWHERE = dict.fromkeys(VARIABLES.values(), "http://127.0.0.1:8000")


def test_the_defaults_are_the_real_services() -> None:
    upstreams = Upstreams.from_env({})
    assert upstreams.huggingface == "https://huggingface.co"
    assert upstreams.arxiv_api_query == "https://export.arxiv.org/api/query"
    assert upstreams.arxiv_oai_endpoint == "https://oaipmh.arxiv.org/oai"
    assert upstreams.arxiv_rss == "https://rss.arxiv.org"
    assert upstreams.arxiv_web == "https://arxiv.org"
    assert upstreams.github_api == "https://api.github.com"
    assert upstreams.arxiv_delay_seconds == 3.0


@pytest.mark.parametrize(("name", "variable"), VARIABLES.items())
def test_each_variable_sets_its_own_upstream(name: str, variable: str) -> None:
    upstreams = Upstreams.from_env({variable: " http://127.0.0.1:8000/base/ "})
    assert getattr(upstreams, name) == "http://127.0.0.1:8000/base"
    others = {other for other in VARIABLES if other != name}
    assert {getattr(upstreams, o) for o in others} == {getattr(Upstreams(), o) for o in others}


def test_a_blank_variable_is_an_unset_one() -> None:
    blank = dict.fromkeys([*VARIABLES.values(), "PAPERFEED_ARXIV_DELAY_SECONDS"], " ")
    assert Upstreams.from_env(blank) == Upstreams()


@pytest.mark.parametrize(
    ("given", "query", "oai"),
    [
        ("http://h/x", "http://h/x/api/query", "http://h/x/oai"),
        ("http://h/x/", "http://h/x/api/query", "http://h/x/oai"),
        ("http://h/api/query", "http://h/api/query", "http://h/api/query/oai"),
        ("http://h/oai/", "http://h/oai/api/query", "http://h/oai"),
    ],
)
def test_a_full_endpoint_is_taken_as_it_is(given: str, query: str, oai: str) -> None:
    upstreams = Upstreams(arxiv_api=given, arxiv_oai=given)
    assert upstreams.arxiv_api_query == query
    assert upstreams.arxiv_oai_endpoint == oai


@pytest.mark.parametrize(
    "address",
    [
        "huggingface.co",
        "ftp://huggingface.co",
        "https://",
        "https:///papers",
        "http://[::1",
        "http://host:port",
        "http://host:99999",
        "http://two words",
        "https://huggingface.co?x=1",
        "file:///etc/hosts",
    ],
)
def test_what_is_no_web_address_is_refused_by_its_variable(address: str) -> None:
    with pytest.raises(BadInput) as caught:
        Upstreams.from_env({"PAPERFEED_HF_URL": address})
    said = str(caught.value)
    assert "PAPERFEED_HF_URL" in said
    assert repr(address) in said
    assert "https://huggingface.co" in said


@pytest.mark.parametrize("text", ["three", "nan", "inf", "-1", "-0.5", "3s"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"PAPERFEED_ARXIV_DELAY_SECONDS.*for example 3"):
        Upstreams.from_env({**ELSEWHERE, "PAPERFEED_ARXIV_DELAY_SECONDS": text})


@pytest.mark.parametrize("text", ["0", "2.99"])
def test_a_short_delay_is_refused_while_the_api_is_arxivs_own(text: str) -> None:
    env = {**ELSEWHERE, "PAPERFEED_ARXIV_DELAY_SECONDS": text}
    assert Upstreams.from_env(env).arxiv_delay_seconds == float(text)
    with pytest.raises(BadInput, match="PAPERFEED_ARXIV_API_URL"):
        Upstreams.from_env({**env, "PAPERFEED_ARXIV_API_URL": "http://export.ARXIV.org:80/"})
    with pytest.raises(BadInput, match="PAPERFEED_ARXIV_API_URL"):
        Upstreams.from_env({"PAPERFEED_ARXIV_DELAY_SECONDS": text})


def test_the_silence_after_a_429_is_long_for_arxivs_own_hosts_only() -> None:
    assert Upstreams.from_env({}).arxiv_silence_seconds == 660.0
    assert Upstreams.from_env(ELSEWHERE).arxiv_silence_seconds == 0.0
    env = {**ELSEWHERE, "PAPERFEED_ARXIV_SILENCE_SECONDS": "5"}
    assert Upstreams.from_env(env).arxiv_silence_seconds == 5.0
    with pytest.raises(BadInput, match="PAPERFEED_ARXIV_SILENCE_SECONDS"):
        Upstreams.from_env({"PAPERFEED_ARXIV_SILENCE_SECONDS": "long"})


def test_a_longer_delay_is_anyones_choice() -> None:
    env = {"PAPERFEED_ARXIV_DELAY_SECONDS": "15"}
    assert Upstreams.from_env(env).arxiv_delay_seconds == 15.0


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("https://arxiv.org", True),
        ("https://export.arxiv.org/api/query?x=1", True),
        ("http://user@RSS.arxiv.org.:8080/", True),
        ("https://notarxiv.org", False),
        ("https://arxiv.org.evil.com", False),
        ("https://evil.com/arxiv.org", False),
    ],
)
def test_which_hosts_are_arxivs_own(address: str, own: bool) -> None:
    assert is_arxiv(address) is own


def test_the_limit_tells_a_stand_in_for_everything_apart_by_path() -> None:
    everywhere = Upstreams.from_env(ELSEWHERE)
    assert everywhere.arxiv_addresses == {
        "http://127.0.0.1:8000/api/query",
        "http://127.0.0.1:8000/oai",
    }
