"""Random changes to training batches: what is shown, and that the targets say what is shown."""

from itertools import product

import numpy as np
import pytest
import torch

from stages.networks.common.settings import OnlineAugmentation
from stages.training.online_augmentation import Batch, augmented_batch

HEIGHT, WIDTH = 24, 36  # not square: the one taken for the other shows


def settings(**changes: object) -> OnlineAugmentation:
    """Nothing is set but the changes."""
    off = {"flip": False, "shift": 0, "crop": 1, "mixup": 0, "cutmix": 0}
    return OnlineAugmentation(**{"enabled": True} | off | changes)


def changed(images: torch.Tensor, chosen: OnlineAugmentation, seed: int = 0, labels: torch.Tensor | None = None):
    """One image a class, if no labels are given: then the targets name the very images that were mixed."""
    labels = torch.arange(len(images)) if labels is None else labels
    return augmented_batch(batch_of(images, labels, len(images)), chosen, np.random.default_rng(seed))


def batch_of(images: torch.Tensor, labels: torch.Tensor, classes: int) -> Batch:
    return Batch(images, torch.nn.functional.one_hot(labels, classes).float())


def noise(count: int) -> torch.Tensor:
    return torch.rand(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def plain(count: int) -> torch.Tensor:
    """ImageArray i is i all over."""
    return torch.arange(count).float()[:, None, None, None].expand(count, 3, HEIGHT, WIDTH).clone()


def coordinates(count: int) -> torch.Tensor:
    """Images whose first channel is x and whose second is y, from -1 to 1, edge to edge."""
    x, y = ((2 * torch.arange(side) + 1) / side - 1 for side in (WIDTH, HEIGHT))
    image = torch.stack([x.expand(HEIGHT, WIDTH), y[:, None].expand(HEIGHT, WIDTH), torch.zeros(HEIGHT, WIDTH)])
    return image.expand(count, 3, HEIGHT, WIDTH).clone()


def parts_shown(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for each of coordinates' images the width and height of the part shown (n, 2) and its middle (n, 2)."""
    ends = [(images[:, 0, 0, 1], images[:, 0, 0, -2]), (images[:, 1, 1, 0], images[:, 1, -2, 0])]
    full = 1 - 3 / torch.tensor([WIDTH, HEIGHT])  # where the last pixel but one stands: the edge itself is smoothed
    sizes = torch.stack([(last - first) / 2 for first, last in ends], 1) / full
    return sizes, torch.stack([(last + first) / 2 for first, last in ends], 1)


def test_switched_off_it_changes_nothing():
    """Whatever else is set: the images are as they were, and each target is wholly its class."""
    images = noise(4)
    off = settings(enabled=False, flip=True, crop=0.1, mixup=1, cutmix=1)
    batch = augmented_batch(batch_of(images, torch.tensor([2, 0, 1, 2]), 3), off, np.random.default_rng(0))
    assert torch.equal(batch.images, images)
    assert batch.targets.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_with_nothing_set_it_changes_nothing():
    """No flip and the whole image: not even a rounding."""
    images = noise(4)
    assert torch.equal(changed(images, settings()).images, images)


def test_a_flip_mirrors_half_of_the_images_and_does_nothing_else():
    """Each is as it was or its mirror image, left to right."""
    images = noise(400)
    after = changed(images, settings(flip=True)).images
    same = (after - images).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (after - images.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert torch.equal(same, ~mirrored)
    assert 160 < mirrored.sum() < 240


@pytest.mark.parametrize(("side", "most"), [(WIDTH, 9), (HEIGHT, 6)])
def test_a_shift_moves_by_whole_pixels_and_mirrors_at_the_edge(side, most):
    """Up to a quarter of the side, both ways alike; no pixel's value is other than in the image."""
    images = noise(300)
    after = changed(images, settings(shift=0.25)).images
    padded = torch.from_numpy(np.pad(images.numpy(), ((0, 0), (0, 0), (6, 6), (9, 9)), mode="symmetric"))
    moves = []
    for image, wide in zip(after, padded, strict=True):
        places = product(range(13), range(19))
        (found,) = [(y, x) for y, x in places if torch.equal(wide[:, y : y + HEIGHT, x : x + WIDTH], image)]
        moves.append(found[1] - 9 if side == WIDTH else found[0] - 6)
    assert {min(moves), max(moves)} == {-most, most}
    assert abs(np.mean(moves)) < 1


def test_a_shift_of_part_of_the_image_moves_that_part():
    """Crop and shift go together; the part may then pass the edge."""
    _, middles = parts_shown(changed(coordinates(200), settings(crop=0.5, shift=0.1)).images)
    _, still = parts_shown(changed(coordinates(200), settings(crop=0.5)).images)
    assert middles.abs().max() > still.abs().max()


@pytest.mark.parametrize("crop", [0.25, 0.5])
def test_a_crop_shows_a_part_of_the_image(crop):
    """No less of its area than said, at most 4 to 3 out of shape, anywhere, and never beyond an edge or mirrored."""
    after = changed(coordinates(500), settings(crop=crop)).images
    sizes, middles = parts_shown(after)
    areas, ratios = sizes.prod(1), sizes[:, 0] / sizes[:, 1]
    assert crop - 1e-4 < areas.min() < crop + 0.02
    assert 0.95 < areas.max() < 1 + 1e-4
    assert 3 / 4 - 1e-4 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 4 / 3 + 1e-4
    assert (middles.abs() + sizes).max() < 1 + 1e-4
    assert (middles[sizes < 0.75].abs() / (1 - sizes[sizes < 0.75])).mean() == pytest.approx(0.5, abs=0.05)
    assert after.min() >= -1
    assert after.max() <= 1


def test_a_large_crop_shows_no_less_than_said_either():
    """Nine tenths are nine tenths in every shape."""
    sizes, _ = parts_shown(changed(coordinates(500), settings(crop=0.9)).images)
    assert sizes.prod(1).min() > 0.9 - 1e-4


def test_crops_can_be_mirrored_too():
    """Half of them, left to right, never upside down."""
    sizes, _ = parts_shown(changed(coordinates(400), settings(crop=0.5, flip=True)).images)
    assert 160 < (sizes[:, 0] < 0).sum() < 240
    assert sizes[:, 1].min() > 0


def test_mixup_fades_images_and_targets_by_the_same_share():
    """A target that says 0.7 crow and 0.3 jay belongs to an image that is 0.7 of the crow and 0.3 of the jay."""
    images, own = noise(6), []
    for seed in range(40):
        after, targets = changed(images, settings(mixup=1), seed)
        assert torch.allclose(after, torch.einsum("nc,cijk->nijk", targets, images), atol=1e-6)
        assert (targets > 0).sum(1).max() <= 2
        own.append(targets.diagonal().min().item())
    assert sum(share < 0.5 for share in own) == pytest.approx(20, abs=9)


def test_cutmix_targets_say_what_can_be_seen():
    """Each class's target is the share of pixels that show it; what covers the image is one box."""
    covered = []
    for seed in range(40):
        images, targets = changed(plain(5), settings(cutmix=1), seed)
        seen = torch.stack([(images == label).float().mean((1, 2, 3)) for label in range(5)], 1)
        assert torch.allclose(targets, seen, atol=1e-6)
        for label, image in enumerate(images):
            box = (image != label).all(0)
            assert torch.equal(box, box.any(1)[:, None] & box.any(0))
        covered.append(1 - targets.diagonal().min().item())
    assert min(covered) < 0.1
    assert max(covered) > 0.6


def test_where_mixup_and_cutmix_are_set_each_batch_gets_one():
    """Images that are faded have no box, those with a box are not faded; both kinds come about equally often."""
    faded = 0
    for seed in range(100):
        images, targets = changed(plain(5), settings(mixup=1, cutmix=1), seed)
        if torch.equal(images, images.round()):
            assert all((images[label] == label).float().mean() <= targets[label, label] + 1e-6 for label in range(5))
        else:
            assert torch.equal(images, images[:, :, :1, :1].expand_as(images))
            faded += 1
    assert 35 < faded < 65


MIXTURES = [settings(flip=flip, crop=crop, mixup=mixup, cutmix=cutmix)
            for flip, crop, mixup, cutmix in product([False, True], [0.5, 1], [0, 0.2], [0, 1])]  # fmt: skip


@pytest.mark.parametrize("chosen", MIXTURES, ids=str)
def test_every_batch_is_as_a_network_takes_it(chosen):
    """Targets sum to one, also where partners share a class; images keep size and number format, channels last."""
    images = noise(6).contiguous(memory_format=torch.channels_last)
    for seed in range(5):
        batch = changed(images, chosen, seed, torch.tensor([0, 0, 0, 1, 1, 2]))
        assert batch.targets.sum(1).tolist() == pytest.approx([1] * 6)
        assert batch.targets.min() >= 0
        assert (batch.images.shape, batch.images.dtype, batch.targets.dtype) == (images.shape, *[torch.float32] * 2)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("chosen", [settings(flip=True, crop=0.5, mixup=1), settings(flip=True, crop=0.5, cutmix=1)])
def test_the_same_draws_give_the_same_batch(chosen):
    """Bit for bit, and others another; the images that came in stay as they were."""
    images = noise(6)
    first, again, other = (changed(images, chosen, seed) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(images, noise(6))
