"""Recipe: a residual network learns to read labels off photographs, inspired by Image+Fundus
(arXiv 2408.08790): first whether an eye is abnormal, then, with `init`, what is asked of it.

Photographs, phantoms and what a model drew teach alike. Each eye is seen once an epoch, whichever
of its photographs. Tasks are those of `engine.evaluate.tasks`; a label that is unknown teaches
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from engine import registry
from engine.data import splits
from engine.data.example import Example, UnreadableImage
from engine.data.identity import content_sha256
from engine.data.outlines import read_square
from engine.data.sources import read_examples
from engine.evaluate.reading import bare, readings
from engine.evaluate.tasks import TASKS, UNKNOWN, Task, task_losses, truths
from engine.models.card import write_card
from engine.models.classifier import KEPT, Classifier
from engine.registry.classifier import ClassifierRef
from engine.schema import UserError
from train.census import census, enough, image_hashes, keep_likenesses, told
from train.chance import generator_at
from train.practice import changed, scaled, seen
from train.settings import Settings, require


class Answering(nn.Module):
    """The network under training."""

    def __init__(self, classifier: Classifier, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.classifier = classifier
        self._tasks = tasks

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Images (B, 3, S, S), labels (B, tasks): the mean cross-entropy of a row's known
        labels."""
        each = task_losses(self.classifier(batch["images"]), batch["labels"], self._tasks)
        known = (batch["labels"] != UNKNOWN).sum(1).clamp_min(1)
        return {"loss": each.sum(1) / known}


class ClassifierRecipe:
    """See the module; `model.network` is one of `KEPT`, `data`: `size` in pixels and `tasks`."""

    def __init__(self, settings: Settings, data: list[str]) -> None:
        self.settings = settings
        self._size, names = settings.data["size"], tuple(settings.data["tasks"])
        require(self._size >= 32 and self._size % 16 == 0, "data.size", self._size, "16 x n")
        known = bool(names) and set(names) <= set(TASKS) and len(set(names)) == len(names)
        require(known, "data.tasks", ",".join(names), "some of " + ", ".join(TASKS))
        network = settings.model["network"]
        require(network in KEPT, "model.network", network, " or ".join(KEPT))
        # Normalisation over a batch needs two rows that differ.
        require(settings.batch > 1 and settings.micro != 1, "batch", settings.batch, "at least 2")
        self._tasks = [TASKS[name] for name in names]
        examples = read_examples(data)
        self._teaching = self._known(splits.teaching(examples))
        self._tested = self._known(splits.held_out(examples))
        self.counts = told(self._teaching, examples)
        self.refused: list[str] = []
        if not self._teaching:
            raise UserError(
                "no photograph that teaches has any of the labels", asked="data",
                expected="labels of " + ", ".join(names),
            )  # fmt: skip

    def _known(self, examples: Sequence[Example]) -> list[Example]:
        labels = truths([each.annotation for each in examples], self._tasks)
        return [e for e, row in zip(examples, labels) if (row != UNKNOWN).any()]

    def sketch(self) -> Answering:
        """See `Recipe`: with `init`, the weights of a classifier; its last layer, too, where it
        answers the same tasks."""
        torch.manual_seed(self.settings.seed)
        # By name: what is given in order counts as left out when the folder is read again.
        made = Classifier(
            network=self.settings.model["network"],
            side=self._size,
            tasks=tuple(task.name for task in self._tasks),
            answers=tuple(task.classes for task in self._tasks),
        )
        if self.settings.init:
            given = registry.examine(ClassifierRef, Path(self.settings.init)).load()
            kind = given.config.network
            require(kind == made.config.network, "model.network", made.config.network, kind)
            made.begin_as(given)
        return Answering(made, self._tasks)

    def prepare(self) -> Self:
        """See `Recipe`: read the photographs."""
        self._read, self._images = self._opened(self._teaching, self.refused)
        enough(self._read, self.counts, self.refused, least=2)
        self._labels = truths([each.annotation for each in self._read], self._tasks)
        place = {id(each): number for number, each in enumerate(self._read)}
        self._eyes = [[place[id(e)] for e in eye] for eye in splits.one_per_eye(self._read)]
        tested = [eye[0] for eye in splits.one_per_eye(self._tested)]
        self._held_out, self._unseen = self._opened(tested, [])
        self._contents = [content_sha256(each) for each in self._read if not each.synthetic]
        self.module = self.sketch()
        return self

    def _opened(
        self, examples: Sequence[Example], refused: list[str]
    ) -> tuple[list[Example], torch.Tensor]:
        read, images = [], []
        for example in examples:
            try:
                images.append(seen([read_square(bare(example), self._size)[0]], self._size))
                read.append(example)
            except UnreadableImage as error:
                refused.append(str(error))
        nothing = torch.zeros(0, 3, self._size, self._size, dtype=torch.uint8)
        return read, torch.cat([nothing, *images])

    def batch(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Changed pictures, drawn from (seed, position)."""
        rows = [self._row(position) for position in positions]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _row(self, position: int) -> dict[str, torch.Tensor]:
        generator = generator_at(self.settings.seed, position)
        epoch, place = divmod(position, len(self._eyes))
        of_epoch = generator_at(self.settings.seed, -1 - epoch)
        eye = self._eyes[int(torch.randperm(len(self._eyes), generator=of_epoch)[place])]
        number = eye[int(torch.randint(len(eye), (), generator=generator))]
        image = changed(self._images[number : number + 1], generator)
        return {"images": image, "labels": self._labels[number : number + 1]}

    def sheet(self, few: bool = False) -> Image.Image | None:
        """Eight rows as the network sees them."""
        rows = self.batch(range(1 if few else 8))["images"].permute(2, 0, 3, 1).flatten(1, 2)
        return Image.fromarray(((rows.numpy() + 1) * 127.5).round().astype(np.uint8))

    @torch.no_grad()
    def score(self, few: bool = False) -> dict[str, float]:
        """Of held-out eyes, by task: area under the curve, or kappa where there are more than two
        answers."""
        network = self.module.classifier.eval()
        most = 2 if few else None
        images, eyes = self._unseen[:most], self._held_out[:most]
        if not len(images):
            return {}
        logits = torch.cat([network(scaled(rows)) for rows in images.split(32)])
        found = readings(self._tasks, logits, truths([e.annotation for e in eyes], self._tasks))
        return {each.name: each.value for each in found if each.value is not None}

    def export(self, folder: Path, facts: dict[str, Any], few: bool = False) -> None:
        """Write the network in float16, and the card with what names the photographs."""
        copy = Classifier.from_config(self.module.classifier.config)
        copy.load_state_dict(self.module.classifier.state_dict())
        copy.half().save_pretrained(folder)
        counted = census(self._read, self._size)
        hashes = image_hashes(self._contents, folder)
        keep_likenesses(self._read, folder)
        write_card(folder, {**facts, **counted, "image_hashes": hashes})


plan = ClassifierRecipe


def build(settings: Settings, data: list[str]) -> ClassifierRecipe:
    """The recipe of a preset's settings on `data`, prepared."""
    return ClassifierRecipe(settings, data).prepare()
