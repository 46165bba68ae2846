"""A real Triton server of a test's own, from `make triton`: started, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.eyes import ROOT

PYTHON = ROOT / ".venv-triton/bin/python"
SERVE = ROOT / "deploy/triton/serve.py"


class Server:
    """tritonserver on a free port of this machine, over the captioner of deploy/triton and the
    models of this folder."""

    def __init__(self, scratch: Path, *flags: str) -> None:
        self.flags = flags
        self.log = scratch / "server.log"
        self.models = scratch / "models"
        self.models.mkdir()
        # Linked, so that the model finds the checkout that it belongs to.
        for model in (ROOT / "deploy/triton/models/captioner", Path(__file__).parent / "garbage"):
            (self.models / model.name).symlink_to(model)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen | None = None

    def url(self, model: str, scheme: str = "triton") -> str:
        return f"{scheme}://localhost:{self.port}/{model}"

    def start(self) -> None:
        command = [PYTHON, SERVE, "--port", str(self.port), "--models", self.models, *self.flags]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait(self, seconds: float = 90) -> None:
        """Until the port answers; a server that ends says why."""
        end = time.monotonic() + seconds
        while True:
            assert self.process
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, with the processes of its models, which would outlive it."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


def is_installed() -> bool:
    return PYTHON.exists() and shutil.which(str(PYTHON)) is not None
