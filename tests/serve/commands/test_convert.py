"""`convert` says what to do with what it wrote, and which weight it does not take."""

from __future__ import annotations

import torch
from lumina import checkpoint


def test_a_checkpoint_is_converted_or_refused_by_the_name_of_a_weight(retinaforge, tmp_path):
    tensors, file = checkpoint(1, channels=8, text=64), tmp_path / "c.pth"
    torch.save(tensors, file)
    flags = (file, "--base", "debug", "--out", tmp_path / "made")
    code, out, _ = retinaforge("convert", *flags)
    assert (code, out.strip().endswith(f"--set init={tmp_path}/made")) == (0, True)
    torch.save({**tensors, "lora.weight": torch.ones(1)}, file)
    code, _, err = retinaforge("convert", file, "--base", "debug", "--out", tmp_path / "other")
    assert code == 2
    assert f"{file}: lora.weight: a weight that the network does not have" in err
