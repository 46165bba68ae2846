"""The captioner in this process: one photograph at a time on one thread, so that the same
photograph has the same words in every process and beside any neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine import cpu, device, shipped
from engine.caption import Manner, Refused, StoredPhotograph, Words
from engine.data.transforms import crop_to_field
from engine.files import read_regular
from engine.models.card import MOST_TEXT, hash_folder, verified_card
from engine.schema import UserError

CLASS = "Captioner"
LIBRARIES = ("torch", "diffusers", "monai", "opencv-python-headless")
"""Those whose versions may change a word."""


@dataclass(frozen=True)
class LocalBackend:
    """A captioner's `folder` on this machine; an `engine.caption.Backend`."""

    text: str
    folder: Path
    allow_plain: bool = False
    ca: str | None = None
    libraries: tuple[str, ...] = (cpu.NAME, *LIBRARIES)

    def captioner(self) -> str:
        return self.folder.resolve().name

    def weights_sha256(self) -> str:
        return weights_sha256(self.folder)

    def calls(self, manner: Manner) -> int:
        return 1

    def load(self, manner: Manner) -> LocalCaptioner:
        return LocalCaptioner(self.folder)


class LocalCaptioner:
    """A captioner of `models.captioner` with its limits and the segmenter that it learned with.

    Raises UserError for a folder that holds another thing, or whose files are not those that the
    captioner was trained with.
    """

    at_once = 1

    def __init__(self, folder: Path) -> None:
        from engine.models.captioner import Captioner
        from engine.models.limits import SpeechLimits
        from engine.models.segmenter import Segmenter

        check(folder)
        device.use_threads(device.THREADS)
        self._limits = SpeechLimits.read(folder)
        self._captioner = Captioner.from_pretrained(folder).float().eval()
        outlines = segmenter_of(folder)
        self._segmenter = Segmenter.from_pretrained(outlines).float().eval()

    def caption(self, pictures: Sequence[StoredPhotograph]) -> list[Words | Refused]:
        """See `engine.caption.LoadedCaptioner`."""
        return [self._one(picture.image) for picture in pictures]

    def words(self, image: Image.Image) -> str:
        """The caption of one RGB photograph."""
        from engine.models.captioner import SIDE, look, worded

        square = np.asarray(crop_to_field(image, SIDE))
        return worded(self._captioner, self._limits, look(square, self._segmenter))

    def _one(self, image: Image.Image) -> Words | Refused:
        try:
            words = self.words(image)
        except Exception as error:
            return Refused(f"{type(error).__name__}: {error}"[:500])
        return Words(words) if words else Refused("the captioner said nothing")


def weights_sha256(folder: Path) -> str:
    """SHA-256 over all that decides the words: the captioner's folder, which names the hash of its
    segmenter. Raises UserError as `check` does.
    """
    check(folder)
    return hash_folder(folder)


def segmenter_of(folder: Path) -> Path:
    """The folder of the segmenter that a captioner looks through."""
    return shipped.folder_of(str(_config(folder)["segmenter"]))


def check(folder: Path) -> None:
    """Raise UserError unless the folder holds a captioner whose weights and segmenter are those
    that its card and its configuration name.
    """
    outlines = segmenter_of(folder)
    verified_card(folder)
    if hash_folder(outlines) != _config(folder)["segmenter_sha256"]:
        raise UserError(
            "the captioner learned with another segmenter than the one here",
            file=outlines,
            expected="the segmenter that it learned with, or a captioner trained anew",
        )


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of a captioner, read without its libraries: planning must answer at once.
    Raises UserError for a folder of another thing.
    """
    try:
        config = json.loads(read_regular(folder / "config.json", MOST_TEXT))
        if config["_class_name"] == CLASS:
            return config
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise UserError(
        "no captioner here", file=folder, asked="backend", expected="a folder of one, or local"
    )
