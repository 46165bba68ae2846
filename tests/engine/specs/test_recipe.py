"""Recipes and specs: the same row in every run, exact round trips, every mistake named."""

from __future__ import annotations

import inspect
import json
import pickle
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.prose.parse import parse
from engine.schema import LABEL_NAMES, UserError
from engine.specs import Mix, Recipe, read, recipe_from
from engine.specs.mix import Rule, default_mix, pick, prevalence
from engine.specs.read_mix import read_mix

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"


@pytest.fixture(params=["default", "mix.yaml", "prompts.txt", "prompts.jsonl", "labels.csv"])
def recipe(request, tmp_path) -> Recipe:
    if request.param == "default":
        return recipe_from(7, 256)
    if request.param == "prompts.jsonl":
        path = tmp_path / "p.jsonl"
        path.write_text(
            '{"prompt": "PDR, OS", "is_gc": 1}\n{"prompt": "healthy", "source": "hrf"}\n'
        )
        return recipe_from(7, 256, prompts=path)
    path = EXAMPLES / request.param
    flag = {".yaml": "spec_file", ".txt": "prompts", ".csv": "labels"}[path.suffix]
    return recipe_from(7, 256, **{flag: path})


def test_a_row_is_a_pure_function_of_seed_and_index(recipe):
    far = 4_999_999
    again = Recipe.model_validate_json(recipe.model_dump_json())
    for index in (0, 3, far):
        spec = recipe.spec(index, "f")
        assert spec == again.spec(index, "f") == pickle.loads(pickle.dumps(recipe)).spec(index, "f")
        retried, other = recipe.spec(index, "f", retry=2), recipe.spec(index, "g")
        assert (retried.annotation, retried.prompt) == (spec.annotation, spec.prompt)
        assert (other.annotation, other.prompt) == (spec.annotation, spec.prompt)
        assert retried.id == spec.id != other.id
        assert other.seed == spec.seed != retried.seed
        assert spec.index == index
        assert spec.size == 256


def test_the_json_of_a_recipe_is_exact(recipe):
    recipe.spec(0, "f")
    text = recipe.model_dump_json()
    assert Recipe.model_validate_json(text) == recipe
    assert Recipe.model_validate_json(text).model_dump_json() == text
    plain = recipe.model_dump(mode="json")
    assert Recipe.model_validate(json.loads(json.dumps(plain, sort_keys=True))) == recipe


def test_a_prompt_never_contradicts_its_annotation(recipe):
    for index in range(60):
        spec = recipe.spec(index, "f")
        known = spec.annotation.known()
        for name, value in parse(spec.prompt).items():
            assert known[name] == value, spec.prompt


def test_seeds_of_runs_and_rows_differ():
    first, second = recipe_from(0, 64), recipe_from(1, 64)
    seeds = {recipe.spec(index, "f").seed for recipe in (first, second) for index in range(200)}
    assert len(seeds) == 400
    assert [first.spec(i, "f").prompt for i in range(5)] != [
        second.spec(i, "f").prompt for i in range(5)
    ]


def test_far_rows_cost_no_more_than_near_ones():
    recipe = recipe_from(0, 64)
    recipe.spec(0, "f")
    begin = time.process_time()
    for index in range(10**9, 10**9 + 300):
        recipe.spec(index, "f")
    assert time.process_time() - begin < 3


def test_the_default_mix_is_clinically_plausible():
    recipe = recipe_from(3, 64)
    eyes = [recipe.spec(index, "f").annotation for index in range(4000)]
    grades = Counter(eye.dr_grade for eye in eyes)
    assert set(grades) == {0, 1, 2, 3, 4}
    assert not any(eye.is_dme and not eye.dr_grade for eye in eyes)
    assert (
        0.35 < sum(eye.is_dme for eye in eyes if eye.dr_grade >= 3) / (grades[3] + grades[4]) < 0.65
    )
    assert 0.47 < sum(eye.eye_side for eye in eyes) / len(eyes) < 0.53
    assert sum(eye.is_macular_readable for eye in eyes) > 0.95 * len(eyes)
    assert all(eye.is_fundus for eye in eyes)
    for name in LABEL_NAMES[1:11]:
        assert 40 < sum(getattr(eye, name) for eye in eyes) < 1200, name
    myopic = [eye for eye in eyes if eye.is_dm]
    assert sum(eye.is_pm for eye in myopic) > 0.4 * len(myopic)


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "mix.yaml"
    path.write_text(text)
    return path


