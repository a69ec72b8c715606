"""The training loop learns, keeps its best epoch, and repeats itself to the bit."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from stages.hardware import device
from stages.networks.common.image_set import ImageSet
from stages.networks.common.prediction import predict
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig
from stages.networks.own_cnn import Settings as OwnSettings
from stages.networks.own_cnn import network as own_cnn
from stages.statistics.temperature import temperature_scaled_cross_entropies
from stages.training import loop
from stages.training.history import best_epoch
from stages.training.loop import DivergedError, balanced, epoch_order, fit
from stages.training.state import Task, learning_rate_factor, new_training_state, parameter_groups
from tests.conftest import network_settings

PLAIN = OnlineAugmentation(enabled=False, flip=False, shift=0, crop=1, mixup=0, cutmix=0)


def settings(**changes: object) -> OwnSettings:
    chosen = {"epochs": 3, "batch_size": 8, "weight_decay": 0.01, "ema_epochs": 0, "dropout": 0.2}
    return network_settings("own_cnn", **chosen | changes)


def coloured(count: int, seed: int) -> ImageSet:
    """Noise with a cast of red, green or blue: a problem that can be learnt."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 120, (count, 64, 64, 3), generator=generator, dtype=torch.uint8)
    images[torch.arange(count), :, :, labels] += 60
    return ImageSet(images, labels, ["red", "green", "blue"], [str(number) for number in range(count)])


def trained(
    task_settings: OwnSettings,
    seed: int = 1,
    count: int = 33,
    online_augmentation: OnlineAugmentation = PLAIN,
    **options,
):
    config = TrainingConfig(task_settings, online_augmentation)
    return fit(Task(own_cnn, config, coloured(count, 0), coloured(12, 1), seed), "test", **options)


def bits(model: torch.nn.Module) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in model.state_dict().values()]


def test_it_learns_a_problem_that_can_be_learnt():
    """Three colours are told apart after a few epochs."""
    result = trained(settings(epochs=6))
    assert result.history[best_epoch(result.history) - 1].validation_accuracy > 0.9
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


def test_what_is_compiled_at_the_first_call_is_no_part_of_the_time(monkeypatch):
    """The first call takes a hundred seconds by a clock that nothing else moves; the training takes none."""
    clock = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock[0])

    def compiled_at_first(_, features):
        clock[0] = 100.0
        return features

    monkeypatch.setattr(torch.nn.Dropout, "forward", compiled_at_first)
    assert trained(settings(epochs=1)).seconds == 0.0


def test_a_last_batch_of_one_image_can_be_trained():
    """33 images in batches of 8 leave one, from which batch normalisation could not learn."""
    assert len(trained(settings(epochs=1), count=33).history) == 1


def test_the_weights_are_those_of_the_best_epoch():
    """Not those of the last one."""
    seen = []
    result = trained(settings(epochs=4, learning_rate=0.05), after_epoch=seen.append)
    assert seen == result.history
    model, best = result.model.eval(), seen[best_epoch(result.history) - 1]
    validation = coloured(12, 1)
    images, labels = validation.batch(slice(0, 12))
    with torch.inference_mode():
        accuracy = (model(images).argmax(1) == labels).double().mean().item()
    assert accuracy == pytest.approx(best.validation_accuracy, abs=1 / 12)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_training_that_diverges_ends_in_its_epoch_and_says_what_to_lower(monkeypatch, capsys):
    """In the first epoch there is nothing to keep; later the best epoch before is kept."""
    with pytest.raises(DivergedError, match=r"test diverged in epoch 1: its loss is .*; lower learning_rate = 1e\+06"):
        trained(settings(learning_rate=1e6, warmup_epochs=0))
    # when weights leave the numbers differs from machine to machine
    coming = iter([(1.0, 0.5, 0.9), (math.nan, 0.5, math.nan)])
    monkeypatch.setattr(loop, "_validate", lambda *_: next(coming))
    late = trained(settings(epochs=4))
    assert late.diverged
    assert [epoch.validation_loss for epoch in late.history] == [1.0]
    assert "test diverged in epoch 2" in (said := capsys.readouterr().err)
    assert "on validation nan; lower learning_rate = 0.001" in said
    assert "The best of the 1 epochs before is kept" in said


