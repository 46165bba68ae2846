"""The sentence frames of a caption: openings, neutral and normal states of each section,
readability, impressions.

`{...}` are filled in by `template`. A normal state is used only for an eye whose annotation rules
its opposite out.
"""

from __future__ import annotations

from engine.prose.variants import BACKGROUND, DISC, LESIONS, MACULA, VESSELS

SUBJECT: dict[str, str] = {
    DISC: "[The optic disc|The optic disc|The disc|The optic nerve head]",
    VESSELS: (
        "[The retinal vessels|The vessels|The retinal vasculature and arcades|The vascular arcades]"
    ),
    MACULA: "[The macula|The macula|The macular area|The macular region]",
    BACKGROUND: "[The fundus background|The background|The retinal background]",
}
HEADING: dict[str, str] = {
    DISC: "[Disc|Optic disc|Optic nerve head]:",
    VESSELS: "[Vessels|Vasculature|Retinal vessels]:",
    MACULA: "[Macula|Macular area]:",
    LESIONS: "[Lesions|Findings|Retina]:",
    BACKGROUND: "[Background|Fundus background|Remainder of the fundus]:",
}
NORMAL: dict[str, tuple[str, ...]] = {
    DISC: (
        (
            "[round|slightly oval|well defined] with [sharp|clear|distinct] margins and a [small"
            "|physiological] cup"
        ),
        (
            "[pink|pink-orange|of healthy colour] with a [well-preserved|healthy|full]"
            " [neuroretinal "
            "|]rim"
        ),
        (
            "sharply [outlined|demarcated] [and|,] of normal [size|colour] with a cup-to-disc ratio"
            " of [about |]0.[2|25|3|35|4]"
        ),
        "well defined with a shallow central cup and an even rim",
    ),
    VESSELS: (
        "of [normal|regular|even] calibre and [course|branching|distribution]",
        (
            "[normal in|of normal] calibre with [smooth|regular] branching and [an artery-to-vein"
            " ratio of about 2:3"
            "|unremarkable crossings]"
        ),
        "[regular|smooth] and gently curved, tapering [normally|evenly] towards the periphery",
    ),
    MACULA: (
        "flat with a [bright|clear|sharp|visible] foveal reflex",
        "[evenly|uniformly] pigmented with a [visible|distinct|central] foveal reflex",
        (
            "flat and [even|darker than the surrounding retina], [with|showing] a [small|crisp]"
            " foveal reflex"
        ),
    ),
}
NEUTRAL: dict[str, tuple[str, ...]] = {
    DISC: (
        (
            "[a round to oval|an oval|a bright|a pale yellow-orange] [disc |patch ]where the"
            " vessels"
            " converge"
        ),
        "[seen|visible] as the bright origin of the vessels",
    ),
    VESSELS: (
        "seen [branching|arching] from the disc towards the periphery",
        "<macula>[seen|visible] [above and below|on both sides of] the macula",
    ),
    MACULA: (
        "[seen|visible] as a darker area temporal to the disc",
        "[located|seen] temporal to the disc between the arcades",
    ),
}
BACKGROUNDS: tuple[str, ...] = (
    (
        "[an even|a uniform|a homogeneous] [orange-red|reddish-orange|red-orange|orange] [hue"
        "|colour"
        "|tone]"
    ),
    "[a|a rather] [warm orange|reddish|deep orange|light orange|reddish-brown] [tone|hue|colour]",
)
BACKGROUND_SENTENCE = (
    "[{subject} [has|shows] {tone}|The [overall |general ]background [has|shows] {tone}"
    "|The rest of the fundus has {tone}]"
)

PHOTOGRAPH = {
    1: (
        "[colour fundus photograph|fundus photograph|retinal fundus photograph|fundus image"
        "|fundus photo"
        "|colour fundus image]"
    ),
    None: (
        "[retinal photograph|colour photograph of the retina|retinal image|retinal colour"
        " photograph]"
    ),
    0: "[image|photograph|picture|file]",
}
EYE = {0: "[right eye|right eye|right eye (OD)]", 1: "[left eye|left eye|left eye (OS)]"}
OPENINGS: tuple[str, ...] = (
    "[|A |This is a ]{photo} of the {eye}",
    "{eye_code} {photo}",
    "{eye_code}: {photo}",
    "[A |]{eye_adjective} {photo}",
    "The {photo} [shows|depicts|was taken of] the {eye}",
    "{eye}, {photo}",
)
OPENINGS_WITHOUT_EYE: tuple[str, ...] = ("[A |This is a |]{photo}",)
EYE_LATER: tuple[str, ...] = (
    "[Laterality|Eye|Side]: {eye_short}",
    "[The image is of|This is|The eye shown is] the {eye}",
    "[Taken from|Photograph of|Image of] the {eye}",
)
EYE_CODE = {0: "[OD|OD|Right eye]", 1: "[OS|OS|Left eye]"}
EYE_SHORT = {0: "[right|OD|right eye]", 1: "[left|OS|left eye]"}
EYE_ADJECTIVE = {0: "[right-eye|right]", 1: "[left-eye|left]"}
DISC_SIDE = {
    0: (
        "[The disc|The optic disc] [lies|sits] [<disc to one side>on the right|<macula>to the right"
        " of the macula], on the nasal side"
    ),
    1: (
        "[The disc|The optic disc] [lies|sits] [<disc to one side>on the left|<macula>to the left"
        " of the macula], on the nasal side"
    ),
}