def drawn(path: Path, count: int = 1500) -> list:
    recipe = recipe_from(1, 64, spec_file=path)
    return [recipe._row(index)[0] for index in range(count)]


def test_prevalences_rules_and_unknowns_are_kept(tmp_path):
    path = yaml_file(
        tmp_path,
        "mix: {dr_grade: {0: 1, 4: 1}, is_gc: 0.25, is_dme: 0}\n"
        "unknown: {is_em: 0.5, is_amd: 1}\n"
        "cooccurrence:\n"
        '- {label: is_dme, given: {dr_grade: ">2", is_gc: 1}, prevalence: 1}\n'
        "source: {idrid: 1, hrf: 3}\n",
    )
    eyes = drawn(path)
    assert {eye.dr_grade for eye in eyes} == {0, 4}
    assert abs(sum(eye.is_gc for eye in eyes) / len(eyes) - 0.25) < 0.04
    assert all(eye.is_dme == (eye.dr_grade == 4 and eye.is_gc == 1) for eye in eyes)
    assert all(eye.is_amd is None for eye in eyes)
    assert 0.44 < sum(eye.is_em is None for eye in eyes) / len(eyes) < 0.56
    assert 0.7 < sum(eye.source == "hrf" for eye in eyes) / len(eyes) < 0.8


def test_strata_repeat_exactly_and_are_never_unknown(tmp_path):
    path = yaml_file(
        tmp_path,
        "unknown: 0.9\nstrata:\n- {annotation: {dr_grade: 4, is_gc: 1}, rows: 2}\n"
        "- annotation: {dr_grade: 0}\n",
    )
    eyes = drawn(path, 30)
    assert [eye.dr_grade for eye in eyes] == [4, 4, 0] * 10
    assert all(eye.is_gc == 1 for at, eye in enumerate(eyes) if at % 3 < 2)


