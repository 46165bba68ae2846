"""How a disease may look: the form of its phrases, words they share, and diabetic retinopathy by
grade."""

from __future__ import annotations

from dataclasses import dataclass, field

DISC, VESSELS, MACULA, LESIONS, BACKGROUND = "disc", "vessels", "macula", "lesions", "background"
SECTIONS: tuple[str, ...] = (DISC, VESSELS, MACULA, LESIONS, BACKGROUND)
"""The clinical order of a description."""


@dataclass(frozen=True)
class Variant:
    """One way in which a disease may look: its name, and noun phrases of its signs by section.

    A phrase that names a structure carries it as a `<sign>` (`engine.prose.grammar`), unless the
    structure is there wherever the disease is. Lesions carry none: they are counted.
    """

    name: str
    signs: dict[str, tuple[str, ...]] = field(default_factory=dict)


NPDR = "[non-proliferative diabetic retinopathy|NPDR|diabetic retinopathy|non-proliferative DR|DR]"
RED = "[haemorrhages|intraretinal haemorrhages|dot-and-blot haemorrhages|blot haemorrhages]"
EXUDATE = "[hard exudates|yellow-white hard exudates|waxy exudates|lipid exudates]"
COTTON = "[cotton-wool spots|soft exudates|fluffy cotton-wool spots]"
PLACE = "[at the posterior pole|along the arcades|in the mid-periphery|between the arcades]"

DR: dict[int, tuple[Variant, ...]] = {
    1: (
        Variant(
            f"[mild {NPDR}|[diabetic retinopathy|DR] of mild degree|diabetic retinopathy (grade 1)"
            "|[diabetic retinopathy|DR] grade 1|minimal NPDR]",
            {
                LESIONS: (
                    (
                        f"[a few|a handful of|isolated|scattered|occasional|sparse] [|tiny |small ]"
                        f"[microaneurysms|red dots] [|{PLACE}]"
                    ),
                    "[one or two|very few] [pinpoint |]microaneurysms [|temporal to the fovea]",
                )
            },
        ),
    ),
    2: (
        Variant(
            f"[moderate {NPDR}|moderate {NPDR}|diabetic retinopathy of moderate severity"
            "|diabetic retinopathy (grade 2)|[diabetic retinopathy|DR] grade 2|grade 2 diabetic"
            " retinopathy]",
            {
                LESIONS: (
                    (
                        f"[scattered|several|multiple] [microaneurysms|dark red dots] and {RED} ["
                        f"|{PLACE}]"
                    ),
                    f"microaneurysms, {RED} and [scattered|a few|clusters of] {EXUDATE}",
                    f"[several|a number of] {RED} with [occasional|a few] {COTTON}",
                ),
            },
        ),
    ),
    3: (
        Variant(
            f"[severe {NPDR}|severe {NPDR}|diabetic retinopathy of severe degree"
            "|diabetic retinopathy (grade 3)|[diabetic retinopathy|DR] grade 3|grade 3 diabetic"
            " retinopathy]",
            {
                VESSELS: (
                    "<venous beading>venous beading",
                    (
                        "<intraretinal microvascular abnormality>intraretinal microvascular"
                        " abnormalities"
                    ),
                    (
                        "<venous beading>[beaded|irregularly dilated] veins [|<in two quadrants>in"
                        " two quadrants]"
                    ),
                ),
                LESIONS: (
                    (
                        f"[numerous|extensive|widespread|more than twenty] {RED} [in all four"
                        f" quadrants|throughout the retina]"
                    ),
                    f"[extensive|widespread] {RED}, {COTTON} and {EXUDATE}",
                    f"[dense|confluent|numerous] {RED} with multiple {COTTON} [|{PLACE}]",
                ),
            },
        ),
    ),
    4: (
        Variant(
            "[|active ][proliferative diabetic retinopathy|proliferative diabetic retinopathy|PDR"
            "|proliferative DR"
            "|proliferative diabetic retinopathy (PDR)|proliferative diabetic retinopathy (grade"
            " 4)|DR grade 4]",
            {
                DISC: (
                    (
                        "<new vessel on the disc>[fine |lacy |fronds of ][new"
                        " vessels|neovascularisation] [on|over] the [disc|optic nerve head]"
                    ),
                ),
                VESSELS: (
                    (
                        "<new vessel off the disc>[new vessels|neovascularisation|tufts of new"
                        " vessels] [elsewhere|<new vessel at the arcades>along the arcades"
                        "|outside the disc|<new vessel at the arcades>along the temporal arcade]"
                    ),
                    "<venous beading>venous beading[<venous loop> and loops]",
                ),
                LESIONS: (
                    (
                        f"[preretinal|boat-shaped preretinal|subhyaloid] haemorrhage [with|and]"
                        f" scattered {RED}"
                    ),
                    f"[fibrovascular proliferation|fibrous bands] [|along the arcades] and {RED}",
                    (
                        "[rows of|scattered|panretinal] laser [scars|burns] in the periphery and [a"
                        " preretinal"
                        " haemorrhage|residual haemorrhages]"
                    ),
                ),
            },
        ),
    ),
}
