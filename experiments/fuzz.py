"""Give each reader of strangers' files ten thousand damaged ones: all must be read or refused in words, soon.

    python -m experiments.fuzz 10000

A reader's inputs are whole files with up to eight edits each, drawn from a seed: bytes, words that have made readers
stumble, absurd numbers, parts left out, doubled or cut off. Archives are edited before they are compressed, a header
of weights before its length is written, else no edit would come through. A reader has a process of its own; an input
that takes ten seconds counts as a hang, and one that fills a gigabyte beside what the process had is a fault as well.
Writes experiments/results/fuzz.json, and exits with 1 if a reader failed.
"""

import gzip
import io
import json
import multiprocessing
import random
import re
import resource
import signal
import sys
import tarfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psutil
from PIL import Image

from helpers.projects import ROOT
from helpers.timing import write_results
from stages.commands.check import SCHEMAS, error_lines, network_faults
from stages.commands.compare import HERE, described, side_by_side, study_of
from stages.datasets.common.archives import Limits, unpack
from stages.datasets.common.label_tables import files_in_table
from stages.images.preparation import Preparation
from stages.images.reading import UnreadableImage, load, max_value, width_and_height
from stages.networks.common.graph import METADATA
from stages.networks.common.weights import Metadata, required_metadata
from stages.runtime.config import read_section, section_names
from stages.runtime.errors import UserError

SECONDS, MEGABYTES = (
    10,
    1000,
)  # that one input may take; resident ones, for what is asked for and not used costs nothing
ADDRESSES = 5_000_000_000  # bytes that may be asked for: more than a length of 32 bits, and less than would hurt others
PIXELS = 1_000_000
WORDS = [
    *b'\0 \r \n " \' { ] } [] {} "" : *a !!timestamp ../../x null NaN -Infinity .inf true 0x10 1_0 =1+1 , ;'.split(
        b" "
    ),
    *(b"- ", b"&a ", b"\t", b"[" * 60, b"a" * 300, b"\xff", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\\ud800", b"\x1b[2J"),
]
NUMBERS = [b"0", b"-1", b"1e999", b"4294967296", b"9" * 30, b"9" * 5000, b"0.5", b"99999999"]

Read = Callable[[bytes], None]  # reads a file of these bytes in the present folder


class Reader(NamedTuple):
    """Whole files to damage, what makes a file of damaged bytes, and what reads it."""

    files: list[bytes]
    packed: Callable[[bytes], bytes]
    read: Read


class Outcome(NamedTuple):
    """What came of a reader's inputs: how many it took and refused, and what went wrong how often."""

    inputs: int
    taken: int
    refused: int
    faults: dict[str, int]
    slowest_seconds: float
    peak_megabytes: int  # beside what the process had before the first input


class HangError(BaseException):
    """An input took too long; no reader's `except Exception` may take it for a damaged file."""


def main(inputs: str = "10000") -> None:
    """Try every reader with so many inputs; print and keep what came of it."""
    outcomes = {}
    for name in readers():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            outcomes[name] = pool.submit(fuzzed, name, int(inputs)).result()
        print(f"{name}: {outcomes[name]._asdict()}", flush=True)
    write_results(
        "experiments/results/fuzz.json", [{"reader": name, **each._asdict()} for name, each in outcomes.items()]
    )
    sys.exit(any(outcome.faults for outcome in outcomes.values()))


def fuzzed(name: str, inputs: int) -> Outcome:
    """Give so many inputs to a reader; in the process that calls, and in a folder that is removed."""
    draw, reader, faults = random.Random(name), readers()[name], Counter[str]()  # noqa: S311  # no secret
    taken = refused = 0
    slowest = 0.0
    before, held = resident_megabytes(), resource.getrlimit(resource.RLIMIT_AS)
    signal.signal(signal.SIGALRM, _hang)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + ADDRESSES, held[1]))
    try:
        with TemporaryDirectory(prefix="fuzz.") as folder, chdir(folder):
            for whole in reader.files:  # which must be taken, or nothing would be tried
                reader.read(reader.packed(whole))
            for _ in range(inputs):
                content = reader.packed(damaged(draw.choice(reader.files), draw))
                start = time.monotonic()
                signal.alarm(SECONDS)
                try:
                    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                        reader.read(content)
                    taken += 1
                except (UserError, UnreadableImage) as told:
                    refused += 1
                    faults["refused for want of memory"] += "MemoryError" in str(told)
                except BaseException as error:  # whatever it is, it is what is looked for
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    faults[in_short(error)] += 1
                finally:
                    signal.alarm(0)
                slowest = max(slowest, time.monotonic() - start)
                if resident_megabytes() - before > MEGABYTES:
                    faults["more than a gigabyte"] += 1
                    break
    finally:
        resource.setrlimit(resource.RLIMIT_AS, held)
    return Outcome(inputs, taken, refused, dict(+faults), round(slowest, 2), resident_megabytes() - before)


