"""Every command is the child of a small process that alone gets its signals.

So it ends by an exit code of ours and with a sentence whatever happens to it, at whatever moment,
and leaves nothing behind: no process, no temporary file.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GRACE = 10
"""Seconds that a command has for its end, once it is asked to."""
SWEEP = 10.0
"""Seconds within which the system must have ended whatever was killed."""
CODES = (0, 1, 2, 3)
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
PLACE = "/tmp"
NEW, HELD = "rfnew-", "rfrun-"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

_told: mmap.mmap | None = None
"""In the command's process: what it tells its guard, a byte for each of these."""
_LEISURE, _ANEW = 0, 1
_GOES_ON = "the same command goes on from there"
_BEGINS = "nothing is kept, and the same command begins anew"


def enter() -> None:
    """Go on as a child of this process, which watches over it and never returns from here."""
    global _told
    # What is ignored, as under nohup, stays so.
    ending = [each for each in ENDING if signal.getsignal(each) != signal.SIG_IGN]
    watched = [*ending, signal.SIGCHLD, signal.SIGTSTP, signal.SIGALRM]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    told, folder, guard = mmap.mmap(-1, 2), _folder(), os.getpid()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        _become_command(guard, folder)
        _told = told
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    with suppress(OSError):
        os.setpgid(child, child)
    code = _watched(child, watched, told)
    _sweep(child)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(code)


@contextmanager
def at_leisure() -> Iterator[None]:
    """For the time of a `with` the command gets Ctrl-C when it is asked to end (by its own handler,
    if it has one), takes the time that it needs (for a checkpoint, for answers under way), and says
    itself how it ended. A second signal does not wait.
    """
    if _told is None:
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before == _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _told[_LEISURE] = 1
    try:
        yield
    finally:
        _told[_LEISURE] = 0
        signal.signal(signal.SIGINT, before)


def begins_anew() -> None:
    """This command keeps nothing that the same command could go on from: whoever ends it is told
    so."""
    if _told is not None:
        _told[_ANEW] = 1


def _become_command(guard: int, folder: Path | None) -> None:
    """A process group of its own: signals to that of a terminal are the guard's to hear."""
    os.setpgid(0, 0)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(1)
    # Otherwise some terminals stop whoever writes to them from another group.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGINT, _end)
    if folder:
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None


def _end(number: int, frame: object) -> None:
    """End by way of every `finally`, in silence: the guard says why."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    raise KeyboardInterrupt


def _watched(child: int, watched: list[signal.Signals], told: mmap.mmap) -> int:
    """Hand signals on until the command has ended; the exit code."""
    asked, itself = 0, False
    while True:
        number = signal.sigwait(watched)
        if number == signal.SIGCHLD:
            if (status := _reaped(child)) is not None:
                break
        elif number == signal.SIGTSTP:
            _pause(child)
        elif asked:
            os.kill(child, signal.SIGKILL)
        else:
            asked, itself = number, bool(told[_LEISURE])
            os.kill(child, signal.SIGINT)
            if not itself:
                signal.alarm(GRACE)
    anew = bool(told[_ANEW])
    if asked and (not itself or status < 0):
        kept = f"what is finished is safe, and {_GOES_ON}"
        _say(f"interrupted: {_BEGINS if anew else kept}")
        return 1
    if status < 0:
        name = signal.Signals(-status).name
        want = " (for want of memory, perhaps)" if name == "SIGKILL" else ""
        _say(f"error: {name} ended this command{want}" + ("" if anew else f"; {_GOES_ON}"))
    return status if status in CODES else 1


def _reaped(child: int) -> int | None:
    """Take leave of whoever has ended, also of processes that outlived their parents; the child's
    exit code, negative for a signal, or None while it runs.
    """
    found = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                found = os.waitstatus_to_exitcode(status)
    return found


def _pause(child: int) -> None:
    """Ctrl-Z: stop with all that belongs to the command, and wake with it."""
    os.killpg(child, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.killpg(child, signal.SIGCONT)


def _sweep(child: int) -> None:
    """End whatever the command has started and not ended."""
    with suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    last = time.monotonic() + SWEEP
    while (left := _below(os.getpid())) and time.monotonic() < last:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
        _reaped(child)


def _below(root: int) -> set[int]:
    """Every living process below this one, by /proc where there is one."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(entry.parent.name)] = int(parent)
    found: set[int] = set()
    seen = {root}
    while seen:
        seen = {pid for pid, parent in parents.items() if parent in seen} - found
        found |= seen
    return found


def _folder() -> Path | None:
    """A temporary folder of the command's own, which goes with it; those that killed commands left
    are cleared. None where there is no place: commands that need one say so.
    """
    place = Path(os.environ.get("TMPDIR") or PLACE)
    for old in place.glob(f"{HELD}*"):
        _clear(old)
    try:
        folder = Path(tempfile.mkdtemp(prefix=NEW, dir=place))
        # Under a name that others clear only once it is held, until this process and its child die.
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return folder.rename(place / folder.name.replace(NEW, HELD))
    except OSError:
        return None


def _clear(old: Path) -> None:
    """Remove a folder of this user that nobody holds any more."""
    try:
        opened = os.open(old, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(opened).st_uid == os.getuid():
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        pass
    finally:
        os.close(opened)


def _prctl(option: int, value: int) -> None:
    """Linux alone has these; elsewhere a killed guard leaves its command running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _say(text: str) -> None:
    """One line, below whatever a progress bar has left on a terminal."""
    shown = "\x1b[?25h\n" if sys.stderr.isatty() else ""
    with suppress(OSError):
        os.write(2, f"{shown}{text}\n".encode())
