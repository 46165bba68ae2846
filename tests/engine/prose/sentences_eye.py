"""Sentences that state nothing, of what can be read, of normal eyes, and whole notes."""

from __future__ import annotations

ZERO = {
    "dr_grade": 0,
    "is_amd": 0,
    "is_aon": 0,
    "is_crp": 0,
    "is_dm": 0,
    "is_dme": 0,
    "is_em": 0,
    "is_gc": 0,
    "is_htr": 0,
    "is_pm": 0,
    "is_rvo": 0,
}
RIGHT, LEFT, FUNDUS = {"eye_side": 0}, {"eye_side": 1}, {"is_fundus": 1}

NOTHING: list[str] = [
    "Diabetic patient.",
    "52-year-old woman with diabetes mellitus.",
    "DM type 2 for ten years.",
    "Hypertension, on treatment.",
    "Hypertensive patient.",
    "History of glaucoma.",
    "Family history of macular degeneration.",
    "Glaucoma suspect.",
    "Suspicious for glaucoma.",
    "Possible epiretinal membrane.",
    "Suspected AMD.",
    "Glaucoma cannot be excluded.",
    "Cannot rule out retinal vein occlusion.",
    "Rule out glaucoma.",
    "?glaucoma",
    "Glaucoma?",
    "Diabetic retinopathy screening.",
    "Referred for diabetic retinopathy.",
    "At risk of diabetic retinopathy.",
    "The fellow eye has glaucoma.",
    "Ocular hypertension.",
    "High myopia.",
    "Flame-shaped haemorrhages and cotton-wool spots.",
    "Macular oedema.",
    "Cup-to-disc ratio 0.3.",
    "Both eyes were photographed.",
    "No haemorrhages or exudates.",
    "Drusen.",
    "Dr. Smith examined the patient.",
    "Branch retinal artery occlusion.",
    "",
]

READING: list[tuple[str, dict[str, int]]] = [
    ("The macula cannot be assessed.", {"is_macular_readable": 0}),
    (
        "The optic disc is not visible because of vitreous haemorrhage.",
        {"is_optic_disc_readable": 0},
    ),
    ("Ungradable image.", {"is_retinal_region_readable": 0}),
    ("Image quality is poor.", {"is_retinal_region_readable": 0}),
    ("Good image quality.", {"is_retinal_region_readable": 1}),
    (
        "Macula and optic disc are clearly visible.",
        {"is_macular_readable": 1, "is_optic_disc_readable": 1},
    ),
    (
        "Neither the macula nor the optic disc can be assessed.",
        {"is_macular_readable": 0, "is_optic_disc_readable": 0},
    ),
    ("Poor view of the macula.", {"is_macular_readable": 0}),
    ("The disc is obscured by haze.", {"is_optic_disc_readable": 0}),
    ("This is not a fundus photograph.", {"is_fundus": 0}),
    ("Colour fundus photograph of the left eye.", {**FUNDUS, **LEFT}),
    ("Fundus image, right eye.", {**FUNDUS, **RIGHT}),
    ("Left fundus.", {**FUNDUS, **LEFT}),
    ("The foveal reflex is not visible.", {}),
    ("The retina is well visualised.", {"is_retinal_region_readable": 1}),
    ("Disc on the right, macula on the left.", {}),
]

NORMAL: list[tuple[str, dict[str, int]]] = [
    ("Normal fundus.", ZERO),
    ("Normal fundus of the right eye.", {**ZERO, **RIGHT}),
    ("Healthy left eye.", {**ZERO, **LEFT}),
    ("No abnormality detected.", ZERO),
    ("The fundus is within normal limits.", ZERO),
    ("Normal fundus, glaucoma suspect.", {k: v for k, v in ZERO.items() if k != "is_gc"}),
    ("Otherwise normal fundus.", {}),
    ("An epiretinal membrane in an otherwise normal eye.", {"is_em": 1}),
    ("No abnormality apart from an epiretinal membrane.", {"is_em": 1}),
    ("The macula is normal.", {"is_amd": 0, "is_dme": 0, "is_em": 0}),
    ("The optic disc is healthy.", {"is_aon": 0}),
    ("Normal macula, mild NPDR.", {"is_amd": 0, "is_dme": 0, "is_em": 0, "dr_grade": 1}),
    ("The optic disc is normal in colour.", {}),
    ("Vessels of normal calibre.", {}),
]

MIXED: list[tuple[str, dict[str, int]]] = [
    (
        (
            "Left eye fundus photograph. Optic disc pink with sharp margins, C/D 0.3. Moderate NPDR"
            " with hard exudates"
            " close to the fovea, consistent with DME. No glaucoma, no AMD."
        ),
        {**LEFT, **FUNDUS, "dr_grade": 2, "is_dme": 1, "is_gc": 0, "is_amd": 0},
    ),
    (
        (
            "67-year-old man with type 2 diabetes and hypertension. OD: PDR with preretinal"
            " haemorrhage; macula cannot be"
            " assessed."
        ),
        {**RIGHT, "dr_grade": 4, "is_macular_readable": 0},
    ),
    (
        "History of diabetes, PDR in the right eye, no evidence of vein occlusion.",
        {**RIGHT, "dr_grade": 4, "is_rvo": 0},
    ),
    (
        "The right eye shows an inferotemporal BRVO. The fellow eye has no abnormality.",
        {**RIGHT, "is_rvo": 1},
    ),
    (
        "Glaucoma is possible; an epiretinal membrane is certain.",
        {"is_em": 1},
    ),
    (
        "Hypertensive retinopathy rather than diabetic retinopathy.",
        {"is_htr": 1, "dr_grade": 0},
    ),
    (
        "Moderate NPDR. Impression: severe NPDR.",
        {},
    ),
    (
        "Glaucoma in the left eye. No glaucoma.",
        {**LEFT},
    ),
    (
        (
            "Tessellated fundus with peripapillary atrophy in degenerative myopia; no pathological"
            " myopia."
        ),
        {"is_dm": 1, "is_pm": 0},
    ),
    (
        "LEFT EYE: SEVERE NPDR, NO DME, NO GLAUCOMA.",
        {**LEFT, "dr_grade": 3, "is_dme": 0, "is_gc": 0},
    ),
]
