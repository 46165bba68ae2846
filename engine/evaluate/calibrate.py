"""From what heads hold of eyes that they never saw to what may be said: temperatures, and for each
statement the least chance from which enough of such eyes are told rightly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from engine.models.captioner import SIGNATURES, VALUES, Captioner, distance, parted, signature
from engine.models.limits import Limit, SpeechLimits
from engine.models.looks import FINE, GREEN, LIGHT_FROM
from engine.prose.statements import FUNDUS, RETINA, SAYABLE, Statement
from engine.schema import LABELS, READABILITY

UNKNOWN = NO_PART = -1
EVERY_PART = -2
_FAMILIAR = 0.95
"""Share of a camera's held-out eyes that are still like it, by each signature."""
_ODD = 0.02
"""Share of photographs that are called dim, bright or soft each."""
SURE = 0.9
"""Share of statements that is right at least, as far as 99 % of such counts tell, since the limit
is the best of many: with fewer than 60 eyes nothing can bear a statement."""
SURER = {Statement(RETINA, 0, 0): 0.95, Statement(FUNDUS, 0, 0): 0.98}
"""Likewise of what silences all else."""
Z95, Z99 = 1.959964, 2.575829
"""Of the normal distribution: 95 % and 99 % lie within."""
_WARM = (0.2, 20.0)
PLAIN, STRANGER = "plain", "stranger"
"""Kinds of rows that are as a camera took them: one that teaches, and one that does not."""


@dataclass(frozen=True)
class Measured:
    """A row: `measures` (M,), `labels` in the order of `LABELS` with -1 where unknown, and the
    part whose head never saw it; `NO_PART` is a row that no head ever saw, `EVERY_PART` one that
    all may learn and that proves nothing, as its masks taught the segmenter. `kind` is what was
    done to the photograph; `PLAIN` ones are as the `camera` shows eyes."""

    measures: torch.Tensor
    labels: tuple[int, ...]
    part: int
    kind: str
    camera: str


@torch.inference_mode()
def calibrated(
    network: Captioner, cameras: Sequence[str], rows: Sequence[Measured]
) -> SpeechLimits:
    """Make the network know its cameras, and find what it may say. Each row is judged by what
    never saw it: its part's head, and cameras without the eyes of its part."""
    judged = _Judged(network, rows)
    most = {camera: judged.meet(at, camera) for at, camera in enumerate(cameras)}
    warmth = {label.name: judged.warm(at) for at, label in enumerate(LABELS)}
    said = [limit for camera in (*cameras, None) for limit in judged.limits(camera, warmth)]
    dark, soft, bright = judged.usual()
    return SpeechLimits(most, warmth, tuple(said), dark, bright, soft)


class _Judged:
    """Rows beside what was found of each by heads and cameras that never saw it."""

    def __init__(self, network: Captioner, rows: Sequence[Measured]) -> None:
        self._network = network
        self._measures = torch.stack([row.measures for row in rows])
        self._labels = np.array([row.labels for row in rows])
        self._kinds = np.array([row.kind for row in rows])
        self._cameras = np.array([row.camera for row in rows])
        self._parts = torch.tensor([row.part for row in rows])
        self._like = np.full(len(rows), "", object)
        self._logits = [each.double() for each in network(self._measures).split(VALUES, 2)]

    def meet(self, at: int, camera: str) -> tuple[float, ...]:
        """Let the network know a camera; the largest distances of most of its eyes."""
        own = (self._cameras == camera) & (self._kinds == PLAIN)
        shows = torch.from_numpy(own)
        far = np.zeros((len(own), len(SIGNATURES)), np.float32)
        for part in self._parts.unique().tolist():
            here = self._parts == part
            others = shows & ~here
            for column, each in enumerate(parted(self._measures).values()):
                # Where one part holds every eye there are no others to know the camera by.
                known = signature(each[others if others.any() else shows])
                far[here.numpy(), column] = distance(each[here], *known).numpy()
        most = np.quantile(far[own & (self._parts >= 0).numpy()], _FAMILIAR, axis=0)
        self._like[(far <= most).all(1)] = camera
        self._network.know(at, self._measures[shows])
        return tuple(round(float(each), 4) for each in most)

    def warm(self, at: int) -> float:
        """A label's temperature, over eyes as their camera took them; over all where the label is
        what their faults decide."""
        judged = self._parts >= 0
        if LABELS[at] not in READABILITY:
            judged &= torch.from_numpy(self._kinds == PLAIN)
        own = self._logits[at][judged, self._parts[judged]]
        return temperature(own.numpy(), self._labels[judged.numpy(), at])

    def limits(self, camera: str | None, warmth: Mapping[str, float]) -> list[Limit]:
        """What may be said of eyes that are like the camera; like none, where it is None: of them
        nothing but whether it is a fundus and can be assessed."""
        if camera is None:
            among = self._like == ""
        else:
            among = (self._kinds == PLAIN) & (self._cameras == camera) & (self._like == camera)
        among &= (self._parts != EVERY_PART).numpy()
        held, truth = {}, {}
        for at, label in enumerate(LABELS):
            ill = label not in READABILITY
            truth[label.name] = np.where(camera is None and ill, UNKNOWN, self._labels[among, at])
            held[label.name] = self._held(at, warmth[label.name])[among]
        return limits_of(camera, held, truth)

    def _held(self, at: int, warmth: float) -> np.ndarray:
        """The chances (N, values) that a label has for the heads that never saw the row."""
        each = (self._logits[at] / warmth).softmax(2)
        heads = torch.arange(each.shape[1])
        may = (heads == self._parts[:, None]) | (self._parts < 0)[:, None]
        return ((each * may[..., None]).sum(1) / may.sum(1, keepdim=True)).numpy()

    def usual(self) -> tuple[float, float, float]:
        """Where photographs are dark, soft and bright."""
        taken = self._measures.numpy()[np.isin(self._kinds, (PLAIN, STRANGER))]
        light, fine = taken[:, LIGHT_FROM + GREEN], taken[:, LIGHT_FROM + FINE]
        found = np.quantile(light, _ODD), np.quantile(fine, _ODD), np.quantile(light, 1 - _ODD)
        dark, soft, bright = (round(float(each), 4) for each in found)
        return dark, soft, bright


