"""Figures as a table, on the terminal and, where asked for, in benchmarks/README.md."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.progress import say
from ingest.errors import PaperfeedError

README = Path(__file__).with_name("README.md")
PLOTS = Path(__file__).with_name("plots")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd")
PACKAGES = (
    *("faiss-cpu", "numpy", "onnxruntime", "torch", "sentence-transformers"),
    *("txtai", "lancedb", "chromadb"),
)

Cell = object
"""Text, a number, or None."""


def status(measure: Callable[[], None]) -> int:
    """The exit status once it has measured: 2 after an error of ours, which is said in a line."""
    try:
        measure()
    except PaperfeedError as error:
        say(str(error))
        return 2
    return 0


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table; None is an empty cell."""
    cells = [[_shown(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def wanted(what: str, figure: float, bar: float, *, least: bool = False) -> str:
    """One line that tells whether a figure is at most (or `least`) what was promised."""
    kept = figure >= bar if least else figure <= bar
    sign = "at least" if least else "at most"
    return f"- {'kept' if kept else 'MISSED'}: {what} {_shown(figure)}, {sign} {_shown(bar)}"


def show(section: str, *parts: str, write: bool) -> None:
    """Print the parts with a line about this machine; put them into the README's section too."""
    text = "\n\n".join((*parts, machine()))
    sys.stdout.write(f"\n{text}\n")
    if write:
        README.write_text(replaced(README.read_text("utf-8"), section, text), "utf-8")


def replaced(page: str, section: str, text: str) -> str:
    """The page with this between the section's marks; a section not there yet comes last."""
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    whole = f"{begin}\n{text}\n{end}"
    marked = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if marked.search(page):
        return marked.sub(lambda _: whole, page)
    return f"{page.rstrip()}\n\n{whole}\n"


def machine() -> str:
    """Cores, what they can, memory, load and versions, in a line."""
    name, flags = processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    held = [f"{package} {_version(package)}" for package in PACKAGES if _version(package)]
    return (
        f"{os.cpu_count()} cores, {name} ({' '.join(flags) or 'no flags known'}), {memory} GiB, "
        f"load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, {', '.join(held)}."
    )


def processor() -> tuple[str, list[str]]:
    """Its name, and those of FLAGS that it has."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), []
    name = re.search(r"model name\s*: (.+)", told)
    has = set(told.split())
    return name[1] if name else platform.machine(), [flag for flag in FLAGS if flag in has]


def peak_mb() -> int:
    """The most memory that this program has held, in MB.

    Not by getrusage, which counts the process that started it, too, where Linux tells it by itself.
    """
    try:
        told = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:  # not Linux
        told = None
    most = int(told[1]) if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most >> 10


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}" if cell < 1 else f"{cell:.1f}" if cell < 100 else f"{cell:,.0f}"
    return "" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell)
