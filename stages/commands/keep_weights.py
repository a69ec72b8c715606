"""Turn a trained run into weights that the next study starts from: `make weights RUN=... NAME=...`.

python -m stages.commands.keep_weights own_cnn-tuned-augmented-1 birds
"""

import shutil
from pathlib import Path

from stages.networks.common.weights import required_metadata
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_file
from stages.runtime.runs import referred


def main(run: str = "", name: str = "") -> None:
    """Copy a run's weights to where params.yaml may name them; say what to write there."""
    runs = sorted(path.parent.name for path in Path("data/trained").glob("*/weights.safetensors"))
    run = referred(f"data/trained/{run}") or run
    if run not in runs:
        raise UserError(f"RUN={run} is not trained; there are: {', '.join(runs) or 'none yet, run `make`'}")
    if not name or Path(name).name != name:
        raise UserError(f"NAME={name} cannot be a file's name; say NAME=birds, for example")
    source = Path(f"data/trained/{run}/weights.safetensors")
    metadata = required_metadata(source)
    target = Path(f"data/pretrained/{metadata.network}/{name}.safetensors")
    with atomic_file(target) as unfinished:
        shutil.copyfile(source, unfinished)
    size = metadata.image_size
    print(f"{target}: {metadata.network}, trained on {len(metadata.class_names)} classes at {size} pixels")
    print(f"to start from it, set networks.{metadata.network}.weights: {target} in params.yaml")


if __name__ == "__main__":
    run_stage(main)
