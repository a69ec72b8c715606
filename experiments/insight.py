"""What the stage insight finds: wrong labels, copies across splits, strange images, and what more images would bring.

    python -m experiments.insight STUDIES CUB_200_2011-20classes.tgz CUB_200_2011-128px.tgz tiny-imagenet-20.tar

Of each archive, and of the drawn birds, a study of efficientnet_lite0 is made in the folder STUDIES, or taken from
there. Labels are then changed in 5 % of the training images, images copied and altered, heads fitted to parts, by the
functions that the stage itself calls. Writes experiments/results/insight.json, of which docs/results.md is made.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from helpers.projects import ENVIRONMENT, copy_project, set_params, source_settings
from helpers.timing import write_results
from stages.images.reading import ImageArray, decode, resized
from stages.images.shards import read_rows
from stages.inspection.doubtful import find_doubtful_labels
from stages.inspection.image_features import FeatureTable, Heads, backbone_features
from stages.inspection.learning_curve import Images, learning_curve, stratified
from stages.inspection.near_pairs import same_scene
from stages.networks.common.runner import OnnxRunner
from stages.reporting.markdown import percent, table
from stages.statistics.rejection import evidence, rejection_threshold
from stages.statistics.whitening import Floats, Whitening
from stages.training.head import HeadSettings, assigned_folds, cross_validated, fit
from stages.training.head_run import HeadData, held_out_logits

NETWORK, SETTINGS, GRID = "efficientnet_lite0", HeadSettings(), ((0.5,), (0.5,))
WRONG, DRAWS = 0.05, 5  # share of labels that are changed, and how often
COPIES = 200  # images of which copies of each kind are made
TRIALS = {"cub20": 14, "cub200": 13, "tiny20": 13}  # of the learning curve
CLASSES_A_TRIAL = 15
BIRDS = ("albatross", "black_stork")  # among the objects of tiny-imagenet-20
Labels = NDArray[np.int64]


def main(folder: str, *archives: str) -> None:
    """Make the studies, measure, print and keep what came of it."""
    sources = dict(zip(("cub20", "cub200", "tiny20", "drawn"), (*archives, "synthetic"), strict=True))
    folders = {name: study(Path(folder) / name, source, name) for name, source in sources.items()}
    tables = {}
    for name in ("cub20", "cub200", "tiny20"):
        with chdir(folders[name]):
            tables[name] = backbone_features(NETWORK)
    rows = [*label_rows(tables), *strange_rows(tables)]
    for name in ("cub20", "tiny20"):
        with chdir(folders[name]):
            rows += list(copy_rows(name, tables[name]))
    rows += [curve_row(tables), seconds_row(folders["drawn"])]
    found = table(
        ["what", "of", "goal", "reached"], [[row["what"], row["of"], row["goal"], row["shown"]] for row in rows], 2
    )
    write_results("experiments/results/insight.json", rows, found)
    print(found)


def study(folder: Path, archive: str, name: str) -> Path:
    """Return the folder of a study whose features are computed."""
    if not folder.exists():
        folder.mkdir(parents=True)
        copy_project(folder)
        set_params(folder, **source_settings(archive, folder, "all" if name == "cub200" else 20))
        axes = {"study__networks": [NETWORK], "study__data": ["original"], "study__hyperparameters": ["default"]}
        set_params(folder, **axes)
        subprocess.run(["dvc", "repro", "-q", "evaluate"], cwd=folder, env=ENVIRONMENT, check=True)
    return folder


def row(what: str, of: str, goal: str, shown: str, **values: Any) -> dict[str, Any]:
    """Return a row of the table, with the numbers behind it."""
    return {"what": what, "of": of, "goal": goal, "shown": shown, **values}


def out_of_fold(features: Floats, labels: Labels, seed: int) -> Floats:
    """Return probabilities (n, classes) by heads that did not learn the label in question."""
    folds = assigned_folds(labels, seed=seed)
    (reached,) = cross_validated(features, labels, int(labels.max()) + 1, folds, GRID)
    return np.asarray(softmax(reached.logits, axis=1))


def label_rows(tables: dict[str, FeatureTable]) -> Iterator[dict[str, Any]]:
    """Yield how many of the changed labels are in the top 2k, of k changed ones, and among those doubted."""
    goals = {"cub20": ">= 95 %", "cub200": ">= 75 %", "tiny20": ">= 90 %"}
    for name, goal in goals.items():
        yield changed_row(name, tables[name], "at random", goal)
    yield changed_row("cub20", tables["cub20"], "within the three likeliest others", ">= 70 %")


def changed_row(name: str, images: FeatureTable, how: str, goal: str) -> dict[str, Any]:
    """Change labels of training images, and look for them."""
    features, labels = images.views(flip_tta=True)[images.training_rows], images.labels[images.training_rows]
    classes, everyone = int(labels.max()) + 1, np.arange(len(labels))
    likely = np.argsort(-out_of_fold(features, labels, 0), axis=1)
    first, doubted, right = [], [], []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        wrong = rng.choice(len(labels), round(WRONG * len(labels)), replace=False)
        given = labels.copy()
        for at in wrong:
            others = likely[at][likely[at] != labels[at]][: 3 if how != "at random" else classes]
            given[at] = rng.choice(others)
        probabilities = out_of_fold(features, given, draw)
        order = np.argsort(probabilities[everyone, given], kind="stable")[: 2 * len(wrong)]
        listed = {each.row for each in find_doubtful_labels(probabilities, given)}
        first.append(len({*order.tolist()} & {*wrong.tolist()}) / len(wrong))
        doubted.append(len(listed & {*wrong.tolist()}) / len(wrong))
        right.append(len(listed & {*wrong.tolist()}) / max(1, len(listed)))
    means = [float(np.mean(each)) for each in (first, doubted, right)]
    shown = f"{percent(means[0])} (doubted: {percent(means[1])}, of the doubted wrong: {percent(means[2])})"
    return row(
        f"k {'random' if how == 'at random' else 'likely wrong'} labels (5 %), in the top 2k",
        name,
        goal,
        shown,
        found=first,
        doubted=doubted,
        right=right,
    )


def strange_rows(tables: dict[str, FeatureTable]) -> Iterator[dict[str, Any]]:
    """Yield how well images of something else are told from those of 20 birds, and how many birds are false alarms."""
    objects = tables["tiny20"]
    strange = [label for label, name in enumerate(objects.class_names) if name not in BIRDS]
    of_objects = objects.views(flip_tta=True)[np.isin(objects.labels, strange)]
    birds = tables["cub200"]
    others = birds.views(flip_tta=True)[(birds.labels >= 20) & (birds.splits == 2)]
    views, few = birds.views(flip_tta=True), birds.labels < 20
    learned, tested = (np.flatnonzero(few & part) for part in (birds.splits != 2, birds.splits == 2))
    labels = birds.labels[learned]
    folds = assigned_folds(labels)
    data = HeadData(views[learned].astype(np.float32), labels, np.arange(len(labels)), folds, birds.class_names[:20])
    (reached,) = cross_validated(data.features, labels, 20, folds, GRID)
    head = fit(data.features, labels, 20, SETTINGS, reached.scale)
    least = rejection_threshold(held_out_logits(data, SETTINGS, reached.scale)) or 0.0
    known = head.logits(views[tested]).astype(np.float64)
    for name, goal, unknown in (("objects", ">= 0.98", of_objects), ("other birds", ">= 0.80", others)):
        logits = head.logits(unknown).astype(np.float64)
        is_known = np.repeat([1, 0], [len(known), len(logits)])
        both = np.concatenate([known, logits])
        area = roc_auc_score(is_known, evidence(both))
        before = roc_auc_score(is_known, softmax(both, axis=1).max(axis=1))
        rejected = float((evidence(logits) < least).mean())
        shown = f"{area:.3f} (by the probability: {before:.3f}); {percent(rejected)} rejected"
        yield row("told apart, area under ROC", f"20 birds and {name}", goal, shown, area=area, by_probability=before)
    alarms = float((evidence(known) < least).mean())
    yield row("false alarms", f"{len(known)} test images of 20 birds", "3 to 8 %", percent(alarms), false_alarms=alarms)


def copy_rows(name: str, images: FeatureTable) -> Iterator[dict[str, Any]]:
    """Yield how many altered copies in another split are found, and how many pairs there are without any."""
    rng, rows = np.random.default_rng(0), list(read_rows("data/original"))
    chosen = rng.choice(len(rows), min(COPIES, len(rows)), replace=False)
    originals = [resized(decode(rows[at].encoded), 224) for at in chosen]
    kinds: dict[str, Callable[[ImageArray], ImageArray]] = {
        "crops (60 %)": lambda image: cropped(image, rng),
        "mirrored": lambda image: image[:, ::-1],
        "recoloured": lambda image: recoloured(image, rng),
    }
    runner, whitening = OnnxRunner(Path(f"data/weights/{NETWORK}/graph.onnx")), Whitening.fit(images.features)
    for kind, alter in kinds.items():
        copies = [np.ascontiguousarray(alter(image)) for image in originals]
        features, mirrored = (
            np.concatenate(
                [
                    runner.run(np.stack([copy[:, ::step] for copy in copies[at : at + 20]]), "features")[0]
                    for at in range(0, len(copies), 20)
                ]
            )
            for step in (1, -1)
        )
        found = same_scene(
            whitening,
            np.concatenate([images.features, features]),
            np.concatenate([images.mirrored, mirrored]),
            np.repeat([0, 1], [len(images.paths), len(chosen)]),
        )
        named = {pair[:2] for pair in found}
        right = float(np.mean([(at, len(images.paths) + number) in named for number, at in enumerate(chosen)]))
        yield row(
            f"copies across splits found: {kind}", f"{len(chosen)} of {name}", ">= 95 %", percent(right), found=right
        )
    pairs = 1000 * len(same_scene(whitening, images.features, images.mirrored, images.splits)) / len(images.paths)
    yield row("pairs per 1,000 images without copies", name, "<= 5", f"{pairs:.1f}", pairs=pairs)


def cropped(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Return a part of 60 % of the area, at the size of the whole."""
    side = round(len(image) * 0.6**0.5)
    top, left = rng.integers(0, len(image) - side + 1, 2)
    return resized(image[top : top + side, left : left + side], len(image))


