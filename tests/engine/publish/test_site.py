"""The site: a browser filters it, opens a photograph and its mask from the disk, and no request
leaves the page; doubles are counted; the bundle is whole.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import browsers
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from engine.data.planted import compress
from engine.phantom.render import draw
from engine.pixels.encode import Origin, encode
from engine.pixels.mark import identify
from engine.publish import site
from engine.publish.export import export
from engine.schema import Annotation
from engine.store.commits import take_attempt
from engine.store.parts import write_outcomes
from engine.store.rows import require_plan

ROWS, SIDE, EYES, AGAIN = 7, 128, 53, 38


def quiet(done, total):
    """Whoever counts."""


def with_columns(table, **columns):
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.array(values, field.type))
    return table


def mask_file(side):
    file = io.BytesIO()
    Image.fromarray(np.tri(side, dtype=bool)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


@pytest.fixture
def put(folder, plan, tmp_path):
    """put(table): the site of a folder that holds these rows."""

    def write(table):
        attempt = take_attempt(folder, table.num_rows)
        write_outcomes(folder, attempt.number, plan.fingerprint, table)
        (folder.root / "private").mkdir()
        (folder.root / "private" / "neighbours.parquet").write_text("SECRET")
        assert export(folder.root, "site", tmp_path / "site", quiet) == table.num_rows
        return tmp_path / "site"

    return write


@pytest.fixture
def few(put, block):
    """A site of few rows, one with a mask and words that would break a careless page."""
    masks = [mask_file(8), *[None] * (ROWS - 1)]
    captions = ["</script><script>alert('x')</script> \u2028\"q\"", *[None] * (ROWS - 1)]
    return put(with_columns(block(0, ROWS), mask_disc=masks, caption=captions))


class Addresses(HTMLParser):
    """Every address of a page."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def said(root, number=0):
    text = (root / "data" / f"{number:04d}.js").read_text(encoding="utf-8")
    return json.loads(re.fullmatch(r"told\(\d+, (.*)\);\n", text, re.DOTALL)[1])


def index_of(root):
    return json.loads((root / "data" / "index.js").read_text()[len("const SITE = ") : -2])


def test_pages_name_no_other_machine_and_every_address_is_there(few):
    pages = sorted(few.glob("*.html"))
    assert [page.stem for page in pages] == sorted(site.PAGES)
    for page in pages:
        for address in Addresses(page).found:
            assert not re.match(r"[a-z]+:|//", address), address
            assert address.startswith("#") or (few / address.partition("#")[0]).exists(), address
    for path in few.glob("*.*s"):
        assert not re.search(r"https?:|@import|url\(|fetch|innerHTML", path.read_text()), path.name
    assert not any(b"SECRET" in path.read_bytes() for path in few.rglob("*") if path.is_file())


def test_what_is_said_of_rows_comes_in_small_files(put, block, monkeypatch):
    monkeypatch.setattr(site, "AT_ONCE", 3)
    root = put(block(0, ROWS))
    assert [[row["index"] for row in said(root, k)] for k in range(3)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]
    assert len([*(root / "data").iterdir()]) == 4
    assert index_of(root)["atOnce"] == 3


def test_a_row_is_told_whole(few, folder):
    plan, (row, *_) = require_plan(folder.root), said(few)
    assert row["caption"].startswith("</script>")
    facts = dict(row["facts"])
    assert (facts["model"], facts["weights"]) == (plan.model, plan.weights_sha256)
    assert facts["seed"] == str(plan.recipe.spec(0, plan.fingerprint).seed)
    assert [name for name, _ in row["labels"]][:2] == ["dr_grade", "is_amd"]
    assert identify(few / row["file"]).synthetic
    with Image.open(few / row["masks"][0]["file"]) as layer:
        assert np.array_equal(np.asarray(layer.convert("RGBA"))[..., 3] > 0, np.tri(8, dtype=bool))
    index = index_of(few)
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(index["bits"]["mask:disc"]), np.uint8))
    assert bits.tolist() == [1, *[0] * 7]
    assert {each["key"] for each in index["filters"]} >= {"finding", "source", "mask", "model"}


