"""How many photographs a second `classify` answers, its start included, against a typical tutorial's loop.

    python -m benchmarks.classify 1000 64 [RUN]    # so many JPEG files of so many pixels a side

In a study that has run. Both sides answer the same files by a run, or by the study's best one, each in a process of
its own, in turns; the loop reads with Pillow, resizes and normalises by torchvision's transforms, 32 at a time, in one
process.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.image_files import write_jpeg_images
from helpers.projects import ENVIRONMENT
from helpers.timing import machine, write_results
from stages.commands.classify import best_run
from stages.reporting.markdown import table

ROUNDS = 3
PLAIN = """
import json, sys
import torch
from pathlib import Path
from PIL import Image
from torchvision import transforms
from stages.networks.common.contract import network_named
from stages.networks.common.weights import required_metadata, restore
file, folder = sys.argv[1:]
trained = required_metadata(file)
model = restore(file, network_named(trained.network), torch.device("cpu"))
size = trained.image_size
change = transforms.Compose([
    transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor(),
    transforms.Normalize([each / 255 for each in trained.normalisation.mean],
                         [each / 255 for each in trained.normalisation.standard_deviation])])
files = sorted(Path(folder).rglob("*.jpg"))
with torch.inference_mode():
    for start in range(0, len(files), 32):
        batch = torch.stack([change(Image.open(one).convert("RGB")) for one in files[start:start + 32]])
        for path, shares in zip(files[start:start + 32], model(batch).softmax(1)):
            print(json.dumps([str(path), shares.max().item()]))
"""


def main(count: int, size: int, wanted: str = "") -> None:
    """Time both sides; print photographs a second, medians and each round."""
    run = wanted or best_run()
    print(f"{machine()}\n{run}, {count} photographs of {size} pixels\n")
    with TemporaryDirectory() as folder:
        write_jpeg_images(Path(folder) / "images", count, size)
        ours = [sys.executable, "-m", "stages.commands.classify", folder, "--json", "--run", run]
        plain = [sys.executable, "-c", PLAIN, f"data/trained/{run}/weights.safetensors", folder]
        commands = {"classify": ours, "plain loop": plain}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(seconds(command, count))
    rows = [
        [name, f"{count / statistics.median(each):,.0f}", ", ".join(f"{one:.1f}" for one in each)]
        for name, each in times.items()
    ]
    found = table([f"{run}, {count} of {size} px", "photographs/s", "seconds, start included"], rows)
    write_results("benchmarks/results/classify.json", times, found)
    print(found)


def seconds(command: list[str], count: int) -> float:
    """Return how long a command takes to answer all photographs."""
    start = time.perf_counter()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    taken = time.perf_counter() - start
    if len([json.loads(line) for line in done.stdout.splitlines()]) != count:
        sys.exit("not every photograph was answered")
    return taken


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
