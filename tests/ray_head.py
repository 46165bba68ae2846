"""A Ray head of a test's own, in processes and folders of its own, ended by its process id."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from ray._private.services import get_node_ip_address

HEAD_ID = "f" * 51 + "00000"
RAY = Path(sys.executable).parent / "ray"


class Head:
    """`ray start --head` without a processor for work. `node_types` makes it scale by itself: Ray's
    own autoscaler, whose nodes are raylets on this machine. `variables` are those of every process
    around it.
    """

    def __init__(self, node_types: dict | None = None, cpus: int = 0, **variables: str):
        # Ray's sockets lie below this folder, and their paths may have 107 letters.
        self.folder = Path(tempfile.mkdtemp(prefix="rf"))
        self.gcs, self.dashboard, client, agent = free_ports(4)
        self.address = f"{get_node_ip_address()}:{self.gcs}"
        self.url = f"http://127.0.0.1:{self.dashboard}"
        self.environment = environment(**variables)
        flags = [f"--port={self.gcs}", f"--num-cpus={cpus}", "--num-gpus=0", "--block"]
        flags += [f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"]
        flags += ["--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}"]
        flags += ["--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={self.folder}"]
        flags += ["--object-store-memory=100000000", "--disable-usage-stats"]
        own = {}
        if node_types:
            file = self.folder / "autoscaling.json"
            file.write_text(json.dumps(scaling(self.address, node_types)))
            flags += [f"--autoscaling-config={file}", "--include-dashboard=false"]
            own = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
            own |= {"RAY_enable_autoscaler_v2": "1", "RAY_CLOUD_INSTANCE_ID": HEAD_ID}
            own |= {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID}
        self.log = (self.folder / "head.log").open("w")
        self.process = subprocess.Popen(
            [str(RAY), "start", "--head", *flags],
            env={**self.environment, **own},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def raylets(self) -> list[psutil.Process]:
        """Those of the nodes that the autoscaler brought."""
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if each.name() == "raylet" and each.ppid() != self.process.pid:
                    found.append(each)
            except psutil.Error:
                continue
        return found

    def end(self, *others: subprocess.Popen) -> None:
        for process in (*others, self.process):
            try:
                below = psutil.Process(process.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                below = []
            process.kill()
            for each in below:
                try:
                    each.kill()
                except psutil.NoSuchProcess:
                    continue
            process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def environment(**variables: str) -> dict[str, str]:
    """Of every process around such a head."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_AUTH_TOKEN")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "RAY_AUTH_MODE": "disabled", "PYTHONUNBUFFERED": "1"}
    return {**inherited, **own, **variables}


def scaling(gcs_address: str, node_types: dict) -> dict:
    lists = ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands")
    lists += ("setup_commands", "head_setup_commands", "worker_setup_commands")
    lists += ("head_start_ray_commands", "worker_start_ray_commands")
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    return {
        "cluster_name": "here",
        "max_workers": 8,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 10,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": gcs_address,
            "head_node_id": HEAD_ID,
            "launch_multiple": True,
        },
        "available_node_types": {"ray.head.default": head, **node_types},
        "head_node_type": "ray.head.default",
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "auth": {},
        "docker": {},
        **{name: [] for name in lists},
    }


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
