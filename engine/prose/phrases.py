"""What the captions are worded from: names of the diseases, signs, normal states and sentence
frames (`grammar`).

Every name here is read back by `parse` as its label, and no sign is: a sign is what the eye shows,
a name is what the annotation says. `<...>` are signs that not every eye with the disease has;
some of them no phantom has yet.
"""

from __future__ import annotations

from engine.prose.variants import (
    BACKGROUND,
    COTTON,
    DISC,
    EXUDATE,
    LESIONS,
    MACULA,
    VESSELS,
    Variant,
)

DISEASES: dict[str, tuple[Variant, ...]] = {
    "is_amd": (
        Variant(
            "[age-related macular degeneration|age-related macular degeneration (AMD)|AMD|ARMD]",
            {
                MACULA: (
                    (
                        "<drusen>[<soft druse at the macula>soft |<soft druse at the macula>large"
                        " soft |<confluent drusen>confluent |<many drusen>numerous ]drusen"
                    ),
                    "<drusen><pigment clump at the macula>drusen with pigment clumping",
                )
            },
        ),
        Variant(
            "[dry|early|intermediate|non-exudative] [age-related macular degeneration|AMD]",
            {
                MACULA: (
                    (
                        "<drusen><pigment clump at the macula>[<soft druse at the macula>soft"
                        " |multiple yellow |<confluent drusen>confluent ]drusen and pigmentary"
                        " [changes|mottling]"
                    ),
                    (
                        "<hard druse at the macula><soft druse at the macula>[hard and soft|small"
                        " and large] drusen around the fovea"
                    ),
                )
            },
        ),
        Variant(
            "[geographic atrophy|advanced dry AMD with geographic atrophy|late-stage age-related"
            " macular degeneration]",
            {
                MACULA: (
                    (
                        "<one patch of geographic atrophy><patch of geographic atrophy at the"
                        " macula>[a|one] sharply [bordered|edged] [pale |]area of pigment"
                        " epithelial loss"
                    ),
                )
            },
        ),
        Variant(
            "[wet|neovascular|exudative] [age-related macular degeneration|AMD]",
            {
                MACULA: (
                    (
                        "[<subretinal membrane>a grey-green subretinal membrane|<subretinal"
                        " haemorrhage at the macula>subretinal blood and fluid|<disciform scar>a"
                        " disciform scar]"
                    ),
                    (
                        "<subretinal haemorrhage at the macula>subretinal haemorrhage [|<hard"
                        " exudate at the macula>with surrounding exudation|<drusen>beside drusen]"
                    ),
                )
            },
        ),
    ),
    "is_aon": (
        Variant(
            "[an anomaly of the optic nerve|an optic nerve anomaly|an optic disc anomaly"
            "|an abnormality of the optic nerve|an optic nerve abnormality]",
            {
                DISC: (
                    "<misshapen disc>an [unusual|irregular|abnormal] [outline|shape|configuration]",
                )
            },
        ),
        Variant(
            "[optic atrophy|optic nerve atrophy|an optic neuropathy]",
            {
                DISC: (
                    "[diffuse|marked|<temporal pallor>temporal|waxy] pallor",
                    "a chalky-white [colour|appearance]",
                )
            },
        ),
        Variant(
            "[optic disc swelling|optic disc oedema|papilloedema|a swollen optic disc]",
            {
                DISC: (
                    "blurred [|and elevated ]margins",
                    (
                        "indistinct edges [and|with] peripapillary [<disc haemorrhage>splinter"
                        " haemorrhages|<engorged capillaries>engorged capillaries]"
                    ),
                )
            },
        ),
    ),
    "is_crp": (
        Variant(
            "[choroidal retinal pathology|chorioretinal pathology|choroidal-retinal pathology"
            "|chorioretinal disease|a chorioretinal lesion]",
            {
                LESIONS: (
                    (
                        "[a|one] [well-defined|round|sharply bordered] [pale|yellow-white] [patch"
                        "|area] with [pigmented edges|surrounding pigment|pigment clumps]"
                    ),
                )
            },
        ),
        Variant(
            "[a chorioretinal scar|chorioretinal scarring|an old chorioretinal scar|healed"
            " chorioretinitis]",
            {
                LESIONS: (
                    (
                        "[a|an old] pigmented [scar|patch] with [a pale centre|bare sclera at its"
                        " centre]"
                    ),
                    "[punched-out|atrophic] patches with pigment clumping",
                )
            },
        ),
        Variant(
            "a choroidal naevus",
            {LESIONS: ("a flat slate-grey [lesion|patch] [beneath|deep to] the retinal vessels",)},
        ),
    ),
    "is_dm": (
        Variant(
            "[degenerative myopia|myopic degeneration|degenerative myopia|high degenerative"
            " myopia]",
            {
                DISC: (
                    "<crescent>a [temporal|broad temporal] [crescent|conus]",
                    "[<tilted disc>a tilted shape|<crescent>a myopic crescent]",
                ),
                BACKGROUND: (
                    (
                        "a [tigroid|tessellated|thinned] [pattern|appearance] with visible"
                        " choroidal vessels"
                    ),
                ),
            },
        ),
    ),
    "is_dme": (
        Variant(
            "[diabetic macular oedema|diabetic macular oedema (DME)|DME|DMO|diabetic maculopathy]",
            {
                MACULA: (
                    (
                        f"<hard exudate at the macula>{EXUDATE} [close to|near|encroaching"
                        f" on|within one disc diameter of] the [fovea|foveal centre]"
                    ),
                    (
                        "<area of retinal thickening at the macula><hard exudate at the macula>"
                        f"retinal thickening [and|with] {EXUDATE}"
                    ),
                    f"<ring of exudates>a [circinate|partial] ring of {EXUDATE}",
                )
            },
        ),
        Variant(
            "[clinically significant macular oedema|CSME|centre-involving diabetic macular oedema]",
            {
                MACULA: (
                    (
                        "<thickened fovea><hard exudate at the macula>thickening of the fovea"
                        f" [with|and] {EXUDATE}"
                    ),
                    (
                        f"<exudates at the fovea>{EXUDATE} [at|reaching|threatening] the"
                        " [fovea|centre]"
                    ),
                )
            },
        ),
    ),
    "is_em": (
        Variant(
            "[an epiretinal membrane|an epiretinal membrane|an epimacular membrane|an ERM|macular"
            " pucker|an epiretinal membrane (ERM)|cellophane maculopathy]",
            {
                MACULA: (
                    (
                        "<epiretinal membrane>[a glistening|a cellophane-like|an irregular shiny]"
                        " [sheen|reflex]"
                    ),
                    (
                        "<retinal fold>[fine|radiating|marked] [surface wrinkling|retinal"
                        " folds|striae]"
                    ),
                    (
                        "<epiretinal membrane>a [translucent|greyish] [film|sheet] with [<dragged"
                        " vessels>dragged|<tortuous vessels>tortuous] small vessels"
                    ),
                )
            },
        ),
    ),
    "is_gc": (
        Variant(
            "[glaucoma|glaucoma|glaucomatous optic neuropathy|glaucomatous cupping|open-angle"
            " glaucoma|primary open-angle glaucoma|POAG|glaucomatous damage]",
            {
                DISC: (
                    (
                        "[an enlarged|a deep|a large|a widened] cup [and|with] [a thin|a thinned|a"
                        " narrowed] [neuroretinal |]rim"
                    ),
                    (
                        "[vertical|marked|advanced] cupping [|and rim thinning|<bayoneting>with"
                        " bayoneting of the vessels]"
                    ),
                    "a cup-to-disc ratio of [about |around |]0.[7|75|8|85|9]",
                    (
                        "[<inferior notch>inferior|<superior notch>superior] [rim notching|rim"
                        " loss] and an enlarged cup"
                    ),
                )
            },
        ),
    ),
    "is_htr": (
        Variant(
            "[hypertensive retinopathy|hypertensive retinopathy|hypertensive retinal disease"
            "|hypertensive retinal vasculopathy]",
            {
                VESSELS: (
                    "[generalised|diffuse|<focal narrowing>focal|marked] arteriolar narrowing",
                    "<nicked vein>arteriovenous [nicking|nipping|crossing changes]",
                    "<wiring>[copper|silver] wiring of the [arterioles|arteries]",
                    (
                        "<nicked vein>[narrowed|attenuated] arterioles [and|with]"
                        " [nicking|compression] at the crossings"
                    ),
                ),
                LESIONS: (f"[a few |scattered ]flame-shaped haemorrhages [|and {COTTON}]",),
            },
        ),
    ),
    "is_pm": (
        Variant(
            "[pathological myopia|pathological myopia|myopic maculopathy|pathological high myopia]",
            {
                DISC: (
                    (
                        "<crescent>[extensive|marked|<ring of atrophy>ring-shaped|broad]"
                        " peripapillary atrophy"
                    ),
                    (
                        "<tilted disc><crescent>a tilted shape and [a large|a broad] [temporal"
                        " |]crescent"
                    ),
                ),
                MACULA: (
                    (
                        "[<lacquer crack at the macula>lacquer cracks|<Fuchs spot at the macula>a"
                        " Fuchs spot|<patch of atrophy at the macula>patchy atrophy|<diffuse"
                        " atrophy>diffuse yellowish atrophy]"
                    ),
                    "<patch of atrophy at the macula>[patches of|well-defined] pale atrophy",
                ),
                BACKGROUND: (
                    (
                        "a [markedly |]tessellated [pattern|appearance] [|<staphyloma>and a"
                        " posterior staphyloma]"
                    ),
                ),
            },
        ),
    ),
    "is_rvo": (
        Variant(
            "[a retinal vein occlusion|an RVO|a retinal vein occlusion (RVO)]",
            {
                VESSELS: (
                    "[dilated|engorged] [and|,] tortuous veins",
                    "[marked |]venous engorgement",
                ),
                LESIONS: ("[dense |extensive |]flame-shaped [and blot |]haemorrhages",),
            },
        ),
        Variant(
            "[a branch retinal vein occlusion|a BRVO|a branch retinal vein occlusion (BRVO)]",
            {
                VESSELS: (
                    (
                        "a [dilated|congested], tortuous [vein|branch vein] [|<crossing>beyond a"
                        " crossing]"
                    ),
                ),
                LESIONS: (
                    (
                        "[flame-shaped|sectoral|wedge-shaped] haemorrhages [in one quadrant"
                        "|confined to one sector|along the affected vein]"
                    ),
                ),
            },
        ),
        Variant(
            "[a central retinal vein occlusion|a CRVO|a central retinal vein occlusion (CRVO)]",
            {
                VESSELS: ("[markedly |]dilated, tortuous veins in all quadrants",),
                LESIONS: (
                    (
                        "[widespread|diffuse] flame-shaped [and blot |]haemorrhages in [all|all"
                        " four] quadrants"
                    ),
                ),
            },
        ),
    ),
}

ABSENT: dict[str, str] = {
    "dr_grade": "[diabetic retinopathy|diabetic retinopathy|DR|diabetic retinal disease]",
    "is_amd": "[age-related macular degeneration|AMD|macular degeneration]",
    "is_aon": (
        "[optic nerve anomaly|optic nerve abnormality|optic disc anomaly|anomaly of the optic"
        " nerve]"
    ),
    "is_crp": "[chorioretinal pathology|choroidal retinal pathology|chorioretinal disease]",
    "is_dm": "[degenerative myopia|myopic degeneration]",
    "is_dme": "[diabetic macular oedema|DME|diabetic maculopathy]",
    "is_em": "[epiretinal membrane|ERM|epimacular membrane|macular pucker]",
    "is_gc": "[glaucoma|glaucoma|glaucomatous cupping|glaucomatous change]",
    "is_htr": "[hypertensive retinopathy|hypertensive retinopathy|hypertensive changes]",
    "is_pm": "[pathological myopia|myopic maculopathy]",
    "is_rvo": "[retinal vein occlusion|RVO|venous occlusion|vein occlusion]",
}
"""Names without article, for lists of what is not there."""
