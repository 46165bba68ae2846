"""The Kubernetes manifests and the image: no Kubernetes is asked, but every command, import path,
path and name in them is ours and must be right.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from ray._common.utils import import_attr
from ray.serve import Application
from ray.serve.schema import ServeDeploySchema
from ray_head import Head, free_ports, wait_for

import kernels
from engine.schema import UserError
from engine.stages.code import PACKAGES
from serve.commands import app
from serve.http.auth import VARIABLE, of_environment
from serve.submission import checked, parsed

ROOT = Path(__file__).parent.parent
KINDS = {"cluster": "RayCluster", "job": "RayJob", "service": "RayService"}
WHERE = {"cluster": ["spec"], "job": ["spec", "rayClusterSpec"]}
WHERE["service"] = ["spec", "rayClusterConfig"]
GPU = "nvidia.com/gpu"
TOKEN = "a-token-of-a-test"
COMMANDS = typer.main.get_command(app)


def manifest(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "kuberay" / f"{name}.yaml").read_text())


@pytest.fixture(params=KINDS)
def name(request) -> str:
    return request.param


@pytest.fixture
def spec(name) -> dict[str, Any]:
    """The Ray cluster of a manifest."""
    found = manifest(name)
    for key in WHERE[name]:
        found = found[key]
    return found


def groups(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def pods(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["template"]["spec"] for each in groups(spec)]


def test_each_is_what_its_name_says_and_runs_the_ray_that_is_pinned(name, spec):
    whole = manifest(name)
    assert (whole["apiVersion"], whole["kind"]) == ("ray.io/v1", KINDS[name])
    pins = (ROOT / "constraints.txt").read_text()
    assert f"\nray=={spec['rayVersion']}\n" in pins
    images = {pod["containers"][0]["image"] for pod in pods(spec)}
    assert images == {f"retinaforge:{kernels.__version__}"}


def test_no_two_share_a_name_for_the_services_that_kuberay_makes_of_it():
    names = [manifest(each)["metadata"]["name"] for each in KINDS]
    assert len({*names}) == len(names)
    comment = (ROOT / "deploy" / "kuberay" / "service.yaml").read_text().splitlines()[0]
    name = manifest("service")["metadata"]["name"]
    for text in (comment, (ROOT / "docs" / "cluster.md").read_text()):
        assert f"http://{name}-serve-svc:8000" in text


def test_a_token_guards_it_and_nothing_of_it_is_public(name, spec):
    assert spec["authOptions"] == {"mode": "token"}
    text = (ROOT / "deploy" / "kuberay" / f"{name}.yaml").read_text()
    assert not re.search(r"LoadBalancer|NodePort|hostNetwork|hostPort|[iI]ngress|privileged", text)
    for pod in pods(spec):
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_it_scales_from_nothing_and_its_head_never_draws(spec):
    assert spec["enableInTreeAutoscaling"] is True
    head, *workers = groups(spec)
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert all(each["minReplicas"] == 0 < each["maxReplicas"] for each in workers)
    names = [each["groupName"] for each in workers]
    assert "gpu" in names
    for each, pod in zip(groups(spec), pods(spec)):
        resources = pod["containers"][0]["resources"]
        assert resources["limits"] == resources["requests"]
        assert {"cpu", "memory"} <= {*resources["limits"]}
        assert resources["limits"].get(GPU, 0) == (each.get("groupName") == "gpu")
        if each is not head:
            # Without words of ours Ray takes what the pod may use.
            assert each["rayStartParams"] == {}


@pytest.mark.parametrize("name", ["cluster", "job"])
def test_every_pod_sees_the_shared_storage(spec):
    claim = manifest("storage")
    assert (claim["kind"], claim["spec"]["accessModes"]) == (
        "PersistentVolumeClaim",
        ["ReadWriteMany"],
    )
    for pod in pods(spec):
        (volume,), (mount,) = pod["volumes"], pod["containers"][0]["volumeMounts"]
        assert volume["name"] == mount["name"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mount["mountPath"] == "/shared"


def test_the_job_is_a_command_of_ours_and_its_workers_find_room():
    job = manifest("job")["spec"]
    program, *words = shlex.split(job["entrypoint"])
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert program in scripts
    work = checked(COMMANDS, words)
    assert Path(work.out).is_relative_to("/shared")
    flags = parsed(COMMANDS, work.words).params
    (gpu,) = job["rayClusterSpec"]["workerGroupSpecs"]
    assert (flags["device"], flags["workers"]) == ("cuda", gpu["maxReplicas"])
    # KubeRay refuses a time to live without it.
    assert job["shutdownAfterJobFinishes"] is True


def test_the_service_is_an_application_of_ours_with_a_token_and_room(monkeypatch):
    service = manifest("service")["spec"]
    config = ServeDeploySchema.model_validate(yaml.safe_load(service["serveConfigV2"]))
    (app,) = config.applications
    build = import_attr(app.import_path)

    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises((UserError, ValueError), match="token"):
        build(app.args)
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert of_environment() is not None
    made = build(app.args)
    assert isinstance(made, Application)
    sampler = made._bound_deployment.init_args[0]._bound_deployment
    assert sampler.ray_actor_options["num_gpus"] == 1, "on a machine without a GPU it is planned so"
    (gpu,) = service["rayClusterConfig"]["workerGroupSpecs"]
    assert sampler.num_replicas <= gpu["maxReplicas"]
    for pod in pods(service["rayClusterConfig"]):
        (variable,) = pod["containers"][0]["env"]
        assert variable["name"] == VARIABLE
        assert set(variable["valueFrom"]) == {"secretKeyRef"}


@pytest.fixture
def head() -> Iterator[Head]:
    head = Head(cpus=2, **{VARIABLE: TOKEN})
    yield head
    head.end()


@pytest.mark.slow
def test_ray_serve_takes_the_services_application(head):
    """The manifest's own config, as KubeRay hands it to the head; only the device is another."""
    from ray.dashboard.modules.serve.sdk import ServeSubmissionClient

    (port,) = free_ports(1)
    config = yaml.safe_load(manifest("service")["spec"]["serveConfigV2"])
    config["applications"][0]["args"] |= {"device": "cpu", "model": "phantom", "replicas": 1}
    config |= {"http_options": {"host": "127.0.0.1", "port": port}}
    wait_for(lambda: "Ray runtime started" in Path(head.log.name).read_text())
    client = ServeSubmissionClient(head.url)
    client.deploy_applications(config)

    def state() -> str:
        (app,) = client.get_serve_details()["applications"].values()
        assert app["status"] != "DEPLOY_FAILED", app["message"]
        return app["status"]

    wait_for(lambda: state() == "RUNNING", 150)
    models = f"http://127.0.0.1:{port}/v1/models"
    allowed = urllib.request.Request(models, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(allowed, timeout=30) as answer:
        assert json.load(answer)["data"][0]["id"] == "phantom"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(models, timeout=30)


def test_the_image_holds_the_code_and_nothing_else():
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = {
        word
        for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert all((ROOT / each).exists() for each in copied)
    assert {each for each in copied if (ROOT / each).is_dir()} == {*PACKAGES}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"], "pyproject.toml"} < copied
    (extras,) = re.findall(r"-e '\.\[([a-z,]+)\]'", text)
    assert {"serve", "train"} <= {*extras.split(",")} <= {*project["optional-dependencies"]}
    assert "dev" not in extras
    first, *rules = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    assert first == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert "**/private" in rules[len(copied) :], "after what it takes from"
    assert text.rindex("USER 1000") > text.rindex("RUN ")
