"""The whole server: sixteen official clients at once, gates that refuse, a browser on its page."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
import browsers
from openai import APIStatusError, OpenAI
from openai.types import ImagesResponse
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait
from server import RETINAFORGE, TOKEN, Server

from engine import registry
from engine.gates.privacy import Reference
from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.models.card import PRIVACY
from engine.registry import SamplerRef
from engine.stages.draw import loaded

pytestmark = pytest.mark.slow
MODEL = "dualgan-tiny"
CLIENTS, SECONDS, ROWS = 16, 30, 4


def order(number: int) -> dict:
    """A request: of several shapes, of one image or two."""
    eye = ("left", "right")[number % 2]
    labels = {"dr_grade": number % 5, "is_dme": number % 2}
    return {
        "prompt": f"A {eye} eye",
        "n": 1 + (number % 4 == 3),
        "size": ("256x256", "128x128")[number % 8 == 5],
        "output_format": ("png", "webp")[number % 3 == 2],
        "extra_body": {"seed": 1000 + number, "labels": labels},
    }


ORDERS = [order(number) for number in range(CLIENTS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A model behind a privacy gate so strict that it refuses three images in four, drawn in
    batches: some of the images asked for are refused to the last try.
    """
    folder = tmp_path_factory.mktemp("house")
    rows = [{"prompt": each["prompt"], **each["extra_body"]["labels"]} for each in ORDERS]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = DrawAsk(model=MODEL, prompts=folder / "rows.jsonl", gates="privacy")
    drawing = plan_drawing(asked)
    drawn = loaded(drawing.plan, drawing.ref, draws=1).outcomes([(0, len(rows))])
    seen = [each.verdict.nearest_distance for each in drawn]
    ref = registry.find(SamplerRef, MODEL)
    own = Reference.read(ref.folder / PRIVACY)
    strict = folder / "strict.safetensors"
    replace(own, nearest=float(np.quantile(seen, 0.75))).write(strict)
    flags = ("--gates", "privacy", "--reference", strict, "--rows-per-call", ROWS)
    running = Server("--model", MODEL, *flags)
    yield running
    assert running.end() == 0


def ask(client: OpenAI, number: int) -> list[bytes | str]:
    """The images of a request; in the place of a refused one its code."""
    try:
        answer = client.images.generate(model=MODEL, **ORDERS[number])
    except APIStatusError as error:
        return [error.code] * ORDERS[number]["n"]
    return [
        base64.b64decode(each.b64_json) if each.b64_json else each.error["code"]
        for each in answer.data
    ]


