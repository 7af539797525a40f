"""Imports run one way, each outside thing has one owner, and a question loads nothing heavy."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.process import printed

ROOMS = ("ingest", "index", "flows", "serve")  # each may import those before it
OWNERS = {
    "requests": {"ingest/http.py"},
    "faiss": {"index/vectors.py"},
    "torch": {"index/encoder.py"},
    "sentence_transformers": {"index/encoder.py", "index/reranker.py"},
    "prefect": {"flows/nightly.py", "flows/schedule.py"},
}
EDGES = {"flows", "serve"}


def modules() -> list[Path]:
    return [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


OURS = {name_of(file) for file in modules()}


def imported(file: Path) -> set[str]:
    """Every module that `file` imports, at whatever depth in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & OURS
            names |= inner or {node.module}
    return names


@pytest.mark.parametrize("file", modules(), ids=name_of)
def test_no_room_imports_a_later_one(file) -> None:
    room = file.relative_to(ROOT).parts[0]
    later = ROOMS[ROOMS.index(room) + 1 :]
    assert not [name for name in imported(file) if name.split(".")[0] in later]


def test_each_outside_thing_has_one_owner() -> None:
    for package, owners in OWNERS.items():
        users = {
            file.relative_to(ROOT).as_posix()
            for file in modules()
            if package in {name.split(".")[0] for name in imported(file)}
        }
        assert users == owners, package


def test_no_circle_inside_a_room() -> None:
    names = {name_of(file): file for file in modules()}
    graph = {name: imported(file) & (names.keys() - {name}) for name, file in names.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join([*path, name])}"
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_a_question_loads_neither_torch_nor_prefect() -> None:
    code = (
        "import sys; from index import Retriever; import serve.cli; "
        "print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = printed(code)
    for heavy in ("torch", "sentence_transformers", "transformers", "prefect", "sqlalchemy"):
        assert f"'{heavy}'" not in loaded
    assert "'numpy'" in loaded
