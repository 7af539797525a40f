"""Every error paperfeed raises on purpose.

PaperfeedError
├── BadInput              what a person typed cannot be used; says what to type instead
├── MissingExtra          a package of an extra is missing; says the command to install it
├── Busy                  another run holds the lock
├── SourceError           url, status
│   ├── SourceUnavailable refused, timed out, cut off, 5xx: worth asking again
│   │   └── RateLimited   429 or 503 that says when; retry_after in seconds
│   ├── SourceRefused     any other 4xx: asking again is useless
│   └── SourceChanged     the answer came, but is not what this source is known to send
├── EncoderError          the model is unknown, altered, or cannot be exported
└── SnapshotError         path
    ├── SnapshotMissing   nothing published there
    ├── SnapshotCorrupt   a part is missing, cut short or altered
    ├── SnapshotMismatch  made with another encoder, recipe or format: both values are printed
    └── SnapshotRefused   failed its audit or shrank; the one before it goes on serving
"""

from __future__ import annotations


class PaperfeedError(Exception):
    """The root: catching it catches every error that paperfeed raises on purpose."""


class BadInput(PaperfeedError, ValueError):
    """What a person typed cannot be used; the message says what to type instead."""


class MissingExtra(PaperfeedError, ImportError):
    """A package that an extra brings is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        what = f".[{self.extra}]" if self.extra else "."
        return f"{self.package} is not installed: in paperfeed's folder run  pip install '{what}'"


class Busy(PaperfeedError):
    """Another run holds the lock on this home."""


class SourceError(PaperfeedError):
    """A source did not give what was asked; carries `url` and the HTTP `status`, if any."""

    def __init__(self, message: str, url: str = "", status: int | None = None) -> None:
        super().__init__(message, url, status)
        self.message = message
        self.url = url
        self.status = status

    def __str__(self) -> str:
        where = self.url if len(self.url) < 120 else self.url.partition("?")[0]
        return f"{self.message} ({where})" if where else self.message


class SourceUnavailable(SourceError):
    """Refused, timed out, cut off or 5xx: worth asking again."""


class RateLimited(SourceUnavailable):
    """The source asks for silence; `retry_after` is its own wish in seconds, None if unsaid."""

    def __init__(
        self,
        message: str,
        url: str = "",
        status: int | None = 429,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, url, status)
        self.args = (message, url, status, retry_after)
        self.retry_after = retry_after


class SourceRefused(SourceError):
    """Any other 4xx: asking again is useless."""


class SourceChanged(SourceError):
    """The answer came, but is not what this source is known to send."""


class EncoderError(PaperfeedError):
    """The model is unknown, altered, or cannot be exported."""


class SnapshotError(PaperfeedError):
    """A snapshot cannot be used; carries its `path`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{self.message} ({self.path})" if self.path else self.message


class SnapshotMissing(SnapshotError):
    """Nothing is published there."""


class SnapshotCorrupt(SnapshotError):
    """A part is missing, cut short or altered."""


class SnapshotMismatch(SnapshotError):
    """Made with another encoder, recipe or format."""


class SnapshotRefused(SnapshotError):
    """Failed its audit or shrank: not published."""