def wilson(right: int, said: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a share (Wilson 1927); all of 0 to 1 where nothing was said."""
    if said == 0:
        return 0.0, 1.0
    share = right / said
    middle = share + z * z / (2 * said)
    spread = z * np.sqrt(share * (1 - share) / said + (z / (2 * said)) ** 2)
    scale = 1 + z * z / said
    return max(0.0, float((middle - spread) / scale)), min(1.0, float((middle + spread) / scale))


def temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """What logits (N, values) are divided by so that their chances are as frequent as they say
    (Guo et al. 2017, arXiv 1706.04599); 1 where no truth (N,) is known."""
    known = truth != UNKNOWN
    if not known.any():
        return 1.0
    given, true = logits[known].astype(np.float64), truth[known]

    def surprise(log: float) -> float:
        told = log_softmax(given / np.exp(log), axis=1)
        return float(-told[np.arange(len(true)), true].mean())

    found = minimize_scalar(surprise, bounds=tuple(np.log(_WARM)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def limits_of(
    camera: str | None, held: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
) -> list[Limit]:
    """The limit of each statement that can be borne, from chances (N, values) and truths (N,) by
    label; a wider statement is judged by the eyes of which no more exact one is said. That a part
    can be read is never said: faults are planted, soundness is not."""
    silent = {Statement(each.name, 1, 1) for each in READABILITY if each.name != FUNDUS}
    found: list[Limit] = []
    for said in sorted(set(SAYABLE) - silent, key=lambda each: (each.most - each.least, each)):
        left = truth[said.label] != UNKNOWN
        for limit in found:
            if limit.label == said.label and limit.most - limit.least < said.most - said.least:
                left &= _chance(limit.statement, held) < limit.chance
        own = _limit(camera, said, _chance(said, held)[left], truth[said.label][left])
        found += [own] if own else []
    return found


def _chance(said: Statement, held: Mapping[str, np.ndarray]) -> np.ndarray:
    return held[said.label][:, said.least : said.most + 1].sum(1)


def _limit(
    camera: str | None, said: Statement, chance: np.ndarray, truth: np.ndarray
) -> Limit | None:
    """The lowest chance (N,) above one half from which the share of right statements is high
    enough."""
    right = (truth >= said.least) & (truth <= said.most)
    order = np.argsort(-chance, kind="stable")
    hits = np.cumsum(right[order])
    for count in range(int((chance > 0.5).sum()), 0, -1):
        hit = int(hits[count - 1])
        low, _ = wilson(hit, count, Z99)
        if low >= SURER.get(said, SURE):
            least = float(chance[order[count - 1]])
            what = camera, said.label, said.least, said.most
            return Limit(*what, round(least, 6), len(truth), count, hit, round(low, 4))
    return None
