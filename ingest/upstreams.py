"""Where the upstream services stand, and how fast arXiv may be asked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from ingest.errors import BadInput

ARXIV_DELAY_SECONDS = 3.0
"""What arXiv's terms of use ask for between two requests, over all machines of one user."""

ARXIV_SILENCE_SECONDS = 660.0
"""After a 429 arXiv's hosts were seen to recover in about eleven minutes without requests."""

SILENCE_VARIABLE = "PAPERFEED_ARXIV_SILENCE_SECONDS"
DELAY_VARIABLE = "PAPERFEED_ARXIV_DELAY_SECONDS"
VARIABLES = {
    "huggingface": "PAPERFEED_HF_URL",
    "arxiv_api": "PAPERFEED_ARXIV_API_URL",
    "arxiv_oai": "PAPERFEED_ARXIV_OAI_URL",
    "arxiv_rss": "PAPERFEED_ARXIV_RSS_URL",
    "arxiv_web": "PAPERFEED_ARXIV_WEB_URL",
    "github_api": "PAPERFEED_GITHUB_API_URL",
}


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Every service's base address, without a trailing slash; a bad one raises BadInput."""

    huggingface: str = "https://huggingface.co"
    arxiv_api: str = "https://export.arxiv.org"
    arxiv_oai: str = "https://oaipmh.arxiv.org"
    arxiv_rss: str = "https://rss.arxiv.org"
    arxiv_web: str = "https://arxiv.org"
    github_api: str = "https://api.github.com"
    arxiv_delay_seconds: float = ARXIV_DELAY_SECONDS
    arxiv_silence_seconds: float = ARXIV_SILENCE_SECONDS
    """How long arXiv is left alone after a 429."""

    def __post_init__(self) -> None:
        for name, variable in VARIABLES.items():
            object.__setattr__(self, name, _base(variable, getattr(self, name), _DEFAULTS[name]))
        self._refuse_haste()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Upstreams:
        """The addresses that the environment names; a variable unset or blank keeps its default."""
        said = {
            name: value
            for name, variable in VARIABLES.items()
            if (value := env.get(variable, "").strip())
        }
        own = is_arxiv(said.get("arxiv_api", _DEFAULTS["arxiv_api"]))
        return cls(
            **said,
            arxiv_delay_seconds=_seconds(env, DELAY_VARIABLE, ARXIV_DELAY_SECONDS),
            arxiv_silence_seconds=_seconds(
                env, SILENCE_VARIABLE, ARXIV_SILENCE_SECONDS if own else 0.0
            ),
        )

    @property
    def arxiv_api_query(self) -> str:
        """The Atom API's address."""
        return _ending_in(self.arxiv_api, "/api/query")

    @property
    def arxiv_oai_endpoint(self) -> str:
        """The OAI-PMH address."""
        return _ending_in(self.arxiv_oai, "/oai")

    @property
    def arxiv_addresses(self) -> frozenset[str]:
        """What arXiv's one limit covers: everything under these.

        A base that serves another upstream too, as a stand-in for all of them does, is told apart
        by the path of the arXiv endpoint.
        """
        arxiv = {self.arxiv_api_query, self.arxiv_oai_endpoint, self.arxiv_rss, self.arxiv_web}
        return frozenset(arxiv - {self.huggingface, self.github_api})

    def _refuse_haste(self) -> None:
        """Raise BadInput for a delay that is none, or below arXiv's wish on arXiv's own API."""
        delay = self.arxiv_delay_seconds
        if not (math.isfinite(delay) and delay >= 0):
            message = f"{DELAY_VARIABLE}={delay} is no delay: give seconds, for example 3"
            raise BadInput(message)
        if delay < ARXIV_DELAY_SECONDS and is_arxiv(self.arxiv_api):
            message = (
                f"{DELAY_VARIABLE}={delay:g} is too short for arXiv's own host {self.arxiv_api}: "
                f"leave it at 3 or more, or point {VARIABLES['arxiv_api']} elsewhere"
            )
            raise BadInput(message)


_DEFAULTS: dict[str, str] = {f.name: str(f.default) for f in fields(Upstreams)}


def is_arxiv(address: str) -> bool:
    """Whether the address stands on arxiv.org or one of its subdomains."""
    host = (urlsplit(address).hostname or "").rstrip(".")
    return host == "arxiv.org" or host.endswith(".arxiv.org")


def _base(variable: str, address: str, example: str) -> str:
    """The address without its trailing slash; raises BadInput if it is not http(s) with a host."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s?#]", address):
        message = f"{variable}={address!r} is not a web address: give one such as {example}"
        raise BadInput(message)
    return address.rstrip("/")


def _seconds(env: Mapping[str, str], variable: str, otherwise: float) -> float:
    text = env.get(variable, "").strip()
    try:
        seconds = float(text) if text else otherwise
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        message = (
            f"{variable}={text!r} is no number of seconds: give one, for example {otherwise:g}"
        )
        raise BadInput(message)
    return seconds


def _ending_in(base: str, path: str) -> str:
    return base if base.endswith(path) else base + path
