"""The words of the house: annotations, their values, the columns of a row, and the user's error.

The fifteen annotations carry the column names of SynFundus-1M (arXiv 2312.00377); laterality is
`eye_side`. Every one may be unknown: None here, null in Parquet, an empty cell in CSV.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Label:
    """One annotation: whole numbers 0..highest, or unknown."""

    name: str
    highest: int
    meaning: str


DISEASES: tuple[Label, ...] = (
    Label(
        "dr_grade", 4, "diabetic retinopathy: 0 none, 1 mild, 2 moderate, 3 severe, 4 proliferative"
    ),
    Label("is_amd", 1, "age-related macular degeneration"),
    Label("is_aon", 1, "anomaly of the optic nerve"),
    Label("is_crp", 1, "choroidal retinal pathology"),
    Label("is_dm", 1, "degenerative myopia (not diabetes)"),
    Label("is_dme", 1, "diabetic macular edema"),
    Label("is_em", 1, "epimacular membrane"),
    Label("is_gc", 1, "glaucoma"),
    Label("is_htr", 1, "hypertensive retinopathy"),
    Label("is_pm", 1, "pathological myopia"),
    Label("is_rvo", 1, "retinal vein occlusion"),
)
READABILITY: tuple[Label, ...] = (
    Label("is_fundus", 1, "the image shows a fundus"),
    Label("is_macular_readable", 1, "the macula can be read"),
    Label("is_optic_disc_readable", 1, "the optic disc can be read"),
    Label("is_retinal_region_readable", 1, "the retinal region can be read"),
)
LATERALITY: tuple[Label, ...] = (Label("eye_side", 1, "0 right eye, 1 left eye"),)

LABELS: tuple[Label, ...] = DISEASES + READABILITY + LATERALITY
LABEL_NAMES: tuple[str, ...] = tuple(label.name for label in LABELS)
SOURCES: tuple[str, ...] = ("phantom", "idrid", "hrf", "chase", "skimage")
"""Sources that the shipped models know. A model's own list lies in its label encoder's config."""

MASKS: tuple[str, ...] = (
    "mask_vessel",
    "mask_artery",
    "mask_vein",
    "mask_disc",
    "mask_cup",
    "mask_fovea",
    "mask_lesion",
    "mask_dark_lesion",
    "mask_bright_lesion",
)

MAX_CAPTION_TOKENS = 256


class Annotation(BaseModel):
    """What is known of one eye. `None` means unknown, never negative."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dr_grade: int | None = Field(default=None, ge=0, le=4)
    is_amd: int | None = Field(default=None, ge=0, le=1)
    is_aon: int | None = Field(default=None, ge=0, le=1)
    is_crp: int | None = Field(default=None, ge=0, le=1)
    is_dm: int | None = Field(default=None, ge=0, le=1)
    is_dme: int | None = Field(default=None, ge=0, le=1)
    is_em: int | None = Field(default=None, ge=0, le=1)
    is_gc: int | None = Field(default=None, ge=0, le=1)
    is_htr: int | None = Field(default=None, ge=0, le=1)
    is_pm: int | None = Field(default=None, ge=0, le=1)
    is_rvo: int | None = Field(default=None, ge=0, le=1)
    is_fundus: int | None = Field(default=None, ge=0, le=1)
    is_macular_readable: int | None = Field(default=None, ge=0, le=1)
    is_optic_disc_readable: int | None = Field(default=None, ge=0, le=1)
    is_retinal_region_readable: int | None = Field(default=None, ge=0, le=1)
    eye_side: int | None = Field(default=None, ge=0, le=1)
    source: str | None = None

    def labels(self) -> dict[str, int | None]:
        """The sixteen labels by name, without the source."""
        return {name: getattr(self, name) for name in LABEL_NAMES}

    def known(self) -> dict[str, int]:
        """The labels that are known, by name."""
        return {name: value for name, value in self.labels().items() if value is not None}


class UserError(ValueError):
    """The user's input is wrong: the command line prints it without a traceback and exits with 2.

    The message names file, line and field where they are known, and what was expected. What was
    asked for by name (`asked="count"`, or "another ⟨out⟩" within a text) is written ⟨so⟩, and each
    door words it in its own language: `worded`. `problem` is the message without its place.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
        asked: str | None = None,
        expected: str | None = None,
    ) -> None:
        where = "".join(
            [
                f"{file}: " if file is not None else "",
                f"line {line}: " if line is not None else "",
                f"⟨{asked}⟩: " if asked is not None else "",
                f"{field}: " if field is not None else "",
            ]
        )
        self.asked = asked
        self.problem = problem + (f" (expected {expected})" if expected else "")
        super().__init__(where + self.problem)


def worded(text: str, word: Callable[[str], str] = str) -> str:
    """A message with all that was asked for in a door's words; by its bare name without one."""
    return re.sub(r"⟨([\w.]+)⟩", lambda found: word(found[1]), text)


def first_of(errors: Sequence[UserError], more: str) -> UserError:
    """The first of many mistakes of a kind, with how many more there are: thousands of lines would
    hide what to do."""
    rest = len(errors) - 1
    return UserError(f"{errors[0]}; {rest:,} more {more}") if rest else errors[0]


IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""The Hugging Face `Image` feature as Arrow stores it."""


def row_schema() -> pa.Schema:
    """The Arrow schema of a data set row, with the Hugging Face features in its metadata."""
    fields = [
        ("id", pa.string()),
        ("index", pa.int64()),
        ("image", IMAGE_TYPE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("prompt", pa.string()),
        ("prompt_truncated", pa.bool_()),
        ("caption", pa.string()),
        ("caption_source", pa.string()),
        *((name, pa.int8()) for name in LABEL_NAMES),
        ("source", pa.string()),
        ("patient_id", pa.string()),
        ("seed", pa.uint64()),
        ("attempts", pa.int16()),
        ("model", pa.string()),
        ("weights_sha256", pa.string()),
        ("solver", pa.string()),
        ("steps", pa.int32()),
        ("guidance", pa.float32()),
        ("quality_score", pa.float32()),
        ("nearest_distance", pa.float32()),
        ("fingerprint", pa.string()),
        *((name, IMAGE_TYPE) for name in MASKS),
    ]
    return pa.schema(fields).with_metadata({"huggingface": _huggingface_features(fields)})


def _huggingface_features(fields: list[tuple[str, pa.DataType]]) -> str:
    import json

    def feature(type_: pa.DataType) -> dict[str, str]:
        if type_ == IMAGE_TYPE:
            return {"_type": "Image"}
        names = {"bool": "bool", "float": "float32"}
        return {"dtype": names.get(str(type_), str(type_)), "_type": "Value"}

    return json.dumps({"info": {"features": {name: feature(type_) for name, type_ in fields}}})
