"""Planning of captions: who words, which photographs, and what an existing folder refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.caption import Manner
from engine.caption.backends import resolve
from engine.jobs.caption import (
    CaptionAsk,
    describe_with,
    plan_again,
    plan_captioning,
    plan_into,
    who_words,
)
from engine.models.card import read_card
from engine.schema import UserError
from engine.shipped import CAPTIONER
from engine.stages.caption import CaptionActor
from engine.stages.limits import PartLimits
from engine.store.listing import listing_of
from engine.store.plan import CaptionPlan, Plan, write_plan
from tests.eyes import eye, write_eyes


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def found(self, images, found):
        self.told.append((images, len(found.listed), found.others))

    def strangers(self, table, lines):
        self.told.append((table.name, lines))

    def listed(self, seen, of):
        pass


@dataclass(frozen=True)
class Served:
    """A server that answers with this version."""

    version: str = "1"
    text: str = "triton://127.0.0.1:9/words"
    allow_plain: bool = True
    ca: str | None = None
    folder: None = None
    libraries: tuple[str, ...] = ()

    def captioner(self) -> str:
        return f"triton:words@{self.version}"

    def weights_sha256(self) -> str:
        return ""

    def calls(self, manner: Manner) -> int:
        return manner.in_flight


def planned(out: Path, ask: CaptionAsk):
    return plan_into(out, ask, Manner(in_flight=3), Heard())


def test_a_backend_says_itself_who_captions():
    local = who_words(resolve("local"))
    assert local["captioner"] == "captioner"
    assert local["weights_sha256"] == read_card(CAPTIONER)["weights_sha256"]
    assert {"captioning", "torch", "cpu"} <= {*local["versions"]}
    served = who_words(Served())
    assert (served["captioner"], served["weights_sha256"]) == ("triton:words@1", "")
    assert served["allow_plain"]
    assert "drawing" not in served["versions"]
    assert "cpu" not in served["versions"]


def test_captions_are_planned_with_values(tmp_path):
    who = who_words(Served())
    plan = plan_captioning(CaptionAsk("eyes"), who, tmp_path, 3, "ab" * 32)
    assert (plan.images, plan.images_sha256, plan.license) == (3, "ab" * 32, "other")
    assert (plan.image_format, plan.images_location) == ("webp", str(tmp_path))
    assert plan.sealed() == plan
    again = plan_captioning(CaptionAsk("x", ca="y", licence="mit"), who, Path("z"), 3, "ab" * 32)
    assert again.fingerprint == plan.fingerprint, "where photographs lie decides no row"
    newer = plan_captioning(CaptionAsk("eyes"), who_words(Served("2")), tmp_path, 3, "ab" * 32)
    assert newer.fingerprint != plan.fingerprint


def test_a_new_folder_gets_its_list_and_a_second_plan_is_the_first(tmp_path):
    photographs, out = write_eyes(tmp_path / "eyes", 2, 32), tmp_path / "o"
    (photographs / "notes.txt").write_text("not one")
    (tmp_path / "l.csv").write_text("file,dr_grade\neye_01.jpg,4\nno.jpg,1\n")
    heard = Heard()
    ask = CaptionAsk(str(photographs), labels=tmp_path / "l.csv")
    work = plan_into(out, ask, Manner(), heard)
    assert heard.told == [(str(photographs), 2, 1), ("l.csv", 1)]
    assert [*out.iterdir()] == [out / listing_of(out, work.plan.images_sha256).name]
    write_plan(out, work.plan)
    assert planned(out, ask).plan == work.plan == planned(out, CaptionAsk(str(photographs))).plan
    assert plan_again(out, work.plan, None).images == photographs
    for other, why in (
        (replace(ask, licence="mit"), "planned otherwise: license: other → mit"),
        (
            replace(ask, image_format="png"),
            r"o/plan.json: this folder's plan differs: image_format",
        ),
    ):
        with pytest.raises(UserError, match=why):
            planned(out, other)
    eye(7, 32).save(photographs / "eye_00.jpg")
    with pytest.raises(UserError, match=r"planned otherwise: .*eye_00\.jpg"):
        planned(out, ask)


def test_a_captioner_with_other_weights_does_not_go_on(tmp_path):
    photographs, out = write_eyes(tmp_path / "eyes", 1, 32), tmp_path / "o"
    plan = planned(out, CaptionAsk(str(photographs))).plan
    plan = plan.model_copy(update={"weights_sha256": "0" * 64}).sealed()
    write_plan(out, plan)
    with pytest.raises(UserError, match="plan differs: weights_sha256"):
        plan_again(out, plan, None)
    with pytest.raises(UserError, match="plan differs: weights_sha256"):
        planned(out, CaptionAsk(str(photographs)))


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (CaptionAsk("x", image_format="jpeg"), "⟨image_format⟩: 'jpeg' .expected webp or png"),
        (CaptionAsk("x", licence="Free!"), "⟨licence⟩"),
        (CaptionAsk("x", backend="lokal"), "⟨backend⟩"),
        (CaptionAsk("nowhere at all"), "nowhere at all"),
    ],
)
def test_a_mistake_leaves_no_folder_behind(ask, why, tmp_path):
    with pytest.raises(UserError, match=why):
        planned(tmp_path / "o", ask)
    assert not (tmp_path / "o").exists()


def test_drawn_rows_take_no_captions(tmp_path):
    from engine.jobs.asks import DrawAsk
    from engine.jobs.draw import plan_drawing

    write_plan(tmp_path / "o", plan_drawing(DrawAsk(model="null")).plan)
    with pytest.raises(UserError, match="drawn, not captioned"):
        planned(tmp_path / "o", CaptionAsk("x"))
    assert (Plan.kind, CaptionPlan.model_fields["kind"].default) == ("draw", "caption")


def test_a_captioning_says_what_it_needs(tmp_path):
    work = planned(tmp_path / "o", CaptionAsk(str(write_eyes(tmp_path / "eyes", 1, 32))))
    assert (work.actor, work.on_gpu, work.rows_per_call) == (CaptionActor, False, 1)
    assert replace(work, backend=Served()).rows_per_call == 3
    root, attempt, images, *_ = work.arguments(tmp_path / "o", 4, None, PartLimits())
    assert (root, attempt, images) == (str(tmp_path / "o"), 4, str(tmp_path / "eyes"))


def test_one_photograph_is_described_without_a_folder():
    words = describe_with(resolve("local"))(eye(0))
    assert words.endswith(".")
