"""`tune`: what it refuses before it measures; and a whole search, whose profile `generate` uses."""

from __future__ import annotations

import json
import shutil

import pytest

from engine import shipped
from engine.profile import read_profile, this_machine, usual_file
from engine.store.plan import read_plan
from serve.tuning import tune as tuning
from serve.tuning.search import Choice, Clocked
from tests import profiles


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--minutes", "0"], "--minutes: 0 (expected more than 0, to 1440)"),
        (["--minutes", "nan"], "--minutes: nan"),
        (["--price", "-1"], "--price: -1 (expected 0 or more)"),
        (["--price", "inf"], "--price: inf"),
        (["--model", "nowhere"], "--model: no model of that name"),
        (["--model", "debug", "--size", "100"], "--size: 100 px is not a multiple of"),
        (["--size", "5000"], "--size: 5000"),
        (["--device", "abacus"], "--device"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(retinaforge, tmp_path, flags, words):
    file = tmp_path / "p.json"
    status, out, err = retinaforge("tune", "--out", file, *flags)
    assert (status, out) == (2, "")
    assert words in err
    assert not file.exists()


def test_a_damaged_profile_is_no_place_for_another(retinaforge, tmp_path):
    (tmp_path / "p.json").write_text('{"format": 1}')
    status, _, err = retinaforge("tune", "--model", "null", "--out", tmp_path / "p.json")
    assert status == 2
    assert f"{tmp_path / 'p.json'}: machine: not a profile: Field required" in err
    assert (tmp_path / "p.json").read_text() == '{"format": 1}'


class Clock:
    """In the place of both clocks: a level is four times as fast as the default, two workers twice
    as fast as one."""

    ends: BaseException | None = None

    def __init__(self, *given: object) -> None:
        self.pace = 1.0

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rows_of_a_part(self) -> int:
        return 1

    def clock(self, choice: Choice) -> Clocked:
        if choice.workers and self.ends is not None:
            raise self.ends
        ratio = {None: 1.0, "quick": 4.0, "harmful": 9.0}[choice.level] * (choice.workers or 2) / 2
        return Clocked(2 * ratio, ratio, 300, choice.workers or 2, None, 0.5)


@pytest.fixture
def clocked(monkeypatch, tmp_path):
    """The debug model with an admitted level and a faster one that broke a bound, and clocks whose
    answers are known."""
    for name in ("Alone", "Pooled"):
        monkeypatch.setattr(tuning, name, Clock)
    folder = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "debug")
    profiles.leveled(folder, name="quick", steps=3)
    profiles.leveled(folder, name="harmful", steps=1, broken=("vessel Dice",))
    return "--model", folder, "--size", 64, "--device", "cpu"


