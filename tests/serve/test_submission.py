"""What `submit` refuses before anything leaves this machine, and what it sends."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest
import typer
from typer._click.exceptions import ClickException
from typer.testing import CliRunner

from engine.jobs.asks import DrawAsk
from engine.jobs.draw import plan_into
from engine.schema import UserError
from engine.stages.code import NOT_SHIPPED, PACKAGES, ROOT
from engine.store.plan import write_plan
from serve import submission
from serve.commands import app

COMMANDS = typer.main.get_command(app)
NOBODY = "http://127.0.0.1:9"
NULL = ["generate", "--model", "null", "--count", "5"]


def checked(words: list[str]) -> submission.Submission:
    return submission.checked(COMMANDS, words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*NULL, "--out", "eyes"], "absolute path on a file system that all nodes share"),
        ([*NULL, "--out", "/shared/eyes", "--address", "10.0.0.1:6379"], "--address"),
        ([*NULL, "--out", "/shared/eyes", "--workers", "0"], "--workers"),
        ([*NULL, "--out", "/shared/eyes", "--needs", "GPU=1.5"], "--needs"),
        (["generate", "--model", "null", "--count", "0", "--out", "/shared/e"], "--count"),
        (["generate", "--count", "5", "--out", "/shared/eyes"], "--device"),
        (["submit", "--", "verify", "/shared/eyes"], "no job"),
        (["serve", "--open"], "no job"),
        (["train", "nope", "--out", "/shared/run"], "no preset 'nope'"),
        (["train", "text-debug"], "--out: none is given"),
        (
            ["train", "segmenter-tiny", "--data", "eyes.csv", "--out", "/shared/r"],
            "eyes.csv is not",
        ),
        (["verify", "nowhere"], "nowhere is not there"),
        (["identify", "nowhere.png"], "nowhere.png is not there"),
        ([*NULL, "--prompts", "nowhere.txt", "--out", "/shared/e"], "nowhere.txt is not there"),
        (
            ["caption", "--images", "/shared/p", "--out", "/shared/c", "--backend", "local:mine"],
            "--backend: mine is not sent",
        ),
        ([], "no command"),
    ],
)
def test_mistakes_are_found_before_a_cluster_is_asked(words, told):
    with pytest.raises(UserError, match=told):
        checked(words)


def test_a_mistake_is_told_even_where_no_cluster_answers():
    words = ["submit", "--address", NOBODY, "--", *NULL, "--out", "/shared/eyes", "--seed", "-1"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith("--seed: -1")


@pytest.mark.parametrize("words", [["generate", "--cuont", "5"], ["generat"], ["generate"]])
def test_flags_and_commands_that_do_not_exist_are_refused(words):
    result = CliRunner().invoke(app, ["submit", "--", *words])
    assert result.exit_code == 2
    with pytest.raises(ClickException):
        checked(words)


def test_the_identity_is_the_plans_fingerprint_and_the_count_is_not_in_it(tmp_path):
    out = tmp_path / "eyes"
    plan = plan_into(out, DrawAsk(model="null", seed=4), None).plan
    command = ["generate", "--model", "null", "--seed", "4", "--out", str(out), "--count"]
    five, six = (checked([*command, count]) for count in ("5", "6"))
    assert five.identity == six.identity == plan.fingerprint
    assert checked(["retinaforge", *command, "5"]) == five
    assert not out.exists()


def test_a_folder_that_is_seen_from_here_keeps_the_libraries_of_the_machines_that_draw(tmp_path):
    out = tmp_path / "eyes"
    plan = plan_into(out, DrawAsk(model="null"), None).plan
    theirs = plan.model_copy(update={"versions": {**plan.versions, "numpy": "1.99"}}).sealed()
    out.mkdir()
    write_plan(out, theirs)
    assert checked([*NULL, "--out", str(out)]).identity == theirs.fingerprint
    with pytest.raises(UserError, match="numpy"):
        plan_into(out, DrawAsk(model="null"), None)
    with pytest.raises(UserError, match="seed"):
        checked([*NULL, "--out", str(out), "--seed", "5"])


def test_other_commands_are_known_by_their_words(tmp_path):
    first, again = (checked(["verify", str(tmp_path)]) for _ in range(2))
    assert first.identity == again.identity
    assert first.identity != checked(["verify", str(tmp_path), "--json"]).identity


def test_the_device_of_the_cluster_needs_no_gpu_here(tmp_path):
    words = ["generate", "--count", "5", "--out", str(tmp_path / "o"), "--device"]
    assert checked([*words, "cuda"]).identity != checked([*words, "cpu"]).identity


def test_code_and_named_files_are_sent_and_private_things_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    Path("in/prompts.txt").write_text("A healthy right eye.\n")
    Path("in/other.txt").write_text("not named\n")
    words = [*NULL, "--prompts", "in/prompts.txt", "--out", "/shared/eyes"]
    sent = tmp_path / "sent"
    checked(words).pack(sent)
    files = {str(path.relative_to(sent)) for path in sent.rglob("*") if path.is_file()}
    assert {"in/prompts.txt", "serve/cli.py", "engine/jobs/run.py"} <= files
    assert {name.split("/")[0] for name in files} == {*PACKAGES, "in"}
    assert "in/other.txt" not in files
    assert not any("private/" in name or name.endswith(".pyc") for name in files)


@pytest.mark.parametrize("place", ["private/near.csv", "photographs", "../outside.csv"])
def test_what_must_not_leave_is_refused_where_a_command_names_it(place, tmp_path, monkeypatch):
    here = tmp_path / "here"
    (here / "private").mkdir(parents=True)
    (here / "private" / "near.csv").write_text("is_dm\n1\n")
    (tmp_path / "outside.csv").write_text("is_dm\n1\n")
    (here / "photographs").mkdir()
    monkeypatch.chdir(here)
    words = ["caption", "--images", "photographs"] if place == "photographs" else NULL
    labels = [] if place == "photographs" else ["--labels", place]
    with pytest.raises(UserError, match="not sent to a cluster"):
        checked([*words, *labels, "--out", "/shared/eyes"])


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory with a model, a table, photographs and a data set in it."""
    for folder in ("model", "eyes", "photographs", "private"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model" / "model_card.json").write_text("{}")
    for file in ("eyes.csv", "prompts.txt", "ca.pem", "eye.png", "house.safetensors"):
        (tmp_path / file).write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


DRAW = ["generate", "--count", "5", "--model", "null", "--out", "/shared/eyes"]
CAPTION = ["caption", "--images", "/shared/photographs", "--out", "/shared/captions"]
TRAIN = ["train", "diffusion-debug", "--out", "/shared/run"]
AUTHENTICITY = ["evaluate", "authenticity", "/shared/eyes", "--real", "/shared/eyes.csv"]
GEOMETRY = ["evaluate", "geometry", "/shared/eyes", "--real", "/shared/eyes.csv"]
STEERING = ["evaluate", "steering", "--data", "/shared/eyes.csv"]
CAPTIONS = ["evaluate", "captions", "--data", "phantom:4"]


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ([*TRAIN, "--set", "init=model"], ["model"]),
        ([*TRAIN, "--set", "model.base=model", "--set", "model.segmenter=model"], ["model"] * 2),
        ([*TRAIN, "--set", "model.base=", "--set", "steps=4"], []),
        ([*TRAIN, "--set", "data.cache=~/latents", "--data", "phantom:8"], []),
        ([*STEERING, "tiny", "--segmenter", "model"], ["model"]),
        ([*STEERING, "model"], ["model"]),
        ([*STEERING, "/shared/model", "--write"], []),
        ([*CAPTIONS, "local:model"], ["model"]),
        ([*CAPTIONS, "model"], ["model"]),
        ([*CAPTIONS, "local:/shared/model", "--write"], []),
        ([*CAPTIONS, "triton://127.0.0.1:8001/captioner"], []),
        (["evaluate", "outlines", "model", "--data", "/shared/eyes.csv"], ["model"]),
        ([*AUTHENTICITY, "--features", "structure"], []),
        ([*AUTHENTICITY, "--features", "hf:model"], ["model"]),
        (["evaluate", "spectrum", "/shared/eyes", "--real", "/shared/eyes.csv"], []),
        (["evaluate", "lesions", "/shared/eyes", "--real", "/shared/eyes.csv"], []),
        ([*GEOMETRY, "--segmenter", "model"], ["model"]),
        (["calibrate", "/shared/model", "--data", "/shared/eyes.csv"], []),
        ([*DRAW, "--prompts", "prompts.txt"], ["prompts.txt"]),
        ([*CAPTION, "--labels", "eyes.csv", "--ca", "ca.pem"], ["eyes.csv", "ca.pem"]),
        (["identify", "eye.png", "/shared/eye.png"], ["eye.png"]),
        (["bench", "pipeline", "--model", "model"], ["model"]),
        (["bench", "kernels"], []),
    ],
    ids=lambda value: " ".join(value[:2] + value[-2:]),
)
def test_files_and_models_travel_by_declaration(here, words, sent):
    if words[:1] == ["generate"]:
        Path("prompts.txt").write_text("A healthy right eye.\n")
    assert [str(path) for path in checked(words).files] == sent


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*TRAIN, "--set", "init=runs/none"], "--set: runs/none is not there"),
        ([*TRAIN, "--set", "init=eyes"], "--set: eyes is not sent"),
        ([*TRAIN, "--set", "init=private/model"], "--set: private/model is not sent"),
        ([*TRAIN, "--set", "data.cache=latents"], "--set: latents would lie in the job's own"),
        ([*TRAIN, "--set", "stpes=4"], "stpes: no such setting"),
        ([*TRAIN, "--data", "eyes.csv"], "--data: eyes.csv is not sent"),
        (["train", "diffusion-debug", "--out", "run"], "--out: run would lie in"),
        (["calibrate", "model", "--data", "/shared/eyes.csv"], "MODEL_DIR: model would lie in"),
        (
            ["calibrate", str(ROOT / "engine/weights/debug"), "--data", "/shared/eyes.csv"],
            "MODEL_DIR: .*debug would lie in",
        ),
        (
            ["calibrate", "/shared/m", "--data", "/shared/e.csv", "--held-out", "eyes.csv"],
            "--held-out: eyes.csv is not sent",
        ),
        (["calibrate", "/shared/m", "--data", "photographs"], "--data: photographs is not sent"),
        (
            ["calibrate", "/shared/m", "--data", "/shared/e.csv", "--reference", "house"],
            "--reference: house would lie in",
        ),
        ([*STEERING, "tiny", "--segmenter", "eyes"], "--segmenter: eyes is not sent"),
        ([*STEERING, "tiny", "--segmenter", "a/b"], "--segmenter: a/b is not there"),
        ([*STEERING, "model", "--write"], "--write: model would lie in"),
        ([*STEERING, "tiny", "--write"], "--write: tiny would lie in"),
        ([*CAPTIONS, "local", "--write"], "--write: local would lie in"),
        ([*CAPTIONS, "local", "--data", "photographs"], "--data: photographs is not sent"),
        ([*DRAW, "--reference", "house.safetensors"], "--reference: house.safetensors is not"),
        ([*CAPTION[:2], "photographs", *CAPTION[3:]], "--images: photographs is not sent"),
        (["redrive", "eyes"], "DIR: eyes would lie in"),
        (["report", "eyes"], "DIR: eyes would lie in"),
        (["verify", "eyes"], "DIR: eyes is not sent"),
        (["export", "eyes", "--format", "synfundus", "--out", "/shared/x"], "DIR: eyes is not"),
        (["export", "/shared/e", "--format", "synfundus", "--out", "x"], "--out: x would lie in"),
        (["identify", "../eye.png"], "FILE\\.\\.\\.: ../eye.png is not sent"),
        (["bench", "kernels", "--out", "bench"], "--out: bench would lie in"),
        (["doctor"], "no job: it looks at this machine"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2] + value[-2:]),
)
def test_what_would_be_missed_or_thrown_away_is_refused_before_it_is_sent(here, words, told):
    result = CliRunner().invoke(app, ["submit", "--address", NOBODY, "--", *words])
    assert isinstance(result.exception, UserError)
    assert re.search(told, str(result.exception))


