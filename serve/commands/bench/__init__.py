"""`bench`: speeds side by side on this machine."""

from __future__ import annotations

from serve.commands._tree import tree
from serve.commands.bench import kernels, pipeline

app = tree((kernels, pipeline), "Measure speeds side by side on this machine.")