def test_a_changed_prevalence_changes_that_label_alone(tmp_path):
    before = drawn(yaml_file(tmp_path, "mix: {is_gc: 0.1}\n"), 200)
    after = drawn(yaml_file(tmp_path, "mix: {is_gc: 0.9}\n"), 200)
    assert [eye.is_gc for eye in before] != [eye.is_gc for eye in after]
    for old, new in zip(before, after, strict=True):
        assert old.model_copy(update={"is_gc": None}) == new.model_copy(update={"is_gc": None})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mix: [: ", ["line 1", "broken YAML"]),
        ("", ["None is no mapping"]),
        ("- 1\n", ["no mapping", "cooccurrence"]),
        ("mixx: {}\n", ["line 1", "mixx", "did you mean 'mix'"]),
        ("mix:\n  is_gc: 0.1\n  is_unicorn: 1\n", ["line 3", "mix.is_unicorn", "is_rvo"]),
        ("mix:\n  is_gc: 1.5\n", ["line 2", "mix.is_gc", "1.5", "0 to 1"]),
        ("mix:\n  is_gc: lots\n", ["line 2", "mix.is_gc", "'lots'"]),
        ("mix:\n  is_gc: true\n", ["line 2", "mix.is_gc", "True"]),
        ("mix:\n  is_gc: .nan\n", ["line 2", "mix.is_gc", "nan"]),
        ("mix:\n  dr_grade: 0.5\n", ["line 2", "mix.dr_grade", "5 weights"]),
        ("mix:\n  dr_grade: [1, 2]\n", ["line 2", "mix.dr_grade", "2 weights", "5 weights"]),
        ("mix:\n  dr_grade: {9: 1}\n", ["line 2", "mix.dr_grade", "9", "0 to 4"]),
        ("mix:\n  dr_grade: [0, 0, 0, 0, 0]\n", ["line 2", "above 0"]),
        ("mix: {is_gc: 0.1}\nmix: {is_gc: 0.2}\n", ["line 2", "mix", "twice"]),
        ("mix: {is_gc: 0.1, is_gc: 0.2}\n", ["line 1", "mix.is_gc", "twice"]),
        ("unknown: 2\n", ["line 1", "unknown", "0 to 1"]),
        ("unknown: {is_gx: 1}\n", ["line 1", "unknown.is_gx", "did you mean"]),
        ("cooccurrence: {}\n", ["line 1", "cooccurrence", "list"]),
        ("cooccurrence:\n- {label: is_dme}\n", ["line 2", "cooccurrence.0", "given is missing"]),
        (
            "cooccurrence:\n- label: is_dme\n  given: {dr_grade: '>= 9'}\n  prevalence: 1\n",
            ["line 3", "cooccurrence.0.given.dr_grade", "0..4"],
        ),
        (
            "cooccurrence:\n- {label: is_x, given: {dr_grade: 1}, prevalence: 1}\n",
            ["line 2", "cooccurrence.0.label", "is_amd"],
        ),
        (
            (
                "cooccurrence:\n- {label: is_gc, given: {is_pm: 1}, prevalence: 1}\n"
                "- {label: is_pm, given: {is_gc: 1}, prevalence: 1}\n"
            ),
            ["circle", "is_gc", "is_pm"],
        ),
        ("strata:\n- {rows: 2}\n", ["line 2", "strata.0", "annotation is missing"]),
        (
            "strata:\n- {annotation: {is_gc: 3}}\n",
            ["line 2", "strata.0.annotation.is_gc", "0 to 1"],
        ),
        ("strata:\n- {annotation: {is_gc: 1}, rows: 0}\n", ["line 2", "strata.0.rows", "from 1"]),
        ("source: [a]\n", ["line 1", "source"]),
        ("source: {a: 0}\n", ["line 1", "source", "above 0"]),
        ("mix: !!python/object/apply:os.system [ls]\n", ["line 1", "broken YAML"]),
        ("[a, b]: 1\n", ["line 1", "a key that is a list"]),
        ("mix:\n  ? {a: 1}\n  : 1\n", ["line 2", "mix", "a key that is a list"]),
        ("mix: !!bool x\n", ["broken YAML"]),
        ("mix: !!timestamp x\n", ["broken YAML"]),
        ("mix: " + "9" * 5000 + "\n", ["broken YAML"]),
        ('source: "\\ud800"\n', ["line 1", "source", "no character"]),
        ('source: {"\\ud800": 1}\n', ["line 1", "source", "no character"]),
        ("a: &a [1]\nb: [*a, *a, *missing]\n", ["line 2", "broken YAML"]),
    ],
)
def test_a_mistake_in_a_mix_is_named(tmp_path, text, told):
    path = yaml_file(tmp_path, text)
    with pytest.raises(UserError) as error:
        recipe_from(0, 64, spec_file=path)
    for words in [str(path), *told]:
        assert words in str(error.value)


