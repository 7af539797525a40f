"""`make demo`: one bundled week through the real night, and the block it answers with.

The upstream services are played by `replay.py` on loopback; the commands are those that you would
type yourself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from data.sample.replay import Replay

HERE = Path(__file__).resolve().parent
PAPERFEED = Path(sys.executable).with_name("paperfeed")
QUESTION = (
    "What kind of changes in training help AI avoid mistakes like extra fingers or broken limbs?"
)


def main() -> int:
    """Collect, publish, ask; gives the exit code of the first command that fails."""
    days = sorted(file.stem for file in (HERE / "huggingface").glob("*.json"))
    with Replay() as replay:
        env = {**os.environ, **replay.env, "PAPERFEED_HOME": "data/demo"}
        env.pop("PREFECT_API_URL", None)  # the demo leaves your own Prefect server alone
        say(f"paperfeed nightly --date {days[-1]} --days {len(days)}")
        if code := run(env, "nightly", "--date", days[-1], "--days", str(len(days))):
            return code
        say(f'paperfeed related "{QUESTION}"')
        if code := run(env, "related", QUESTION):
            return code
    say("That was a bundled week. What to type next:")
    print('  PAPERFEED_HOME=data/demo .venv/bin/paperfeed related "your own question"')
    print("  make nightly       the last seven days of the real feed, into ./data")
    print("  make help          everything else")
    return 0


def run(env: dict[str, str], *arguments: str) -> int:
    """One paperfeed command, its output shown as it comes."""
    return subprocess.run([PAPERFEED, *arguments], env=env, check=False).returncode


def say(line: str) -> None:
    """A line that stands out from what the commands print."""
    print(f"\n> {line}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