def recoloured(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Return an image with its hue turned by 20 degrees and its brightness changed by a gamma of 4/3."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int64)
    hsv[..., 0] = (hsv[..., 0] + 10 * rng.choice([-1, 1])) % 180
    turned = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return np.asarray(255 * (turned / 255) ** rng.choice([3 / 4, 4 / 3]), np.uint8)


def curve_row(tables: dict[str, FeatureTable]) -> dict[str, Any]:
    """Return how often the accuracy with all images is within the interval predicted from half of them."""
    trials = [trial(tables[name], number) for name, count in TRIALS.items() for number in range(count)]
    held = sum(each["low"] <= each["reached"] <= each["high"] for each in trials)
    width = 100 * float(np.mean([each["high"] - each["low"] for each in trials]))
    shown = f"{held} of {len(trials)}; mean width {width:.1f} points"
    of = f"{CLASSES_A_TRIAL} classes drawn of cub20, cub200, tiny20"
    return row("final accuracy lies in the range predicted from half", of, ">= 90 %", shown, trials=trials)


def trial(images: FeatureTable, number: int) -> dict[str, float]:
    """Return the interval predicted from half of the training images of some classes, and what all of them reach."""
    rng = np.random.default_rng([7, number])
    classes = np.sort(rng.choice(len(images.class_names), CLASSES_A_TRIAL, replace=False))
    views = images.views(flip_tta=True)
    part = np.isin(images.labels, classes)
    labels = np.searchsorted(classes, images.labels)
    whole, test = (
        Images(views[rows], labels[rows])
        for rows in (np.flatnonzero(part & (images.splits != 2)), np.flatnonzero(part & (images.splits == 2)))
    )
    half = stratified(whole.labels, 0.5, rng)
    heads = Heads(SETTINGS, CLASSES_A_TRIAL, 0.05)

    def fitted(features: Floats, of: Labels) -> Callable[[Floats], NDArray[np.float64]]:
        return lambda others: heads.fitted_probabilities(features, of, others)

    curve = learning_curve(Images(whole.features[half], whole.labels[half]), test, fitted, rng)
    if curve is None:
        raise ValueError("too few images")
    reached = float((fitted(*whole)(test.features).argmax(axis=1) == test.labels).mean())
    return {"low": curve.prediction.low, "high": curve.prediction.high, "reached": reached}


def seconds_row(folder: Path) -> dict[str, Any]:
    """Return what the stage takes of the study's own images: seconds, and those that a core was at work."""
    start, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "stages.insight"], cwd=folder, env=ENVIRONMENT, check=True)
    seconds, after = time.perf_counter() - start, getrusage(RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shown = f"{seconds:.1f} ({busy:.1f} of a core)"
    return row(
        "seconds added to the default study", "800 drawn birds", "<= 15", shown, seconds=seconds, core_seconds=busy
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
