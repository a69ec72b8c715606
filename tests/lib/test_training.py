"""The training loop learns, keeps its best epoch, and repeats itself to the bit."""

import pytest
import torch

from stages.lib.hyperparameters import OnTheFly, Recipe
from stages.lib.picture_sets import PictureSet
from stages.lib.pretrained import new_network
from stages.lib.training import Epoch, Task, best_epoch, fit, learning_rate_factor, parameter_groups
from stages.networks import own_cnn
from tests.conftest import network_settings

PLAIN = OnTheFly(enabled=False, flip=False, shift=0, crop=1, mixup=0, cutmix=0)


def settings(**changes: object) -> own_cnn.Settings:
    chosen = {"epochs": 3, "batch_size": 8, "weight_decay": 0.01, "ema_epochs": 0, "dropout": 0.2}
    return network_settings("own_cnn", **chosen | changes)


def coloured(count: int, seed: int) -> PictureSet:
    """Noise with a cast of red, green or blue: a problem that can be learnt."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    pictures = torch.randint(0, 120, (count, 64, 64, 3), generator=generator, dtype=torch.uint8)
    pictures[torch.arange(count), :, :, labels] += 60
    return PictureSet(pictures, labels, ["red", "green", "blue"], [str(number) for number in range(count)])


def trained(task_settings: own_cnn.Settings, seed: int = 1, count: int = 33, on_the_fly: OnTheFly = PLAIN, **options):
    recipe = Recipe(task_settings, on_the_fly)
    task = Task(coloured(count, 0), coloured(12, 1), recipe, own_cnn.HEAD, seed)
    return fit(lambda: own_cnn.build(task_settings, 3, 64), task, "test", **options)


def bits(model: torch.nn.Module) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in model.state_dict().values()]


def test_it_learns_a_problem_that_can_be_learnt():
    """Three colours are told apart after a few epochs."""
    result = trained(settings(epochs=6))
    assert result.history[result.best_epoch - 1].validation_accuracy > 0.9
    assert result.history[-1].loss < result.history[0].loss


def test_the_same_seed_gives_the_same_bits():
    """And another seed gives others."""
    first, again, other = (bits(trained(settings(epochs=1), seed).model) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_randomness_drawn_elsewhere_changes_nothing():
    """The loop never leans on the global generator's state."""
    torch.manual_seed(5)
    first = bits(trained(settings(epochs=1)).model)
    torch.rand(100)
    assert bits(trained(settings(epochs=1)).model) == first


def test_a_last_batch_of_one_picture_can_be_trained():
    """33 pictures in batches of 8 leave one, from which batch normalisation could not learn."""
    assert len(trained(settings(epochs=1), count=33).history) == 1


def test_the_weights_are_those_of_the_best_epoch():
    """Not those of the last one."""
    seen = []
    result = trained(settings(epochs=4, learning_rate=0.05), after_epoch=seen.append)
    assert seen == result.history
    assert result.best_epoch == best_epoch(seen)
    model, best = result.model.eval(), seen[result.best_epoch - 1]
    validation = coloured(12, 1)
    images, labels = validation.batch(slice(0, 12))
    with torch.inference_mode():
        accuracy = (model(images).argmax(1) == labels).double().mean().item()
    assert accuracy == pytest.approx(best.validation_accuracy, abs=1 / 12)


def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss():
    """The first among those still equal."""
    history = [Epoch(number, 0, 0, 0, loss, accuracy) for number, (loss, accuracy) in enumerate(
        [(1.0, 0.5), (0.9, 0.7), (0.8, 0.7), (0.8, 0.7), (0.1, 0.6)], start=1)]  # fmt: skip
    assert best_epoch(history) == 3


def test_an_exception_after_an_epoch_ends_the_training():
    """So a trial can be pruned."""
    with pytest.raises(KeyError):
        trained(settings(), after_epoch={}.__getitem__)


def test_averaged_weights_are_what_is_validated_and_kept():
    """They are others than those of the last step, and as good."""
    last, averaged = (trained(settings(epochs=4, ema_epochs=reach)) for reach in (0, 2))
    assert bits(last.model) != bits(averaged.model)
    assert [epoch.loss for epoch in last.history] == [epoch.loss for epoch in averaged.history]
    assert averaged.history[-1].validation_accuracy > 0.9


def test_changes_on_the_fly_are_drawn_anew_for_each_batch():
    """From a stream of their own: the same seed gives the same bits, and others than without them."""
    varied = OnTheFly(enabled=True, flip=True, shift=0.1, crop=0.5, mixup=0, cutmix=0)
    first, again = (bits(trained(settings(epochs=1), on_the_fly=varied).model) for _ in range(2))
    assert first == again
    assert first != bits(trained(settings(epochs=1)).model)


def test_frozen_layers_stay_as_they_were():
    """Their weights, and the statistics that they normalise by."""
    chosen = settings(freeze="backbone", ema_epochs=1)
    task = Task(coloured(33, 0), coloured(12, 1), Recipe(chosen, PLAIN), own_cnn.HEAD, 1)
    model = new_network("own_cnn", chosen, 3, 64)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = fit(lambda: model, task, "test").model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classes.weight", "classes.bias"}


def test_pretrained_weights_learn_more_slowly_and_biases_are_not_decayed():
    """Each group has its own learning rate and weight decay; together they hold every weight once."""
    model = own_cnn.build(settings(), 3, 64)
    scratch = parameter_groups(model, settings(learning_rate=1e-2, weight_decay=0.5), own_cnn.HEAD)
    assert {(group["lr"], group["weight_decay"]) for group in scratch} == {(1e-2, 0.5), (1e-2, 0.0)}
    started = settings(learning_rate=1e-2, weight_decay=0.5, weights="a.pth", backbone_learning_rate_factor=0.1)
    groups = parameter_groups(model, started, own_cnn.HEAD)
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {
        (1e-2, 0.5),
        (1e-2, 0),
        (1e-3, 0.5),
        (1e-3, 0),
    }
    (head,) = [group["params"] for group in groups if (group["lr"], group["weight_decay"]) == (1e-2, 0.5)]
    assert [parameter is model.classes.weight for parameter in head] == [True]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_learning_rate_warms_up_and_falls_as_a_cosine():
    """Near zero at first, full after the warm-up, half in the middle of what is left, zero at the end."""
    of = settings(epochs=9, warmup_epochs=1)
    assert learning_rate_factor(0, of) == pytest.approx(0.01, abs=1e-3)
    assert learning_rate_factor(0.5, of) == pytest.approx(0.5, abs=0.01)
    assert [learning_rate_factor(epoch, of) for epoch in (1, 5, 9, 10)] == pytest.approx([1, 0.5, 0, 0])
    assert learning_rate_factor(0, settings(warmup_epochs=0)) == 1
