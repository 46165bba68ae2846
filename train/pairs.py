"""What two towers learn from: pictures with one thing that is said of each, and which of the things
that are said in a batch are true of which of its pictures.

A row's label is drawn first, then its value, then a picture that has it, so that nothing common
drowns what is rare. Its words are a sentence of the picture's own caption, or the same statement
worded anew (FLAIR, Silva-Rodriguez et al. 2025).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.data.example import Example
from engine.evaluate.questions import UNSAID, Known, known_of, ranges, told, worded
from engine.models.text_encoder import tokenize
from engine.models.two_towers import TwoTowers, soft_loss
from engine.prose.statements import Statement
from engine.prose.template import caption
from engine.seeds import row_random
from train.chance import generator_at
from train.practice import changed

_SENTENCE = re.compile(r"(?<=\.)\s+")
_OWN = 0.5
"""Chance of a caption's own sentence."""


@dataclass(frozen=True)
class SaidOf:
    """What is `known` of a picture, and the sentences of its caption that say any of it."""

    known: Known
    sentences: tuple[str, ...] = ()

    @classmethod
    def by(cls, caption: str, known: Known) -> SaidOf:
        """By a caption, whoever wrote it."""
        return cls(known, tuple(each for each in _SENTENCE.split(caption) if told(each)))

    @classmethod
    def of(cls, example: Example, number: int) -> SaidOf:
        """By the labels of an example and its caption; where it has none, one that is made of its
        labels for its `number`."""
        made = caption(example.annotation, row_random(0, number, "pairs"))
        return cls.by(example.caption or made, known_of(example))

    def draw(self, name: str, rng: Random) -> str:
        """How what is known of a name is said."""
        own = [each for each in self.sentences if told(each).get(name) == self.known[name]]
        return rng.choice(own) if own and rng.random() < _OWN else worded(self.known[name], rng)


@dataclass(frozen=True)
class Lessons:
    """Pictures (N, 3, S, S) uint8, and what is said of each; something is of every one."""

    images: torch.Tensor
    said: Sequence[SaidOf]

    @cached_property
    def rows(self) -> dict[str, dict[Statement, list[int]]]:
        """By name and statement the pictures of which it is known."""
        found: dict[str, dict[Statement, list[int]]] = {}
        for row, each in enumerate(self.said):
            for name, statement in sorted(each.known.items()):
                found.setdefault(name, {}).setdefault(statement, []).append(row)
        return found

    def draw(self, seed: int, position: int) -> tuple[int, str]:
        """A picture's row and words that are true of it."""
        rng = row_random(seed, position, "pairs")
        name = rng.choice(sorted(self.rows))
        row = rng.choice(self.rows[name][rng.choice(sorted(self.rows[name]))])
        return row, self.said[row].draw(name, rng)

    def batch(
        self, tokenizer: PreTrainedTokenizerBase, most: int, seed: int, positions: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        """What `Pairing` takes: pictures as they are changed (B, 3, S, S), tokens of their words
        (B, T) of which at most so many, what the words say and what is known of the pictures
        (B, names, 2) as `ranges`."""
        drawn = [self.draw(seed, each) for each in positions]
        images = [
            changed(self.images[row : row + 1], generator_at(seed, position))
            for (row, _), position in zip(drawn, positions)
        ]
        ids, mask = tokenize(tokenizer, [words for _, words in drawn], most=most)
        # A sentence out of its caption may seem to say more than the caption does.
        said = [ranges(_agreed(told(words), self.said[row].known)) for row, words in drawn]
        known = [ranges(self.said[row].known) for row, _ in drawn]
        return {
            "images": torch.cat(images),
            "ids": ids,
            "mask": mask,
            "said": torch.from_numpy(np.stack(said)),
            "known": torch.from_numpy(np.stack(known)),
        }


def _agreed(said: Known, known: Known) -> Known:
    return {name: each for name, each in said.items() if name in known}


class Pairing(nn.Module):
    """The towers under training."""

    def __init__(self, towers: TwoTowers) -> None:
        super().__init__()
        self.towers = towers

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """See `Lessons.batch`: the loss of each row among the others of the call."""
        pictures = self.towers.pictures(batch["images"])
        words = self.towers.words(batch["ids"], batch["mask"])
        similar = self.towers.scale * pictures @ words.T
        return {"loss": soft_loss(similar, *true_of(batch["known"], batch["said"]))}


def true_of(known: torch.Tensor, said: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which words, by what they say (B, names, 2), are true of which picture, by what is known of
    it (B, names, 2), and of which that is open (pictures, words). Their own are true of each."""
    low, high = known[:, None].unbind(-1)
    least, most = said[None].unbind(-1)
    silent, unknown = least == UNSAID, low == UNSAID
    within = (least <= low) & (high <= most)
    beside = ((high < least) | (most < low)) & ~unknown
    true = (silent | (within & ~unknown)).all(-1) | torch.eye(
        len(known), dtype=torch.bool, device=known.device
    )
    false = (~silent & beside).any(-1)
    return true, ~true & ~false
