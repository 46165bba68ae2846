"""`export` writes whole folders, or says what is in its way."""

from __future__ import annotations

import subprocess
import sys

from engine.registry.null import NullSampler
from engine.stages.draw import Draw
from engine.store.commits import Folder
from engine.store.parts import write_outcomes


def test_export_to_a_full_disk_says_so_and_leaves_nothing(empty, plan, tmp_path):
    table = Draw(plan, NullSampler(0)).table([(0, 3)])
    write_outcomes(Folder(empty), 1, plan.fingerprint, table)
    # A file that would pass a hundred bytes is refused as one on a full disk is.
    small = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        "from serve.cli import main; main()"
    )
    out = tmp_path / "full" / "x"
    command = [sys.executable, "-B", "-c", small, "export", empty, "--format", "imagefolder"]
    done = subprocess.run([*command, "--out", out], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"error: cannot write to {out}: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(out.parent.iterdir()) == []


def test_export_refuses_before_it_writes(retinaforge, empty, tmp_path):
    for layout, told in (
        ("zip", "error: --format: 'zip' (expected synfundus or webdataset or imagefolder or site)"),
        ("synfundus", "no committed rows"),
    ):
        code, _, err = retinaforge("export", empty, "--format", layout, "--out", tmp_path / "x")
        assert (code, told in err) == (2, True)
    assert not (tmp_path / "x").exists()


def test_a_half_whole_folder_is_exported_when_asked(retinaforge, empty, plan):
    table = Draw(plan, NullSampler(0)).table([(0, 2)])
    write_outcomes(Folder(empty), 1, plan.fingerprint, table)
    missing = "1 of 3 planned rows are missing"
    command = ("export", empty, "--format", "synfundus", "--out", empty.parent / "x")
    code, _, err = retinaforge(*command)
    assert (code, missing in err) == (2, True)
    code, _, err = retinaforge(*command, "--incomplete")
    assert (code, f"{empty}: {missing}" in err) == (0, True)
