"""Trained networks as files: the weights, and beside them all that prediction needs. Never pickle: nothing executes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from stages.images.preparation import MAX_SIDE, Preparation
from stages.networks.common.contract import Normalisation
from stages.networks.common.graph import METADATA, safetensors_header
from stages.runtime.config import Section, first_fault
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_file

if TYPE_CHECKING:  # torch takes seconds to import, and who reads metadata does not need it
    import torch
    from torch import Tensor, nn

    from stages.networks.common.contract import NetworkDefinition

Mean = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Metadata(Section):
    """What a file of weights says of its network, in the header of safetensors and of the graph."""

    network: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    settings: dict[str, Any]
    online_augmentation: dict[str, Any] = {}
    class_names: list[str] = Field(min_length=2, max_length=100_000)
    image_size: int = Field(ge=1, le=MAX_SIDE)  # pixels a side of the network's input
    mean: tuple[Mean, Mean, Mean]
    standard_deviation: tuple[Deviation, Deviation, Deviation]
    preparation: Preparation
    head_power: float = Field(default=1.0, gt=0, le=1)  # the head is given sign(x) |x| ** power of each feature x
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    none_of_these_below: float | None = Field(default=None, allow_inf_nan=False)  # evidence; None: not known

    @property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation of pixels, 0 to 255."""
        return Normalisation(self.mean, self.standard_deviation)

    def as_json(self) -> str:
        """Return it as one line; `metadata_of` reads it."""
        return json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False)


def save_weights(path: str | Path, tensors: dict[str, Tensor], metadata: Metadata) -> None:
    """Write tensors by their names, with what prediction needs to know."""
    from safetensors.torch import save

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as unfinished:
        # one key: safetensors writes several in an order that changes from process to process
        unfinished.write_bytes(save(contiguous, {METADATA: metadata.as_json()}))


def metadata_of(path: str | Path) -> Metadata | None:
    """Return what `save_weights` wrote beside the weights; None where another program wrote the file.

    Raises UserError where the file is no safetensors file, or says what cannot be.
    """
    try:
        written = safetensors_header(Path(path))[0].get("__metadata__", {}).get(METADATA)
        return None if written is None else Metadata(**json.loads(written))
    except ValidationError as invalid:
        raise UserError(f"{path}: its metadata is damaged: {first_fault(invalid)}") from None
    except (ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the system, which says nothing of what is in the file
            raise
        raise UserError(f"{path} is no network of this project's: {error}") from None


def required_metadata(path: str | Path) -> Metadata:
    """Return what `metadata_of` does. Raises UserError also where another program wrote the file."""
    metadata = metadata_of(path)
    if metadata is None:
        raise UserError(f"{path} is no network of this project's: it does not say for which classes")
    return metadata


def restore(path: str | Path, network: NetworkDefinition[Any], device: torch.device) -> nn.Module:
    """Return the trained network that `save_weights` wrote, ready for prediction.

    Raises UserError where file and network do not fit.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from stages.networks.common.prediction import add_flip_tta, raise_features_to_power

    metadata = required_metadata(path)
    try:
        settings = network.schema(**metadata.settings)
        model: nn.Module = network.build(settings, len(metadata.class_names), metadata.image_size)
        model.load_state_dict(load_file(path))
    except ValidationError as invalid:
        raise UserError(f"{path} does not fit {network.name}: {first_fault(invalid)}") from None
    except (RuntimeError, SafetensorError) as error:
        raise UserError(f"{path} does not fit {network.name}: {' '.join(str(error).split())[:200]}") from None
    if metadata.head_power != 1:
        raise_features_to_power(model.get_submodule(network.head.rstrip(".")), metadata.head_power)
    if settings.flip_tta:
        add_flip_tta(model)
    return model.to(device).to(memory_format=torch.channels_last).eval()