def storm(server: Server, seconds: float) -> list[tuple[int, list[bytes | str], float]]:
    """What clients at once were answered: number of the request, images, seconds it took."""
    found = []
    end = time.monotonic() + seconds

    def one(start: int) -> None:
        client = server.client()
        number = start
        while time.monotonic() < end:
            began = time.monotonic()
            images = ask(client, number % CLIENTS)
            found.append((number % CLIENTS, images, time.monotonic() - began))
            number += 5

    threads = [threading.Thread(target=one, args=(start,)) for start in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def told(found: list[tuple[int, list[bytes | str], float]], seconds: float) -> str:
    images = sum(isinstance(each, bytes) for _, answer, _ in found for each in answer)
    p50, p95 = np.quantile([took for _, _, took in found], (0.5, 0.95))
    rate = images / seconds
    return f"{len(found)} answers, {rate:.2f} images/s, latency p50 {p50:.2f} s p95 {p95:.2f} s"


def test_every_image_of_sixteen_clients_is_its_solo_image_and_a_refused_one_fails_alone(
    server, tmp_path
):
    began = time.monotonic()
    found = storm(server, SECONDS)
    print(told(found, time.monotonic() - began))
    solo = {number: ask(server.client(), number) for number in {each[0] for each in found}}
    assert len(solo) == CLIENTS
    for number, images, _ in found:
        assert images == solo[number], f"request {number}"
    alone = [image for images in solo.values() for image in images]
    assert {each for each in alone if isinstance(each, str)} == {"refused_by_gate"}
    files = []
    for number, image in enumerate(each for each in alone if isinstance(each, bytes)):
        files.append(tmp_path / f"{number}.image")
        files[-1].write_bytes(image)
    assert len(set(map(Path.read_bytes, files))) == len(files) > CLIENTS / 4
    identified = [RETINAFORGE, "identify", "--json", *files]
    lines = subprocess.run(identified, capture_output=True, check=True).stdout.splitlines()
    marks = [json.loads(line) for line in lines]
    assert [(each["synthetic"], each["model"]) for each in marks] == [(True, MODEL)] * len(files)


@pytest.fixture
def browser(tmp_path) -> Iterator[WebDriver]:
    with browsers.opened(tmp_path) as found:
        yield found


class Page:
    """The gallery in a browser."""

    def __init__(self, browser: WebDriver) -> None:
        self.browser = browser

    def find(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def fill(self, name: str, text: str) -> None:
        box = self.find(f"#{name}")
        box.clear()
        box.send_keys(text)

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.browser, 120).until(lambda _: condition())

    def draw(self) -> None:
        """Press the button and wait until the answer, or what is wrong, is shown."""
        self.find("#draw").click()
        self.until(lambda: self.find("#draw").is_enabled())

    @property
    def trouble(self) -> str:
        state = self.find("#state")
        return state.text if "bad" in state.get_attribute("class") else ""

    def save(self, folder: Path) -> bytes:
        """What the link under the newest answer's first image saves."""
        self.find("article a.save").click()
        self.until(lambda: list(folder.glob("synthetic-*.png")))
        (file,) = folder.glob("synthetic-*.png")
        return file.read_bytes()


def some_refused(client: OpenAI) -> tuple[int, ImagesResponse]:
    """A seed, and its answer of eight images of which the gates refused some and not all."""
    for seed in range(20, 40):
        own = {"seed": seed, "labels": {"dr_grade": 4}}
        answer = client.images.generate(prompt="A right eye", n=8, extra_body=own)
        if 0 < sum(each.b64_json is None for each in answer.data) < 8:
            return seed, answer
    raise AssertionError("the strict gate refuses nothing")


def test_a_browser_draws_marked_images_and_shows_what_goes_wrong(server, browser, tmp_path):
    page = Page(browser)
    browser.get(server.url)
    page.until(lambda: page.find("#token").is_displayed())
    page.fill("token", "no-token-of-this-server\t")
    page.until(lambda: page.trouble == "a valid token is needed")
    page.fill("token", f"{TOKEN}\t")
    page.until(lambda: MODEL in page.find("#model").text)
    assert not page.find("#token").is_displayed()

    # As after a restart of the server under another token.
    labels = len(browser.find_elements(By.CSS_SELECTOR, "#labels select"))
    browser.execute_script("document.getElementById('door').hidden = false")
    page.fill("token", "the-token-of-yesterday\t")
    page.until(lambda: page.trouble == "a valid token is needed")
    page.fill("token", f"{TOKEN}\t")
    page.until(lambda: not page.find("#token").is_displayed())
    assert len(browser.find_elements(By.CSS_SELECTOR, "#labels select")) == labels > 0

    page.fill("prompt", "")
    page.draw()
    assert page.trouble == "an image needs a prompt, or labels"
    page.fill("prompt", "A right eye")
    page.fill("seed", "9" * 20)
    page.draw()
    assert "seed" in page.trouble

    seed, answer = some_refused(server.client())
    drawn = [each for each in answer.data if each.b64_json]
    page.find("summary").click()
    Select(page.find("#label-dr_grade")).select_by_visible_text("4 proliferative")
    Select(page.find("#count")).select_by_visible_text("8")
    page.fill("seed", str(seed))
    page.draw()
    assert page.trouble == ""
    assert page.save(tmp_path) == base64.b64decode(drawn[0].b64_json)

    figures = browser.find_elements(By.CSS_SELECTOR, "article:first-child figure")
    assert len(figures) == 8
    for figure, each in zip(figures, answer.data, strict=True):
        assert ("SYNTHETIC" in figure.text) == bool(each.b64_json)
        assert ("gates refused" in figure.text) != bool(each.b64_json)
    shown = browser.find_elements(By.CSS_SELECTOR, "article:first-child img")
    page.until(lambda: all(each.get_property("naturalWidth") == 256 for each in shown))
    assert "right" in page.find("article .facts").text
    faults = [each for each in browser.get_log("browser") if each["level"] in ("WARNING", "SEVERE")]
    assert [each for each in faults if "Failed to load resource" not in each["message"]] == []
