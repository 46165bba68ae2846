"""The stage that captions, without a cluster: rows, dead letters, limits, and a captioner that says
no. The captioner is a rule of a line where the network's words do not matter."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.caption import CaptionerLost, Manner, Refused, Words
from engine.caption.backends import resolve
from engine.data.photographs import find, hashed
from engine.jobs.caption import Captioning
from engine.schema import UserError
from engine.stages.call import FatalError
from engine.stages.caption import Caption, CaptionActor
from engine.stages.limits import PartLimits
from engine.store.listing import check_listing, write_listing
from engine.store.parts import outcome_schema
from engine.store.plan import CaptionPlan
from engine.store.versions import library_versions
from tests.eyes import eye, write_eyes


class BySize:
    """Says how wide a photograph is, refuses one width, and is lost at another."""

    at_once = 2

    def __init__(self, refuse: int = 0, lost: int = 0) -> None:
        self.refuse, self.lost = refuse, lost
        self.calls: list[int] = []

    def caption(self, pictures):
        self.calls.append(len(pictures))
        return [self._one(picture) for picture in pictures]

    def _one(self, picture):
        width = picture.image.width
        assert np.array_equal(Image.open(io.BytesIO(picture.file)), picture.image)
        if width == self.lost:
            raise CaptionerLost("nobody is there")
        if width == self.refuse:
            return Refused("nonsense: an empty text", 3)
        return Words(f"{width} wide.", attempts=2)


def plan_for(folder: Path, out: Path, **fields: object) -> CaptionPlan:
    listed = hashed(find(str(folder)), lambda *_: None)
    given = {
        "images": len(listed),
        "images_sha256": write_listing(out, listed),
        "images_location": str(folder),
        "backend": "local",
        "captioner": "by size",
        "weights_sha256": "",
        "image_format": "webp",
        "versions": library_versions(("captioning",)),
    }
    return CaptionPlan.model_validate({**given, **fields}).sealed()


@pytest.fixture
def stage(tmp_path):
    """stage(captioner, **options) -> a Caption over six photographs, the third of which is none and
    the fifth cut."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    for number in range(4):
        eye(number, 64 + 8 * number).save(folder / f"{number * 3:02d}.jpg", quality=95)
    (folder / "04.jpg").write_bytes(b"no image")
    (folder / "07.png").write_bytes((folder / "06.jpg").read_bytes()[:900])
    plan = plan_for(folder, tmp_path / "out")

    def make(captioner, **options):
        listing = check_listing(tmp_path / "out", plan.images_sha256)
        return Caption(plan, listing, folder, captioner, **options)

    return make


def test_rows_and_dead_letters_keep_their_places(stage):
    captioner = BySize(refuse=72)
    table = stage(captioner).table([(0, 6)])
    assert table.schema.equals(outcome_schema())
    rows = {row["index"]: row for row in table.to_pylist()}
    assert [rows[i]["caption"] for i in range(6)] == [
        "64 wide.",
        None,
        None,
        "80 wide.",
        None,
        "88 wide.",
    ]
    assert [rows[i]["stage"] for i in range(6)] == [None, "caption", "read", None, "read", None]
    assert [rows[i]["attempts"] for i in range(6)] == [2, 3, 1, 2, 1, 2]
    assert rows[1]["reason"] == "nonsense: an empty text"
    assert rows[2]["reason"] == "the file: not an image"
    assert "truncated" in rows[4]["reason"]
    assert json.loads(rows[4]["spec"])["path"] == "07.png"
    assert captioner.calls == [3, 1]


def test_a_photograph_that_ends_every_worker_is_given_up_by_name(stage):
    (letter,) = stage(BySize()).given_up(3, "its worker's process died twice").to_pylist()
    assert (letter["index"], letter["stage"]) == (3, "caption")
    assert letter["reason"] == "its worker's process died twice"
    assert letter["image"] is None
    assert json.loads(letter["spec"])["path"] == "06.jpg"


def test_a_row_is_a_photograph_and_says_of_no_model_that_it_drew_it(stage, tmp_path):
    row = stage(BySize()).table([(0, 1)]).to_pylist()[0]
    assert row["image"]["path"] == "00.jpg"
    assert (row["width"], row["height"], row["caption_source"]) == (64, 64, "by size")
    for name in ("model", "weights_sha256", "seed", "prompt", "solver", "dr_grade", "source"):
        assert row[name] is None
    stored = Image.open(io.BytesIO(row["image"]["bytes"]))
    assert np.array_equal(stored, Image.open(tmp_path / "eyes/00.jpg"))


def test_batches_decide_nothing_and_full_parts_close(stage):
    whole = stage(BySize()).table([(0, 6)])
    for batch in (1, 4, 100):
        other = stage(BySize(), batch=batch).table([(0, 2), (2, 6)])
        assert other["caption"].equals(whole["caption"])
        assert other["image"].equals(whole["image"])
    early = stage(BySize(), batch=2, limits=PartLimits(bytes=1)).table([(0, 6)])
    assert early["index"].to_pylist() == [0, 1]
    late = stage(BySize(), batch=1, limits=PartLimits(seconds=0.0)).table([(3, 6)])
    assert late["index"].to_pylist() == [3]


def test_a_lost_captioner_ends_the_work(stage):
    with pytest.raises(CaptionerLost, match="nobody is there"):
        stage(BySize(lost=80)).table([(0, 6)])


def test_an_actor_checks_libraries_list_and_weights_before_it_works(tmp_path):
    from engine.store.plan import write_plan

    folder = write_eyes(tmp_path / "eyes", 2)
    backend = resolve("triton://127.0.0.1:9/none")
    for name, fields, why in (
        ("other", {"versions": {"pillow": "1.0"}}, "other rows: pillow"),
        ("list", {"images_sha256": "0" * 64}, "list of photographs is gone"),
    ):
        out = tmp_path / name
        plan = plan_for(folder, out, **fields)
        write_plan(out, plan)
        job = Captioning(plan, folder, backend, Manner())
        with pytest.raises((FatalError, UserError), match=why):
            CaptionActor(*job.arguments(out, 1, None, PartLimits()))
    with pytest.raises(FatalError, match=r"does not see .*nowhere: ⟨out⟩"):
        CaptionActor(*job.arguments(tmp_path / "nowhere", 1, None, PartLimits()))
    plan = plan_for(folder, tmp_path / "o")
    write_plan(tmp_path / "o", plan)
    away = Captioning(plan, tmp_path / "away", backend, Manner())
    with pytest.raises(FatalError, match=r"does not see .*away"):
        CaptionActor(*away.arguments(tmp_path / "o", 1, None, PartLimits()))
