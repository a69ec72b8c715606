"""Checkpoints: only the right one is used, and a broken one costs time, never a wrong result."""

import re
from pathlib import Path

import pytest
import torch

from stages.networks.common.settings import OnlineAugmentation, TrainingConfig
from stages.networks.own_cnn import network as own_cnn
from stages.training import checkpoint as checkpoint_module
from stages.training import loop
from stages.training.checkpoint import Checkpoint, imported_code, on_this_hardware
from stages.training.fingerprint import key_of
from stages.training.loop import fit
from stages.training.resume import Epoch
from stages.training.state import Task
from tests.training.test_loop import bits, coloured, settings

BALANCED = {"class_balance": "sampling", "loss": "both", "flip_tta": True, "patience": 3}
LEARNING = Path(checkpoint_module.__file__).parent


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

    varied = OnlineAugmentation(enabled=True, flip=True, shift=0.1, crop=0.5, mixup=0.2, cutmix=1, trivial_augment=True)
    config = TrainingConfig(settings(**{"epochs": 4, "ema_epochs": 1} | changes), varied)
    task = Task(own_cnn, config, coloured(33, 0), coloured(12, 1), 1)
    result = fit(task, "test", after_epoch, checkpoint)
    return result, ran


@pytest.mark.parametrize("changes", [{}, {"ema_epochs": 0}, {"freeze": "backbone"}, {"optimizer": "muon"}, BALANCED])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_resumed_training_ends_in_the_bits_of_one_that_was_not_interrupted(epoch, changes):
    """It goes on after the last finished epoch, with the same weights, moments, learning rate and random draws."""
    whole, _ = train(None, **changes)
    with pytest.raises(PulledPlugError):
        train(Checkpoint("run", "key"), until=epoch, **changes)
    resumed, ran = train(Checkpoint("run", "key"), **changes)
    assert ran == list(range(epoch + 1, 5))
    assert bits(resumed.model) == bits(whole.model)
    assert resumed.history == whole.history


def test_a_training_that_was_interrupted_as_its_patience_ended_is_done(monkeypatch):
    """Its checkpoint tells of the epochs that were no better: none runs again, and the best one's weights are kept."""
    losses = iter([1.0, 0.8, 0.9, 0.9])
    monkeypatch.setattr(loop, "_validate", lambda *_: (1.0, 0.5, next(losses)))
    with pytest.raises(PulledPlugError):
        train(Checkpoint("run", "key"), until=3, patience=1)
    result, ran = train(Checkpoint("run", "key"), patience=1)
    assert ran == []
    assert [epoch.validation_temperature_scaled_loss for epoch in result.history] == [1.0, 0.8, 0.9]
    assert result.best_epoch == 2


def test_a_checkpoint_of_another_key_is_never_used():
    """Other settings, data, code or machine: the training starts anew."""
    with pytest.raises(PulledPlugError):
        train(Checkpoint("run", "key"), until=2)
    assert train(Checkpoint("run", "other"))[1] == [1, 2, 3, 4]


@pytest.mark.parametrize("left", [0, 100, 10_000])
def test_a_truncated_checkpoint_is_ignored_with_a_warning(left):
    """As a full disk or a broken one may leave it."""
    checkpoint = Checkpoint("run", "key")
    with pytest.raises(PulledPlugError):
        train(checkpoint, until=2)
    checkpoint.tensors.write_bytes(checkpoint.tensors.read_bytes()[:left])
    with pytest.warns(UserWarning, match="cannot be read .*: starting anew"):
        assert train(checkpoint)[1] == [1, 2, 3, 4]


def test_what_was_never_saved_is_none():
    """A first run has nothing to go on from, and that is no warning."""
    assert Checkpoint("run", "key").restore() is None


def test_tensors_and_notes_come_back_exactly():
    """To the bit, whatever their layout in memory."""
    tensor = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    checkpoint = Checkpoint("run", "key")
    checkpoint.save({"a b": tensor, "step": torch.tensor(3.0)}, {"seconds": 0.1 + 0.2})
    tensors, notes = checkpoint.restore()
    assert torch.equal(tensors["a b"], tensor)
    assert tensors["step"].item() == 3
    assert notes == {"seconds": 0.1 + 0.2}


def test_a_finished_run_removes_its_checkpoints_and_no_other_s():
    """Of all its keys, for those of older settings will not be asked for again."""
    for name, key in (("run", "old"), ("run", "new"), ("run-other", "key")):
        Checkpoint(name, key).save({}, {})
        Checkpoint(name, key).journal.touch()
    Checkpoint("run", "new").remove()
    assert sorted(path.name for path in checkpoint_module.FOLDER.iterdir()) == [
        "run-other.key.journal",
        "run-other.key.safetensors",
    ]


def test_a_key_is_another_on_other_hardware(monkeypatch):
    """A key of what is not tied to hardware becomes one that is."""
    first = on_this_hardware("key")
    assert on_this_hardware("key") == first
    monkeypatch.setattr(checkpoint_module.device, "description", lambda: "another device")
    second = on_this_hardware("key")
    monkeypatch.setattr(checkpoint_module.device, "precision", lambda: "another precision")
    assert len({"key", first, second, on_this_hardware("key"), on_this_hardware("other")}) == 5


def test_a_search_depends_on_code_that_is_imported_late(tmp_path, monkeypatch):
    """An edit of what training alone imports, in the middle of it, starts the search anew."""
    late = tmp_path / "kernels.py"
    monkeypatch.setattr(checkpoint_module, "IMPORTED_LATE", (late,))
    keys = set()
    for text in ("a = 1", "a = 2"):
        late.write_text(text, encoding="utf-8")
        keys.add(key_of({}, [], imported_code()))
    assert len(keys) == 2


def test_the_kernels_are_the_code_that_is_imported_late():
    """All modules of learning that a module of it imports within a function."""
    lines = [line for path in LEARNING.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    late = [found for line in lines if (found := re.match(r" +from stages\.learning\.(\w+) import (\w+)", line))]
    assert [LEARNING / room / f"{name}.py" for room, name in (found.groups() for found in late)] == list(
        checkpoint_module.IMPORTED_LATE
    )
