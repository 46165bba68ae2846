"""What the bench of sampling found can be looked at."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from engine.schema import UserError
from serve import sampling_shown as shown


def row(setting, speed, **more):
    parts = {f"{part}_s": 0.25 / speed for part in shown.PARTS}
    facts = {"images_per_s": speed, "ratio": speed / 0.5, "admitted": None, "total_s": 1 / speed}
    return {"setting": setting, **facts, **parts, **more}


TOLD = {
    "model": "debug",
    "size": 64,
    "device": "cpu",
    "seconds_of": "processor",
    "rounds": 3,
    "images": 4,
    "rows": [
        row("plain", 0.5),
        row("quick", 4.0, admitted=True, broken=[], drift_psnr_db=41.2),
        row("hasty", 8.0, admitted=False, broken=["drift_grey", "recall"], drift_psnr_db=22.0),
        *(row(f"more-{n}", 2.0 + n) for n in range(3)),
    ],
}


def test_the_table_names_what_was_broken(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    shown.show(TOLD)
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["plain"].split()[1:3] == ["0.50", "1.0"]
    assert lines["quick"].split()[1:3] == ["4.00", "8.0"]
    assert lines["quick"].rstrip().endswith(" admitted")
    assert lines["hasty"].rstrip().endswith("not admitted  drift_grey recall")
    assert "the quickest of 3 rounds of 4 images" in lines["debug,"]


def test_plot_and_sheet_are_pictures(tmp_path):
    rng = np.random.default_rng(0)
    pictures = {r["setting"]: rng.integers(0, 255, (64, 64, 3), np.uint8) for r in TOLD["rows"]}
    shown.write_plot(tmp_path / "plot.png", TOLD)
    shown.write_sheet(tmp_path / "sheet.jpg", TOLD, pictures)
    for name in ("plot.png", "sheet.jpg"):
        with Image.open(tmp_path / name) as image:
            assert np.asarray(image.convert("L")).std() > 5
            assert image.width > 400


def test_a_setting_without_a_picture_is_no_sheet(tmp_path):
    with pytest.raises(KeyError, match="plain"):
        shown.write_sheet(tmp_path / "sheet.png", TOLD, {})


@pytest.mark.parametrize("name", ["plot.gif", "nosuch/plot.png", "plot"])
def test_files_that_could_not_be_written_are_refused_first(tmp_path, name):
    with pytest.raises(UserError, match="⟨plot⟩"):
        shown.check(sheet=None, plot=tmp_path / name)
    shown.check(sheet=tmp_path / "sheet.JPG", plot=None)
