"""What computes the same as torch's own layers, and sooner."""

from torch import nn

from stages.kernels.depthwise import compute_in_own_precision, is_depthwise
from stages.kernels.fused_blocks import FusedBlocks, is_blocks
from stages.kernels.fused_residuals import FusedBottleneck, fuse_stem, is_torchvision
from stages.kernels.matrix_convolutions import MatrixConvolution


def accelerate(model: nn.Module) -> nn.Module:
    """Return a network with its layers replaced where there are faster ones; weights and their names stay."""
    if is_blocks(model):
        model = FusedBlocks(*model.children())
    elif is_torchvision(model, "ResNet"):
        fuse_stem(model)
    elif is_torchvision(model, "Bottleneck"):
        model = FusedBottleneck(model)
    elif is_depthwise(model):
        compute_in_own_precision(model)
    elif type(model) is nn.Conv2d:
        model.__class__ = MatrixConvolution
    for name, module in list(model.named_children()):
        setattr(model, name, accelerate(module))
    return model
