"""A real Triton server serves the captioner: the same words as in this process, through kills and
garbage. Slow, since a server and Ray are started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from engine.caption import CaptionerLost, Manner, Refused, StoredPhotograph, Words
from engine.caption.backends import resolve
from engine.caption.local import LocalCaptioner
from engine.caption.triton import TritonCaptioner
from engine.data.example import decode
from engine.pixels.encode import encode_photograph
from engine.schema import UserError
from engine.shipped import CAPTIONER
from tests.engine.caption.triton_server import Server, is_installed
from tests.eyes import ROOT, eye, rows_of, write_eyes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not is_installed(), reason="no Triton server here: make triton"),
]
PHOTOGRAPHS = Path(os.environ.get("RETINAFORGE_DATA", ROOT.parent / "shared/data"))
IDRID = PHOTOGRAPHS / "idrid_grading/images"
CLI = [sys.executable, "-m", "serve.cli"]
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
ENVIRONMENT |= {"RAY_AUTH_MODE": "disabled", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("triton"))
    made.start()
    made.wait()
    yield made
    made.stop()


def connected(server: Server, model: str = "captioner", **manner: float) -> TritonCaptioner:
    return resolve(server.url(model)).load(Manner(**manner))


def pictures(count: int) -> list[StoredPhotograph]:
    return [StoredPhotograph(eye(n), encode_photograph(eye(n), "png")) for n in range(count)]


def test_the_test_photographs_have_the_same_words_through_a_server_that_is_killed(server, tmp_path):
    """All of them, with the server killed once some are done and started again seconds later."""
    if not IDRID.is_dir():
        pytest.skip("no shared/data beside the checkout")
    out = tmp_path / "out"
    command = [*CLI, "caption", "--images", str(IDRID / "test_*.jpg"), "--out", str(out)]
    command += ["--backend", server.url("captioner"), "--json"]
    run = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not list(out.glob("commits/*.json")):
        assert time.monotonic() < end, "no part came"
        assert run.poll() is None
        time.sleep(0.02)
    server.kill()
    before = len(rows_of(out))
    time.sleep(4)
    assert run.poll() is None
    server.start()
    printed, _ = run.communicate(timeout=300)
    assert run.returncode == 0
    photographs = sorted(IDRID.glob("test_*.jpg"))
    assert 0 < before < len(photographs) == json.loads(printed)["committed"] == 103

    rows = rows_of(out)
    assert [row["image"]["path"] for row in rows] == [path.name for path in photographs]
    assert {row["caption_source"] for row in rows} == {"triton:captioner@1"}
    captioner = LocalCaptioner(CAPTIONER)
    words = [captioner.words(decode(path.read_bytes(), path.name)) for path in photographs]
    assert [row["caption"] for row in rows] == words
    assert len(set(words)) > 3
    verify = subprocess.run([*CLI, "verify", str(out)], cwd=ROOT, capture_output=True, text=True)
    assert verify.returncode == 0
    assert json.loads(verify.stdout)["duplicate"] == 0


def test_garbage_becomes_dead_letters_with_reasons(server, tmp_path):
    photographs, out = write_eyes(tmp_path / "eyes", 24, 48), tmp_path / "out"
    (photographs / "eye_00.jpg").write_bytes(b"no image")
    command = [*CLI, "caption", "--images", str(photographs), "--out", str(out), "--json"]
    command += ["--backend", server.url("garbage")]
    run = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=200
    )
    assert run.returncode == 3, run.stderr
    assert json.loads(run.stdout)["dead"] == 24
    dead = rows_of(out, "dead")
    assert [row["index"] for row in dead] == list(range(24))
    assert dead[0]["reason"] == "the file: not an image"
    reasons = {row["reason"].split(",")[0] for row in dead[1:]}
    assert {row["attempts"] for row in dead[1:]} == {3}
    assert len(reasons) >= 5
    assert all(r.startswith(("nonsense: ", "the server said: ")) for r in reasons), reasons


def test_calls_are_bounded_and_a_row_is_told_its_own_reason(server):
    client = connected(server, in_flight=3)
    good = pictures(6)
    broken = StoredPhotograph(good[0].image, b"no image at all")
    words = client.caption([*good[:3], broken, *good[3:]])
    captioner = LocalCaptioner(CAPTIONER)
    assert words[:3] + words[4:] == [Words(captioner.words(each.image)) for each in good]
    assert isinstance(words[3], Refused)
    assert words[3].reason == "the server said: IMAGE: not an image"
    client.close()


def test_a_slow_server_costs_tries_and_a_hopeless_one_the_run(server, monkeypatch):
    monkeypatch.setattr("engine.caption.triton.HOPELESS", 2)
    client = connected(server, in_flight=1, timeout=0.001)
    began = time.monotonic()
    (refused,) = client.caption(pictures(1))
    assert refused == Refused("no answer within 0.001 s", 3)
    with pytest.raises(CaptionerLost, match="2 photographs one after another had no answer"):
        client.caption(pictures(1))
    assert time.monotonic() - began < 60
    client.close()


def test_models_that_are_not_there_or_take_other_things_are_told(server):
    client = connected(server, "nosuch")
    with pytest.raises(UserError, match=r"no model nosuch.*expected captioner or garbage"):
        client.meet()
    assert connected(server).meet() == "1"


def test_a_server_that_comes_late_is_waited_for_and_one_that_never_comes_is_lost(tmp_path):
    late = Server(tmp_path)
    client = resolve(late.url("captioner")).load(Manner(patience=60))
    timer = threading.Timer(2.0, late.start)
    timer.start()
    try:
        (words,) = client.caption(pictures(1))
        assert isinstance(words, Words)
        late.kill()
        client = resolve(late.url("captioner")).load(Manner(patience=1.0))
        began = time.monotonic()
        with pytest.raises(CaptionerLost, match="gone for 1 s"):
            client.caption(pictures(2))
        assert time.monotonic() - began < 30
    finally:
        timer.join()
        late.stop()


def test_an_encrypted_server_is_proven_by_its_authority(tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(cert)]
    made = subprocess.run(command, capture_output=True)
    assert made.returncode == 0, made.stderr
    flags = ("--grpc-use-ssl=1", f"--grpc-server-cert={cert}", f"--grpc-server-key={key}")
    server = Server(tmp_path, *flags)
    server.start()
    try:
        server.wait()
        address = server.url("captioner", "tritons")
        client = resolve(address, ca=str(cert)).load(Manner())
        assert client.meet() == "1"
        (words,) = client.caption(pictures(1))
        assert words == Words(LocalCaptioner(CAPTIONER).words(eye(0)))
        for stranger in (resolve(address), resolve(server.url("captioner"))):
            with pytest.raises(UserError, match="no Triton server answers"):
                TritonCaptioner(stranger, Manner()).meet()
    finally:
        server.stop()


def test_photographs_are_sent_without_what_their_cameras_wrote(server, tmp_path):
    """What goes over the wire is the stored file, and that has no metadata."""
    from engine.data.photographs import find, hashed, read

    folder = write_eyes(tmp_path / "eyes", 1)
    (listed,) = hashed(find(str(folder)), lambda *_: None)
    photograph = read(folder, listed)
    file = encode_photograph(photograph.image, "webp", photograph.mark)
    assert b"Secret" not in file
    (words,) = connected(server).caption([StoredPhotograph(Image.new("RGB", (1, 1)), file)])
    assert words == Words(LocalCaptioner(CAPTIONER).words(photograph.image))
