"""Tables of published sets, known by their column names: each is named, with what its columns are
called here, so that nobody renames by guess."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """A published set's table: columns that together tell it, and what becomes of them here."""

    name: str
    columns: tuple[str, ...]
    becomes: str


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "APTOS 2019",
        ("id_code", "diagnosis"),
        "id_code with its .png as `file`, diagnosis as `dr_grade`",
    ),
    Layout(
        "EyePACS",
        ("image", "level"),
        "image with its .jpeg as `file`, level as `dr_grade`",
    ),
    Layout(
        "Messidor-2",
        ("image_id", "adjudicated_dr_grade"),
        "image_id as `file`, adjudicated_dr_grade as `dr_grade`, adjudicated_dme as `is_dme`",
    ),
    Layout(
        "Messidor",
        ("Image name", "Ophthalmologic department"),
        "Image name as `file`; Messidor's grades 0 to 3 are not those of `dr_grade`",
    ),
    Layout(
        "IDRiD",
        ("Image name", "Retinopathy grade"),
        "Image name with its .jpg as `file`, Retinopathy grade as `dr_grade`, "
        "Risk of macular edema above 0 as `is_dme` 1",
    ),
    Layout(
        "ODIR-5K",
        ("ID", "Left-Fundus", "Right-Fundus"),
        "one line for each eye: Left-Fundus or Right-Fundus as `file`, ID as `patient_id`, "
        "G as `is_gc`, A as `is_amd`, H as `is_htr`, M as `is_pm`",
    ),
    Layout(
        "RFMiD",
        ("ID", "Disease_Risk"),
        "ID with its .png as `file`, ARMD as `is_amd`, BRVO or CRVO as `is_rvo`, ERM as `is_em`",
    ),
    Layout(
        "REFUGE",
        ("ImgName", "Fovea_X"),
        "ImgName as `file`, the glaucoma label as `is_gc`",
    ),
    Layout(
        "AIROGS",
        ("challenge_id", "class"),
        "challenge_id with its .jpg as `file`, class RG as `is_gc` 1 and NRG as 0",
    ),
    Layout(
        "ORIGA",
        ("ExpCDR", "Glaucoma"),
        "Filename as `file`, Glaucoma as `is_gc`",
    ),
    Layout(
        "BRSET",
        ("image_id", "DR_ICDR"),
        "image_id with its .jpg as `file`, DR_ICDR as `dr_grade`, macular_edema as `is_dme`",
    ),
    Layout(
        "SynFundus-1M",
        ("idx", "dr_grade"),
        "Part*/idx.png as `file`; the labels keep their names",
    ),
)


def layout_of(columns: Iterable[str]) -> Layout | None:
    """The published set whose table has these columns; None where it is none that we know."""
    here = {plain(column) for column in columns}
    return next(
        (each for each in LAYOUTS if all(plain(column) in here for column in each.columns)), None
    )


def plain(column: str) -> str:
    """A column as people mean it: without case and blanks."""
    return "".join(column.casefold().split())
