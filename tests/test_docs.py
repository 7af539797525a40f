"""What the pages in docs/ point to is there."""

from __future__ import annotations

import re

from tests.conftest import ROOT

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf8")
COMPLAINTS = (ROOT / "docs" / "complaints.md").read_text("utf8")


def test_each_complaint_has_its_line_and_its_tests_exist() -> None:
    lines = re.findall(r"^\| (\d+) \|.*$", COMPLAINTS, re.MULTILINE)
    assert lines == [str(number) for number in range(1, 26)]
    for line in COMPLAINTS.splitlines()[8:]:
        shown = re.findall(r"`(test_\w+\.py)::(test_\w+)`", line)
        assert shown, line
        for file, test in shown:
            assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text("utf8"), test


def test_every_file_of_the_house_has_its_sentence() -> None:
    told = set(re.findall(r"^\| `([\w/]+\.py)` \|", ARCHITECTURE, re.MULTILINE))
    rooms = ("ingest", "index", "flows", "serve")
    there = {
        file.relative_to(ROOT).as_posix()
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert told >= there
    assert all((ROOT / file).exists() for file in told)
