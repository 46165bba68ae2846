"""`retinaforge caption` on a real Ray: a folder of photographs in, a verified folder of words out;
mistakes exit with 2 and write nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import ray
from PIL import Image

from engine.caption import Manner
from engine.caption.local import LocalCaptioner
from engine.jobs.caption import CaptionAsk, plan_into
from engine.models.card import read_card
from engine.shipped import CAPTIONER
from engine.store.plan import CaptionPlan, read_any_plan
from serve.captioning import Announcer
from tests.eyes import ROOT, eye, rows_of, write_eyes


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=256 << 20,
        )
        yield
        ray.shutdown()


def test_the_whole_story(cluster, retinaforge, tmp_path):
    photographs, out = write_eyes(tmp_path / "eyes", 5), tmp_path / "captions"
    (photographs / "eye_02.jpg").write_bytes(b"not a photograph")
    (photographs / "notes.txt").write_text("not one by its name")
    table = tmp_path / "labels.csv"
    table.write_text("file,dr_grade,patient_id\neyes/eye_03.jpg,4,P3\nelsewhere.jpg,1,P9\n")
    command = ("caption", "--images", photographs, "--out", out, "--labels", table, "--json")
    code, printed, said = retinaforge(*command, "--workers", 1)
    assert code == 3
    assert json.loads(printed)["committed"] == 4
    assert "1 other files there are no images" in said
    assert "1 lines of" in said
    assert "1 rows failed" in said

    plan = read_any_plan(out)
    assert isinstance(plan, CaptionPlan)
    assert (plan.captioner, plan.images) == ("captioner", 5)
    assert plan.weights_sha256 == read_card(CAPTIONER)["weights_sha256"]
    captioner, rows = LocalCaptioner(CAPTIONER), rows_of(out)
    for row in rows:
        with Image.open(photographs / row["image"]["path"]) as source:
            pixels = np.asarray(source)
        assert np.array_equal(Image.open(io.BytesIO(row["image"]["bytes"])), pixels)
        assert row["caption"] == captioner.words(Image.fromarray(pixels))
        assert b"Secret" not in row["image"]["bytes"]
    assert [row["dr_grade"] for row in rows] == [None, None, 4, None]
    assert rows[2]["patient_id"] == "P3"
    (dead,) = rows_of(out, "dead")
    assert (dead["index"], dead["stage"], dead["reason"]) == (2, "read", "the file: not an image")

    assert retinaforge("verify", out)[0] == 3
    code, printed, _ = retinaforge(*command[:-1])
    assert code == 3
    assert "4 of 5 rows, 1 dead letters, nothing to do" in printed
    eye(2, 96).save(photographs / "eye_02.jpg")
    code, printed, said = retinaforge("redrive", out, "--json", "--workers", 1)
    assert (code, json.loads(printed)["dead"]) == (3, 1)
    assert rows_of(out) == rows
    (dead,) = rows_of(out, "dead")
    assert dead["reason"] == "the file has changed since it was listed"
    assert "one that you repair is another: give it another --out" in said

    assert retinaforge("report", out)[0] == 0
    assert "synthetic" not in (out / "report/index.html").read_text().split("<script>")[0].lower()
    code, *_ = retinaforge("export", out, "--format", "imagefolder", "--out", tmp_path / "x")
    assert code == 0

    (photographs / "eye_02.jpg").write_bytes(b"not a photograph")
    before = (out / "plan.json").read_bytes()
    eye(9).save(photographs / "new.jpg")
    code, _, said = retinaforge(*command)
    assert code == 2
    assert "1 photographs are new, such as new.jpg" in said
    (photographs / "new.jpg").unlink()
    (photographs / "eye_02.jpg").write_bytes(b"not a photograpH")
    code, _, said = retinaforge(*command)
    assert code == 2
    assert "1 photographs are changed or with other labels, such as eye_02.jpg" in said
    (photographs / "eye_02.jpg").write_bytes(b"not a photograph")
    table.write_text("file,dr_grade\neyes/eye_03.jpg,3\n")
    assert "with other labels, such as eye_03.jpg" in retinaforge(*command)[2]
    for flags, why in (
        (("--format", "png"), 'image_format: "webp" → "png"'),
        (("--license", "cc0-1.0"), "license: other → cc0-1.0"),
    ):
        code, _, said = retinaforge("caption", "--images", photographs, "--out", out, *flags)
        assert code == 2
        assert why in said
    code, _, said = retinaforge("generate", "--count", 3, "--out", out)
    assert code == 2
    assert "captioned, not drawn" in said
    assert (out / "plan.json").read_bytes() == before


MISTAKES = [
    (("--images", "nowhere"), "--images"),
    (("--images", ""), "--images: is empty"),
    (("--backend", "hf:some/model"), "expected local, local:DIR, triton://"),
    (("--backend", "local:nowhere"), "no captioner here"),
    (("--backend", "local:piped"), "no captioner here"),
    (("--backend", "triton://localhost"), "triton://HOST:PORT/MODEL"),
    (("--backend", "triton://192.0.2.1:8001/captioner"), "--allow-plain"),
    (("--labels", "nowhere.csv"), "nowhere.csv"),
    (("--format", "jpeg"), "webp or png"),
    (("--license", "my own!"), "--license"),
    (("--timeout", 0), "--timeout"),
    (("--patience", "nan"), "--patience"),
    (("--in-flight", 0), "--in-flight"),
    (("--workers", 0), "--workers"),
    (("--batch", 0), "--batch"),
    (("--backend", "tritons://localhost:1/x", "--ca", "nowhere.pem"), "--ca"),
]


@pytest.mark.parametrize(("flags", "why"), MISTAKES, ids=lambda value: str(value)[:40])
def test_mistakes_exit_with_2_and_write_nothing(retinaforge, tmp_path, monkeypatch, flags, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped/config.json")
    photographs, out = write_eyes(tmp_path / "eyes", 1, 32), tmp_path / "captions"
    images = () if "--images" in flags else ("--images", photographs)
    code, _, said = retinaforge("caption", *images, "--out", out, *flags)
    assert code == 2
    assert why in said
    assert not out.exists()


def test_a_name_that_is_no_text_leaves_no_folder_behind(retinaforge, tmp_path):
    photographs, out = write_eyes(tmp_path / "eyes", 1, 32), tmp_path / "captions"
    os.rename(photographs / "eye_00.jpg", os.fsencode(photographs) + b"/\xff.jpg")
    code, _, said = retinaforge("caption", "--images", photographs, "--out", out)
    assert code == 2
    assert "the name is not UTF-8" in said
    assert not out.exists()


def test_a_name_that_is_no_text_is_told_and_the_others_captioned(capsys, tmp_path):
    photographs = write_eyes(tmp_path / "eyes", 2, 32)
    os.rename(photographs / "eye_00.jpg", os.fsencode(photographs) + b"/\xff.jpg")
    work = plan_into(tmp_path / "captions", CaptionAsk(str(photographs)), Manner(), Announcer())
    assert work.plan.images == 1
    said = capsys.readouterr().err
    assert f"{photographs}/\\xff.jpg: passed over: the name is not UTF-8" in said


def test_a_drawn_folder_takes_no_captions(retinaforge, plan, tmp_path):
    from engine.store.plan import write_plan

    photographs = write_eyes(tmp_path / "eyes", 1, 32)
    write_plan(tmp_path / "drawn", plan)
    code, _, said = retinaforge("caption", "--images", photographs, "--out", tmp_path / "drawn")
    assert code == 2
    assert "drawn, not captioned" in said


@pytest.mark.parametrize("listening", [False, True], ids=["nobody", "mute"])
def test_a_server_that_does_not_answer_is_told_in_seconds(retinaforge, tmp_path, listening):
    pytest.importorskip("tritonclient.grpc")
    photographs = write_eyes(tmp_path / "eyes", 1, 32)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listening:
            silent.listen()
        backend = f"triton://localhost:{silent.getsockname()[1]}/captioner"
        began = time.monotonic()
        command = ("--images", photographs, "--out", tmp_path / "o", "--backend", backend)
        code, _, said = retinaforge("caption", *command)
    assert code == 2
    assert "no Triton server answers at localhost" in said
    assert time.monotonic() - began < 30
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_a_driver_that_is_killed_is_finished_by_the_same_command(tmp_path):
    photographs, out = write_eyes(tmp_path / "eyes", 60), tmp_path / "captions"
    command = [sys.executable, "-m", "serve.cli", "caption", "--images", str(photographs)]
    command += ["--out", str(out), "--workers", "2"]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    environment.pop("RAY_ADDRESS", None)
    driver = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while not list(out.glob("commits/*.json")):
            assert time.monotonic() < end, "no part came"
            assert driver.poll() is None, "it ended early"
            time.sleep(0.02)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    done = len(rows_of(out))
    assert done < 60, "it was killed too late to show anything"
    assert subprocess.run(command, env=environment, cwd=ROOT, timeout=200).returncode == 0
    assert [row["index"] for row in rows_of(out)] == list(range(60))
    verify = [*command[:3], "verify", str(out)]
    assert subprocess.run(verify, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
