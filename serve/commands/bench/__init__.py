"""`bench`: speeds side by side on this machine."""

from __future__ import annotations

from serve.commands._tree import tree
from serve.commands.bench import kernels, pipeline, sampling, training

app = tree((kernels, pipeline, sampling, training), "Measure speeds side by side on this machine.")
