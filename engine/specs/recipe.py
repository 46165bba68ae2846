"""The recipe of a run and the spec of one row: pure functions, so that row 3 is row 3 in every run
of the recipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.prose.template import WORDING, caption
from engine.schema import LABEL_NAMES, Annotation, UserError
from engine.seeds import row_id, row_random, row_seed
from engine.specs.mix import Mix
from engine.specs.rows import Row, Rows

_FROZEN = ConfigDict(extra="forbid", frozen=True)


class Spec(BaseModel):
    """One image to be made: `size` px square, from the noise of `seed`, of this annotation and
    prompt."""

    model_config = _FROZEN

    id: str
    index: int
    seed: int
    annotation: Annotation
    prompt: str
    size: int


class Recipe(BaseModel):
    """Everything that decides specs.

    "mix" draws annotation and prompt of a row from (seed, index); "rows" cycles through `rows`.
    `wording` is the version of the caption template where prompts are worded by it.
    """

    model_config = _FROZEN

    kind: Literal["mix", "rows"]
    seed: int
    size: int = Field(ge=1)
    wording: int | None = None
    mix: Mix | None = None
    rows: Rows = Field(default_factory=Rows.of)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "mix") != (self.mix is not None) or (self.kind == "rows") != bool(
            self.rows
        ):
            raise ValueError(
                "a mix recipe has a mix and no rows, a rows recipe at least one row and no mix"
            )
        return self

    @classmethod
    def of_mix(cls, mix: Mix, seed: int, size: int) -> Self:
        """A recipe that draws every row from the mix."""
        return cls(kind="mix", seed=seed, size=size, wording=WORDING, mix=mix)

    @classmethod
    def of_rows(cls, rows: Rows | Iterable[Row], seed: int, size: int) -> Self:
        """A recipe that cycles through the rows."""
        held = rows if isinstance(rows, Rows) else Rows.of(rows)
        wording = WORDING if held.are_worded() else None
        return cls(kind="rows", seed=seed, size=size, wording=wording, rows=held)

    def spec(self, index: int, fingerprint: str, retry: int = 0) -> Spec:
        """The spec of row `index`, in constant time.

        Annotation and prompt depend on (seed, index); the noise seed on the retry too; the id on
        fingerprint and index. UserError where the recipe was planned with another version of the
        wording.
        """
        if index < 0:
            raise ValueError(f"row index {index} is negative")
        annotation, prompt = self._row(index)
        if prompt is None:
            self._check_wording()
            prompt = caption(annotation, row_random(self.seed, index, "wording"))
        return Spec(
            id=row_id(fingerprint, index),
            index=index,
            seed=row_seed(self.seed, index, retry),
            annotation=annotation,
            prompt=prompt,
            size=self.size,
        )

    def _row(self, index: int) -> tuple[Annotation, str | None]:
        if self.mix is not None:
            return self.mix.draw(index, row_random(self.seed, index, "labels")), None
        row = self.rows[index % len(self.rows)]
        return row.annotation, row.prompt

    def sources(self) -> set[str]:
        """The sources that rows of this recipe may name."""
        return {*self.mix.source} if self.mix is not None else self.rows.sources()

    def of_source(self, source: str) -> Self:
        """The same rows, each in the manner of this camera."""
        if self.mix is not None:
            mix = self.mix.model_copy(update={"source": {source: 1.0}})
            return self.model_copy(update={"mix": mix})
        return self.model_copy(update={"rows": self.rows.of_source(source)})

    def labels(self) -> set[str]:
        """The labels that rows of this recipe may state."""
        if self.mix is None:
            return self.rows.labels()
        return {name for name in LABEL_NAMES if self.mix.unknown.get(name, 0.0) < 1}

    def check_wording(self) -> None:
        """Raise UserError if prompts are worded here otherwise than when the recipe was planned."""
        if self.mix is not None or self.rows.are_worded():
            self._check_wording()

    def _check_wording(self) -> None:
        if self.wording != WORDING:
            raise UserError(
                f"the prompts were planned with wording {self.wording}, here it is {WORDING}",
                field="recipe.wording",
                expected="the version of RetinaForge that wrote the plan, or a new ⟨out⟩",
            )
