"""What a run leaves for who watches it, read back from the files; and keepers that fail."""

from __future__ import annotations

import importlib.util
import sys
import types

import pytest
import toy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from train import watch
from train.levels import LEVELS, by_level


@pytest.fixture
def timed(monkeypatch):
    """The toy's rows have times as a denoiser's have: the first four of eight are noise."""

    class Timed(toy.Regression):
        def forward(self, batch):
            values = super().forward(batch)
            times = (batch["x"].squeeze(1) > 0).float() * 0.9
            return {**values, **by_level(values["loss"], times)}

    monkeypatch.setattr(toy, "Regression", Timed)


def test_every_step_has_its_figures_and_sheets_their_pictures(tmp_path, train, kept, losses, timed):
    train(tmp_path, sheet_every=4)
    scalars, pictures = kept(tmp_path)
    assert pictures == {"sheet": [4, 8, 10]}
    assert list(scalars["train/loss"].values()) == pytest.approx(losses(tmp_path))
    assert scalars["train/grad_norm"].keys() == set(range(1, 11))
    # The first step pays for caches, and has nothing to be measured from.
    assert scalars["machine/images_per_second"].keys() == set(range(2, 11))
    assert all(0.05 < gib < 50 for gib in scalars["machine/memory_gib"].values())
    assert "machine/mfu" not in scalars, "none is claimed on a CPU"
    assert scalars["score/held_out"].keys() == {4, 8, 10}
    group = "loss by time, 0 noise to 1 image/"
    assert {n for n in scalars if n.startswith(group)} == {group + LEVELS[0], group + LEVELS[3]}
    for step, loss in scalars["train/loss"].items():
        ends = [scalars[group + LEVELS[k]].get(step, loss) for k in (0, 3)]
        assert min(ends) <= loss * 1.0001
        assert max(ends) >= loss * 0.9999
    assert not any("rows of" in name or "loss of" in name for name in scalars)


def test_a_resumed_run_is_one_curve(tmp_path, train, kept):
    train(tmp_path / "straight", schedule="constant")
    train(tmp_path / "parts", schedule="constant", steps=6)
    train(tmp_path / "parts", schedule="constant")
    straight, parts = kept(tmp_path / "straight")[0], kept(tmp_path / "parts")[0]
    assert parts["train/loss"] == straight["train/loss"]


def test_a_run_that_begins_anew_leaves_no_point_of_the_one_before_its_first_checkpoint(tmp_path):
    for value in (1.0, 2.0):
        keeper = watch.TensorBoard(tmp_path, start=0)
        for step in range(1, 6 - int(value)):
            keeper.figures(step, {"train/loss": value})
        keeper.close()
    found = EventAccumulator(str(tmp_path)).Reload().Scalars("train/loss")
    assert [(each.step, each.value) for each in found] == [(1, 2.0), (2, 2.0), (3, 2.0)]


class Broken:
    name = "Broken"

    def __init__(self, *_):
        self.asked = 0

    def figures(self, step, figures):
        self.asked += 1
        raise OSError(28, "No space left on device")

    picture = close = figures


def test_a_keeper_that_fails_is_told_of_once_and_the_model_is_the_same(
    tmp_path, capsys, monkeypatch, train, same_tensors
):
    plain = train(tmp_path / "plain")
    monkeypatch.setattr(watch, "TensorBoard", Broken)
    capsys.readouterr()
    model = train(tmp_path / "run", sheet_every=2)
    told = "no more of this run goes to Broken: No space left on device"
    assert capsys.readouterr().out.count(told) == 1
    assert same_tensors(model / "w.safetensors", plain / "w.safetensors")


def test_a_keeper_that_cannot_be_opened_is_told_of_and_costs_nothing_else(tmp_path, capsys, train):
    (tmp_path / "run").mkdir()
    train(tmp_path / "run", steps=2)
    tensorboard = tmp_path / "run/tensorboard"
    for file in tensorboard.iterdir():
        file.unlink()
    tensorboard.rmdir()
    tensorboard.write_text("a file where the folder was")
    capsys.readouterr()
    assert (train(tmp_path / "run", steps=4) / "model_card.json").exists()
    assert "nothing of this run goes to TensorBoard: File exists" in capsys.readouterr().out


@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="MLflow is not installed")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_one_run_of_a_folder_that_was_resumed(tmp_path, monkeypatch, train):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = tmp_path / "run"
    train(run, schedule="constant", steps=6)
    train(run, schedule="constant", sheet_every=8)
    client = MlflowClient(tracking_uri=f"sqlite:///{run}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("retinaforge")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [each.step for each in history] == list(range(1, 11))
    sheets = [each.path for each in client.list_artifacts(found.info.run_id, "sheet")]
    assert sheets == [f"sheet/step_{step:06d}.png" for step in (6, 8, 10)]


def test_mlflow_that_does_not_answer_costs_no_training(tmp_path, capsys, monkeypatch, train):
    """A client as MLflow's, of a server that is away."""

    class Client:
        def __init__(self, tracking_uri):
            assert tracking_uri == "http://127.0.0.1:9"

        def get_experiment_by_name(self, name):
            raise ConnectionError("Max retries exceeded")

    tracking = types.ModuleType("mlflow.tracking")
    tracking.MlflowClient = Client
    monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    monkeypatch.setattr(watch, "find_spec", lambda name: True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert (train(tmp_path / "run") / "model_card.json").exists()
    told = "nothing of this run goes to MLflow: ConnectionError: Max retries exceeded"
    assert capsys.readouterr().out.count(told) == 1
