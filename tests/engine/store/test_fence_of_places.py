"""Nothing above `engine.store.place` touches the files of a data set folder by their paths."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[3] / "engine"
ABOVE = ("store", "publish", "stages", "jobs")
PATHS = {
    *("glob", "rglob", "iterdir", "scandir", "listdir", "walk", "open", "touch", "stat", "lstat"),
    *("read_bytes", "read_text", "write_bytes", "write_text", "unlink", "rename", "link", "remove"),
    *("mkdir", "makedirs", "rmdir", "rmtree", "exists", "lexists", "is_file", "is_dir"),
    *("is_symlink", "symlink_to", "hardlink_to", "copyfile", "copytree", "fsync"),
}
ELSEWHERE = {
    "store/place.py": "the place itself",
    "publish/export.py": "another folder of the user's, which appears whole",
    "publish/layouts.py": "the files in it",
    "publish/site.py": "the files in it",
    "publish/attribution.py": "this checkout's own attribution",
    "stages/embedded.py": "Ray's own files",
    "stages/caption.py": "whether a node sees the photographs that are to be captioned",
    "jobs/asks.py": "whether a folder can be made where it was asked for",
    "jobs/forecast.py": "the room on the disk where it was asked for",
    "jobs/gating.py": "a reference that the user names",
}
"""Modules that look at other files than a data set folder's, and which."""


def touched(source: str) -> list[str]:
    """The calls that go to a file by its path."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [f"{call.lineno}: {ast.unparse(call)}" for call in calls if _is_path_call(call)]


def _is_path_call(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name == "replace":  # Of a path, or of a file; texts take two, fields are named.
        owner = getattr(getattr(call.func, "value", None), "id", "")
        return owner == "os" or (len(call.args) == 1 and not call.keywords)
    if name in ("ParquetFile", "read_table", "ParquetWriter"):
        return not isinstance(call.args[0], ast.Name | ast.Call)
    return name in PATHS


def modules() -> dict[str, Path]:
    found = [path for room in ABOVE for path in sorted((ENGINE / room).rglob("*.py"))]
    return {path.relative_to(ENGINE).as_posix(): path for path in found}


def test_only_the_place_knows_paths():
    at = {name: touched(path.read_text()) for name, path in modules().items()}
    assert not {name: calls for name, calls in at.items() if calls and name not in ELSEWHERE}


def test_every_exception_is_needed():
    assert all(touched(modules()[name].read_text()) for name in ELSEWHERE)


@pytest.mark.parametrize(
    "call",
    [
        "(root / 'commits').glob('*.json')",
        "open(root / 'plan.json')",
        "os.link(a, b)",
        "os.replace(a, b)",
        "path.replace(other)",
        "folder.root.joinpath('x').unlink()",
        "pq.ParquetFile(folder.root / name)",
    ],
)
def test_a_path_is_seen(call):
    assert touched(call)


@pytest.mark.parametrize("call", ["text.replace('a', 'b')", "replace(now, note='x')", "f(name)"])
def test_what_is_no_path_is_not(call):
    assert not touched(call)