def test_aliases_of_aliases_do_not_explode(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(UserError, match="a0"):
        recipe_from(0, 64, spec_file=yaml_file(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.jsonl", '{"prompt": "ok"}\n{"prompt": \n', ["line 2", "broken JSON"]),
        ("p.jsonl", '{"prompt": "ok", "is_unicorn": 1}\n', ["line 1", "is_unicorn", "eye_side"]),
        ("p.jsonl", '{"prompt": "ok", "dr_grade": 7}\n', ["line 1", "dr_grade", "0 1 2 3 4"]),
        ("p.jsonl", '{"prompt": "ok", "is_gc": true}\n', ["line 1", "is_gc", "True"]),
        ("p.jsonl", '{"prompt": "ok", "source": 3}\n', ["line 1", "source"]),
        ("p.jsonl", '{"prompt": "a", "prompt": "b"}\n', ["line 1", "prompt", "twice"]),
        ("p.jsonl", '\n{"is_gc": 1}\n', ["line 2", "prompt", "missing"]),
        ("p.jsonl", '{"prompt": " "}\n', ["line 1", "prompt"]),
        ("p.jsonl", "[1]\n", ["line 1", "list", "object"]),
        ("p.jsonl", "[" * 100_000 + "\n", ["line 1", "broken JSON"]),
        ("p.jsonl", "\n\n", ["no prompts"]),
        ("p.txt", "", ["no prompts"]),
        ("p.csv", "x", [".csv", ".jsonl or .txt"]),
        ("p.txt", b"\xff\xfe", ["UTF-8"]),
    ],
)
def test_a_mistake_in_prompts_is_named(tmp_path, name, text, told):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as error:
        recipe_from(0, 64, prompts=path)
    for words in [str(path), *told]:
        assert words in str(error.value)


@pytest.mark.parametrize("flag", ["spec_file", "prompts", "labels"])
def test_a_missing_file_is_named(tmp_path, flag):
    with pytest.raises(UserError, match=r"none\.txt: no such file"):
        recipe_from(0, 64, **{flag: tmp_path / "none.txt"})


def test_two_files_at_once_and_no_size_are_refused(tmp_path):
    with pytest.raises(UserError, match="⟨spec⟩ and ⟨labels⟩ exclude each other"):
        recipe_from(0, 64, spec_file=tmp_path, labels=tmp_path)
    with pytest.raises(UserError, match="⟨size⟩"):
        recipe_from(0, 0)


def test_prompts_fill_what_their_columns_do_not_give(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"prompt": "Severe NPDR, OS, no glaucoma", "dr_grade": 2, "is_gc": null, "is_dme": 1.0}\n'
        '{"prompt": "A retina\\u2028with two lines", "source": "my_camera"}\n'
    )
    recipe = recipe_from(0, 64, prompts=path)
    assert recipe.spec(0, "f").annotation.known() == {"dr_grade": 2, "is_dme": 1, "eye_side": 1}
    assert recipe.spec(1, "f").annotation.source == "my_camera"
    assert recipe.wording is None
    assert recipe.spec(2, "f").prompt == recipe.spec(0, "f").prompt
    assert recipe.spec(2, "f").seed != recipe.spec(0, "f").seed


def test_prompts_that_contradict_their_labels_are_told_of_once(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"prompt": "Severe NPDR", "dr_grade": null, "is_gc": 1}\n'
        '{"prompt": "No diabetic retinopathy, no glaucoma", "dr_grade": 4, "is_gc": 1}\n'
        '{"prompt": "Mild NPDR", "dr_grade": 1}\n'
        '{"prompt": "Mild NPDR", "dr_grade": 2}\n'
    )
    told: list[str] = []
    recipe = recipe_from(0, 64, prompts=path, tell=told.append)
    assert recipe.spec(1, "f").annotation.known() == {"dr_grade": 4, "is_gc": 1}
    (words,) = told
    assert words.startswith(
        f"{path}: rows whose prompt contradicts their labels, which are used: 2;"
    )
    assert words.endswith(
        "line 2: dr_grade 4 where the prompt says 0, is_gc 1 where the prompt says 0"
    )
    path.write_text('{"prompt": "Mild NPDR", "dr_grade": 1}\n')
    recipe_from(0, 64, prompts=path, tell=told.append)
    assert len(told) == 1


