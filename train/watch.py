"""Where a run's figures and pictures go beside its lines: TensorBoard, and MLflow where it is
installed. A keeper that fails costs what it would have kept, is told of once, and ends no run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.pixels.door import decode
from train.loop import named

Figures = Mapping[str, float]
"""By name; what comes before a slash is a group."""

_EVERY_SECONDS = 10.0
"""Between two batches for MLflow, whose server may be far."""
_MOST = 1000
"""Figures that MLflow takes at once."""


class Keeper(Protocol):
    """Keeps figures and pictures by step; may raise anything."""

    name: str

    def figures(self, step: int, figures: Figures) -> None:
        """Keep a step's figures."""

    def picture(self, step: int, name: str, path: Path) -> None:
        """Keep a picture that lies in a file."""

    def close(self) -> None:
        """Put down what is left."""


class TensorBoard:
    """Event files in `folder`. Those of steps after `start`, which are done again, are purged: all
    of them where a run ended before its first checkpoint."""

    name = "TensorBoard"

    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=start + 1)

    def figures(self, step: int, figures: Figures) -> None:
        """See `Keeper`."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, path: Path) -> None:
        """See `Keeper`."""
        pixels = np.asarray(decode(path.read_bytes(), path.name))
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """See `Keeper`."""
        self._writer.close()


class MlFlow:
    """One MLflow run of a run folder, which a later start goes on with. It lies where
    MLFLOW_TRACKING_URI says, or else in `folder`, which keeps its id in any case."""

    name = "MLflow"

    def __init__(self, folder: Path, run: str) -> None:
        # A server that is away would be asked for minutes, while the training waits.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow.tracking import MlflowClient

        folder.mkdir(parents=True, exist_ok=True)
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder}/mlflow.db"
        self._client: Any = MlflowClient(tracking_uri=place)
        self._run = self._found(folder, run)
        self._waiting: list[Any] = []
        self._sent = time.monotonic()

    def _found(self, folder: Path, run: str) -> str:
        known = folder / "run_id"
        if known.exists():
            self._client.update_run(known.read_text(), status="RUNNING")
            return known.read_text()
        experiment = self._client.get_experiment_by_name("retinaforge")
        place = None if os.environ.get("MLFLOW_TRACKING_URI") else (folder / "files").as_uri()
        number = (
            experiment.experiment_id
            if experiment
            else self._client.create_experiment("retinaforge", place)
        )
        made = self._client.create_run(number, run_name=run).info.run_id
        known.write_text(made)
        return made

    def figures(self, step: int, figures: Figures) -> None:
        """See `Keeper`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [Metric(_plain(name), v, now, step) for name, v in figures.items()]
        if time.monotonic() - self._sent >= _EVERY_SECONDS:
            self._send()

    def _send(self) -> None:
        for first in range(0, len(self._waiting), _MOST):
            self._client.log_batch(self._run, metrics=self._waiting[first : first + _MOST])
        self._waiting, self._sent = [], time.monotonic()

    def picture(self, step: int, name: str, path: Path) -> None:
        """See `Keeper`."""
        self._client.log_artifact(self._run, str(path), name)

    def close(self) -> None:
        """See `Keeper`."""
        self._send()
        self._client.set_terminated(self._run)


class Keepers:
    """The keepers of one run folder; `start` is the step that it goes on from."""

    def __init__(self, root: Path, start: int, say: Callable[[str], None]) -> None:
        self._say = say
        self._keepers: list[Keeper] = []
        self._open("TensorBoard", lambda: TensorBoard(root / "tensorboard", start))
        if find_spec("mlflow"):
            self._open("MLflow", lambda: MlFlow(root.absolute() / "mlflow", root.name))

    def figures(self, step: int, group: str, figures: Figures) -> None:
        """Keep a step's figures under the name of their group."""
        named = {f"{group}/{name}": value for name, value in figures.items()}
        self._each(lambda keeper: keeper.figures(step, named))

    def picture(self, step: int, name: str, path: Path) -> None:
        """Keep a picture that lies in a file."""
        self._each(lambda keeper: keeper.picture(step, name, path))

    def close(self) -> None:
        """Put down what is left."""
        self._each(lambda keeper: keeper.close())

    def _open(self, name: str, make: Callable[[], Keeper]) -> None:
        try:
            self._keepers.append(make())
        except Exception as error:
            self._say(f"nothing of this run goes to {name}: {named(error).splitlines()[0]}")

    def _each(self, do: Callable[[Keeper], None]) -> None:
        for keeper in list(self._keepers):
            try:
                do(keeper)
            except Exception as error:
                self._keepers.remove(keeper)
                self._say(
                    f"no more of this run goes to {keeper.name}: {named(error).splitlines()[0]}"
                )


def _plain(name: str) -> str:
    """A name that every store of MLflow takes."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)
