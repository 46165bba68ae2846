"""The house's rules as tests: floors, Ray at the edges, extras that stay optional, small files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    p for top in ("kernels", "engine", "train", "serve") for p in (ROOT / top).rglob("*.py")
)
RAY_ROOMS = (
    "engine/jobs/run.py",
    "engine/stages/",
    "engine/store/sink.py",
    "train/launch.py",
    "train/meeting.py",
    "serve/http/service.py",
    "serve/jobserver.py",
)
OPTIONAL = (
    *("deepspeed", "peft", "xformers", "triton", "tritonclient", "tensorboard", "sklearn"),
    "pydicom",
)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path, top_level: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_no_lower_floor_imports_an_upper_one():
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_ray_stands_at_the_edges_only(path):
    if not name(path).startswith(RAY_ROOMS):
        assert "ray" not in imported(path, top_level=False)


def in_fresh_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_models_run_where_ray_and_every_extra_is_missing():
    blocked = ("ray", *OPTIONAL)
    run = in_fresh_python(
        f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
        "import engine.registry, engine.diffusion.pipeline, engine.data.latents\n"
        "import engine.specs, engine.store.commits, engine.store.verify\n"
        "from engine.models import transformer\n"
        "print(sum(p.numel() for p in transformer.build('debug').parameters()) > 0)"
    )
    assert run.stdout.strip() == "True", run.stderr[-2000:]


def test_generate_runs_where_every_extra_is_missing(tmp_path):
    code = (
        f"import sys\nfor name in {OPTIONAL!r}: sys.modules[name] = None\n"
        f"sys.argv = ['retinaforge', 'generate', '--count', '3', '--model', 'null', "
        f"'--out', {str(tmp_path / 'o')!r}]\n"
        "from serve.cli import main\nmain()"
    )
    run = in_fresh_python(code)
    assert run.returncode == 0, run.stderr[-2000:]
    assert list((tmp_path / "o" / "commits").iterdir())


def test_one_process_encodes_and_trains_where_ray_is_missing(tmp_path):
    places = {"data.cache": str(tmp_path / "cache"), "steps": "1", "batch": "1"}
    told = (
        f"'diffusion-debug', ['phantom:2'], 0, {places!r}, Path({str(tmp_path / 'run')!r}), False"
    )
    run = in_fresh_python(
        "import sys\nsys.modules['ray'] = None\nfrom pathlib import Path\n"
        f"from train.launch import run_training\nrun_training({told})"
    )
    assert "encoded photograph 2 of 2" in run.stdout, run.stderr[-2000:]
    assert (tmp_path / "run/model/model_card.json").exists(), run.stderr[-2000:]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_small_and_say_what_they_are_for(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= 350
    assert ast.get_docstring(tree), "opens with a docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


def test_most_functions_are_short():
    lengths = [
        node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert sum(length <= 30 for length in lengths) / len(lengths) >= 0.85


def test_our_kernels_package_is_not_taken_for_the_published_one():
    import kernels

    assert tuple(map(int, kernels.__version__.split(".")[:2])) < (0, 18)
    assert Path(kernels.__file__).is_relative_to(ROOT)
