"""Networks learn the same with faster layers."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import resnet50 as torchvision_resnet50

from stages.kernels.accelerate import accelerate
from stages.kernels.convolutions import MatmulConv2d, without_autocast
from stages.kernels.fused_batch_norm import BatchNormReLU, FusedBottleneck, FusedConvBlocks
from stages.networks.own_cnn import network as own_cnn
from tests.conftest import network_settings
from tests.kernels.test_fused_batch_norm import channels_last

LABELS = torch.arange(8) % 4
NEGLIGIBLE = 1e-5  # the gradient of a bias that batch normalisation takes away again is rounding alone


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


def step(model, dtype):
    """Return loss and gradients of a step."""
    model = model.to(memory_format=torch.channels_last).train()
    images = channels_last(8, 3, 64, 64, dtype=torch.promote_types(dtype, torch.float32))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        logits = model(images)
    loss = functional.cross_entropy(logits.to(images.dtype), LABELS)
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("name", ["own_cnn", "resnet50"])
@pytest.mark.parametrize(
    ("dtype", "loss_tolerance", "tolerance"), [(torch.bfloat16, 1e-2, 0.2), (torch.float32, 1e-5, 1e-4)]
)
def test_a_step_is_as_near_to_float64_as_with_torch_s_layers(name, dtype, loss_tolerance, tolerance):
    """Loss and gradients, under the same names of the same weights: sums are in another order."""
    exact_loss, exact = step(build(name).double(), torch.float64)
    _, theirs = step(build(name), dtype)
    loss, ours = step(accelerate(build(name)), dtype)
    assert loss == pytest.approx(exact_loss, rel=loss_tolerance)
    assert ours.keys() == theirs.keys()
    for weight, gradient in exact.items():
        if gradient.norm() > NEGLIGIBLE:
            errors = [(each[weight] - gradient).norm() / gradient.norm() for each in (ours, theirs)]
            assert errors[0] < max(tolerance, (1.5 if dtype == torch.bfloat16 else 3) * errors[1]), weight


def test_layers_are_replaced_and_nothing_else():
    """Weights keep their names, also in a copy, and predictions their values, in either memory order."""
    for model, classes in (
        (build("resnet50"), {FusedBottleneck, BatchNormReLU, MatmulConv2d}),
        (build("own_cnn"), {FusedConvBlocks, MatmulConv2d}),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8)), {MatmulConv2d, without_autocast(nn.Conv2d)}),
        (nn.Sequential(nn.BatchNorm2d(3)), {nn.BatchNorm2d}),
    ):
        theirs, ours = deepcopy(model).eval(), deepcopy(accelerate(model)).eval()
        assert list(ours.state_dict()) == list(theirs.state_dict())
        found = {type(module) for module in ours.modules()}
        assert classes <= found
        assert nn.Conv2d not in found
        images = channels_last(2, 3, 64, 64, dtype=torch.float32)
        for ordered in (images, images.contiguous()):
            torch.testing.assert_close(ours(ordered), theirs(ordered), rtol=1e-3, atol=1e-3)
