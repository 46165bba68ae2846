"""The whole server under strain: too many images, a sampler that is killed, an end by a signal."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from openai import APIStatusError, RateLimitError
from ray_head import wait_for
from server import TOKEN, Server

from serve.http.service import CALLS_AHEAD

pytestmark = pytest.mark.slow
CLIENTS, IMAGES, QUEUE = 8, 4, 8


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A model that takes a third of a second, before which eight images may wait."""
    running = Server("--model", "null:300", "--queue", QUEUE)
    yield running
    if running.process.poll() is None:
        running.end()


def ask(client, images=IMAGES):
    return client.images.generate(prompt="an eye", n=images, extra_body={"seed": 1})


def test_above_the_queue_clients_are_told_when_to_come_back_and_all_are_served_then(server):
    def once(_: int) -> APIStatusError | None:
        try:
            ask(server.client())
        except RateLimitError as error:
            return error
        return None

    with ThreadPoolExecutor(CLIENTS) as pool:
        refused = [error for error in pool.map(once, range(CLIENTS)) if error]
        assert 0 < len(refused) < CLIENTS
        assert {error.code for error in refused} == {"queue_full"}
        assert all(int(error.response.headers["Retry-After"]) >= 1 for error in refused)
        patient = server.client(max_retries=60)
        answers = list(pool.map(lambda _: ask(patient).data, range(CLIENTS)))
    images = [[each.b64_json for each in answer] for answer in answers]
    assert all(each == images[0] for each in images)


def test_the_proxy_takes_no_head_without_end(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(ConnectionError):
            client.sendall(b"a: b\r\n" * 10_000_000)


def test_a_killed_sampler_is_told_and_replaced(server):
    (sampler,) = [each for each in server.below() if "Sampler" in titled(each)]
    sampler.kill()
    seen = set()

    def served() -> bool:
        try:
            return bool(ask(server.client(), 1).data)
        except APIStatusError as error:
            seen.add((error.status_code, error.code))
            return False

    wait_for(served, 120)
    assert seen <= {(503, "unavailable"), (429, "queue_full")}


def test_a_killed_ingress_is_told_in_the_same_form_and_replaced(server):
    (ingress,) = [each for each in server.below() if "Ingress" in titled(each)]
    ingress.kill()
    seen = []

    def served() -> bool:
        try:
            with urllib.request.urlopen(f"{server.url}/healthz", timeout=60) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            seen.append((error.code, json.loads(error.read())["error"]["code"]))
            return False

    ask = urllib.request.Request(f"{server.url}/v1/images/generations", data=b"{}")
    with pytest.raises(urllib.error.HTTPError) as told:
        urllib.request.urlopen(ask, timeout=60)
    assert told.value.code in (401, 503)
    assert json.loads(told.value.read())["error"]["message"]
    wait_for(served, 120)
    assert set(seen) <= {(503, "unavailable")}


def titled(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_signal_ends_the_server_and_everything_that_it_started(server):
    started = server.below()
    assert len(ask(server.client(), 1).data) == 1
    under_way = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    # As many images as the sampler takes beside none: they wait in no queue.
    order = json.dumps({"prompt": "an eye", "n": 1 + CALLS_AHEAD, "seed": 1})
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    under_way.request("POST", "/v1/images/generations", order, headers)
    # One that came later is answered: the first is inside.
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=60) as later:
        assert later.status == 200
    server.process.send_signal(signal.SIGINT)
    answer = under_way.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    assert all(each["b64_json"] for each in json.loads(body)["data"])
    assert server.process.wait(120) == 0
    wait_for(lambda: not any(each.is_running() for each in started), 60)
    # Beside these, Ray's own lines tell of what was killed above.
    own = [line for line in server.said().splitlines() if line in ("stopping", "stopped")]
    assert own == ["stopping", "stopped"]
