"""The command `classify`: what a trained network says of photographs, and the network in a file for other programs.

classify photo.jpg folder/ --run own_cnn-tuned-augmented-1 --top 5
classify photo.jpg --weights best.safetensors
classify export --onnx best.onnx
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from stages.runtime.errors import UserError
from stages.runtime.fast_exit import leave

if TYPE_CHECKING:
    from stages.prediction.classifier import Classifier
    from stages.prediction.inputs import Preparation

PROJECT = Path(__file__).resolve().parents[2]
SOME_BAD, NOTHING_ASKED, INTERRUPTED = 1, 2, 130


def program() -> NoReturn:
    """Do as `main`, and end the process at once."""
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):  # words, which Python prints
            raise
        leave(end.code or 0)


def main() -> NoReturn:
    """Answer the command line; exit with 0, with 1 where a file could not be answered, with 2 where none was named."""
    try:
        sys.exit(export(sys.argv[2:]) if sys.argv[1:2] == ["export"] else classify(sys.argv[1:]))
    except UserError as problem:
        print(*(f"error: {line}" for line in problem.lines), sep="\n", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `classify ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def classify(words: list[str]) -> int:
    """Answer photographs."""
    parser = _parser("classify", "Say what photographs show. `classify export --help` writes the network to a file.")
    parser.add_argument("photographs", nargs="*", help="files, and folders with files")
    parser.add_argument("--top", type=int, default=3, help="how many classes to name (3)")
    parser.add_argument("--json", dest="kind", action="store_const", const="json", help="an object a line")
    parser.add_argument("--csv", dest="kind", action="store_const", const="csv", help="a row for each class named")
    parser.add_argument("--none-of-these", action="store_true", help="say so where no class is probable enough")
    parser.add_argument("--fast", action="store_true", help="in bfloat16 where the hardware has it: less exact")
    parser.add_argument("--explain", metavar="FOLDER", type=Path, help="write there where the network looked, as PNG")
    asked = parser.parse_args(words)
    if asked.top < 1:
        parser.error("--top must be 1 or more")
    if not asked.photographs:
        parser.error("name photographs or folders to classify")
    from stages.prediction.inputs import files_in  # what follows takes a second to import: not for --help

    files = files_in(asked.photographs)
    if not files:
        print("error: no images in " + ", ".join(asked.photographs), file=sys.stderr)
        return NOTHING_ASKED
    absolute = {str(Path(file).absolute()): file for file in files}
    explain = asked.explain and asked.explain.absolute()
    leave_cores_to_decoders()
    classifier, preparation = known(asked, asked.none_of_these)

    from tqdm import tqdm

    from stages.prediction.classifier import answers, in_low_precision
    from stages.prediction.explanations import write_explanation
    from stages.prediction.inputs import chunks_of
    from stages.prediction.output import output_for, printable

    asking = in_low_precision(classifier) if asked.fast else classifier
    output, bad = output_for(asked.kind or "text"), 0
    chunks = chunks_of(absolute, preparation, classifier.trained.image_size)
    said = tqdm(answers(chunks, asking, asked.top), total=len(files), unit=" images", disable=None, leave=False)
    for number, answer in enumerate(said):
        named = answer._replace(path=absolute[answer.path])
        if answer.bad:
            bad += 1
            tqdm.write(f"error: {printable(named.path)}: {answer.bad}", file=sys.stderr)
            continue
        output.add(named)
        if explain:
            write_explanation(explain, number, named, classifier)
    output.close()
    sys.stdout.flush()
    if bad:
        print(f"error: {bad} of {len(files)} files could not be answered", file=sys.stderr)
    return SOME_BAD if bad else 0


def leave_cores_to_decoders() -> None:
    """Have torch's threads wait for work in a loop for a moment only: others decode the next images meanwhile."""
    from stages.hardware import SHORT_SPINCOUNT  # without torch, which reads this when it is imported

    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SHORT_SPINCOUNT)