def test_the_bundle_is_whole_and_read_by_others(few, tmp_path):
    with zipfile.ZipFile(few / "bundle.zip") as archive:
        archive.extractall(tmp_path / "saved")
    names = {str(path.relative_to(few)) for path in (few / "bundle").rglob("*") if path.is_file()}
    saved = tmp_path / "saved"
    assert names == {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert {"bundle/LICENSE", "bundle/ATTRIBUTION.md", "bundle/README.md"} < names
    assert "SPDX-License-Identifier: cc-by-4.0" in (saved / "bundle/LICENSE").read_text()
    mlcroissant = pytest.importorskip("mlcroissant")
    described = mlcroissant.Dataset(jsonld=str(saved / "bundle" / "croissant.json"))
    assert not described.metadata.issues.errors
    rows = [*described.records("rows")]
    assert len(rows) == ROWS
    for row in rows:
        assert (saved / "bundle" / row["rows/file_name"].decode()).is_file()


def many(block):
    """Phantoms, of which the first are there twice: mirrored or saved anew, and recompressed."""
    eyes = [draw(Annotation(source="idrid"), 900 + k, SIDE).image for k in range(EYES)]
    eyes += [compress(np.ascontiguousarray(e[:, ::-1]) if k % 2 else e, 60)
             for k, e in enumerate(eyes[:AGAIN])]  # fmt: skip
    count = len(eyes)
    files = [encode(each, "webp", Origin("null", "ab12", k)) for k, each in enumerate(eyes)]
    return with_columns(
        block(0, count),
        image=[{"bytes": file, "path": None} for file in files],
        mask_disc=[mask_file(SIDE) if k % 3 == 0 else None for k in range(count)],
        caption=[f"Caption of eye {k}." for k in range(count)],
    )


class Visit:
    """A browser on the site."""

    def __init__(self, browser, root):
        self.browser, self.root = browser, root

    def open(self, page):
        self.browser.get(f"{Path(self.root).as_uri()}/{page}")

    def all(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def text(self, css):
        return self.all(css)[0].text

    def until(self, css, text):
        WebDriverWait(self.browser, 30).until(lambda _: text in self.text(css))

    def choose(self, name, words):
        Select(self.all(f"select[name={name}]")[0]).select_by_visible_text(words)

    def loaded(self, css):
        script = "return arguments[0].complete && arguments[0].naturalWidth"
        image = self.all(css)[0]
        WebDriverWait(self.browser, 30).until(
            lambda browser: browser.execute_script(script, image) == SIDE
        )


def requests(browser):
    """All that a browser asked anybody for."""
    told = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    sent = [each["params"] for each in told if each["method"] == "Network.requestWillBeSent"]
    return {each["request"]["url"] for each in sent}


@pytest.mark.slow
def test_a_browser_filters_and_opens_a_photograph_and_its_mask_from_the_disk(
    put, block, plan, tmp_path
):
    root = put(many(block))
    labels = [plan.recipe.spec(k, plan.fingerprint).annotation for k in range(EYES + AGAIN)]
    grade = [k for k, each in enumerate(labels) if each.dr_grade == 2]
    both = [k for k in grade if k % 3 == 0]
    assert 1 < len(both) < len(grade)
    with browsers.opened(tmp_path) as browser:
        visit = Visit(browser, root)
        visit.open("index.html")
        assert visit.text("#unique") == "91 files, 53 distinct"

        visit.all(".actions a")[0].click()
        visit.until("#shown", "91 of 91")
        visit.choose("once", "each eye once (53)")
        visit.until("#shown", "53 of 91")
        visit.choose("once", "all")
        visit.choose("finding", f"DR 2: moderate ({len(grade)})")
        visit.choose("mask", "disc (31)")
        visit.until("#shown", f"{len(both)} of 91")
        shown = [card.get_attribute("href") for card in visit.all(".card a")]
        assert [int(re.search(r"row=(\d+)", each)[1]) for each in shown] == both
        assert "DR 2: moderate" in visit.all(".card img")[0].get_attribute("alt")

        visit.all(".card a")[-1].click()
        visit.until("#told", f"Caption of eye {both[-1]}.")
        visit.loaded("#large")
        mask = visit.all("#overlays img")[0]
        assert not mask.is_displayed()
        visit.all("#masks input")[0].click()
        assert mask.is_displayed()
        visit.loaded("#overlays img")
        assert "weights" in visit.text("#origin")
        assert "diabetic retinopathy 2: moderate" in visit.text("#labels")
        visit.all("#next")[0].click()
        visit.until("#told", f"Caption of eye {both[0]}.")
        visit.all("#back")[0].click()
        visit.until("#shown", f"{len(both)} of 91")
        for page in ("download.html", "safety.html"):
            visit.open(page)
        asked = requests(browser)
        assert f"{root.as_uri()}/data/0000.js" in asked
        assert not [each for each in asked if not each.startswith(root.as_uri())]
        assert not browser.get_log("browser")
