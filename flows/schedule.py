"""The clock of a real installation: `python -m flows.schedule` stays and starts every night.

arXiv announces at 20:00 New York time and its feeds turn over at midnight there, so the night
begins at 00:40 New York time, summer and winter. One run at a time. Without a Prefect server of
your own (PREFECT_API_URL) one is started for as long as this runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import load_dotenv

CRON, TIMEZONE = "40 0 * * *", "America/New_York"
_OWN_SERVER = "http://127.0.0.1:4200/api"
_PATIENCE_SECONDS = 120


def main() -> None:
    """Serve the nightly flow until interrupted."""
    load_dotenv(".env")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    home = Path(os.environ.get("PAPERFEED_HOME") or "data").resolve()
    with _server():
        from prefect.schedules import Cron  # only now: Prefect reads its address once

        from flows.nightly import nightly

        schedule = Cron(CRON, timezone=TIMEZONE)
        nightly.serve(name="paperfeed", schedule=schedule, parameters={"home": str(home)}, limit=1)


@contextmanager
def _server() -> Iterator[None]:
    """A Prefect server that answers: your own, or one that ends with this process."""
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    os.environ["PREFECT_API_URL"] = _OWN_SERVER
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 -- our own words
    try:
        _wait_for(server)
        yield
    finally:
        server.terminate()
        server.wait()


def _wait_for(server: subprocess.Popen[bytes]) -> None:
    from prefect import get_client

    give_up = time.monotonic() + _PATIENCE_SECONDS
    while get_client(sync_client=True).api_healthcheck() is not None:
        if server.poll() is not None or time.monotonic() > give_up:
            sys.exit("paperfeed: the Prefect server did not start: is port 4200 taken?")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
