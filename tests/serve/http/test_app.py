"""The HTTP half over a real model in this process: OpenAI's form, every mistake in it, the token,
and images that are those of the batch path.
"""

from __future__ import annotations

import asyncio
import base64
import io

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
from starlette.testclient import TestClient

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.pixels.mark import identify
from engine.registry.null import NullSampler
from engine.specs import recipe_from
from engine.stages.call import FatalError
from engine.stages.draw import loaded
from serve.http import app as app_module
from serve.http.app import MOST_BYTES, Busy, Desk, Lost, build
from serve.http.auth import digest
from serve.http.sampler import Painter, Studio, painter_of

SECRET = "a-token-of-good-length"
PROMPT = "A left eye with mild non-proliferative diabetic retinopathy, few microaneurysms"


def planned(model, **given):
    drawing = plan_drawing(DrawAsk(model=model, **given))
    return drawing.plan, drawing.ref


def client_of(plan, ref, draw, **desk):
    app = build(Desk(plan=plan, ref=ref, draw=draw, **desk))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def load_ref(ref, settings):
    return ref.load(settings)


@pytest.fixture
def ask(tmp_path):
    """ask(model, body, **changes): status and body of a generation by a model in this process."""
    studios = []

    def made(model="null", body=None, load=load_ref, gates=None, rows=1, path=None, **desk):
        plan, ref = planned(model, gates=gates, rows_per_call=rows)
        studios.append(Studio(lambda: Painter(plan, ref, load), rows))
        client = client_of(plan, ref, studios[-1].draw, **desk)
        answer = client.get(path) if path else client.post("/v1/images/generations", json=body)
        return answer.status_code, answer.json()

    yield made
    for studio in studios:
        studio.close()


def files(body):
    return [base64.b64decode(each["b64_json"]) for each in body["data"]]


def test_the_same_seed_gives_the_same_bytes_and_every_image_is_another(ask):
    order = {"prompt": PROMPT, "n": 3, "seed": 7, "size": "64x64", "steps": 2}
    status, body = ask("debug", order, gates="none")
    assert status == 200
    first = files(body)
    assert len(set(first)) == 3
    assert first == files(ask("debug", order, gates="none")[1])
    assert Image.open(io.BytesIO(first[0])).size == (64, 64)
    assert body["data"][0]["labels"] == {"dr_grade": 1, "eye_side": 1}
    assert (body["seed"], body["steps"], body["size"]) == (7, 2, "64x64")
    other = ask("debug", {**order, "steps": 3}, gates="none")[1]
    assert files(other)[0] != first[0]


@pytest.mark.parametrize("model", ["debug", "null"])
def test_image_i_is_row_i_of_generate_with_that_seed_and_prompt(ask, tmp_path, model):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(PROMPT + "\n")
    plan, ref = planned(model, prompts=prompts, seed=41, gates="none")
    rows = [outcome.image for outcome in loaded(plan, ref).outcomes([(0, 3)])]
    order = {"prompt": PROMPT, "seed": 41, "n": 3, "output_format": "webp"}
    assert files(ask(model, order, gates="none")[1]) == rows


def test_neighbours_in_a_padded_batch_change_no_byte(ask):
    order = {"prompt": PROMPT, "seed": 3, "steps": 2}
    together = files(ask("debug", {**order, "n": 5}, gates="none", rows=4)[1])
    alone = files(ask("debug", {**order, "n": 1}, gates="none", rows=4)[1])
    assert together[0] == alone[0]
    assert len(set(together)) == 5


def test_a_served_file_says_what_it_is(ask, tmp_path):
    _, body = ask("null", {"prompt": "an eye", "seed": 5})
    file = tmp_path / "eye.png"
    file.write_bytes(files(body)[0])
    found = identify(file)
    assert (found.synthetic, found.model) == (True, "null")
    assert str(found.seed) == body["data"][0]["image_seed"]
    assert body["synthetic"] == found.source_type == "algorithmicMedia"


