"""Programs in a Python of their own: what is imported here already must not count."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def printed(program: str, *arguments: object) -> str:
    """What the program prints; it must end well."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout
