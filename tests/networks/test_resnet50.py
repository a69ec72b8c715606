"""ResNet50 is torchvision's."""

import pytest
import torch
from torchvision.models.resnet import Bottleneck

from stages.networks.resnet50 import network as resnet50
from tests.conftest import network_settings


def test_it_has_the_published_size():
    """25.6 million parameters with ImageNet's 1,000 classes."""
    model = resnet50.build(network_settings("resnet50"), 1000, 224)
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_557_032


def test_stochastic_depth_leaves_out_later_blocks_more_often():
    """In training alone; the first of sixteen blocks seldom, the last with the given probability."""
    torch.manual_seed(0)
    model = resnet50.build(network_settings("resnet50", stochastic_depth=0.8), 4, 64)
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    images = torch.ones(1000, 1, 1, 1)
    left_out = []
    for block in (blocks[0], blocks[-1]):
        torch.nn.init.ones_(block.bn3.bias)
        features = images.expand(-1, block.bn3.num_features, 1, 1)
        left_out.append((block.bn3.train()(features).amax((1, 2, 3)) == 0).double().mean().item())
        assert (block.bn3.eval()(features) > 0).all()
    assert left_out == pytest.approx([0.05, 0.8], abs=0.04)
