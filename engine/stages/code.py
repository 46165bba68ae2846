"""Which code the workers of a run import: this checkout's, and never what lies where the user
stands.

Ray puts the folder in which a driver was started on every worker's path, before the libraries. A
folder of photographs that somebody sent may hold a `pandas.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "kernels", "serve", "train")
NOT_SHIPPED = ["/*", "!/.", *(f"!/{name}" for name in PACKAGES), "private", "__pycache__"]
"""By the rules of .gitignore: nothing but the code leaves this machine."""


def job_config() -> Any:
    """What `ray.init` is to tell workers of their path."""
    from ray.job_config import JobConfig

    class OwnCode(JobConfig):
        def _get_proto_job_config(self) -> Any:
            """Ray adds the folder after this object is made, so it is taken away here. Code that
            was shipped with the job has its place on the path already."""
            found = super()._get_proto_job_config()
            found.py_driver_sys_path[:] = [] if self._runtime_env_has_working_dir() else [str(ROOT)]
            return found

    return OwnCode()
