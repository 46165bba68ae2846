"""A served image is the row that `generate` writes, whatever stands beside it in its batch."""

from __future__ import annotations

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_drawing
from engine.schema import Annotation
from engine.stages.draw import loaded
from serve.http.sampler import Item, Painter, rows_of


def item(prompt: str | None, seed: int, index: int, **given: object) -> Item:
    asked = {"size": 64, "steps": 0, "guidance": 1.0, "image_format": "png", **given}
    return Item(annotation=Annotation(dr_grade=2), prompt=prompt, seed=seed, index=index, **asked)


def row_of(each: Item, table) -> bytes:
    """The same as row `index` of a run with this seed, prompt and labels."""
    asked = DrawAsk(
        model="phantom", size=each.size, seed=each.seed, labels=table, image_format="png"
    )
    drawing = plan_drawing(asked)
    (outcome,) = loaded(drawing.plan, drawing.ref).outcomes([(each.index, each.index + 1)])
    return outcome.image


def test_items_of_several_requests_are_drawn_together_as_rows_of_their_own_runs(tmp_path):
    table = tmp_path / "l.csv"
    table.write_text("dr_grade,caption\n2,An eye.\n")
    drawing = plan_drawing(DrawAsk(model="phantom", rows_per_call=4))
    sealed = drawing.plan.model_dump_json()
    usual = drawing.plan.settings
    given = {"steps": usual.steps, "guidance": usual.guidance}
    items = [item("An eye.", seed, index, **given) for seed, index in ((7, 0), (7, 1), (8, 0))]
    painted = Painter(drawing.plan, drawing.ref).draw(items)
    assert [each.image for each in painted] == [row_of(each, table) for each in items]
    assert len({each.image for each in painted}) == 3
    assert rows_of(drawing.plan) == 4
    assert drawing.plan.model_dump_json() == sealed


def test_a_sampler_is_loaded_once_for_each_of_the_last_settings():
    drawing = plan_drawing(DrawAsk(model="null"))
    read: list[float] = []

    def load(ref, settings):
        read.append(settings.guidance)
        return ref.load(settings)

    painter = Painter(drawing.plan, drawing.ref, load)
    usual = drawing.plan.settings.guidance
    for guidance in (usual, 2.0, 2.0, usual, 3.0, usual, 2.0):
        painter.draw([item("x", 1, 0, size=8, guidance=guidance)])
    assert read == [usual, 2.0, 3.0, 2.0], "the usual one stays"