def test_without_a_seed_one_is_drawn_and_told(ask):
    _, body = ask("null", {"prompt": "an eye"})
    assert files(ask("null", {"prompt": "an eye", "seed": body["seed"]})[1]) == files(body)
    assert ask("null", {"prompt": "an eye"})[1]["seed"] != body["seed"]


def test_labels_alone_are_worded_and_labels_given_win_over_the_prompt(ask):
    _, body = ask("null", {"labels": {"dr_grade": 4}, "seed": 1})
    assert "proliferative" in body["data"][0]["revised_prompt"].lower()
    order = {"prompt": "right eye with glaucoma", "labels": {"is_gc": None, "eye_side": 1}}
    assert ask("null", order)[1]["data"][0]["labels"] == {"eye_side": 1}


class Poisoned(NullSampler):
    """The null model, which a seed breaks."""

    def __init__(self, seed: int) -> None:
        super().__init__(0)
        self.rows_per_call = 4
        self._seed = seed

    def draw(self, specs):
        if any(spec.seed == self._seed for spec in specs):
            raise ValueError("poison")
        return super().draw(specs)


def test_an_image_that_breaks_the_model_fails_alone_in_its_batch(ask, tmp_path):
    recipe = recipe_from(seed=9, size=8)
    poison = recipe.spec(2, "").seed
    order = {"prompt": "an eye", "seed": 9, "n": 4}
    status, body = ask("null", order, load=lambda ref, settings: Poisoned(poison), rows=4)
    assert status == 200
    assert [each["b64_json"] is None for each in body["data"]] == [False, False, True, False]
    error = body["data"][2]["error"]
    assert (error["code"], "poison" in error["message"]) == ("draw_failed", True)
    whole = files(ask("null", order)[1])
    assert [base64.b64decode(body["data"][k]["b64_json"]) for k in (0, 1, 3)] == [
        whole[k] for k in (0, 1, 3)
    ]


