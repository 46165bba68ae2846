"""The command line `retinaforge` as a process: watched over from its first moment, before anything
large is imported.

It ends with 0 done; 1 our fault or a run that had to stop; 2 the user's input; 3 finished with dead
letters.
"""

from __future__ import annotations

import os
import sys

from engine import guard
from serve.console import steady

QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""The libraries' own bars and advice would break ours; whoever sets these variables sees them."""
PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""Threads that wait for each other sleep. Awake, two of them on two cores that others use too took
3 to 10 times as long as one to look at a picture; asleep, 0.2 to 1.3 times."""


def main() -> None:
    """Entry point of the console script."""
    steady()
    guard.enter()
    run()


def run() -> None:
    """Run the command that this process was started with; it ends with SystemExit."""
    # Before any library that reads them is loaded.
    for name, value in {**QUIET, **PATIENT}.items():
        os.environ.setdefault(name, value)
    from engine.schema import UserError
    from serve.commands import app

    try:
        _check_arguments()
        app()
    except UserError as error:
        _end(str(error), 2)
    except RuntimeError as error:
        from engine.stages.failure import RunError

        if not isinstance(error, RunError):
            raise
        _end(str(error), 1)
    except OSError as error:
        if error.errno is None:
            raise
        # What the system refuses (a disk, a right, a file that went away) is nobody's bug.
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{os.strerror(error.errno)}", 1)


def _check_arguments() -> None:
    # Ray, and JSON, hold text: a name of other bytes would end a run in its middle. Only
    # `identify`, which answers for each of many files, gives names to neither.
    from engine.schema import UserError

    if sys.argv[1:2] == ["identify"]:
        return
    for text in sys.argv[1:]:
        if any("\ud800" <= each <= "\udfff" for each in text):
            raise UserError(
                f"{text!a} is not UTF-8", expected="a name in UTF-8: rename it, or link to it"
            )


def _end(words: str, code: int) -> None:
    print(f"error: {words}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
