"""The command `classify`: what a trained network says of photographs, and the network in a file for other programs.

classify photo.jpg folder/ --run own_cnn-tuned-augmented --top 5
classify photo.jpg --weights best.safetensors
classify export --onnx best.onnx
"""

import argparse
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from stages.runtime.errors import UserError
from stages.runtime.fast_exit import leave
from stages.runtime.runs import referred

PROJECT = Path(__file__).resolve().parents[2]
SOME_UNREADABLE, NOTHING_TO_DO, INTERRUPTED = 1, 2, 130  # exit statuses


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
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that the terminal's encoding does not have
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
    except OSError as error:
        from stages.runtime.command import in_words  # what else it imports is DVC's stages' alone

        print(f"error: {in_words(error)}", file=sys.stderr)
        sys.exit(1)


def classify(words: list[str]) -> int:
    """Answer photographs."""
    parser = _parser("classify", "Say what photographs show. `classify export --help` writes the network to a file.")
    parser.add_argument("photographs", nargs="*", help="files, and folders with files")
    parser.add_argument("--top", type=int, default=3, help="how many classes to name (3)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", dest="kind", action="store_const", const="json", help="an object a line")
    kind.add_argument("--csv", dest="kind", action="store_const", const="csv", help="a row for each class named")
    parser.add_argument("--none-of-these", action="store_true", help="say which are unlike anything it learned from")
    parser.add_argument(
        "--explain",
        metavar="FOLDER",
        type=Path,
        help="write there where the network looked, and the nearest training photographs, as PNG",
    )
    options = parser.parse_args(words)
    if options.top < 1:
        parser.error("--top must be 1 or more")
    if not options.photographs:
        parser.error("name photographs or folders to classify")
    if options.explain and options.explain.resolve() in [Path(each).resolve() for each in options.photographs]:
        parser.error(f"--explain {options.explain}: another folder than that of the photographs, please")
    from stages.prediction.inputs import files_in  # what follows takes a moment to import: not for --help

    files = files_in(options.photographs)
    if not files:
        print("error: no images in " + ", ".join(options.photographs), file=sys.stderr)
        return NOTHING_TO_DO
    for folder in filter(os.path.isdir, options.photographs):
        if not files_in([folder]):
            print(f"warning: no images in {folder}", file=sys.stderr)
    absolute = {str(Path(file).absolute()): file for file in files}
    explained_to = options.explain and options.explain.absolute()
    weights = weights_file(options)
    return _answer(absolute, weights, options, explained_to)


def _answer(files: dict[str, str], weights: Path, options: argparse.Namespace, explained_to: Path | None) -> int:
    """Print a prediction for each file, `files` by its absolute path; return the exit status."""
    from tqdm import tqdm

    from stages.prediction.classifier import load_classifier
    from stages.prediction.inputs import chunks_of
    from stages.prediction.output import output_for, printable

    classifier = load_classifier(weights)
    if not options.none_of_these:
        below = {"none_of_these_below": None}
        classifier = classifier._replace(metadata=classifier.metadata.model_copy(update=below))
    explainer = _explainer(classifier) if explained_to else None
    output, unreadable = output_for(options.kind or "text"), 0
    predictions = classifier.predictions(chunks_of(files, classifier.metadata), options.top)
    for number, found in enumerate(tqdm(predictions, total=len(files), unit=" images", disable=None, leave=False)):
        prediction = found._replace(path=files[found.path])
        if prediction.error:
            unreadable += 1
            tqdm.write(f"error: {printable(prediction.path)}: {prediction.error}", file=sys.stderr)
            continue
        output.add(prediction)
        if explainer and explained_to:
            explainer.write(explained_to, number, prediction)
    output.close()
    sys.stdout.flush()
    if explainer:
        print(
            f"explained in {options.explain}: what spoke for the class, and the training images most like it",
            file=sys.stderr,
        )
    if unreadable:
        print(f"error: {unreadable} of {len(files)} files could not be answered", file=sys.stderr)
    return SOME_UNREADABLE if unreadable else 0


def _explainer(classifier: Any) -> Any:
    from stages.prediction.explanations import Explainer  # torch, which takes seconds to import

    return Explainer(classifier)


