"""The report page: it shows the rows, filters them in a real browser, and asks no other machine for
anything.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from stopped import wait_until_stopped

from engine.pixels.encode import Origin, encode
from engine.pixels.mark import identify
from engine.publish import gallery, report
from engine.publish.report import STEERING, write_report
from engine.schema import UserError
from engine.store.parts import write_outcomes

ROWS = 40
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Page(HTMLParser):
    """What the tests look at: cards, links, drop-down choices, and every address."""

    def __init__(self, text):
        super().__init__()
        self.cards, self.options, self.addresses, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if told.get("class") == "card":
            self.cards.append(told)
        if tag == "option":
            self.options.append(told["value"])
        self.addresses += [told[key] for key in ("src", "href") if told.get(key)]

    def handle_data(self, data):
        self.text += data


def with_columns(table, **columns):
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.array(values, field.type))
    return table


def mask_file():
    file = io.BytesIO()
    Image.fromarray(np.tri(8, dtype=bool)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


@pytest.fixture
def filled(folder, attempt, plan, block):
    """Forty rows, six failures, scores, a mask, and a caption that would break a careless page."""
    table = with_columns(
        block(0, ROWS),
        quality_score=[0.5 + index / 100 for index in range(ROWS)],
        caption=[f"row {index} <script>alert('x')</script> \"q\"" for index in range(ROWS)],
        mask_disc=[mask_file() if index == 0 else None for index in range(ROWS)],
        source=["idrid" if index % 2 else "my hospital" for index in range(ROWS)],
    )
    write_outcomes(folder, attempt.number, plan.fingerprint, table)
    write_outcomes(folder, attempt.number, plan.fingerprint, block(ROWS, ROWS + 6, dead=True))
    return folder


def read(page):
    return Page(page.read_text(encoding="utf-8"))


def expected(plan, grade):
    specs = [plan.recipe.spec(index, plan.fingerprint) for index in range(ROWS)]
    return {spec.index for spec in specs if spec.annotation.dr_grade == grade}


def test_every_row_has_a_card_with_its_labels_and_file(filled, plan):
    page = write_report(filled.root)
    found = read(page)
    assert len(found.cards) == ROWS
    for index, card in enumerate(found.cards):
        annotation = plan.recipe.spec(index, plan.fingerprint).annotation
        assert f"dr_grade-{annotation.dr_grade}" in card["data-tokens"].split()
        source = "source:idrid" if index % 2 else "source:my_hospital"
        assert source in card["data-tokens"].split()
    images = page.parent / "images" / "000001"
    assert identify(images / "00000007.webp").synthetic
    with Image.open(images / "00000000-disc.png") as layer:
        assert np.array_equal(np.asarray(layer.convert("RGBA"))[..., 3] > 0, np.tri(8, dtype=bool))
    assert "6 rows" not in found.text
    assert "ValueError: bad row" in found.text
    assert "40 rows, median 0.695" in found.text


def test_the_page_asks_no_other_machine_and_trusts_no_caption(filled):
    page = write_report(filled.root)
    text = page.read_text(encoding="utf-8")
    for address in read(page).addresses:
        assert not re.match(r"[a-z]+:|//", address), address
        assert address.startswith("#") or (page.parent / address).is_file()
    assert "<script>alert" not in text
    assert not re.search(r"@import|url\(", text)


def test_the_page_says_what_taught_each_label(filled, plan, tmp_path):
    assert "Take every label as unproven" in read(write_report(filled.root)).text
    line = {"label": "is_rvo", "real": 0, "real_without": 6, "phantom": 2000}
    line |= {"auc": 0.8, "low": 0.7, "high": 0.9}
    card = {"weights_sha256": plan.weights_sha256, "label_evidence": [line]}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_card.json").write_text(json.dumps(card))
    moved = plan.model_copy(update={"model_location": str(tmp_path / "model")})
    (filled.root / "plan.json").write_text(moved.model_dump_json())
    text = write_report(filled.root).read_text()
    row = next(line for line in text.splitlines() if '<th scope="row">is_rvo' in line)
    assert "unproven on photographs" in row
    assert "<td>0</td><td>6</td><td>2,000</td><td>0.80 (0.70–0.90)</td><td>unknown</td>" in row
    assert "unproven on photographs" not in next(
        line for line in text.splitlines() if '<th scope="row">is_gc' in line
    )


def test_a_sample_is_spread_evenly_over_the_rows(filled):
    rows = re.findall(r'data-row="(\d+)"', write_report(filled.root, most=8).read_text())
    assert list(map(int, rows)) == list(range(0, ROWS, 5))
    assert len(list((filled.root / "report" / "images").rglob("*.webp"))) == 8


def strip(weights_sha256):
    return encode(np.zeros((10, 30, 3), np.uint8), "jpeg", Origin("null", weights_sha256, 1))


def test_a_picture_of_other_weights_is_not_the_folders(filled):
    assert STEERING not in write_report(filled.root, one_eye=strip("ab12")).read_text()


LATE_REPORT = """
import os, signal, sys
from pathlib import Path
from engine.publish import gallery
from engine.store import turn
from engine.store.place import Disk
from engine.publish.report import write_report

