"""The cluster file: read by Ray's own loader, its paths looked up, its commands run by a shell with
a recorder in the place of `ray`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from engine.stages.code import PACKAGES
from serve.runs import schedule_of

ROOT = Path(__file__).parent.parent
HOME = Path("/home/ubuntu/retinaforge")
GPU_POOLS = ("gpu_spot", "gpu_on_demand")


@pytest.fixture(scope="module")
def config() -> dict:
    config = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    validate_config(config)
    return config


def test_the_head_never_draws_and_every_pool_grows_from_nothing(config):
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert (head["resources"], head["max_workers"]) == ({"CPU": 0}, 0)
    assert all(each["min_workers"] == 0 < each["max_workers"] for each in types.values())
    assert sum(each["max_workers"] for each in types.values()) <= config["max_workers"]
    types[config["head_node_type"]] = head


def test_gpus_come_from_a_spot_pool_and_from_one_that_stays(config):
    types = config["available_node_types"]
    spot = {
        name
        for name, each in types.items()
        if each["node_config"].get("InstanceMarketOptions") == {"MarketType": "spot"}
    }
    assert spot == {"cpu", "gpu_spot"}
    assert {name for name, each in types.items() if each["resources"].get("GPU")} == {*GPU_POOLS}
    for name, word in zip(GPU_POOLS, ("spot", "on_demand")):
        needs = schedule_of(1, None, None, [f"{word}=1"]).resources
        serving = [t for t in types if types[t]["resources"].items() >= needs.items()]
        assert serving == [name]


def test_all_machines_are_made_from_one_image(config):
    images = {each["node_config"]["ImageId"] for each in config["available_node_types"].values()}
    assert len(images) == 1


def test_what_is_sent_is_the_code_its_licence_and_the_token(config):
    mounts = {Path(there): here for there, here in config["file_mounts"].items()}
    token = mounts.pop(HOME.parent / ".ray" / "auth_token")
    assert token == "~/.ray/auth_token", "where `ray get-auth-token --generate` puts it"
    assert all((ROOT / here).exists() and there == HOME / here for there, here in mounts.items())
    assert {here for here in mounts.values() if (ROOT / here).is_dir()} == {*PACKAGES}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"], "constraints.txt"} < {*mounts.values()}
    assert "private" in config["rsync_exclude"]


def test_what_is_installed_is_named_in_the_project(config):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (install,) = [each for each in config["setup_commands"] if "pip install" in each]
    (extras,) = re.findall(r"-e '\.\[([a-z,]+)\]'", install)
    assert {"serve", "train"} <= {*extras.split(",")} <= {*project["optional-dependencies"]}
    assert "dev" not in extras
    # Ray's own default would use the system's pip, which Ubuntu refuses.
    assert any("pip install --quiet boto3" in each for each in config["head_setup_commands"])


@pytest.mark.parametrize("kind", ["setup", "head_setup", "head_start_ray", "worker_start_ray"])
def test_a_shell_can_read_every_command(config, kind):
    for command in config[f"{kind}_commands"]:
        check = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
        assert check.returncode == 0, check.stderr


@pytest.fixture
def recorded(tmp_path) -> Callable[[list[str]], list[dict]]:
    """Run commands as a machine of the cluster would: with our environment at its place, where
    `ray` writes down how it was called.
    """
    bin_ = tmp_path / "retinaforge" / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "activate").write_text(f'export VIRTUAL_ENV={bin_.parent} PATH="{bin_}:$PATH"\n')
    record = "import json, os, sys; print(json.dumps({'words': sys.argv[1:], **os.environ}))"
    (bin_ / "ray").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{record}" "$@"\n')
    (bin_ / "ray").chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "RAY_HEAD_IP": "10.0.0.7"}

    def run(commands: list[str]) -> list[dict]:
        return [
            json.loads(subprocess.check_output(["bash", "-c", each], env=environment, text=True))
            for each in commands
        ]

    return run


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_ray_starts_with_the_token_and_in_our_environment(config, recorded, kind):
    stopped, started = recorded(config[f"{kind}_start_ray_commands"])
    assert stopped["words"] == ["stop"]
    assert started["RAY_AUTH_MODE"] == "token"
    # Jobs find their `python` by the path that Ray was started with.
    assert started["PATH"].startswith(f"{started['VIRTUAL_ENV']}/bin:")
    assert started["words"][0] == "start"
    given = start.make_context("ray start", started["words"][1:]).params
    if kind == "head":
        assert (given["head"], given["num_cpus"], given["port"]) == (True, 0, 6379)
        assert given["dashboard_host"] == "127.0.0.1", "the job server is reached through a tunnel"
        assert given["autoscaling_config"] == "~/ray_bootstrap_config.yaml"
    else:
        assert (given["head"], given["address"]) == (False, "10.0.0.7:6379")
