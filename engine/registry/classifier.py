"""The family that reads labels off photographs: a folder of `Classifier`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from engine.registry.network import NetworkRef

if TYPE_CHECKING:
    from engine.models.classifier import Classifier


class ClassifierRef(NetworkRef):
    """A network that says whether an eye is abnormal, or what of it."""

    FAMILY: ClassVar[str] = "classifier"
    ASKED: ClassVar[str] = "model"
    CLASS: ClassVar[str] = "Classifier"
    libraries: ClassVar[tuple[str, ...]] = ("torch", "diffusers", "transformers")

    def load(self) -> Classifier:
        """See `ModelRef`."""
        from engine.models.classifier import Classifier

        network: Classifier = self._loaded(Classifier)
        return network