def test_a_request_whose_every_image_the_gates_refuse_is_told_why(ask):
    # The shipped quality gate finds no fundus in an untrained model's noise.
    status, body = ask("debug", {"prompt": PROMPT, "seed": 1, "steps": 1}, gates="quality")
    assert (status, body["error"]["code"]) == (422, "refused_by_gate")
    assert "4 images" in body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({}, 400, "prompt", "missing"),
        ({"prompt": "  "}, 400, "prompt", "missing"),
        ({"prompt": "x" * 4001}, 400, "prompt", "invalid_value"),
        ({"prompt": "x", "model": "dall-e-3"}, 404, "model", "model_not_found"),
        ({"prompt": "x", "n": 0}, 400, "n", "invalid_value"),
        ({"prompt": "x", "n": 9}, 400, "n", "invalid_value"),
        ({"prompt": "x", "n": "2"}, 400, "n", "invalid_value"),
        ({"prompt": "x", "n": True}, 400, "n", "invalid_value"),
        ({"prompt": "x", "size": "100x100"}, 400, "size", "invalid_value"),
        ({"prompt": "x", "size": "64x128"}, 400, "size", "invalid_value"),
        ({"prompt": "x", "size": "4096x4096"}, 400, "size", "invalid_value"),
        ({"prompt": "x", "size": "big"}, 400, "size", "invalid_value"),
        ({"prompt": "x", "response_format": "url"}, 400, "response_format", "unsupported_value"),
        ({"prompt": "x", "output_format": "gif"}, 400, "output_format", "invalid_value"),
        ({"prompt": "x", "seed": -1}, 400, "seed", "invalid_value"),
        ({"prompt": "x", "seed": 1.5}, 400, "seed", "invalid_value"),
        ({"prompt": "x", "steps": 0}, 400, "steps", "invalid_value"),
        ({"prompt": "x", "steps": 101}, 400, "steps", "invalid_value"),
        ({"prompt": "x", "guidance": -1}, 400, "guidance", "invalid_value"),
        ({"prompt": "x", "labels": {"dr_grade": 5}}, 400, "labels.dr_grade", "invalid_value"),
        ({"prompt": "x", "labels": {"dr_grad": 1}}, 400, "labels.dr_grad", "invalid_value"),
        ({"prompt": "x", "labels": {"source": "moon"}}, 400, "labels.source", "invalid_value"),
        ({"prompt": "x", "labels": {"source": 3}}, 400, "labels.source", "invalid_value"),
        ({"prompt": "x", "labels": {"is_gc": [1]}}, 400, "labels.is_gc", "invalid_value"),
        ({"prompt": "x", "labels": {"is_gc": True}}, 400, "labels.is_gc", "invalid_value"),
        ({"prompt": "x", "labels": {"is_gc": "1"}}, 400, "labels.is_gc", "invalid_value"),
        ({"prompt": "x", "labels": {"is_gc": 1.0}}, 400, "labels.is_gc", "invalid_value"),
        ({"prompt": "x", "labels": {"is_gc": ""}}, 400, "labels.is_gc", "invalid_value"),
        ({"prompt": "x", "labels": [1]}, 400, "labels", "invalid_value"),
        ({"prompt": "x", "stream": True}, 400, "stream", "invalid_value"),
        ({"prompt": "x", "quality": "hd"}, 400, "quality", "invalid_value"),
        ({"prompt": "x", "strength": 1}, 400, "strength", "unknown_parameter"),
        ([], 400, None, "invalid_value"),
    ],
)
def test_every_mistake_is_told_in_the_form_of_openai(undrawn, body, status, param, code):
    answer = undrawn.post("/v1/images/generations", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    assert "--" not in error["message"]


async def never(item):
    raise AssertionError(f"{item} was drawn")


@pytest.fixture
def undrawn(tmp_path):
    """A client of the debug model which fails whoever has something drawn."""
    return client_of(*planned("debug"), never)


def test_a_model_without_a_solver_takes_no_steps(tmp_path):
    client = client_of(*planned("phantom"), never)
    for field, value in (("steps", 8), ("guidance", 2.0)):
        answer = client.post("/v1/images/generations", json={"prompt": "x", field: value})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"prompt":', "application/json", 400),
        (b'{"prompt": "\\ud800"}', "application/json", 400),
        (b'{"prompt": "x", "guidance": NaN}', "application/json", 400),
        (b'{"prompt": "x"}', "text/plain", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"prompt": "' + b"x" * MOST_BYTES + b'"}', "application/json", 413),
    ],
)
def test_bodies_that_are_no_request(undrawn, content, kind, status):
    answer = undrawn.post("/v1/images/generations", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"prompt":', "invalid_json"),
        (b'{"prompt": "\xff"}', "invalid_json"),
        (b'{"seed": ' + b"7" * 5000 + b"}", "invalid_json"),
        (b"[" * 30_000 + b"]" * 30_000, "invalid_json"),
        (b'{"labels": {"\\ud800": 1}}', "invalid_value"),
        (b'{"\\ud800": 1}', "invalid_value"),
    ],
)
def test_what_python_cannot_read_or_write_is_the_clients_mistake(undrawn, content, code):
    kind = {"Content-Type": "application/json"}
    answer = undrawn.post("/v1/images/generations", content=content, headers=kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert ("Unicode" in answer.json()["error"]["message"]) == (b"ud800" in content)


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/healthz", "", 405),
        ("/", "", 405),
        ("/v1/images/generations", "", 401),
        ("/v1/images/generations", "wrong", 401),
        ("/v1/images/generations", SECRET, 408),
    ],
)
def test_a_body_that_never_comes_holds_nothing_for_long(tmp_path, monkeypatch, path, token, status):
    monkeypatch.setattr(app_module, "BODY_SECONDS", 0.2)
    app = build(Desk(*planned("null"), never, token_sha256=digest(SECRET)))
    asked, sent = [], []

    async def receive():
        asked.append(path)
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    headers = [(b"content-length", b"9"), (b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": ""}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 60))
    assert sent[0]["status"] == status
    assert bool(asked) == (status == 408)


def test_models_are_listed_and_found(undrawn):
    (model,) = undrawn.get("/v1/models").json()["data"]
    assert (model["id"], model["object"], model["size"]) == ("debug", "model", 64)
    assert {label["name"] for label in model["labels"]} > {"dr_grade", "eye_side"}
    assert undrawn.get("/v1/models/debug").json() == model
    assert undrawn.get("/v1/models/other").status_code == 404
    assert undrawn.get("/healthz").json() == {"status": "ok", "model": "debug"}
    assert undrawn.get("/nowhere").json()["error"]["message"] == "no such address"
    wrong = undrawn.get("/v1/images/generations")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert undrawn.get("/openapi.json").json()["error"]["code"] == "not_found"


def test_with_a_token_the_api_is_closed_and_page_and_health_are_not(tmp_path):
    plan, ref = planned("null")
    client = client_of(plan, ref, never, token_sha256=digest(SECRET))
    for header in ({}, {"Authorization": "Bearer wrong"}):
        answer = client.get("/v1/models", headers=header)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        answer = client.post("/v1/images/generations", json={"prompt": "x"}, headers=header)
        assert answer.status_code == 401
    right = {"Authorization": f"Bearer {SECRET}"}
    assert client.get("/v1/models", headers=right).status_code == 200
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(
            (name, 200)
            for name in (
                "localhost",
                "LOCALHOST:8000",
                "localhost.",
                "127.0.0.1:8000",
                "[::1]:8000",
            )
        ),
        *((name, 403) for name in ("evil.example", "evil.example:8000", "10.0.0.3", "", "[::2]")),
    ],
)
def test_an_open_server_answers_to_no_foreign_name(tmp_path, host, status):
    plan, ref = planned("null")
    answer = client_of(plan, ref, never).get("/v1/models", headers={"Host": host})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == "foreign_host"
    closed = client_of(plan, ref, never, token_sha256=digest(SECRET))
    assert closed.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"), [(Busy(), 429, "queue_full"), (Lost(), 503, "unavailable")]
)
def test_a_full_queue_and_a_lost_sampler_are_told_and_leave_nothing_waiting(
    tmp_path, error, status, code
):
    left = []

    async def second_refuses(item):
        if item.index == 1:
            raise error
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            left.append(item.index)
            raise

    client = client_of(*planned("null"), second_refuses, retry_after=9)
    answer = client.post("/v1/images/generations", json={"prompt": "x", "n": 3})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("Retry-After") == ("9" if status == 429 else None)
    assert sorted(left) == [0, 2]