def test_the_fastest_admitted_level_is_kept_and_the_refused_one_shown(
    retinaforge, clocked, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    status, out, err = retinaforge("tune", *clocked, "--price", "3.6")
    assert status == 0
    assert "level quick *" in out
    assert "not admitted: vessel Dice 0.8 (at least 0.9)" in out
    best = "fastest that does pictures no harm: level quick, 4.00 times the default"
    assert best in out
    assert "faster, and not admitted: level harmful, 9.00 times: vessel Dice 0.8" in out
    assert f"kept in {usual_file()}" in out
    assert "one worker, level quick: 8 images/s, 4.00 times the default" in err
    entry = read_profile(usual_file()).of("debug", 64, "cpu")
    assert entry is not None
    assert entry.level is not None
    assert (entry.level.name, entry.workers) == ("quick", 2)
    assert (entry.images_per_s, entry.default_images_per_s) == (8.0, 2.0)


def test_json_holds_all_of_it(retinaforge, clocked, tmp_path):
    file = tmp_path / "p.json"
    status, out, _ = retinaforge("tune", *clocked, "--price", "3.6", "--out", file, "--json")
    told = json.loads(out)
    assert status == 0
    assert told["best"]["setting"] == "level quick"
    # 3.6 an hour is a thousandth a second, and a thousand pictures take 125 seconds.
    assert told["best"]["cost_per_1000"] == 0.125
    assert [each["setting"] for each in told["refused"]] == ["level harmful"]
    assert told["machine"] == this_machine().model_dump(mode="json")
    alone = [each for each in told["rows"] if each["measured"] == "one worker"]
    assert {each["cost_per_1000"] for each in alone} == {None}
    assert {"default", "level quick", "level harmful"} <= {each["setting"] for each in alone}
    for row in told["rows"]:
        assert row["ratio"] == pytest.approx(row["images_per_s"] / 2)
    assert (told["profile"], told["interrupted"]) == (str(file), False)


def test_what_else_a_profile_holds_stays_and_that_of_another_machine_is_made_anew(
    retinaforge, clocked, tmp_path
):
    file = profiles.written(tmp_path / "p.json", profiles.entry("null"))
    assert retinaforge("tune", *clocked, "--out", file)[0] == 0
    assert [each.model for each in read_profile(file).entries] == ["null", "debug"]
    far = this_machine().model_copy(update={"processor": "Abacus"})
    profiles.written(file, profiles.entry("null"), machine=far)
    status, _, err = retinaforge("tune", *clocked, "--out", file)
    assert status == 0
    assert f"profile {file} is of another machine (Abacus, " in err
    assert "it is measured anew" in err
    kept = read_profile(file)
    assert [each.model for each in kept.entries] == ["debug"]
    assert kept.machine == this_machine()


def test_ctrl_c_keeps_what_was_found_so_far(retinaforge, clocked, tmp_path, monkeypatch):
    monkeypatch.setattr(Clock, "ends", KeyboardInterrupt())
    file = tmp_path / "p.json"
    status, out, err = retinaforge("tune", *clocked, "--out", file)
    assert status == 1
    assert "interrupted: what was found so far is kept" in err
    assert "level quick, 4.00 times the default" in out
    entry = read_profile(file).of("debug", 64, "cpu")
    assert entry is not None
    assert entry.level is not None


def test_without_evidence_no_level_is_taken_and_it_is_said(retinaforge, clocked, tmp_path):
    file = tmp_path / "p.json"
    other = [*clocked[:3], 128, *clocked[4:]]
    status, out, err = retinaforge("tune", *other, "--out", file)
    assert status == 0
    assert "level quick is left out: nothing was measured of it at 128 px on cpu" in err
    assert "fastest that does pictures no harm: default, 1.00 times" in out


def test_generate_says_which_profile_it_uses_and_goes_on_without_it(retinaforge, clocked, tmp_path):
    file, out = tmp_path / "p.json", tmp_path / "o"
    assert retinaforge("tune", *clocked, "--out", file)[0] == 0
    words = ["generate", "--out", out, "--gates", "none", *clocked]
    status, _, err = retinaforge(*words, "--count", 2, "--workers", 1, "--profile", file)
    assert status == 0, err
    used = f"profile {file}: level quick, 2 workers, 4.00 times the default's speed when measured"
    assert err.count(used) == 1
    plan = read_plan(out)
    assert plan is not None
    assert plan.settings.steps == 3
    assert plan.level is not None
    status, _, err = retinaforge(*words, "--count", 3, "--workers", 1)
    assert (status, read_plan(out), "profile" in err) == (0, plan, False)
    other = profiles.written(
        tmp_path / "other.json",
        profiles.entry(str(clocked[1]), size=64, call={"rows_per_call": 4}),
    )
    status, _, err = retinaforge(*words, "--count", 4, "--profile", other)
    assert status == 2
    assert "--profile: a plan made with one profile cannot be continued with another: " in err
    assert "steps: 3 → " in err
    (tmp_path / "damaged.json").write_text("{}")
    status, _, err = retinaforge(*words, "--count", 4, "--profile", tmp_path / "damaged.json")
    assert (status, "damaged.json: machine: not a profile" in err) == (2, True)


@pytest.mark.slow
def test_a_whole_search_with_real_clocks(retinaforge, tmp_path):
    folder = shutil.copytree(shipped.WEIGHTS / "debug", tmp_path / "debug")
    profiles.leveled(folder, name="quick", steps=1)
    file = tmp_path / "p.json"
    flags = ["--model", folder, "--size", 64, "--gates", "none", "--minutes", 1.5]
    status, out, err = retinaforge("tune", *flags, "--out", file, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert {each["setting"] for each in told["rows"]} >= {"default", "level quick"}
    assert told["best"]["ratio"] >= 1
    assert told["seconds"] < 150
    assert read_profile(file).of("debug", 64, "cpu") is not None
