"""Who can reach an embedded Ray: the sockets of every process that a command starts, and strangers
who try to join.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from ray_head import environment, free_ports, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLI = [sys.executable, "-m", "serve.cli"]
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
LOOKS = 20
"""How often the sockets are looked at, once the command is at work: a quarter of a second apart."""

JOIN = """
import sys, logging, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL)
print("joined")
ray.get(ray.remote(num_cpus=0)(open).remote(sys.argv[2], "w"), timeout=30)
"""


class Command:
    """A command of ours with a temporary folder of its own, and every process below it."""

    def __init__(self, *words: object) -> None:
        # A long name would send Ray's files elsewhere.
        self.temporary = Path(tempfile.mkdtemp(prefix="rf"))
        self.log = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115 (closed by `end`)
        # As a user has it who has switched tokens off.
        self.process = subprocess.Popen(
            [*CLI, *map(str, words)],
            env=environment(TMPDIR=str(self.temporary)),
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started: dict[int, psutil.Process] = {}

    def below(self) -> list[psutil.Process]:
        try:
            found = psutil.Process(self.process.pid)
            found = [found, *found.children(recursive=True)]
        except psutil.NoSuchProcess:
            found = []
        self.started |= {each.pid: each for each in found}
        return found

    def sockets(self) -> set[tuple[str, str, int]]:
        """Name, address and port of whatever listens; a bound datagram socket listens too."""
        found = set()
        for each in self.below():
            try:
                for one in each.net_connections("inet"):
                    if one.status in (psutil.CONN_LISTEN, psutil.CONN_NONE) and one.laddr:
                        found.add((each.name(), one.laddr.ip, one.laddr.port))
            except psutil.Error:
                continue
        return found

    def said(self) -> str:
        return Path(self.log.name).read_text()

    def gcs(self) -> str:
        """Where the embedded Ray can be joined by whoever knows its token."""
        (port,) = {port for name, _, port in self.sockets() if name == "gcs_server"}
        return f"127.0.0.1:{port}"

    def end(self) -> None:
        self.below()
        for each in self.started.values():
            if each.is_running():
                each.kill()
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.temporary, ignore_errors=True)


@pytest.fixture
def photographs(tmp_path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(1500):
        pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(params=["generate", "caption", "train", "serve"])
def command(request, tmp_path, photographs) -> Iterator[Command]:
    """A command that has started its Ray and is at work."""
    out = tmp_path / "out"
    said = {"train": "step ", "serve": "serving"}.get(request.param)
    words = {
        "generate": f"--model null:300 --count 400 --workers 1 --out {out}",
        "caption": f"--images {photographs} --workers 1 --out {out}",
        "train": "segmenter-debug --data phantom:4 --set data.phantoms=1 --set steps=100000 "
        f"--workers 2 --out {out}",
        "serve": f"--model null:300 --open --port {free_ports(1)[0]}",
    }[request.param]

    def at_work() -> bool:
        if started.process.poll() is not None:
            return True
        return said in started.said() if said else any((out / "commits").glob("*.json"))

    started = Command(request.param, *words.split())
    try:
        wait_for(at_work, 300)
        assert started.process.poll() is None, started.said()
        yield started
    finally:
        started.end()


def test_every_process_listens_on_loopback_alone_and_no_stranger_joins(command, tmp_path):
    seen = set()
    for _ in range(LOOKS):
        seen |= command.sockets()
        time.sleep(0.25)
    assert {"gcs_server", "raylet"} <= {name for name, _, _ in seen}
    assert {each for each in seen if each[1] not in LOOPBACK} == set()

    assert not kept_elsewhere(token_of(command), session_of(command))
    near = command.gcs()
    far = near.replace("127.0.0.1", own_address())
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    strangers = [
        Stranger(address, tmp_path / "ran", **variables)
        for address in (near, far)
        for variables in ({}, wrong)
    ]
    # Ray itself tries again for minutes.
    time.sleep(20)
    assert [each.end() for each in strangers] == [""] * len(strangers)
    assert not (tmp_path / "ran").exists()
    assert command.process.poll() is None, command.said()


def token_of(command: Command) -> str:
    """That of all processes of the command which have one."""
    tokens = set()
    for each in command.below():
        with contextlib.suppress(psutil.Error):
            tokens.add(each.environ().get("RAY_AUTH_TOKEN"))
    (token,) = tokens - {None}
    assert len(token) == 64
    return token


def session_of(command: Command) -> Path:
    """The folder of its Ray's sockets and logs."""
    flag = "--raylet_socket_name="
    raylets = [each.cmdline() for each in command.below() if each.name() == "raylet"]
    (path,) = {word.removeprefix(flag) for words in raylets for word in words if flag in word}
    return Path(path).parents[1]


def kept_elsewhere(token: str, folder: Path) -> list[str]:
    """Command lines and files (Ray's logs, a user's own token) in which the token can be read."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += [line for line in each.cmdline() if token in line]
    files = [each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()]
    assert any(each.name == "raylet.out" for each in files), "Ray's logs are among them"
    files += [each for each in [Path.home() / ".ray" / "auth_token"] if each.exists()]
    return found + [str(each) for each in files if token.encode() in each.read_bytes()]


class Stranger:
    """Somebody on this machine who tries to join a Ray and to write a file by way of it."""

    def __init__(self, address: str, file: Path, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", JOIN, address, str(file)],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def end(self) -> str:
        """What came of it."""
        self._process.kill()
        return self._process.communicate()[0]


def own_address() -> str:
    """That by which others reach this machine; another of loopback where it has none."""
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family == socket.AF_INET and not each.address.startswith("127."):
                return each.address
    return "127.0.0.2"
