"""The one reading of a condition: caption, annotation and geometry as what the denoiser attends to,
in training and in sampling.

The context is `[caption tokens | label tokens]`, and what is not asked is a null: an empty caption
is out of sight, an unknown label and absent geometry have learned ones. So guidance and training
hide a condition by asking for less, and nothing here knows of dropout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engine.models.conditioning import LabelEncoder
from engine.models.geometry import GeometryEncoder
from engine.models.text_encoder import TextEncoder
from engine.schema import Annotation


@dataclass(frozen=True)
class Prepared:
    """What the frozen parts make of a batch of conditions, for the learned parts to read.

    states: (B, T, C) of the captions; mask: (B, T), true at the tokens of a caption that is stated.
    labels: (B, L + 1) values of labels and source (`LabelEncoder.values`).
    geometry: latents of maps (B, G, h, w), and given: (B,), whose are heeded; None where no row has
    any.
    """

    states: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    geometry: torch.Tensor | None = None
    given: torch.Tensor | None = None


@dataclass(frozen=True)
class Context:
    """What the denoiser attends to: tokens (B, T, C), mask (B, T) that is true where a token is
    attended, and what geometry adds to each patch, (B, P, C) or for all alike (B, 1, C); None of a
    denoiser that takes none."""

    tokens: torch.Tensor
    mask: torch.Tensor
    patches: torch.Tensor | None = None

    def beside(self, other: Context) -> Context:
        """Both in one batch, as guidance asks for them (2 B, ...)."""
        patches = None
        if self.patches is not None and other.patches is not None:
            patches = torch.cat([self.patches, other.patches])
        return Context(
            torch.cat([self.tokens, other.tokens]), torch.cat([self.mask, other.mask]), patches
        )


@dataclass(frozen=True)
class Conditioner:
    """Reads conditions with these parts. Where `text` is None captions come prepared, and none can
    be read here; a denoiser without `geometry_encoder` takes no geometry."""

    label_encoder: LabelEncoder
    geometry_encoder: GeometryEncoder | None
    text: TextEncoder | None = None

    def prepare(
        self,
        captions: Sequence[str],
        annotations: Sequence[Annotation],
        length: int | None = None,
        geometry: torch.Tensor | None = None,
        given: torch.Tensor | None = None,
    ) -> Prepared:
        """A batch of conditions (B), captions padded to `length` tokens, or to the longest where it
        is None. Of `geometry` (B, G, h, w) all rows are given unless `given` (B,) says less."""
        states, mask = self._texts(captions, length)
        to = self.label_encoder.device
        if geometry is not None and given is None:
            given = torch.ones(len(captions), dtype=torch.bool, device=geometry.device)
        values = self.label_encoder.values(annotations)
        return Prepared(states.to(to), mask.to(to), values.to(to), geometry, given)

    def attend(self, prepared: Prepared) -> Context:
        """What the denoiser attends to. Label tokens, null or not, always are."""
        labels = self.label_encoder(prepared.labels)
        attended = torch.ones(labels.shape[:2], dtype=torch.bool, device=labels.device)
        return Context(
            torch.cat([prepared.states.to(labels.dtype), labels], 1),
            torch.cat([prepared.mask, attended], 1),
            self._patches(prepared),
        )

    def read(
        self,
        captions: Sequence[str],
        annotations: Sequence[Annotation],
        length: int | None = None,
        geometry: torch.Tensor | None = None,
    ) -> Context:
        """What the denoiser attends to of a batch of conditions: `prepare`, then `attend`."""
        return self.attend(self.prepare(captions, annotations, length, geometry))

    def _texts(
        self, captions: Sequence[str], length: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        stated = torch.tensor([bool(caption.strip()) for caption in captions])
        if self.text is None:
            if stated.any():
                raise ValueError("a caption, and no text encoder that could read it")
            # A context has at least a token of text, out of sight like any empty caption's.
            empty = torch.zeros(len(captions), length or 1, self.label_encoder.config.width)
            return empty, torch.zeros(empty.shape[:2], dtype=torch.bool)
        states, mask = self.text.states(captions, length)
        return states, mask & stated[:, None].to(mask.device)

    def _patches(self, prepared: Prepared) -> torch.Tensor | None:
        if self.geometry_encoder is None:
            if prepared.geometry is not None:
                raise ValueError("this model takes no geometry")
            return None
        if prepared.geometry is None:
            return self.geometry_encoder.null.expand(len(prepared.labels), 1, -1)
        return self.geometry_encoder(prepared.geometry, prepared.given)


def source_alone(annotation: Annotation) -> Annotation:
    """What guidance is away from: an eye of the same camera of which nothing is known, so that it
    sharpens findings and not colour."""
    return Annotation(source=annotation.source)