def test_a_dry_run_tells_the_id_and_asks_no_cluster(tmp_path):
    words = [*NULL, "--out", str(tmp_path / "eyes")]
    told = CliRunner().invoke(app, ["submit", "--dry-run", "--address", NOBODY, "--", *words])
    assert (told.exit_code, told.stdout.strip()) == (0, checked(words).identity)
    assert not (tmp_path / "eyes").exists()


@pytest.fixture
def checkout(tmp_path) -> Path:
    """This checkout, with everything in it that must stay at home."""
    folder = tmp_path / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", "*.safetensors", "private")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in (".venv", ".git", "runs", "mine", "private", "engine/private", "serve/__pycache__"):
        (folder / name).mkdir()
        (folder / name / "eye.png").write_bytes(b"a patient's")
    (folder / "labels.csv").write_text("file,is_dm\n")
    return folder


@pytest.mark.parametrize("by", ["a joined cluster", "ray job submit --working-dir"])
def test_of_a_checkout_only_the_code_is_sent(by, checkout, tmp_path):
    """What Ray itself would pack: for `--address`, and for its own command, which reads .rayignore
    (in a checkout without git as well).
    """
    from ray._private.runtime_env import packaging

    if by == "ray job submit --working-dir":
        shutil.copy(ROOT / ".rayignore", checkout)
    excludes = NOT_SHIPPED if by == "a joined cluster" else []
    packaging.create_package(
        str(checkout), tmp_path / "sent.zip", excludes=[*excludes], include_gitignore=False
    )
    names = zipfile.ZipFile(tmp_path / "sent.zip").namelist()
    assert {"serve/cli.py", "engine/jobs/run.py"} <= {*names}
    assert {name.split("/")[0] for name in names} == {*PACKAGES}
    assert not [name for name in names if name.endswith("eye.png")]


def test_what_is_sent_fits_into_rays_own_limit():
    from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE

    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    sent = sum(path.stat().st_size for path in files if "__pycache__" not in path.parts)
    assert 30e6 < sent < GCS_STORAGE_MAX_SIZE / 4


@pytest.mark.parametrize("address", ["foo", "127.0.0.1:9", "ray://127.0.0.1:9", "http://"])
def test_an_address_that_is_no_web_address_is_refused_at_once(address, tmp_path):
    words = ["submit", "--address", address, "--", "verify", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, UserError)
    assert "is no job server's (expected http://HOST:8265" in str(result.exception)


def test_nobody_at_the_address_is_the_users_to_mend(tmp_path):
    words = ["submit", "--address", NOBODY, "--", "verify", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, UserError)
    assert "no job server answers" in str(result.exception)
    assert not isinstance(result.exception, ClickException)
