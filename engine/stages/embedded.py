"""A Ray of this process alone: on the loopback interface, behind a token that only its own
processes know, in a folder that nobody else can read and that goes with it.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engine import device
from engine.schema import UserError
from engine.stages.code import job_config
from engine.stages.failure import RunError

LOOPBACK = "127.0.0.1"
STORE_MEMORY = (512 << 20, 4 << 30)
"""Least and most bytes of the object store; parts pass through it one block at a time."""
ROOM = 64 << 20
"""Bytes that Ray's logs and sockets are given at least."""
SHORT = "/tmp"
SOCKET_PATH = 103
"""Letters that the path of a socket may have on every system; Linux takes four more."""
SOCKET = "/rf12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""The longest that Ray makes below the temporary folder."""


def check() -> None:
    """Raise UserError where there is no folder for Ray's sockets and logs."""
    folder = _folder()
    os.rmdir(folder)
    free = shutil.disk_usage(folder.parent).free
    if free < ROOM:
        raise UserError(
            f"{folder.parent} has {free >> 20} MB free",
            field="TMPDIR",
            expected=f"a temporary folder with {ROOM >> 20} MB for Ray",
        )


@contextmanager
def embedded(workers: int | None) -> Iterator[None]:
    """Ray for the time of a `with`, with room for so many workers. Raises UserError, and RunError
    where Ray does not start.
    """
    check()
    folder = _folder()
    try:
        with _secret():
            import ray

            try:
                _start(folder, workers)
                yield
            finally:
                ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """A new folder of this user alone, in TMPDIR or, where that is too long for a socket, in /tmp.
    Raises UserError.
    """
    place = os.environ.get("TMPDIR") or SHORT
    if len(os.fsencode(place)) + len(SOCKET) > SOCKET_PATH:
        place = SHORT
    try:
        return Path(tempfile.mkdtemp(prefix="rf", dir=place))
    except OSError as error:
        raise UserError(
            f"nothing can be written to {place} ({error.strerror})",
            field="TMPDIR",
            expected="a temporary folder",
        ) from error


def _start(folder: Path, workers: int | None) -> None:
    import ray
    from ray._private import ray_constants

    least, most = STORE_MEMORY
    usual = ray_constants.ENABLE_RAY_CLUSTER
    # Ray takes a node at 127.0.0.1 for a mistake, and another address for it, unless its own
    # switch for systems without clusters is set. With it every part of Ray binds to loopback.
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with quiet_start():
            ray.init(
                address="local",
                _node_ip_address=LOOPBACK,
                # Ray opens the folder that it is given to everybody: not the one around it.
                _temp_dir=str(folder / "r"),
                job_config=job_config(),
                # More workers than processors were asked for: they take turns.
                num_cpus=max(device.cpu_count(), workers or 1),
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                object_store_memory=max(least, min(most, device.free_memory() * 3 // 10)),
            )
    except Exception as error:
        # Ray has no kind of its own for a machine that is too busy to start it in half a minute.
        raise RunError(f"Ray could not be started here: {error}") from error
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = usual


@contextmanager
def _secret() -> Iterator[None]:
    """Ray's own token authentication with a new token, whatever the user has set for other
    clusters, and as the user has set it afterwards. The token is in the environment of this process
    and of those that it starts, and nowhere else.
    """
    ours = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    before = {name: os.environ.get(name) for name in ours}
    _set(ours)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    """Set or unset variables, and have Ray's native code read its own again."""
    from ray._private.authentication import authentication_token_setup as native

    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    native.Config.initialize("")
    native.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def quiet_start() -> Iterator[None]:
    """Drop what Ray's native code prints while it starts: it announces its own log level."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