def test_captions_of_a_table_that_contradict_its_labels_are_told_of_too(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("dr_grade,caption\n3,\n1,Mild NPDR\n0,Mild NPDR\n,Mild NPDR\n")
    told: list[str] = []
    recipe_from(0, 64, labels=path, tell=told.append)
    assert told[0].endswith("used: 1; the first is line 4: dr_grade 0 where the prompt says 1")


def test_label_rows_are_worded_anew_in_every_cycle_unless_they_have_a_caption(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("dr_grade,caption\n3,\n1,My own words.\n")
    recipe = recipe_from(0, 64, labels=path)
    assert len({recipe.spec(index, "f").prompt for index in range(0, 40, 2)}) == 20
    assert {recipe.spec(index, "f").prompt for index in range(1, 40, 2)} == {"My own words."}


def test_a_plan_of_another_wording_is_refused():
    recipe = recipe_from(0, 64).model_copy(update={"wording": -1})
    with pytest.raises(UserError, match="wording"):
        recipe.spec(0, "f")


def test_a_negative_row_and_a_halved_recipe_are_bugs():
    with pytest.raises(ValueError, match="negative"):
        recipe_from(0, 64).spec(-1, "f")
    with pytest.raises(ValueError, match="mix recipe"):
        Recipe(kind="rows", seed=0, size=64)


def test_the_hand_written_prompts_state_labels():
    recipe = recipe_from(0, 64, prompts=EXAMPLES / "prompts.txt")
    assert len(recipe.rows) >= 20
    assert all(row.annotation.known() for row in recipe.rows)
    named = {name for row in recipe.rows for name in row.annotation.known()}
    assert len(named) >= 14


def test_the_example_mix_is_what_its_comments_say():
    mix = read_mix(EXAMPLES / "mix.yaml")
    assert mix.weights["is_amd"] == (1.0, 0.0)
    assert [mix.stratum(index) for index in range(4)] == [{"eye_side": 0}, {"eye_side": 1}] * 2


@pytest.mark.parametrize(
    ("share", "place"), [(0.0, 1), (0.49, 1), (0.51, 2), (0.9999, 2), (1.0, 2)]
)
def test_pick_never_takes_a_weight_of_nothing(share, place):
    assert pick([0, 2, 2, 0], share) == place


def test_rules_may_condition_on_later_columns():
    mix = Mix(
        weights=default_mix().weights,
        rules=(Rule(label="dr_grade", given={"eye_side": (1,)}, weights=(0, 0, 0, 0, 1)),),
    )
    assert mix.order.index("eye_side") < mix.order.index("dr_grade")
    assert prevalence(0.25) == (0.75, 0.25)


def test_the_sources_and_the_wording_of_a_recipe_are_known_before_a_row_is_drawn(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("dr_grade,source,caption\n1,idrid,an eye\n2,,\n3,hrf,\n")
    recipe = recipe_from(0, 64, labels=path)
    assert recipe.sources() == {"idrid", "hrf"}
    recipe.check_wording()
    with pytest.raises(UserError, match="wording"):
        recipe.model_copy(update={"wording": -1}).check_wording()
    path.write_text("dr_grade,caption\n1,an eye\n")
    recipe_from(0, 64, labels=path).model_copy(update={"wording": -1}).check_wording()
    path = tmp_path / "m.yaml"
    path.write_text("source: {idrid: 3, chase: 1}\n")
    assert recipe_from(0, 64, spec_file=path).sources() == {"idrid", "chase"}


def test_the_labels_that_a_recipe_may_state_are_known_before_a_row_is_drawn(tmp_path):
    assert recipe_from(0, 64).labels() == {*LABEL_NAMES}
    hidden = default_mix().model_copy(update={"unknown": {"is_gc": 1.0, "is_amd": 0.9}})
    assert Recipe.of_mix(hidden, 0, 64).labels() == {*LABEL_NAMES} - {"is_gc"}
    path = tmp_path / "l.csv"
    path.write_text("dr_grade,is_gc,is_amd\n1,,\n,0,\n")
    assert recipe_from(0, 64, labels=path).labels() == {"dr_grade", "is_gc"}


def test_a_recipe_without_sources_names_none():
    assert recipe_from(0, 64).sources() == set()


def test_the_example_that_tells_how_a_mix_is_written_is_one(tmp_path):
    told = inspect.getdoc(sys.modules[read_mix.__module__])
    block = told.partition("\n\n")[2].partition("\n\nA prevalence")[0]
    path = tmp_path / "m.yaml"
    path.write_text(textwrap.dedent(block))
    mix = read_mix(path)
    assert mix.weights["dr_grade"] == (0.5, 0.1, 0.2, 0.1, 0.1)
    assert (mix.rules[0].given, mix.strata[0].rows) == ({"dr_grade": (2, 3, 4)}, 2)
    assert mix.source == {"idrid": 1.0}


def test_many_prompts_are_parsed_by_several_processes_as_by_one(tmp_path, monkeypatch):
    path = tmp_path / "p.txt"
    texts = [f"Eye {i}: {'severe' if i % 3 else 'no'} glaucoma." for i in range(60)]
    path.write_text("\n".join(["", *texts]) + "\n")
    alone = recipe_from(0, 64, prompts=path)
    monkeypatch.setattr(read, "CHUNK", 7)
    together = recipe_from(0, 64, prompts=path)
    assert [together.spec(i, "0") for i in range(60)] == [alone.spec(i, "0") for i in range(60)]
    bad = tmp_path / "p.jsonl"
    bad.write_text('{"prompt": "an eye"}\n' * 40 + '{"prompt": " "}\n' * 20)
    with pytest.raises(UserError, match=r"p\.jsonl: line 41: prompt"):
        recipe_from(0, 64, prompts=bad)
