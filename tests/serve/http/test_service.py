"""What a Serve config file imports: the application of its arguments, never without a token."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from engine.schema import UserError
from serve.http.auth import VARIABLE, digest
from serve.http.service import Setting, application, build, last_words

SECRET = "a-token-of-good-length"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def deployments(app) -> dict:
    sampler = app._bound_deployment.init_args[0]
    return {each._bound_deployment.name: each._bound_deployment for each in (app, sampler)}


def test_the_arguments_of_a_config_file_make_ingress_and_samplers():
    config = {
        "applications": [
            {
                "name": "eyes",
                "import_path": "serve.http.service:build",
                "args": {"model": "null", "replicas": 2, "token_sha256": digest(SECRET)},
                "deployments": [{"name": "Sampler", "num_replicas": 3}, {"name": "Ingress"}],
            }
        ]
    }
    (app,) = ServeDeploySchema.model_validate(config).applications
    made = deployments(build(app.args))
    assert set(made) == {each.name for each in app.deployments}
    assert made["Sampler"].num_replicas == 2
    assert made["Sampler"].max_queued_requests == 64
    assert SECRET not in str(made["Ingress"].init_args)


def test_without_a_hash_the_token_of_the_environment_closes_the_server(monkeypatch):
    monkeypatch.setenv(VARIABLE, SECRET)
    for _ in range(2):
        ingress = deployments(build({"model": "null"}))["Ingress"]
        assert digest(SECRET) in ingress.init_args[2]


@pytest.mark.parametrize("args", [{}, {"token_sha256": "open"}, {"token_sha256": None}])
def test_no_server_of_a_cluster_is_open(args):
    with pytest.raises(UserError, match="needs a token"):
        build({"model": "null", **args})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"token_sha256": "short"}, "token_sha256"),
        ({"queue": 4}, "queue"),
        ({"modle": "tiny"}, "modle"),
        ({"replicas": 0}, "replicas"),
    ],
)
def test_arguments_that_are_wrong_are_named(wrong, field):
    with pytest.raises(ValidationError, match=field):
        build({"model": "null", "token_sha256": digest(SECRET), **wrong})


def test_a_model_that_is_not_there_is_told_before_anything_starts():
    with pytest.raises(UserError, match="no model of that name"):
        build({"model": "nowhere", "token_sha256": digest(SECRET)})


def test_the_device_is_that_of_the_nodes_that_draw():
    args = {"model": "debug", "gates": "none", "token_sha256": digest(SECRET)}
    sampler = deployments(build({**args, "device": "cuda"}))["Sampler"]
    assert sampler.ray_actor_options["num_gpus"] == 1
    sampler = deployments(build({**args, "device": "cpu"}))["Sampler"]
    assert sampler.ray_actor_options["num_gpus"] == 0


def test_the_reason_of_a_failure_is_the_error_and_not_pydantics_link():
    with pytest.raises(ValidationError) as caught:
        Setting(replicas=0, token_sha256=digest(SECRET))
    assert "For further information" in str(caught.value)
    assert last_words(str(caught.value)).startswith("Input should be greater than or equal to 1")
    assert last_words("Traceback\n  ValueError: broken\n\n") == "ValueError: broken"


def test_rows_of_a_call_are_part_of_the_plan():
    setting = Setting(model="null", rows_per_call=4, token_sha256=digest(SECRET))
    plan = setting.plan().plan
    usual = Setting(model="null", token_sha256=digest(SECRET)).plan().plan
    assert plan.settings.rows_per_call == 4
    assert plan.fingerprint != usual.fingerprint
    sampler = deployments(application(setting, plan))["Sampler"]
    assert sampler.max_ongoing_requests == 12
