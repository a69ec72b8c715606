"""Layers that compute the same as torch's own in less time."""

from torch import nn

from stages.kernels import convolutions, fused_batch_norm


def accelerate(model: nn.Module) -> nn.Module:
    """Return the network with faster classes for its layers; parameters and their names stay."""
    for module in list(model.modules()):
        if fused_batch_norm.is_conv_blocks(module):
            module.__class__ = fused_batch_norm.FusedConvBlocks
        elif fused_batch_norm.is_torchvision(module, "ResNet"):
            module.bn1.__class__, module.relu = fused_batch_norm.BatchNormReLU, nn.Identity()
        elif fused_batch_norm.is_torchvision(module, "Bottleneck"):
            module.__class__ = fused_batch_norm.FusedBottleneck
        elif convolutions.is_depthwise(module):
            module.__class__ = convolutions.without_autocast(type(module))  # type: ignore[arg-type]  # it has a hash
        elif type(module) is nn.Conv2d:
            module.__class__ = convolutions.MatmulConv2d
    return model
