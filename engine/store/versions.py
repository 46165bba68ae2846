"""The versions that decide rows: of libraries, of our own code, and the processor's instructions.
A plan names them, and workers compare."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from engine import cpu
from engine.phantom import VERSION

DRAWING = "2"
"""The version of our own code that turns a plan into pixels: raised when the same plan would draw
other rows, and only then, so that an update of the project does not close existing folders."""
REFINING = "2"
"""The same of the code that has a refiner paint; plans from before its second version do not name
it."""
CAPTIONING = "3"
"""The same of the code that turns photographs into words."""
OWN = {"drawing": DRAWING, "phantom": VERSION, "refining": REFINING, "captioning": CAPTIONING}


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """The installed versions of the libraries that a model's pixels depend on, without importing
    them; `phantom` among the names is the version of our own phantom, `cpu` this machine's usual
    set of instructions.
    """
    found = {"drawing": DRAWING}
    for name in ("pillow", "numpy", *names):
        if name == cpu.NAME:
            found[name] = cpu.usual()
            continue
        try:
            found[name] = OWN.get(name) or version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def with_cpu(
    found: dict[str, str], planned: dict[str, str] | None = None, wanted: str | None = None
) -> dict[str, str]:
    """Versions found here, with the set of instructions that was asked for, else that of the
    versions `planned` in a folder (none where it was planned before plans named one).
    """
    if cpu.NAME not in found:
        return found
    usual = found[cpu.NAME] if planned is None else planned.get(cpu.NAME)
    rest = {name: each for name, each in found.items() if name != cpu.NAME}
    chosen = wanted or usual
    return {**rest, cpu.NAME: chosen} if chosen else rest
