"""The command line `retinaforge` as a process: watched over from its first moment, before anything
large is imported.
"""

from __future__ import annotations

from engine import guard
from serve.console import steady


def main() -> None:
    """Entry point of the console script."""
    steady()
    guard.enter()
    from serve.commands import run

    run()


if __name__ == "__main__":
    main()
