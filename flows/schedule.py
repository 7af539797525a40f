"""The clock of a real installation: `python -m flows.schedule` stays and starts every night.

arXiv announces at 20:00 New York time and its feeds turn over at midnight there, so the night
begins at 00:40 New York time, summer and winter. One run at a time.
"""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import load_dotenv
from prefect.schedules import Cron

from flows.nightly import nightly

NIGHT = Cron("40 0 * * *", timezone="America/New_York")


def main() -> None:
    """Serve the nightly flow until interrupted."""
    load_dotenv()
    home = Path(os.environ.get("PAPERFEED_HOME") or "data").resolve()
    nightly.serve(name="paperfeed", schedule=NIGHT, parameters={"home": str(home)}, limit=1)


if __name__ == "__main__":
    main()