def export(words: list[str]) -> int:
    """Write the network to files for other programs."""
    parser = _parser("classify export", "Write a trained network, with preparation and class names, to a file.")
    parser.add_argument(
        "--onnx", metavar="FILE", type=Path, help="for onnxruntime and others; prepare_images.py beside it"
    )
    parser.add_argument(
        "--int8", metavar="FILE", type=Path, help="the same in 8 bits, with what that costs in accuracy"
    )
    options = parser.parse_args(words)
    if not (options.onnx or options.int8):
        parser.error("say what to write: --onnx FILE, --int8 FILE or both")
    onnx, int8 = (file and file.absolute() for file in (options.onnx, options.int8))
    run = weights_file(options).parent
    from stages.prediction.onnx_export import write_int8, write_onnx

    if onnx:
        print(write_onnx(onnx, run))
    if int8:
        print(write_int8(int8, run))
    return 0


def _parser(name: str, does: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description=does, allow_abbrev=False)
    parser.add_argument("--run", help="of the study, e.g. own_cnn-tuned-augmented (the best one)")
    parser.add_argument("--weights", metavar="FILE", type=Path, help="a .safetensors file of this project's, instead")
    parser.add_argument("--study", metavar="FOLDER", type=Path, help="where the study is (here, else the project's)")
    return parser


def weights_file(options: argparse.Namespace) -> Path:
    """Return the file of weights that the command line names; go to the study's folder.

    Raises UserError where it is not there, or not the one that the run's scores are of.
    """
    if options.weights:
        return Path(options.weights).absolute()
    os.chdir(options.study or (Path() if Path("metrics/runs").is_dir() and Path("params.yaml").is_file() else PROJECT))
    if options.study and not Path("params.yaml").is_file():
        raise UserError(f"{options.study} is no study: it has no params.yaml")
    run = _run_named(options.run) if options.run else best_run()
    file = Path(f"data/trained/{run}/weights.safetensors")
    if same := referred(file.parent):
        run, file = same, Path(f"data/trained/{same}/weights.safetensors")
    if not file.is_file():
        trained = sorted(path.parent.name for path in Path("data/trained").glob("*/weights.safetensors"))
        there = ", ".join(trained) or "none here"
        raise UserError(f"{file} does not exist; trained are: {there}; `make` brings any other run of the study")
    _refuse_other_weights(run, file)
    return file


def _run_named(name: str) -> str:
    """Return the run of a name, which may leave out the seed where there is but one, or is the first."""
    if Path(f"data/trained/{name}").is_dir():
        return name
    seeded = sorted(path.name for path in Path("data/trained").glob(f"{name}-*"))
    return next((each for each in seeded if each.removeprefix(f"{name}-").isdigit()), name)


def _refuse_other_weights(run: str, file: Path) -> None:
    """Raise UserError where metrics/runs has scores of other weights than the file holds."""
    import hashlib

    from stages.reporting.records import read_record

    record = Path(f"metrics/runs/{run}.json")
    scored = read_record(f"metrics/runs/{run}").get("weights_sha256") if record.is_file() else None
    if scored and scored != hashlib.sha256(file.read_bytes()).hexdigest():
        raise UserError(
            f"{file} is not what {record} has scores of: another branch's, say; `dvc checkout` brings the one that"
            " belongs here, `dvc repro` makes it"
        )


def best_run() -> str:
    """Return the first seed's run of the study's best configuration, as the report has it.

    Known from metrics alone, so that it is found after an edit
    of params.yaml as well; of those of a network that left the study, of other images perhaps, metrics.json has none.
    """
    from stages.reporting.records import Records, best_of, read_record
    from stages.runtime.files import read_json
    from stages.runtime.study import Configuration

    summary = Path("metrics/metrics.json")
    nested = read_json(summary) if summary.is_file() else {}
    known = {f"{network}-{tuned}-{data}" for network, of in nested.items() for tuned, by in of.items() for data in by}
    records: Records = {}
    runs: dict[Configuration, str] = {}
    for file in sorted(Path("metrics/runs").glob("*-*-*-*.json")):
        configuration = Configuration(*file.stem.split("-")[:3])
        if known and str(configuration) not in known:
            continue
        records.setdefault(configuration, []).append(read_record(str(file.with_suffix(""))))
        runs.setdefault(configuration, file.stem)
    if not runs:
        raise UserError("metrics/runs holds no scores; `make` or `dvc repro` makes them")
    return runs[best_of(records)]


if __name__ == "__main__":
    program()