def _hang(*_: object) -> None:
    raise HangError


def in_short(error: BaseException) -> str:
    """Return an error's kind, and the line of the project that it came through last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if f"{ROOT}/stages/" in frame.filename]
    where = f"{Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno}" if frames else "experiments/fuzz.py"
    return f"{type(error).__name__} in {where}"


def resident_megabytes() -> int:
    """Return the most memory that this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return a file with up to eight edits; none at all now and then."""
    for _ in range(draw.randint(0, 8)):
        start = draw.randrange(len(content) + 1)
        end = min(len(content), start + draw.choice([1, 1, 4, 30, 300]))
        numbers = [match.span() for match in re.finditer(rb"\d+", content[start : start + 2000])]
        kind = draw.choice(["byte", "word", "word", "number", "number", "out", "twice", "cut"])
        if kind == "byte":
            content = content[:start] + draw.randbytes(1) + content[start + 1 :]
        elif kind == "word":
            content = content[:start] + draw.choice(WORDS) + content[draw.choice([start, end]) :]
        elif kind == "number" and numbers:
            first, last = draw.choice(numbers)
            content = content[: start + first] + draw.choice(NUMBERS) + content[start + last :]
        elif kind == "out":
            content = content[:start] + content[end:]
        elif kind == "twice":
            content = content[:end] + content[start:end] * draw.choice([1, 3]) + content[end:]
        elif kind == "cut" and draw.random() < 0.3:
            content = content[:start]
    return content


def readers() -> dict[str, Reader]:
    """Return every reader of a file that may be a stranger's."""
    return {
        "params.yaml": Reader(params_files(), bytes, read_params),
        "table": Reader(tables(), bytes, read_table),
        "zip": Reader([zip_file()], bytes, partial(read_archive, "a.zip")),
        "tar": Reader([tar_file()], bytes, partial(read_archive, "a.tar")),
        "tar.gz": Reader([tar_file()], partial(gzip.compress, compresslevel=1), partial(read_archive, "a.tar.gz")),
        "weights": Reader([weights_header()], with_length, read_weights),
        "record": Reader([record_file()], bytes, read_records),
        "picture": Reader(pictures(), bytes, read_picture),
    }


def params_files() -> list[bytes]:
    """Return sections of params.yaml, each as a file of its own, but for those that networks are read with."""
    text = re.sub(r"\s+#.*", "", (ROOT / "params.yaml").read_text(encoding="utf-8"))
    sections = {part.split(":")[0]: part for part in re.split(r"\n(?=\w)", text) if ":" in part}
    alone = [section for name, section in sections.items() if name in SCHEMAS]
    together = [section for name, section in sections.items() if name == "study" or name not in SCHEMAS]
    return [section.encode() for section in [*alone, "\n".join(together)]]


def read_params(content: bytes) -> None:
    """Read what a file has of sections as `check` does."""
    Path("params.yaml").write_bytes(content)
    lines: list[str] = []
    for name in section_names():
        lines += error_lines(partial(read_section, name, SCHEMAS[name])) if name in SCHEMAS else network_faults()
    if lines:
        raise UserError(*lines)


def tables() -> list[bytes]:
    """Return tables of labels as programs write them."""
    rows = [["file", "label", "split", "group"], *([f"{name}.jpg", "crow", "train", "1"] for name in "abcdef")]
    return [
        "\n".join(end.join(f'"{cell}"' if quoted else cell for cell in row) for row in rows).encode()
        for end in ",;\t"
        for quoted in (False, True)
    ]


