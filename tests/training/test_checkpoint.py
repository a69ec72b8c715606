"""Checkpoints: only the right one is used, and a broken one costs time, never a wrong result."""

import pytest
import torch

from stages.networks.common.settings import OnlineAugmentation, TrainingConfig
from stages.networks.own_cnn import network as own_cnn
from stages.training import loop
from stages.training.checkpoint import Checkpoint
from stages.training.history import Epoch, best_epoch
from stages.training.loop import fit
from stages.training.state import Task
from tests.training.test_loop import bits, coloured, settings

BALANCED = {"class_balance": "sampling", "loss": "cosine_and_cross_entropy", "flip_tta": True}
PATIENT = {"early_stopping_patience": 3}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class PulledPlugError(Exception):
    """Ends a training as a kill would: at once, after a given epoch."""


def train(checkpoint: Checkpoint | None, until: int | None = None, **changes: object):
    """Train four epochs; return the result and the epochs that ran now, or be interrupted after epoch `until`.

    With all that has a state of its own: random draws of every kind, and averaged weights.
    """
    ran: list[int] = []

    def after_epoch(epoch: Epoch) -> None:
        ran.append(epoch.epoch)
        if epoch.epoch == until:
            raise PulledPlugError

    varied = OnlineAugmentation(enabled=True, flip=True, shift=0.1, crop=0.5, mixup=0.2, cutmix=1)
    config = TrainingConfig(settings(**{"epochs": 4, "ema_epochs": 1} | changes), varied)
    task = Task(own_cnn, config, coloured(33, 0), coloured(12, 1), 1)
    result = fit(task, "test", after_epoch, checkpoint)
    return result, ran


@pytest.mark.parametrize(
    ("epoch", "changes"),
    [(1, {}), (3, {"ema_epochs": 0}), (2, {"freeze": "backbone"}), (3, {"optimizer": "muon"}), (1, BALANCED | PATIENT)],
)
def test_a_resumed_training_ends_in_the_bits_of_one_that_was_not_interrupted(epoch, changes, capsys):
    """It goes on after the last finished epoch, with the same weights, moments, learning rate and random draws."""
    whole, _ = train(None, **changes)
    with pytest.raises(PulledPlugError):
        train(Checkpoint("run", "fingerprint"), until=epoch, **changes)
    resumed, ran = train(Checkpoint("run", "fingerprint"), **changes)
    assert ran == list(range(epoch + 1, 5))
    assert f"test: goes on after epoch {epoch} of 4\n" in capsys.readouterr().err
    assert bits(resumed.model) == bits(whole.model)
    assert resumed.history == whole.history


def test_a_training_that_was_interrupted_as_its_patience_ended_is_done(monkeypatch):
    """Its checkpoint tells of the epochs that were no better: none runs again, and the best one's weights are kept."""
    losses = iter([1.0, 0.8, 0.9, 0.9])
    monkeypatch.setattr(loop, "_validate", lambda *_: (1.0, 0.5, next(losses)))
    with pytest.raises(PulledPlugError):
        train(Checkpoint("run", "fingerprint"), until=3, early_stopping_patience=1)
    result, ran = train(Checkpoint("run", "fingerprint"), early_stopping_patience=1)
    assert ran == []
    assert [epoch.validation_temperature_scaled_loss for epoch in result.history] == [1.0, 0.8, 0.9]
    assert best_epoch(result.history) == 2


def test_a_checkpoint_of_another_fingerprint_is_never_used(capsys):
    """Other settings, data, code or machine: the training starts anew, and says so."""
    with pytest.raises(PulledPlugError):
        train(Checkpoint("run", "fingerprint"), until=2)
    assert train(Checkpoint("run", "other"))[1] == [1, 2, 3, 4]
    assert "run.pt is of other settings, data, code or hardware: starting anew" in capsys.readouterr().err


@pytest.mark.parametrize("left", [0, 100, 10_000])
def test_a_truncated_checkpoint_is_ignored_with_a_line(left, capsys):
    """As a full disk or a broken one may leave it."""
    checkpoint = Checkpoint("run", "fingerprint")
    with pytest.raises(PulledPlugError):
        train(checkpoint, until=2)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:left])
    assert train(checkpoint)[1] == [1, 2, 3, 4]
    assert "cannot be read" in capsys.readouterr().err


def test_what_was_saved_comes_back_exactly_until_it_is_removed(capsys):
    """To the bit, in the same layout in memory; what was never saved is none, without a word."""
    checkpoint, tensor = Checkpoint("run", "f"), torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert checkpoint.restore() is None
    checkpoint.save({"weight": tensor, "seconds": 0.1 + 0.2})
    restored = checkpoint.restore()
    assert torch.equal(restored["weight"], tensor)
    assert restored["weight"].is_contiguous(memory_format=torch.channels_last)
    assert restored["seconds"] == 0.1 + 0.2
    checkpoint.remove()
    assert checkpoint.restore() is None
    assert capsys.readouterr().err == ""
