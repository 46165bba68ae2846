"""The Ray of one process: where it may start, and what it leaves behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.schema import UserError
from engine.stages import embedded
from engine.stages.cluster import check, cluster

CLI = [sys.executable, "-m", "serve.cli"]


@pytest.fixture
def long_name(tmp_path, monkeypatch) -> Path:
    """A temporary folder below which no socket's path would fit."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return folder


def test_a_token_for_its_time_in_a_folder_of_the_users_own(long_name, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    before = dict(os.environ)
    with cluster(None, 1):
        import ray

        assert os.environ["RAY_AUTH_MODE"] == "token"
        place = Path(ray._private.worker._global_node.get_session_dir_path()).parent.parent
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert ray.get(ray.remote(os.getenv).remote("RAY_AUTH_TOKEN")) in os.environ.values()
        listening = {
            (connection.laddr.ip, each.name())
            for each in (psutil.Process(), *psutil.Process().children(recursive=True))
            for connection in each.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
    assert {"gcs_server", "raylet"} <= {name for _, name in listening}
    assert {ip for ip, _ in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert not place.exists()
    secrets = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
    assert {name: os.environ.get(name) for name in secrets} == {
        name: before.get(name) for name in secrets
    }


def test_no_temporary_folder_and_a_full_one_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("TMPDIR", "/nowhere")
    with pytest.raises(UserError, match="TMPDIR: nothing can be written to /nowhere"):
        check(None)
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr(embedded, "ROOM", 1 << 60)
    with pytest.raises(UserError, match=r"TMPDIR: /tmp has \d+ MB free"):
        check(None)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:9", "no Ray cluster answers at 127.0.0.1:9"),
        ("nowhere", "'nowhere' is no address of a cluster"),
        ("ray://127.0.0.1:9", "no Ray cluster answers at ray://127.0.0.1:9"),
        ("http://127.0.0.1:8265", "takes jobs and no drivers"),
    ],
)
def test_an_address_without_a_cluster_is_told(address, words, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=words):
        check(None)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "segmenter-debug", "--data", "phantom:4", "--workers", "1"],
        ["caption", "--images", "."],
        ["serve", "--model", "null", "--open", "--port", "8765"],
        ["bench", "pipeline", "--rows", "1"],
    ],
)
def test_every_command_that_starts_ray_says_so_first(words, tmp_path):
    out = [] if words[0] in ("serve", "bench") else ["--out", str(tmp_path / "out")]
    run = subprocess.run(
        [*CLI, *words, *out],
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: --address: no Ray cluster answers at 127.0.0.1:9 (expected HOST")
    assert not (tmp_path / "out").exists()


def test_workers_import_nothing_from_where_the_user_stands(tmp_path):
    planted, ran = tmp_path / "sent", tmp_path / "ran"
    planted.mkdir()
    for name in ("pandas", "pyarrow", "numpy", "torch", "engine", "struct", "sitecustomize"):
        (planted / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name!r})\n")
    command = [str(Path(sys.executable).with_name("retinaforge")), "generate", "--model", "null"]
    run = subprocess.run(
        [*command, "--count", "2", "--workers", "1", "--out", str(tmp_path / "out")],
        cwd=planted,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    assert not ran.exists()