def with_copies(images: ImageSet) -> ImageSet:
    """Put a darker copy behind each image."""
    doubled = images.pixels.repeat_interleave(2, 0)
    doubled[1::2] //= 2
    copies = np.arange(2 * len(images)) % 2 == 1
    return replace(images, pixels=doubled, labels=images.labels.repeat_interleave(2), copies=copies)


def test_equal_steps_show_each_image_once_an_epoch_as_itself_or_as_a_copy():
    """In the order of the original images; both versions come about equally often, and others in each epoch."""
    images, equal = coloured(33, 0), TrainingConfig(settings(), PLAIN)
    tasks = [Task(own_cnn, equal, each, coloured(12, 1), 1) for each in (images, with_copies(images))]
    shown = []
    for epoch in range(1, 41):
        originals, versions = (epoch_order(task, epoch).numpy() for task in tasks)
        assert (versions // 2 == originals).all()
        shown.append(versions[np.argsort(originals)] % 2)
    assert {len(set(one)) for one in zip(*shown, strict=True)} == {2}
    assert np.mean(shown) == pytest.approx(0.5, abs=0.05)
    assert tasks[1].images_per_epoch() == 33


def test_without_equal_steps_an_epoch_has_all_copies():
    """As the published study did it: twice as many steps."""
    task = Task(
        own_cnn, TrainingConfig(settings(equal_steps=False), PLAIN), with_copies(coloured(33, 0)), coloured(12, 1), 1
    )
    assert sorted(epoch_order(task, 1).tolist()) == list(range(66))
    assert task.images_per_epoch() == 66


def test_balanced_draws_take_each_class_equally_often():
    """Of nine images three each: of a large class none twice, of a small one none much more often than another."""
    labels = np.array([0, 1, 0, 0, 2, 0, 0, 1, 0])
    drawn = [np.bincount(balanced(labels, np.random.default_rng(seed)), minlength=9) for seed in range(40)]
    assert {tuple(np.bincount(labels, counts).tolist()) for counts in drawn} == {(3, 3, 3)}
    assert {tuple(sorted(counts[labels == 0].tolist())) for counts in drawn} == {(0, 0, 0, 1, 1, 1)}
    assert {tuple(counts[labels == 1].tolist()) for counts in drawn} == {(1, 2), (2, 1)}
    assert np.sum(drawn, axis=0).min() > 0


def test_what_does_not_come_out_even_is_drawn_by_lot():
    """Ten draws of three classes: each has four at times, never fewer than three."""
    labels = np.array([0] * 7 + [1] * 2 + [2])
    shares = {tuple(np.bincount(labels[balanced(labels, np.random.default_rng(seed))]).tolist()) for seed in range(40)}
    assert shares == {(4, 3, 3), (3, 4, 3), (3, 3, 4)}


def unequal() -> ImageSet:
    """24 red images, 6 green and 3 blue, in any order."""
    labels = torch.from_numpy(np.random.default_rng(0).permutation([0] * 24 + [1] * 6 + [2] * 3))
    return replace(coloured(33, 0), labels=labels)


@pytest.mark.parametrize(("equal_steps", "size"), [(True, 33), (False, 66)])
def test_balanced_epochs_have_as_many_images_each_class_equally_often(equal_steps, size):
    """With and without copies, which come as often as themselves; each epoch draws others, and again the same."""
    config = TrainingConfig(settings(class_balance="sampling", equal_steps=equal_steps), PLAIN)
    task = Task(own_cnn, config, with_copies(unequal()), coloured(12, 1), 1)
    orders = [epoch_order(task, epoch) for epoch in range(1, 101)]
    assert {tuple(task.training.labels[order].bincount().tolist()) for order in orders} == {(size // 3,) * 3}
    assert task.images_per_epoch() == size
    assert torch.equal(orders[0], epoch_order(task, 1))
    assert not torch.equal(orders[0].sort().values, orders[1].sort().values)
    assert not torch.equal(task.training.labels[orders[0]], task.training.labels[orders[1]])
    assert np.mean(torch.cat(orders).numpy() % 2) == pytest.approx(0.5, abs=0.05)
    assert set(torch.cat(orders).tolist()) == set(range(66))


@pytest.mark.parametrize("changes", [{"class_balance": "sampling"}, {"loss": "cosine_and_cross_entropy"}])
def test_ways_of_training_differ_and_repeat_themselves(changes):
    """To the bit, on classes of unequal size."""
    first, again, plain = (
        bits(
            fit(
                Task(own_cnn, TrainingConfig(settings(epochs=1, **each), PLAIN), unequal(), coloured(12, 1), 1), "test"
            ).model
        )
        for each in (changes, changes, {})
    )
    assert first == again
    assert first != plain


def test_the_cosine_loss_learns_a_problem_that_can_be_learnt():
    """Its validation loss is the cross entropy all the same."""
    result = trained(settings(epochs=6, loss="cosine_and_cross_entropy"))
    assert result.history[best_epoch(result.history) - 1].validation_accuracy > 0.9
    validation = coloured(12, 1)
    with device.mixed_precision():  # as training validates
        logits = predict(result.model, validation)
    entropy = functional.cross_entropy(logits, validation.labels).item()
    scaled = temperature_scaled_cross_entropies(logits.double().numpy(), validation.labels.numpy()).mean()
    best = result.history[best_epoch(result.history) - 1]
    assert entropy == pytest.approx(best.validation_loss, abs=1e-4)
    assert best.validation_temperature_scaled_loss == pytest.approx(scaled, abs=1e-4)


def test_a_training_ends_when_its_patience_is_out(monkeypatch, capsys):
    """It says so, and keeps the epochs until then; one that gets better to the end has all epochs."""
    for losses, epochs in ([1.0, 0.8, 0.9, 0.9, 0.7, 0.6], 4), ([6.0, 5.0, 4.0, 3.0, 2.0, 2.0], 6):
        coming = iter(losses)
        monkeypatch.setattr(loop, "_validate", lambda *_, coming=coming: (1.0, 0.5, next(coming)))
        result = trained(settings(epochs=6, early_stopping_patience=2))
        assert [epoch.validation_temperature_scaled_loss for epoch in result.history] == losses[:epochs]
        said = capsys.readouterr()
        assert ("test: ends early, nothing was better than epoch 2" in said.out + said.err) == (epochs == 4)


def test_mirrored_predictions_are_what_is_validated():
    """The training itself stays the same."""
    plain, mirrored = (trained(settings(epochs=1, flip_tta=setting)) for setting in (False, True))
    assert bits(plain.model) == bits(mirrored.model)
    validation = coloured(12, 1)
    turned = replace(validation, pixels=validation.pixels.flip(2))
    logits = (predict(plain.model, validation) + predict(plain.model, turned)) / 2
    expected = functional.cross_entropy(logits, validation.labels).item()
    assert mirrored.history[0].validation_loss == pytest.approx(expected, abs=1e-4)
    assert plain.history[0].validation_loss != pytest.approx(expected, abs=1e-4)


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
    plain = bits(trained(settings(epochs=1)).model)
    varied = PLAIN.model_copy(update={"enabled": True, "flip": True, "shift": 0.1, "crop": 0.5})
    first, again = (bits(trained(settings(epochs=1), online_augmentation=varied).model) for _ in range(2))
    assert first == again
    assert first != plain


def test_frozen_layers_stay_as_they_were():
    """Their weights, and the statistics that they normalise by."""
    chosen = settings(freeze="backbone", ema_epochs=1)
    task = Task(own_cnn, TrainingConfig(chosen, PLAIN), coloured(33, 0), coloured(12, 1), 1)
    before = new_training_state(task).model.state_dict()
    after = fit(task, "test").model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classes.weight", "classes.bias"}


def test_pretrained_weights_learn_more_slowly_and_biases_are_not_decayed():
    """Each group has its own learning rate and weight decay; together they hold every weight once."""
    model = own_cnn.build(settings(), 3, 64)
    scratch = parameter_groups(model, settings(learning_rate=1e-2, weight_decay=0.5), own_cnn.head)
    assert {(group["lr"], group["weight_decay"]) for group in scratch} == {(1e-2, 0.5), (1e-2, 0.0)}
    started = settings(learning_rate=1e-2, weight_decay=0.5, weights="a.pth", backbone_learning_rate_factor=0.1)
    groups = parameter_groups(model, started, own_cnn.head)
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
