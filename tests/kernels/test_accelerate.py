"""Networks learn the same with faster layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet50 as torchvision_resnet50

from stages.kernels.accelerate import accelerate
from stages.kernels.convolutions import MatmulConv2d
from stages.kernels.fused_batch_norm import BatchNormReLU, FusedBottleneck, FusedConvBlocks
from stages.networks.own_cnn import network as own_cnn
from tests.conftest import network_settings
from tests.kernels.test_fused_batch_norm import channels_last

LABELS = torch.arange(8) % 4
NOTHING = 1e-5  # the gradient of a bias that batch normalisation takes away again is rounding alone


def build(name):
    """Return a network with reproducible weights; ResNet50's branches are weak, so that bfloat16 can be compared."""
    torch.manual_seed(0)
    if name == "own_cnn":
        return own_cnn.build(network_settings("own_cnn", dropout=0), 4, 64)
    model = torchvision_resnet50(num_classes=4)
    for block in model.modules():
        if hasattr(block, "bn3"):
            nn.init.constant_(block.bn3.weight, 0.1)
    return model


def step(model, precision):
    """Return loss and gradients of a step."""
    model = model.to(memory_format=torch.channels_last).train()
    images, labels = channels_last(8, 3, 64, 64, dtype=torch.promote_types(precision, torch.float32)), LABELS
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        logits = model(images)
    loss = functional.cross_entropy(logits.float() if precision == torch.bfloat16 else logits, labels)
    loss.backward()
    return loss.item(), {name: weight.grad.flatten() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("name", ["own_cnn", "resnet50"])
def test_a_step_is_as_near_to_float32_as_with_torch_s_layers(name):
    """Loss and gradients in bfloat16, under the same names of the same weights."""
    loss, exact = step(build(name), torch.float32)
    theirs_loss, theirs = step(build(name), torch.bfloat16)
    ours_loss, ours = step(accelerate(build(name)), torch.bfloat16)
    assert ours_loss == pytest.approx(theirs_loss, rel=0.01)
    assert ours_loss == pytest.approx(loss, rel=0.01)
    assert ours.keys() == theirs.keys()
    for weight, gradient in exact.items():
        if gradient.norm() > NOTHING:
            similarities = [functional.cosine_similarity(each[weight], gradient, 0) for each in (ours, theirs)]
            assert similarities[0] > min(0.98, similarities[1] - 0.03), weight


def test_layers_are_replaced_and_nothing_else():
    """Weights keep their names; a network without such layers stays what it is."""
    model = build("resnet50")
    names = list(model.state_dict())
    faster = accelerate(model)
    assert list(faster.state_dict()) == names
    kinds = {type(module) for module in faster.modules()}
    assert {FusedBottleneck, BatchNormReLU, MatmulConv2d} < kinds
    assert nn.Conv2d not in kinds
    assert FusedConvBlocks in {type(module) for module in accelerate(build("own_cnn")).modules()}
    other = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2))
    assert [type(module) for module in accelerate(other)] == [nn.Linear, nn.BatchNorm2d]


@pytest.mark.parametrize("name", ["own_cnn", "resnet50"])
def test_in_float32_a_step_is_that_of_torch_s_layers_but_for_the_last_digits(name):
    """Sums are in another order; loss and gradients are as near to those in float64 as torch's are."""
    exact_loss, exact = step(build(name).double(), torch.float64)
    _, theirs = step(build(name), torch.float32)
    ours_loss, ours = step(accelerate(build(name)), torch.float32)
    assert ours_loss == pytest.approx(exact_loss, rel=1e-5)
    for weight, gradient in exact.items():
        if gradient.norm() > NOTHING:
            errors = [(each[weight] - gradient).norm() / gradient.norm() for each in (ours, theirs)]
            assert errors[0] < max(1e-4, 3 * errors[1]), weight


@pytest.mark.parametrize("name", ["own_cnn", "resnet50"])
def test_in_float32_a_network_predicts_the_same(name):
    """In either memory order, the one that kernels take and the other."""
    images = torch.randn(2, 3, 64, 64)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        ordered_images = images.contiguous(memory_format=memory_format)
        models = [each.to(memory_format=memory_format).eval() for each in (build(name), accelerate(build(name)))]
        torch.testing.assert_close(models[1](ordered_images), models[0](ordered_images), rtol=1e-3, atol=1e-3)
