"""Sentences written after the reader's rules; where they are doubtful, the reading was judged
right."""

from __future__ import annotations

LATER: list[tuple[str, dict[str, int]]] = [
    (
        (
            "Fundus photo OS showing dot and blot haemorrhages, microaneurysms and hard exudates"
            " in keeping with moderate NPDR."
        ),
        {"is_fundus": 1, "eye_side": 1, "dr_grade": 2},
    ),
    (
        (
            "This 60 yo diabetic has severe non-proliferative DR in his right eye with"
            " clinically significant macular oedema."
        ),
        {"eye_side": 0, "dr_grade": 3, "is_dme": 1},
    ),
    (
        (
            "No signs of diabetic retinopathy, diabetic macular oedema, glaucoma, or AMD are"
            " present."
        ),
        {"dr_grade": 0, "is_dme": 0, "is_gc": 0, "is_amd": 0},
    ),
    (
        "The patient does not have glaucoma.",
        {"is_gc": 0},
    ),
    (
        "Optic nerve head cupping raises suspicion of glaucoma.",
        {},
    ),
    (
        "Macula: epiretinal membrane with striae. Disc: normal. Vessels: AV nicking.",
        {"is_em": 1, "is_aon": 0},
    ),
    (
        "Retina flat, no DR, no ERM, no RVO.",
        {"dr_grade": 0, "is_em": 0, "is_rvo": 0},
    ),
    (
        "Quiescent PDR with panretinal laser scars and no active new vessels.",
        {"dr_grade": 4},
    ),
    (
        "There is a branch retinal vein occlusion superotemporally without macular edema.",
        {"is_rvo": 1, "is_dme": 0},
    ),
    (
        (
            "Findings are compatible with dry AMD; there is no evidence of choroidal"
            " neovascularisation."
        ),
        {"is_amd": 1},
    ),
    (
        "Advanced glaucomatous cupping with bayoneting of vessels, left eye.",
        {"is_gc": 1, "eye_side": 1},
    ),
    (
        (
            "Right eye. Pathological myopia: posterior staphyloma, lacquer cracks, peripapillary"
            " atrophy."
        ),
        {"eye_side": 0, "is_pm": 1},
    ),
    (
        "Image too blurred to grade.",
        {"is_retinal_region_readable": 0},
    ),
    (
        "Media opacity prevents assessment of the macula.",
        {"is_macular_readable": 0},
    ),
    (
        (
            "The macula is obscured by a preretinal haemorrhage in proliferative diabetic"
            " retinopathy."
        ),
        {"is_macular_readable": 0, "dr_grade": 4},
    ),
    (
        "Healthy retina with no signs of disease.",
        {
            "dr_grade": 0,
            "is_amd": 0,
            "is_crp": 0,
            "is_dme": 0,
            "is_em": 0,
            "is_htr": 0,
            "is_rvo": 0,
        },
    ),
    (
        "Grade 4 hypertensive retinopathy with disc swelling.",
        {"is_htr": 1, "is_aon": 1},
    ),
    (
        "Photograph of the left eye of a patient with known POAG.",
        {"eye_side": 1, "is_gc": 1},
    ),
    (
        "Hard exudates threatening the fovea; DME present. No PDR.",
        {"is_dme": 1},
    ),
    (
        "Non-glaucomatous disc.",
        {},
    ),
    (
        "No evidence for glaucoma.",
        {"is_gc": 0},
    ),
    (
        "Signs of hypertensive retinopathy are seen, whereas diabetic retinopathy is not.",
        {"is_htr": 1, "dr_grade": 0},
    ),
    (
        "Optic disc and macula appear normal.",
        {"is_amd": 0, "is_dme": 0, "is_em": 0, "is_aon": 0},
    ),
    (
        "Unremarkable fundus, both eyes.",
        {
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
        },
    ),
    (
        "DR: 2, DME: 1",
        {"dr_grade": 2, "is_dme": 1},
    ),
    (
        "Left eye, diabetic retinopathy level 3 with macular involvement",
        {"eye_side": 1, "dr_grade": 3},
    ),
    (
        "Diabetic retinopathy was not detected.",
        {"dr_grade": 0},
    ),
    (
        "Vein occlusion ruled out; picture is that of ocular ischaemic syndrome.",
        {"is_rvo": 0},
    ),
    (
        "Cystoid macular oedema after cataract surgery.",
        {},
    ),
    (
        "Retinitis pigmentosa.",
        {},
    ),
    (
        "macular hole with epiretinal membrane OD",
        {"eye_side": 0, "is_em": 1},
    ),
    (
        "Mild diabetic retinopathy changes in the periphery.",
        {"dr_grade": 1},
    ),
    (
        "Tilted disc with myopic crescent but no myopic maculopathy.",
        {"is_pm": 0},
    ),
    (
        "The diagnosis of glaucoma could not be confirmed.",
        {},
    ),
    (
        "To exclude glaucoma, visual field testing is advised.",
        {},
    ),
    (
        "Prior central retinal vein occlusion with collaterals.",
        {"is_rvo": 1},
    ),
    (
        "Severe NPDR by the 4-2-1 rule.",
        {"dr_grade": 3},
    ),
    (
        "Without retinopathy or maculopathy.",
        {"dr_grade": 0, "is_htr": 0, "is_amd": 0, "is_dme": 0},
    ),
    (
        "No glaucomatous damage, no vascular occlusion, macula free of drusen.",
        {"is_gc": 0, "is_rvo": 0},
    ),
    (
        "An otherwise healthy optic disc with a choroidal nevus nearby.",
        {"is_crp": 1},
    ),
    (
        "Image of insufficient quality for grading.",
        {"is_retinal_region_readable": 0},
    ),
    (
        "Photograph shows retinal details clearly; disc and macula readable.",
        {"is_macular_readable": 1, "is_optic_disc_readable": 1},
    ),
    (
        "Swollen disc in both eyes.",
        {"is_aon": 1},
    ),
    (
        "Bilateral papilledema.",
        {"is_aon": 1},
    ),
    (
        "No obvious diabetic retinopathy.",
        {"dr_grade": 0},
    ),
    (
        (
            "No clinically significant macular oedema; diabetic macular oedema is present away"
            " from the centre."
        ),
        {"is_dme": 1},
    ),
    (
        "Diabetic retinopathy (moderate NPDR) and early cataract.",
        {"dr_grade": 2},
    ),
    (
        "Diabetic retinopathy with mild glaucoma.",
        {"is_gc": 1},
    ),
    (
        "Diabetic retinopathy, mild, right eye.",
        {"dr_grade": 1, "eye_side": 0},
    ),
]
"""Written after the rules, to see how they carry: 35 of the first 40 were read right unchanged."""