def test_what_takes_too_long_is_given_up(ask):
    status, body = ask("null:3000", {"prompt": "x"}, timeout=0.2)
    assert (status, body["error"]["code"]) == (504, "timeout")


def test_a_studio_whose_device_is_lost_draws_no_more(tmp_path):
    plan, ref = planned("null")

    class Broken(NullSampler):
        def draw(self, specs):
            raise RuntimeError("CUDA error: device-side assert")

    studio = Studio(lambda: Painter(plan, ref, lambda *_: Broken(0)), 1)
    client = client_of(plan, ref, studio.draw)
    assert client.post("/v1/images/generations", json={"prompt": "x"}).status_code == 500
    with pytest.raises(FatalError, match="device is lost"):
        studio.check()
    studio.close()


def test_a_model_that_cannot_draw_is_told_before_anybody_asks(tmp_path, monkeypatch):
    plan, _ = planned("null")
    painter_of(plan)

    def broken(self, specs):
        raise ValueError("nothing comes out")

    monkeypatch.setattr(NullSampler, "draw", broken)
    with pytest.raises(FatalError, match="null cannot draw: ValueError: nothing comes out"):
        painter_of(plan)


def test_the_page_loads_nothing_from_elsewhere(undrawn):
    for path in ("/", "/gallery.css", "/gallery.js"):
        answer = undrawn.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "http://" not in answer.text
        assert "https://" not in answer.text
    assert "synthetic" in undrawn.get("/").text.lower()
