"""Backends by name, and what each says of itself before anybody calls it."""

from __future__ import annotations

import pickle

import pytest

from engine.caption import Manner
from engine.caption.backends import resolve
from engine.models.card import read_card
from engine.schema import UserError
from engine.shipped import CAPTIONER

WRONG = ["", "hf:some/model", "vllm:some/model", "local:", "lokal", "http://localhost:1/x"]


@pytest.mark.parametrize("text", WRONG)
def test_an_unknown_backend_is_refused_and_those_that_there_are_named(text):
    with pytest.raises(UserError, match=r"⟨backend⟩: .*expected local, local:DIR, triton://"):
        resolve(text)


def test_the_shipped_captioner_says_who_it_is():
    backend = resolve("local", allow_plain=True, ca="ca.pem")
    assert (backend.text, backend.folder) == ("local", CAPTIONER)
    assert (backend.allow_plain, backend.ca) == (False, None)
    assert backend.captioner() == "captioner"
    assert backend.weights_sha256() == read_card(CAPTIONER)["weights_sha256"]
    assert backend.calls(Manner(in_flight=9)) == 1
    assert {"cpu", "torch"} <= {*backend.libraries}


def test_a_captioner_of_a_run_folder_lies_one_folder_down(tmp_path):
    (tmp_path / "run/model").mkdir(parents=True)
    backend = resolve(f"local:{tmp_path / 'run'}")
    assert backend.folder == tmp_path / "run"
    (tmp_path / "run/model/config.json").write_text("{}")
    backend = resolve(f"local:{tmp_path / 'run'}")
    assert backend.folder == tmp_path / "run/model"
    with pytest.raises(UserError, match="no captioner here"):
        backend.weights_sha256()


def test_a_server_is_a_value_that_nobody_has_called(tmp_path):
    backend = resolve("tritons://gpu.lab:443/words", allow_plain=True, ca=str(tmp_path / "none"))
    assert (backend.folder, backend.weights_sha256(), backend.libraries) == (None, "", ())
    assert backend.calls(Manner(in_flight=9)) == 9
    assert (backend.allow_plain, backend.ca) == (True, str(tmp_path / "none"))
    assert pickle.loads(pickle.dumps(backend)) == backend
