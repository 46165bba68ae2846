"""What a segmenter finds, cleaned."""

from __future__ import annotations

import numpy as np

from engine.models.segmenter import without_specks


def test_specks_are_no_vessels():
    vessels = np.zeros((512, 512), bool)
    vessels[100, 100:180] = True
    vessels[np.arange(200, 280), np.arange(200, 280)] = True
    kept = vessels.copy()
    vessels[300:305, 300:305] = True
    assert np.array_equal(without_specks(vessels), kept)
    assert not without_specks(np.zeros((64, 64), bool)).any()
