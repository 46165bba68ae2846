"""A `retinaforge serve` of a test's own, and official clients of it; ended by its process id."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from openai import OpenAI
from ray_head import environment, free_ports, wait_for

RETINAFORGE = Path(sys.executable).with_name("retinaforge")
TOKEN = "a-token-of-good-length"


class Server:
    """The command with these flags, answering once made."""

    def __init__(self, *flags: object) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115 (closed by `end`)
        self.process = subprocess.Popen(
            [str(RETINAFORGE), "serve", "--port", str(self.port), *map(str, flags)],
            env={**environment(), "RETINAFORGE_TOKEN": TOKEN},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_for(lambda: "serving" in self.said() or self.process.poll() is not None, 240)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        """What the command printed so far."""
        return Path(self._log.name).read_text()

    def client(self, **options: object) -> OpenAI:
        """A client that knows the token and does not try again by itself."""
        usual = {"api_key": TOKEN, "max_retries": 0, "timeout": 240}
        return OpenAI(base_url=f"{self.url}/v1", **{**usual, **options})

    def below(self) -> list[psutil.Process]:
        """Every process that the command has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal once; the exit code."""
        started = self.below() if self.process.poll() is None else []
        try:
            self.process.send_signal(number)
            return self.process.wait(120)
        finally:
            for each in (self.process, *started):
                if each.is_running() if isinstance(each, psutil.Process) else each.poll() is None:
                    each.kill()
            self._log.close()
