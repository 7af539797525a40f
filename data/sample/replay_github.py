"""GitHub's REST API as far as paperfeed asks it: repositories, moves, ETags and the limit.

`github/repos.json` in the folder that is served: name to `full_name`, `stargazers_count`,
`archived`, `pushed_at` and `license` as GitHub gives them (a licence may be its SPDX identifier
alone); with `moved_to` the name asks for another one, with `public_from` it is there from that day.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

DOCUMENTATION = "https://docs.github.com/rest"


class GitHub:
    """The service and what it remembers between two requests."""

    def __init__(self) -> None:
        self.limit: int | None = None
        """Requests an hour; None for GitHub's own: 60, or 5,000 with a token."""
        self.used = 0
        self.today: str | None = None
        """The day that `public_from` is held against; None for the clock's."""
        self._reset = int(time.time()) + 3600

    def answer(self, folder: Path, path: str, headers: Mapping[str, str], root: str) -> Answer:
        """What `path` (after the service's `root`) gets; a 304 is not held against the limit."""
        limit = self.limit or (5000 if headers.get("Authorization") else 60)
        if self.used >= limit:
            words = "API rate limit exceeded for 127.0.0.1."
            return 403, self._limits(limit), _message(words)
        status, more, body = self._found(_repositories(folder), path, root)
        if status == 200 and headers.get("If-None-Match") == more["ETag"]:
            status, body = 304, b""
        self.used += status != 304
        return status, {**more, **self._limits(limit)}, body

    def _found(self, repositories: dict[str, dict[str, Any]], path: str, root: str) -> Answer:
        name = _asked_for(path, repositories)
        entry = repositories.get(name)
        if entry is None or entry.get("public_from", "") > self._day():
            return 404, {}, _message("Not Found", "404")
        if "moved_to" in entry:
            target = f"{root}/repositories/{_number(entry['moved_to'].casefold())}"
            words = {"message": "Moved Permanently", "url": target}
            return 301, {"Location": target}, json.dumps(words).encode()
        body = json.dumps(_described(name, entry)).encode()
        return 200, {"ETag": f'W/"{sha256(body).hexdigest()}"'}, body

    def _day(self) -> str:
        return self.today or str(datetime.now(UTC).date())

    def _limits(self, limit: int) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - self.used)),
            "X-RateLimit-Used": str(min(limit, self.used)),
            "X-RateLimit-Reset": str(self._reset),
            "X-RateLimit-Resource": "core",
        }


def _repositories(folder: Path) -> dict[str, dict[str, Any]]:
    """What there is, by name in lower case: GitHub does not tell case apart."""
    path = folder / "github" / "repos.json"
    wire: dict[str, dict[str, Any]] = json.loads(path.read_bytes()) if path.is_file() else {}
    return {name.casefold(): {"full_name": name, **entry} for name, entry in wire.items()}


def _asked_for(path: str, repositories: Mapping[str, object]) -> str:
    """The name in lower case; empty where the path asks for none."""
    kind, _, rest = path.strip("/").partition("/")
    if kind == "repositories":
        return next((name for name in repositories if str(_number(name)) == rest), "")
    return rest.casefold() if kind == "repos" else ""


def _number(name: str) -> int:
    return zlib.crc32(name.encode())


def _described(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in entry.items() if key != "public_from"}
    if isinstance(shown.get("license"), str):
        shown["license"] = {"key": shown["license"].lower(), "spdx_id": shown["license"]}
    return {"id": _number(name), "private": False, "license": None, **shown}


def _message(words: str, status: str | None = None) -> bytes:
    said = {"message": words, "documentation_url": DOCUMENTATION}
    return json.dumps({**said, "status": status} if status else said).encode()