def export(words: list[str]) -> int:
    """Write the network to files for other programs."""
    parser = _parser("classify export", "Write a trained network, with preparation and class names, to a file.")
    parser.add_argument("--onnx", metavar="FILE", type=Path, help="for onnxruntime and others; see docs/using.md")
    parser.add_argument(
        "--int8", metavar="FILE", type=Path, help="the same in 8 bits, with what that costs in accuracy"
    )
    asked = parser.parse_args(words)
    if not (asked.onnx or asked.int8):
        parser.error("say what to write: --onnx FILE, --int8 FILE or both")
    onnx, int8 = (file and file.absolute() for file in (asked.onnx, asked.int8))
    classifier, _ = known(asked, none_of_these=False)
    from stages.prediction.onnx_export import write_int8, write_onnx

    if onnx:
        print(write_onnx(onnx, classifier))
    if int8:
        print(write_int8(int8, classifier))
    return 0


def _parser(name: str, does: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description=does, allow_abbrev=False)
    parser.add_argument("--run", help="of the study, e.g. own_cnn-tuned-augmented-1 (the best one)")
    parser.add_argument("--weights", metavar="FILE", type=Path, help="a .safetensors file of this project's, instead")
    parser.add_argument("--study", metavar="FOLDER", type=Path, help="where the study is (here, else the project's)")
    return parser


def known(asked: argparse.Namespace, none_of_these: bool) -> tuple[Classifier, Preparation]:
    """Return the network that the command line names, and how its images are prepared; go to the study's folder."""
    from safetensors import SafetensorError

    from stages.hardware import device
    from stages.networks.common.contract import network_named
    from stages.networks.common.weights import described, restore
    from stages.prediction.classifier import Classifier
    from stages.prediction.inputs import Preparation

    given = asked.weights and asked.weights.absolute()
    os.chdir(asked.study or (Path() if Path("metrics/runs").is_dir() and Path("params.yaml").is_file() else PROJECT))
    if asked.study and not Path("params.yaml").is_file():
        raise UserError(f"{asked.study} is no study: it has no params.yaml")
    run = "" if given else asked.run or best_run()
    file = given or Path(f"data/trained/{run}/weights.safetensors")
    try:
        description = described(file)
        trained = restore(file, network_named(description["network"]), device.device())
    except FileNotFoundError:
        there = sorted(path.parent.name for path in Path("data/trained").glob("*/weights.safetensors"))
        raise UserError(f"{file} does not exist; trained are: {', '.join(there) or 'none here, run `make`'}") from None
    except (SafetensorError, KeyError, OSError) as error:
        raise UserError(f"{file} is no network of this project's ({type(error).__name__}: {error})") from None
    if given:
        if none_of_these:
            raise UserError("--none-of-these takes a run of a study: its validation images tell what is too improbable")
        return Classifier(trained), Preparation(trained.image_size)
    record = record_of(run)
    if none_of_these and "none_of_these_below" not in record:
        raise UserError(f"metrics/runs/{run}.json is of an earlier version; `dvc repro` makes it again")
    below = record["none_of_these_below"] if none_of_these else 0.0
    return Classifier(trained, record["temperature"], below), preparation_of_study()


def record_of(run: str) -> dict[str, float]:
    """Return what evaluate found of a run."""
    from stages.runtime.files import read_json

    try:
        return dict(read_json(f"metrics/runs/{run}.json"))
    except FileNotFoundError:
        raise UserError(f"metrics/runs/{run}.json is missing; `dvc repro` makes it") from None


def best_run() -> str:
    """Return the run with the highest test accuracy: the first seed's of the study's best configuration."""
    from stages.reporting.records import best_of
    from stages.runtime.config import read_section
    from stages.runtime.study import Study

    study = read_section("study", Study)
    scores = {each: [record_of(f"{each}-{seed}") for seed in study.seeds] for each in study.configurations()}
    return f"{best_of(scores)}-{study.seeds[0]}"


def preparation_of_study() -> Preparation:
    """Return how the study's images were prepared."""
    from stages.prediction.inputs import Preparation
    from stages.prepare import Settings
    from stages.runtime.config import read_section
    from stages.runtime.files import read_json

    settings = read_section("prepare", Settings)
    white = read_json("data/composition.json")["white_level"]
    return Preparation(settings.image_size, settings.fit, settings.jpeg_quality, settings.pixel_limit, white)


if __name__ == "__main__":
    program()
