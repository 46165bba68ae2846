"""Starts the Triton server that nvidia-pytriton brings, on this machine's loopback and its CPU.

    .venv-triton/bin/python deploy/triton/serve.py --port 8001

Flags that it does not know are tritonserver's. In production NVIDIA's container serves the same
model repository; see docs/captions.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Become the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument(
        "--models", type=Path, action="append", help="A model repository; may be repeated."
    )
    known, flags = parser.parse_known_args()
    server, libraries, backends = distribution()
    repositories = known.models or [HERE / "models"]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(libraries),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = [
        str(server),
        *(f"--model-repository={path.resolve()}" for path in repositories),
        f"--backend-directory={backends}",
        f"--grpc-address={known.host}",
        f"--grpc-port={known.port}",
        *("--allow-http=false", "--allow-metrics=false", "--exit-on-error=true"),
        *flags,
    ]
    os.execve(server, command, environment)


def distribution() -> tuple[Path, Path, Path]:
    """The server's binary, its libraries, and a folder of backends in which the Python backend has
    the stub of this Python.
    """
    import pytriton

    package = Path(pytriton.__file__).parent
    shipped = package / "tritonserver"
    backends = Path(sys.prefix) / "triton-backends"
    if not backends.is_dir():
        made = backends.with_name(f".triton-backends.{os.getpid()}")
        shutil.copytree(shipped / "backends", made)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = shipped / "python_backend_stubs" / version / "triton_python_backend_stub"
        shutil.copy(stub, made / "python")
        made.rename(backends)
    return shipped / "bin/tritonserver", package.parent / "nvidia_pytriton.libs", backends


if __name__ == "__main__":
    main()
