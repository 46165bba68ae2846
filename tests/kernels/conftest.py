"""Tests of kernels. Those of Triton's interpreter need an environment of their own: one test runs
them in a process that has it."""

from __future__ import annotations

from kernels import backends

collect_ignore = [] if backends.interpreting() else ["under_interpreter"]
