"""xformers as it really is on a machine without a GPU: it imports, and runs nothing.

Where it is not installed it is put into a folder of its own, away from diffusers, which would
import it in every process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels import backends

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason="here xformers would really run"),
]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Runs code in a process that has xformers; gives what it printed."""
    place = ROOT
    if not backends.installed("xformers"):
        place = tmp_path_factory.mktemp("xformers")
        (pin,) = re.findall(r"^xformers==.*$", (ROOT / "constraints.txt").read_text(), re.M)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", place, pin]
        if subprocess.run(pip, check=False, timeout=120).returncode:
            pytest.skip("no package index here to take xformers from")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(place)])}

    def run(code):
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


def test_installed_on_a_cpu_it_is_refused_and_never_called(python):
    said = python(
        "import sys, torch\nfrom kernels import backends\nfrom kernels.attention import attention\n"
        "q = torch.randn(1, 8, 2, 64)\nattention(q, q, q)\n"
        "print('xformers.ops' in sys.modules, backends.installed('xformers'))\n"
        "try:\n    backends.override('xformers').__enter__()\n"
        "except backends.BackendError as error: print(error)\n"
    )
    assert said.splitlines() == [
        "False True",
        "backend 'xformers' cannot run here: xformers has no kernel for a CPU",
    ]


def test_asked_directly_it_has_no_kernel_and_only_for_the_device(python):
    """What keeps our masked, grouped call from its CUTLASS kernel here is the missing GPU alone:
    shapes, strides and the layout of the bias are accepted."""
    said = python(
        "import torch\nfrom kernels.attention import memory_efficient as ours\n"
        "from kernels.attention.keys import repeated\n"
        "from xformers.ops.fmha import Inputs, cutlass\n"
        "q = torch.randn(2, 20, 4, 72).half()\nk = torch.randn(2, 13, 2, 72).half()\n"
        "mask = torch.rand(2, 13) > 0.5\n"
        "try: ours.attention(q, k, k, mask)\n"
        "except NotImplementedError as error: print('refused')\n"
        "k = repeated(k, 4)\nbias = ours.key_bias(mask, 20, 4, q.dtype)\n"
        "assert (bias == 0).eq(mask[:, None, None]).all()\n"
        "given = Inputs(q, k, k, attn_bias=bias)\ngiven.validate_inputs()\n"
        "for reason in cutlass.FwOp.not_supported_reasons(given): print(reason)\n"
    )
    first, *reasons = said.splitlines()
    assert first == "refused"
    assert reasons
    for reason in reasons:
        assert "device=cpu" in reason or "wasn't built" in reason, reason