def read_table(content: bytes) -> None:
    """Read a table that lies beside its files."""
    for name in "abcdef":
        Path(f"{name}.jpg").write_bytes(b"x")
    Path("labels.csv").write_bytes(content)
    files_in_table(Path(), "labels.csv", Path("mine"))


def members() -> Iterator[tuple[str, bytes]]:
    """Yield files of an archive."""
    yield from ((f"{name}/{number}.png", b"picture" * 20) for name in ("crow", "jäy") for number in range(3))


def zip_file() -> bytes:
    """Return an archive as Windows and macOS write it."""
    with zipfile.ZipFile(written := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members():
            zipped.writestr(name, content)
    return written.getvalue()


def tar_file() -> bytes:
    """Return an archive as Linux writes it, with a header of its own for a name outside ASCII."""
    with tarfile.open(fileobj=(written := io.BytesIO()), mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name, content in members():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return written.getvalue()


def read_archive(name: str, content: bytes) -> None:
    """Unpack an archive into a folder that is removed."""
    Path(name).write_bytes(content)
    with TemporaryDirectory(dir=".") as folder:
        unpack(Path(name), Path(folder), Limits(unpacked_gigabytes=0.01, files=100), "detect")


def weights_header() -> bytes:
    """Return the header of a file of weights."""
    said = Metadata(
        network="own_cnn", settings={"dropout": 0.5}, class_names=["crow", "jay"], image_size=64, mean=(1, 2, 3),
        standard_deviation=(4, 5, 6), preparation=Preparation(image_size=64, fit="crop"),
    )  # fmt: skip
    return json.dumps({"__metadata__": {METADATA: said.as_json()}, "a": {"dtype": "F32", "shape": [1]}}).encode()


def with_length(header: bytes) -> bytes:
    """Return the beginning of a file of weights."""
    return len(header).to_bytes(8, "little") + header


def read_weights(content: bytes) -> None:
    """Read what a file of weights says of itself."""
    Path("weights.safetensors").write_bytes(content)
    required_metadata("weights.safetensors")


def record_file() -> bytes:
    """Return the record of a run of the default study, of a few images."""
    record = json.loads((ROOT / "metrics/runs/own_cnn-default-original-1.json").read_text(encoding="utf-8"))
    record |= {"images": 4, "labels": "0 0 1 1", "predicted": "0 1 1 1", "class_accuracy": {"crow": 0.5, "jay": 1.0}}
    return json.dumps(record).encode()


def read_records(content: bytes) -> None:
    """Read the records of a study of one run, and compare them as `make compare` does."""
    params = (
        "study: {networks: [own_cnn], hyperparameters: [default], data: [original], seeds: [1]}\n"
        "report: {published_study: false}\ndataset: {source: folder}"
    )
    read = study_of(lambda path: params if path == "params.yaml" else content.decode(errors="surrogateescape"), HERE)
    described({HERE: read})
    side_by_side(read, read, "there")


def pictures() -> list[bytes]:
    """Return a small picture in each format that is read, and in odd variants."""
    noise = Image.effect_noise((24, 20), 90)
    colour = Image.merge("RGB", [noise, noise.rotate(90), noise])
    variants: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((colour, name, {}) for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")),
        (colour, "JPEG", {"progressive": True}),
        (colour.convert("CMYK"), "JPEG", {}),
        (noise.convert("I;16"), "PNG", {}),
        (noise.convert("I;16"), "TIFF", {"compression": "tiff_lzw"}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (colour.convert("RGBA"), "PNG", {}),
        (colour, "TIFF", {"compression": "jpeg"}),
    ]
    return [written(image, name, options) for image, name, options in variants]


def written(image: Image.Image, name: str, options: dict[str, Any]) -> bytes:
    """Return the file of a picture."""
    image.save(content := io.BytesIO(), name, **options)
    return content.getvalue()


def read_picture(content: bytes) -> None:
    """Read a picture as prepare and classify do."""
    Path("picture").write_bytes(content)
    width_and_height(Path("picture"), PIXELS)
    max_value(Path("picture"), PIXELS)
    load(Path("picture"), PIXELS, white_level=4095)


if __name__ == "__main__":
    main(*sys.argv[1:])
