"""Which backend runs: what this machine can, what was forced, what was measured."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from kernels import backends
from kernels.attention import attention, backend
from kernels.backends import BackendError, Case, choose, measure, override, require, why_not

ROOT = Path(__file__).parents[2]
CASE = Case(64, 1024, 1024, torch.bfloat16, False, "cuda")
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="here Triton would really run")


def call():
    return attention(*(torch.randn(1, 8, 2, 64) for _ in range(3)))


@no_gpu
@pytest.mark.parametrize("name", ["triton", "xformers"])
def test_a_backend_that_cannot_run_here_fails_where_it_is_forced(name):
    with pytest.raises(BackendError, match=f"'{name}' cannot run here: .*CUDA|.*CPU|.*installed"):
        override(name).__enter__()
    assert backends.forced() is None


def test_an_unknown_backend_is_told_the_known_ones():
    with pytest.raises(BackendError, match="reference, sdpa, triton, xformers"):
        require("flash", "cpu")


def test_xformers_on_a_cpu_says_so_in_words_and_before_it_is_called():
    assert why_not("xformers", "cpu") in (
        "xformers has no kernel for a CPU",
        "the package is not installed (extra: gpu)",
    )


def test_an_override_is_undone_nested_and_after_errors():
    def fail():
        with override("sdpa"):
            call()
            raise KeyError

    with override("reference"):
        with pytest.raises(KeyError):
            fail()
        assert backends.forced() == "reference"
        with override(None):
            assert backends.forced() is None
    assert backends.forced() is None


def test_an_override_holds_in_its_own_thread_only():
    seen = []
    with override("reference"):
        thread = threading.Thread(target=lambda: seen.append(backends.forced()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_the_forced_backend_is_the_one_that_runs(monkeypatch):
    ran = []
    for name in ("reference", "sdpa"):
        module = sys.modules[backend(name).__module__]
        real = module.attention
        monkeypatch.setattr(
            module, "attention", lambda *a, n=name, f=real: (ran.append(n), f(*a))[1]
        )
    for name in ("sdpa", "reference"):
        with override(name):
            call()
    call()
    assert ran == ["sdpa", "reference", "sdpa"]


def test_the_quickest_is_chosen_once_for_a_kind_of_call_and_said_once(monkeypatch, caplog):
    monkeypatch.setattr(backends, "_choices", {})
    ran = []

    def slow():
        ran.append("sdpa")
        time.sleep(0.004)

    candidates = {"sdpa": slow, "triton": lambda: ran.append("triton")}
    with caplog.at_level(logging.INFO, "kernels.backends"):
        assert [choose(CASE, False, candidates) for _ in range(3)] == ["triton"] * 3
    assert len(ran) == 2 * (backends.ROUNDS + 1)
    assert len(caplog.messages) == 1
    assert "head width 64, 1024 tokens, 1024 keys, bfloat16 on cuda: triton" in caplog.messages[0]
    assert "sdpa 4." in caplog.messages[0]
    assert backends.choices() == {CASE: "triton"}


def test_training_and_processors_measure_nothing():
    def never():
        raise AssertionError

    assert choose(CASE, True, {"sdpa": never, "triton": never}) == "sdpa"
    on_cpu = Case(64, 1024, 1024, torch.float32, False, "cpu")
    assert choose(on_cpu, False, {"sdpa": never}) == "sdpa"


def test_a_candidate_that_fails_is_left_out_and_named(caplog):
    def broken():
        raise NotImplementedError("no operator found\nfor this")

    assert set(measure({"xformers": broken, "sdpa": call})) == {"sdpa"}
    assert caplog.messages == ["backend xformers fails: no operator found"]
    with pytest.raises(BackendError, match="every backend fails"):
        measure({"xformers": broken})


def test_the_door_opens_where_neither_triton_nor_xformers_is_installed():
    code = (
        "import sys\nfor name in ('triton', 'xformers'): sys.modules[name] = None\n"
        "import torch\nfrom kernels import backends, bench\n"
        "from kernels.attention import attention\n"
        "q = torch.randn(1, 8, 2, 64)\nprint(attention(q, q, q).shape)\n"
        "for name in ('triton', 'xformers'):\n"
        "    print(backends.why_not(name, 'cuda'))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    shape, *reasons = run.stdout.splitlines() or [run.stderr]
    assert shape == "torch.Size([1, 8, 2, 64])"
    assert reasons == ["the package is not installed (extra: gpu)"] * 2
