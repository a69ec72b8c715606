"""The epochs of a training: the best, the end of patience, and their file."""

from pathlib import Path

from stages.training.history import Epoch, best_epoch, read_history, stops_early, summary, write_history


def history(losses: list[float], accuracies: list[float] | None = None) -> list[Epoch]:
    rows = enumerate(zip(losses, accuracies or losses, strict=True), start=1)
    return [Epoch(number, 0, 0, 0, 1.0, accuracy, loss) for number, (loss, accuracy) in rows]


def test_the_best_epoch_has_the_lowest_scaled_validation_loss():
    """Whatever its accuracy, and however sure it is; where all is right and no loss left, the unscaled one tells."""
    for losses, best in (
        ([(1.0, 0.9), (1.2, 0.7), (1.4, 0.5), (1.6, 0.5), (0.8, 0.6)], 3),
        ([(1.0, 0.2), (0.3, 0.0), (0.2, 0.0), (0.2, 0.0)], 3),
    ):
        epochs = [Epoch(number, 0, 0, 0, loss, 0.5, scaled) for number, (loss, scaled) in enumerate(losses, start=1)]
        assert best_epoch(epochs) == best


def test_patience_is_out_after_so_many_epochs_without_a_lower_scaled_validation_loss():
    """An equal one is none that is lower; without patience nothing ends."""
    epochs = history([1.0, 0.8, 0.9, 0.8, 0.85])
    out = {patience: [stops_early(epochs[:done], patience) for done in range(6)] for patience in (0, 1, 2, 3)}
    assert out == {
        0: [False] * 6,
        1: [False, False, False, True, True, True],
        2: [False, False, False, False, True, True],
        3: [False, False, False, False, False, True],
    }


def test_the_summary_says_how_fast_a_training_was():
    """The first epoch with 95 % of the best accuracy, and the one with the lowest loss."""
    epochs = history([1.0, 0.8, 0.7, 0.9], [0.5, 0.77, 0.8, 0.79])
    assert summary(epochs) == {"epochs": 4, "best_epoch": 3, "epochs_to_95_percent": 2}


def test_a_history_comes_back_from_its_file(tmp_path: Path):
    """To the last digit."""
    epochs = [Epoch(1, 1e-3, 1 / 3, 0.1 + 0.2, 2.5, 1.0, 1e-300), Epoch(2, 0.0, 0.5, 0.5, 2.0, 0.75, 2.0)]
    write_history(tmp_path / "history.csv", epochs)
    assert read_history(tmp_path / "history.csv") == epochs
