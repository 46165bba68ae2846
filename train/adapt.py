"""A new clinic: its photographs measured, shipped weights taught by them, and the privacy gate set,
as one run that goes on where it stopped."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine import registry
from engine.gates.calibrate import calibrate
from engine.models.cameras import own_cameras
from engine.models.card import PRIVACY, verified_card
from engine.models.folder import class_of, is_network
from engine.phantom.cameras import Camera
from engine.registry import SamplerRef
from engine.schema import UserError
from train.forecast import UNNAMED, Rent
from train.launch import run_training
from train.presets import find
from train.settings import override

NAME = "adapt"
MODEL, SOURCE = "refiner-tiny", "clinic"
OUT = Path("runs") / NAME
_PRESETS = {"Refiner": "refiner-adapt"}
"""The preset with which a model goes on, by its network's class."""
_CROP = 256
"""Pixels of what a row shows of an eye, at most."""
UNKNOWN = "nothing will compare with the photographs that taught it before these."

Say = Callable[[str], None]


@dataclass(frozen=True)
class Adaptation:
    """What is asked for: whose photographs, from which model (a name or a folder), under which
    name of a source, with what changes to the preset."""

    data: list[str]
    model: str = MODEL
    source: str = SOURCE
    changes: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise UserError for what can be told without the photographs: a model that cannot be
        adapted, no name of a source, changes that are none or not for the user to make."""
        preset, ref = self._start()
        override(find(preset).settings, {**self.changes, **self._given(ref)})

    def run(self, out: Path, workers: int, dry_run: bool, say: Say, rented: Rent = UNNAMED) -> Path:
        """Adapt into a run folder; gives the finished model folder. Raises as `run_training` and
        `calibrate` do."""
        preset, ref = self._start()
        changes = {**self.changes, **self._given(ref)}
        say(f"adapting {ref.name} to the photographs of {self.source!r}: measure, teach, set gate")
        folder = run_training(preset, self.data, workers, changes, out, dry_run, say, rented)
        if not dry_run:
            self._set_gate(folder, say)
            for line in self._summary(folder, out):
                say(line)
        return folder

    def _start(self) -> tuple[str, SamplerRef]:
        ref = registry.find(SamplerRef, self.model)
        folder = ref.folder
        if folder is None or not is_network(folder, *_PRESETS):
            raise UserError(
                f"{ref.name} is no model that a clinic's photographs can adapt",
                asked="model",
                expected=f"{MODEL}, or the folder of another refiner",
            )
        return _PRESETS[class_of(folder)], ref

    def _given(self, ref: SamplerRef) -> dict[str, str]:
        """The settings that model and source decide. UserError for one that is changed beside."""
        if not self.source.strip():
            raise UserError("is empty", asked="source", expected="a name of the clinic's own")
        given = {
            "init": str(ref.folder),
            "data.source": self.source,
            "data.size": str(ref.size),
            "data.crop": str(min(_CROP, ref.size)),
            # A clinic's photographs may be no larger than the model draws.
            "data.doubled": "0",
        }
        if twice := sorted(given.keys() & self.changes.keys()):
            raise UserError(
                "is decided by what is adapted", field=twice[0], expected="⟨model⟩ or ⟨source⟩"
            )
        return given

    def _set_gate(self, folder: Path, say: Say) -> None:
        """Set the privacy gate of a finished model, unless it has been."""
        if (folder / PRIVACY).is_file() and "privacy" in verified_card(folder).facts:
            say("its privacy gate is set already")
            return
        say("setting its privacy gate from the same photographs, and from what taught before")
        base = self._start()[1].folder
        if base is None or not (base / PRIVACY).is_file():
            rule = "!" * 78
            say(f"{rule}\n{self.model} HAS NO PRIVACY GATE: {UNKNOWN}\n{rule}")
            base = None
        calibrate(folder, self.data, say=say, base=base)

    def _summary(self, folder: Path, out: Path) -> Iterator[str]:
        """What was measured, how much taught, what the gate's limits are, and what to type next."""
        card = verified_card(folder).facts
        learned, gate = card["data"], card["privacy"]
        yield from _told(self.source, own_cameras(folder)[self.source])
        photographs = f"{learned['photographs']} photographs of {learned['eyes']} eyes"
        yield f"taught: {photographs} over {card['steps']} steps"
        limit = f"what lies at {gate['nearest']:.4f} or nearer to one of {gate['photographs']}"
        yield f"privacy gate: refuses {limit} photographs (set by {gate['set_by']})"
        if gate["of_base"]:
            yield f"  and as near to one of {gate['of_base']} others that taught {self.model}"
        found = f"{gate['found_by_features']:.0%} of {gate['planted_copies']} disguised copies"
        yield f"  it finds {found}; {gate['false_alarm_aimed']:.0%} of strangers may be refused"
        asked = f"--model {shlex.quote(str(out))} --source {shlex.quote(self.source)}"
        yield f"next: retinaforge generate {asked} --count 16 --out eyes"


def _told(source: str, camera: Camera) -> Iterator[str]:
    red, green, blue = (round(255 * each) for each in camera.colour)
    shape = "round" if camera.half_height == 1 else f"cut at {camera.half_height:.2f} of its radius"
    tab = "no tab" if camera.tab is None else f"a tab at {camera.tab:.0f} degrees"
    x, y = camera.disc_place
    lost = f"{camera.vignette:.0%} of the light lost at the border"
    yield f"measured of {source!r}: field {shape}, {tab}"
    yield f"  median colour {red} {green} {blue} of 255, {lost}"
    yield f"  disc of {camera.disc_diameter:.2f} field radii at {x:+.2f} {y:+.2f} of a right eye"