IMPRESSION: tuple[str, ...] = (
    (
        "[The|These] [findings|features|appearances] are [consistent with|in keeping with"
        "|compatible"
        " with"
        "|typical of|indicative of] {names}"
    ),
    "[Impression|Diagnosis|Assessment|Conclusion]: {names}",
    "[There is|The eye has|The picture is one of|The retina shows|The image shows] {names}",
    "[Overall, there is|Overall, the eye has|In summary,|In summary, there is] {names}",
    "[The appearance suggests|This represents|The diagnosis is|Diagnosed as] {names}",
)
INLINE = (
    ", [consistent with|in keeping with|compatible with|indicating|typical of|representing|as"
    " seen in] {name}"
)
OPENING_NAMES = "[ with| showing|, showing| demonstrating|:] {names}"
NEGATIVES: tuple[str, ...] = (
    (
        "[No|There is no|There are no signs of|No signs of|No evidence of|There is no evidence of"
        "|No"
        " sign of] {names}"
    ),
    (
        "[No features of|Nothing to suggest|The eye is free of|Free of|Negative for|Absence of]"
        " {names}"
    ),
    "No {names} [is seen|is present|is visible|is identified|can be seen|is noted|is detected]",
    "[Without|The eye is without|The retina is without] {names}",
)
NEGATIVES_AND: tuple[str, ...] = (
    "{names} [are absent|are all absent|are not seen|are not present|are not identified]",
    "{names} [have been|were] [ruled out|excluded]",
)
NEGATIVE_AFTER: tuple[str, ...] = ("{names} is [absent|not seen|not present|not identified]",)
NORMAL_EYE: tuple[str, ...] = (
    "[Normal|Healthy|Unremarkable] [fundus|retina|eye]",
    (
        "[The fundus|The retina|The eye] [is|appears|looks] [normal|healthy|unremarkable|entirely"
        " normal]"
    ),
    "[No abnormality|No abnormalities|No pathology] [is seen|seen|detected|identified]",
    "[Normal|Healthy] fundus [appearance|findings]",
    "All findings are within normal limits",
)
NO_LESIONS: tuple[str, ...] = (
    (
        "[There are no|No] [haemorrhages|microaneurysms, haemorrhages], [exudates|hard exudates] or"
        " cotton-wool spots"
    ),
    "There are no [haemorrhages|retinal haemorrhages] or exudates",
    "No [haemorrhages|retinal haemorrhages] or exudates [|are seen|are visible]",
    "[The retina is|The posterior pole is] free of [haemorrhages|haemorrhage] and exudates",
)
NO_MICROANEURYSMS: tuple[str, ...] = (
    "No microaneurysms [are seen|are visible|anywhere]",
    "There are no microaneurysms [|anywhere]",
)
LESIONS_SENTENCE: tuple[str, ...] = (
    "[The retina shows|The fundus shows|One sees|The posterior pole shows] {names}",
)
LESIONS_PLURAL: tuple[str, ...] = (
    "There are {names}",
    "{names} are [seen|present|visible|noted|evident]",
    "[Notable|Visible] are {names}",
)
"""Frames that agree with a plural; used only where the first noun is one."""

READABLE: dict[str, dict[int, str]] = {
    "is_macular_readable": {
        1: (
            "[The macula is [clearly visible|well visualised|readable|well seen|clearly seen]|The"
            " macula can be [assessed"
            "|evaluated|read]|There is a clear view of the macula]"
        ),
        0: (
            "[The macula [cannot be [assessed|evaluated|read|graded]|is [not readable|unreadable"
            "|obscured|not assessable"
            "|poorly visualised]]|The macular region is [unreadable|not readable]|There is no"
            " view of"
            " the macula]"
        ),
    },
    "is_optic_disc_readable": {
        1: (
            "[The [optic disc|disc] is [clearly visible|well visualised|readable|well seen]|The"
            " optic disc can be [assessed"
            "|evaluated|read]|There is a clear view of the optic disc]"
        ),
        0: (
            "[The [optic disc|disc] [cannot be [assessed|evaluated|read|judged]|is [not readable"
            "|unreadable|obscured"
            "|not assessable|poorly seen]]|There is no view of the optic disc]"
        ),
    },
    "is_retinal_region_readable": {
        1: (
            "[Image quality is [good|adequate|sufficient for grading]|The retina is [readable"
            "|well visualised|clearly visible]"
            "|The image is gradable|The retinal region is readable|Good image quality]"
        ),
        0: (
            "[The retina [cannot be [assessed|graded|read]|is [unreadable|not readable|obscured]]"
            "|The image is ungradable"
            "|The retinal region is [unreadable|not readable]|Ungradable image|The image quality is"
            " [too poor|insufficient]"
            " for grading]"
        ),
    },
}
ALL_READABLE = (
    "[The macula, optic disc and retina are [all |][readable|clearly visible|well visualised]"
    "|The disc, macula and retina can [all |]be [assessed|read|evaluated]]"
)
NONE_READABLE = (
    "[The macula, optic disc and retina [are unreadable|are not readable|cannot be assessed]"
    "|Neither the macula nor the optic disc nor the retina can be assessed]"
)
REASON = (
    "[| because of [<haze>media haze|<defocus>defocus|<darkness>poor illumination|<shadow>an"
    " eyelash shadow|<motion>motion blur|<reflex>a bright reflex]"
    "| owing to [<haze>a hazy view|<haze>lens opacity|<defocus>blur|<reflex>glare]]"
)
"""The one sign that may be said here is the fault that was drawn."""
FUNDUS_READABLE = {
    1: "[The image shows a fundus|This is a fundus photograph]",
    0: (
        "[This is not a fundus photograph|Not a fundus image|The image does not show a fundus|No"
        " fundus is visible]"
    ),
}