def stop(*_):
    os.kill(os.getpid(), signal.SIGSTOP)

def stopping(place, name, before):
    real = getattr(place, name)
    def wrapped(*args, **kwargs):
        if before:
            stop()
        result = real(*args, **kwargs)
        if not before:
            stop()
        return result
    setattr(place, name, wrapped)

where, = {"pictures": (gallery, "_picture", True), "look": (turn.Turn, "check", True),
          "name": (Disk, "overwrite", True)}[sys.argv[2]],
stopping(*where)
write_report(Path(sys.argv[1]), most=3)
"""


@pytest.mark.parametrize("where", ["pictures", "look", "name"])
def test_a_report_that_is_paused_and_woken_leaves_the_newer_page(filled, where):
    call = [sys.executable, "-c", LATE_REPORT, filled.root, where]
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True) as late:
        wait_until_stopped(late.pid)
        page = write_report(filled.root, most=2)
        before = page.read_bytes()
        while late.poll() is None:  # It may stop again and again.
            late.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        assert "StaleAttempt: a newer one was begun" in late.stderr.read()
    assert page.read_bytes() == before
    linked = [page.parent / each for each in read(page).addresses if each.startswith("images/")]
    assert linked
    assert all(file.is_file() for file in linked)
    assert [path.name for path in (page.parent / "images").iterdir()] == ["000002"]
    assert not list(page.parent.glob(".*.tmp"))


def test_a_page_says_loudly_that_rows_are_missing(filled):
    (told,) = re.findall(r'role="alert">(.*)</p>', write_report(filled.root).read_text())
    assert "54 of 100 planned rows are missing" in told
    assert "6 of 100 planned rows failed" in told


class Killed(BaseException):
    """The run ends here, and nothing after it is done."""


def test_a_report_that_is_killed_leaves_the_page_that_was_there(filled, monkeypatch):
    page = write_report(filled.root)
    before = page.read_text()
    linked = [page.parent / each for each in read(page).addresses if each.startswith("images/")]

    def torn(row, into, extension):
        if row["index"] == 20:
            raise Killed
        return drawn(row, into, extension)

    drawn = gallery._picture
    monkeypatch.setattr(gallery, "_picture", torn)
    with pytest.raises(Killed):
        write_report(filled.root, most=30)
    assert page.read_text() == before
    assert linked
    assert all(file.is_file() for file in linked)
    monkeypatch.undo()
    write_report(filled.root, most=3)
    assert len(list((page.parent / "images").rglob("*.webp"))) == 3
    names = sorted(path.name for path in page.parent.iterdir())
    assert names == [".000003.turn", "images", "index.html"]


def test_writing_anew_keeps_the_added_picture_and_drops_old_files(filled, plan):
    assert STEERING not in write_report(filled.root).read_text()
    write_report(filled.root, one_eye=strip(plan.weights_sha256))
    page = write_report(filled.root, most=2)
    assert STEERING in page.read_text()
    assert "One eye under changed labels" in read(page).text
    names = sorted(path.name for path in page.parent.iterdir())
    assert names == [".000003.turn", "images", "index.html", STEERING]
    assert [path.name for path in (page.parent / "images").iterdir()] == ["000003"]


def test_large_photographs_get_small_marked_copies(folder, attempt, plan, block):
    image = encode(np.zeros((300, 300, 3), np.uint8), "webp", Origin("null", "ab12", 9))
    table = with_columns(
        block(0, 1), image=[{"bytes": image, "path": None}], width=[300], height=[300]
    )
    write_outcomes(folder, attempt.number, plan.fingerprint, table)
    page = write_report(folder.root)
    (small,) = page.parent.glob("images/*/00000000-small.webp")
    with Image.open(small) as image:
        assert image.size == (256, 256)
    assert identify(small).seed == 9


def test_the_limit_of_the_privacy_gate_is_drawn_where_it_is_known(
    folder, attempt, plan, block, monkeypatch
):
    table = with_columns(block(0, 4), nearest_distance=[0.5, 0.6, 0.7, 0.8])
    write_outcomes(folder, attempt.number, plan.fingerprint, table)
    page = write_report(folder.root)
    assert "dashed line" not in read(page).text
    assert 'class="mark"' not in page.read_text()
    monkeypatch.setattr(report, "copy_limit", lambda guard: 0.25)
    page = write_report(folder.root)
    assert "Nearer than 0.25, the dashed line, is refused." in read(page).text
    assert 'class="mark"' in page.read_text()


def test_a_folder_without_rows_still_has_a_page_and_nothing_empty_on_it(folder, attempt):
    page = write_report(folder.root)
    assert "0 synthetic fundus photographs" in read(page).text
    assert read(page).text.count("No row is committed yet.") == 2
    text = page.read_text()
    assert "<form" not in text
    assert "the gate was off" not in text
    speed = text.split('id="speed-head"')[1].split("</section>")[0]
    assert "<table" not in speed


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(UserError, match="a data set folder"):
        write_report(tmp_path)


@pytest.fixture
def driven(filled, tmp_path):
    """driven(script): the page's elements after a script ran in a real browser."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    page = write_report(filled.root)

    def run(script):
        copy = page.parent / "driven.html"
        text = page.read_text(encoding="utf-8")
        copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
        done = subprocess.run(
            [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom",
             copy.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return done.stdout

    return run


def shown(text):
    page = Page(text)
    return {index for index, card in enumerate(page.cards) if "hidden" not in card}


CHOOSE = """form.elements["{0}"].value = "{1}";
form.dispatchEvent(new Event("input", {{bubbles: true}}));"""


def test_a_filter_hides_the_cards_that_do_not_fit(driven, plan):
    text = driven(CHOOSE.format("finding", "dr_grade-2"))
    assert shown(text) == expected(plan, 2)
    assert 0 < len(shown(text)) < ROWS
    assert f"{len(shown(text))} shown" in Page(text).text


def test_filters_and_words_narrow_together(driven, plan):
    both = CHOOSE.format("source", "source:idrid") + CHOOSE.format("words", "ROW 1")
    texts = {index: f"row {index} " for index in range(1, ROWS, 2)}
    fit = {index for index, text in texts.items() if "1" in text}
    assert shown(driven(both)) == fit


def test_an_enlarged_photograph_shows_masks_and_walks_on_by_key(driven):
    key = "viewer.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));"
    tick = "document.querySelector('#masks input').click();"
    text = driven(f"link(cards[{ROWS - 1}]).click(); {key} {tick}")
    assert re.search(r'<dialog[^>]* open=""', text)
    assert '<b id="which">Row 0</b>' in text
    assert f"1 of {ROWS}" in text
    overlay = re.search(r'<div id="overlays">(.*?)</div>', text).group(1)
    assert "00000000-disc.png" in overlay
    assert "hidden" not in overlay
