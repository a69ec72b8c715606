"""Draw individuals of a species: place, pose, light, colour cast and background are theirs, never the species'."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from stages.datasets.field_guide.species import COLOURS, Build, Species
from stages.runtime.seeding import stream

Array = NDArray[Any]
Pixels = NDArray[np.uint8]

# How much individuals differ: the larger, the harder species are to tell apart
SCALE = (0.55, 1.0)  # longest side of the bird, in images
OUT_OF_FRAME = 0.04  # how far the bird may reach over the edge, in images
TILT = 25.0  # degrees, both ways
FORESHORTENING = (0.8, 1.0)  # seen from the side = 1
POSE = 9.0  # standard deviation of the joints, in degrees
PLUMAGE_TONE = 0.07  # standard deviation of the log of each feather colour's brightness and channels
WORN = 0.25  # at most this share of every feather colour is faded to brown
COLOUR_CAST = 0.12  # standard deviation of the log of each channel's gain
EXPOSURE = 0.25  # standard deviation of the log of all channels' gain
SHADING = (0.2, 0.6)  # contrast of lit and shaded side
BLUR = (0.0, 0.01)  # standard deviation, in images
NOISE = (1.0, 6.0)  # standard deviation, in 1/255
PERCHED, TWIG_IN_FRONT = 0.75, 0.3  # probabilities

# fmt: off
# The drawing: x towards the bill, y up. In the frames of body and wing x is in bodies and y in half depths, in the
# head's both are in its radii, in those of tail and bill x is in their own length.
EYE, ACROSS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)]), np.linspace(-0.45, 0.42, 11)
STREAKS = [((u + v / 9, v), (u + v / 9 - 0.075, v)) for u in ACROSS[2:] for v in np.linspace(-0.95, -0.1, 5)]
VANES = np.array([((-0.1 - 0.04 * i, 0.35 - 0.18 * i), (-0.75, 0.05 - 0.07 * i)) for i in range(5)])
CURVES: dict[str, ArrayLike] = {  # closed and filled
    "crest Short": [(0.6, 0.7), (-0.1, 1.3), (-0.9, 1.35), (-0.9, 0.4)],
    "crest Tall": [(0.65, 0.65), (0.1, 1.4), (-0.75, 2.1), (-0.75, 2.1), (-0.75, 1.2), (-0.9, 0.3)],
    "crest Swept": [(0.5, 0.8), (-0.5, 1.15), (-2, 1.05), (-2, 1.05), (-1.2, 0.55), (-0.8, 0.1)],
    "face": [(1.3, 0), (0.7, 1.2), (-0.4, 1.3), (-1.1, 0.6), (-0.9, -0.4), (-0.3, -0.95), (0.6, -1.1)],
    "throat": [(1.2, -0.12), (0.4, -0.3), (-0.2, -0.65), (-0.2, -1.1), (0.3, -1.4), (1.2, -1.2)],
    "crown": [(1.1, 0.35), (0.4, 0.52), (-0.4, 0.45), (-1, -0.1), (-1.5, 0.2), (-1, 1.6), (0.8, 1.5)],
    "face_mark Stripe": [(1.1, 0.18), (0.4, 0.38), (-0.4, 0.27), (-1.1, -0.1), (-0.4, -0.04), (0.4, 0.04)],
    "face_mark Brow": [(1.1, 0.4), (0.4, 0.7), (-0.4, 0.64), (-1.2, 0.2), (-0.4, 0.34), (0.4, 0.4)],
    "face_mark Mask": [(1.2, 0.25), (0.4, 0.5), (-0.3, 0.35), (-0.8, -0.1), (-0.3, -0.42), (0.4, -0.25), (1.2, -0.2)],
    "face_mark Cheek": [(0.2, -0.1), (-0.3, 0.05), (-0.65, -0.25), (-0.35, -0.6), (0.1, -0.5)],
    "face_mark Moustache": [(1, -0.15), (0.4, -0.3), (-0.1, -0.85), (0.1, -1), (0.6, -0.6)],
    "face_mark Ring": 0.38 * EYE + (0.38, 0.2), "eye": 0.18 * EYE + (0.38, 0.2), "glint": 0.06 * EYE + (0.43, 0.27),
    "bill Cone": [(0, 0.44), (0.5, 0.34), (1, -0.04), (1, -0.04), (0.5, -0.26), (0, -0.38)],
    "bill Needle": [(0, 0.18), (0.5, 0.12), (1, -0.02), (1, -0.02), (0.5, -0.1), (0, -0.16)],
    "bill Dagger": [(0, 0.32), (0.5, 0.22), (1, -0.02), (1, -0.02), (0.5, -0.19), (0, -0.3)],
    "bill Hook": [(0, 0.42), (0.55, 0.4), (0.95, 0.1), (1, -0.4), (1, -0.4), (0.75, -0.16), (0, -0.34)],
    "bill Sickle": [(0, 0.22), (0.35, 0.24), (0.7, 0.04), (1, -0.5), (1, -0.5), (0.65, -0.16), (0, -0.18)],
    "belly": [(-1, -4), (0.08, -4), (0.1, -0.8), (-0.2, -0.2), (-1, 0)],
    "back": [(0.6, 7), (0.5, 0.3), (0.2, 0.25), (-0.4, -0.1), (-0.9, -0.1), (-0.9, 7)],
    "breast_mark Flank": [(0.22, -0.3), (-0.1, -0.8), (-0.4, -0.65), (-0.4, 0), (0, 0.2)],
    "primaries": [(-0.12, -1), (-0.2, 0), (-0.32, 1), (-1, 1), (-1, -1)],
    "wing_mark Patch": [(0.02, -0.45), (-0.05, 0.1), (-0.3, 0.15), (-0.34, -0.3)],
}
LINES: dict[str, tuple[float, Iterable[ArrayLike]]] = {  # their width in bodies, and where they run
    "tail_mark Tip": (0.05, [[(-0.93, 0.2), (-0.93, -0.2)]]), "quill": (0.012, [[(0, 0), (-1.2, 0)]]),
    "tail_mark Bar": (0.03, [[(x, 0.2), (x, -0.2)] for x in (-0.9, -0.72, -0.54, -0.36)]),
    "tail_mark Edge": (0.035, [[(-0.1, side * 0.075), (-1.1, side * 0.115)] for side in (-1, 1)]),
    "breast_mark Streak": (0.022, STREAKS),
    "breast_mark Spot": (0.05, [[dot, dot] for dot, _ in STREAKS[::2]]),
    "breast_mark Bar": (0.024, [[(x + 0.03, -1.1), (x, -0.6), (x + 0.03, 0.1)] for x in ACROSS]),
    "breast_mark Band": (0.1, [[(0.5, 0.3), (0.33, -0.4), (0.3, -1.2)]]),
    "feathers": (0.01, VANES), "wing_mark Edge": (0.02, np.add(VANES, (-0.01, 0.06))),
    "wing_mark Bar": (0.05, [[(-0.06, -0.7), (-0.1, 0), (-0.18, 0.7)]]),
    "wing_mark Twobar": (0.045, [[(x, -0.7), (x - 0.04, 0), (x - 0.12, 0.7)] for x in (-0.08, 0.1)]),
    "wing_mark Spot": (0.045, [[(0.22 - 0.05 * i, 0.25 - 0.25 * (i % 3))] * 2 for i in range(12)]),
}
OUTLINES: dict[str, list[tuple[str, ArrayLike]]] = {
    "body": [
        ("head", [(np.cos(turn), np.sin(turn)) for turn in np.radians([-28, 8, 45, 88, 130, 160])]),
        ("body", [(0.18, 0.86), (-0.15, 0.82), (-0.42, 0.5), (-0.6, 0.36), (-0.6, -0.12)]),
        ("body", [(-0.42, -0.5), (-0.14, -0.95), (0.16, -1), (0.39, -0.64)]),
    ],
    "wing": [
        ("wing", [(0.3, -0.05), (0.18, 0.32), (-0.1, 0.45), (-0.42, 0.32)]),
        ("wing", [(-0.72, 0.05), (-0.72, 0.05), (-0.4, -0.28), (-0.1, -0.5), (0.18, -0.42)]),
    ],
} | {
    shape: [("tail", [(0.2, 0.08), *np.repeat([(-1, flare), (tip, 0), (-1, -flare)], 2, axis=0), (0.2, -0.09)])]
    for shape, tip, flare in (("Square", -1.0, 0.11), ("Fork", -0.66, 0.14))
}
PARTS: dict[str, dict[str, tuple[str, ...]]] = {  # from back to front: what an outline clips, by frame
    "tail": {"tail": ("tail_mark", "quill")},
    "body": {"body": ("belly", "breast_mark", "back"),
             "head": ("face", "throat", "crown", "face_mark", "eye", "glint")},
    "wing": {"wing": ("primaries", "feathers", "wing_mark")},
}
# fmt: on


def draw(seed: int, species: Species, number: int, image_size: int) -> Pixels:
    """Return image `number` of a species: RGB, uint8, (image_size, image_size, 3)."""
    rng, size = stream(seed, "picture", species.name, number), (image_size, image_size)
    fine = max(2, -(-192 // image_size))  # drawn this many times larger, then averaged
    bird = cv2.resize(_bird(rng, species, fine * image_size), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    cover = bird[..., 3:] / 255
    image: Array = bird[..., :3] * _shading(rng, cover) + _scene(rng, image_size) * (1 - cover)
    image = cv2.GaussianBlur(image, (0, 0), 0.1 + rng.uniform(*BLUR) * image_size)
    gain = np.exp(rng.normal(0, COLOUR_CAST, 3) + rng.normal(0, EXPOSURE)).astype(np.float32)
    exposed = 300 * (1 - np.exp(-1.4 / 255 * gain * image))  # like film, bright parts saturate softly
    noise = np.float32(rng.uniform(*NOISE)) * rng.standard_normal(image.shape, np.float32)
    return np.asarray(exposed + noise).clip(0, 255).astype(np.uint8)


def _shading(rng: Generator, cover: Array) -> Array:
    """Return how strongly each pixel is lit, (H, W, 1): the slope of the blurred outline makes the bird look round."""
    side = len(cover)
    relief = cv2.GaussianBlur(cover, (0, 0), 0.055 * side)
    towards, strength = np.radians(rng.uniform(20, 160)), rng.uniform(*SHADING) * side / 40
    slope = np.cos(towards) * cv2.Sobel(relief, -1, 1, 0) + np.sin(towards) * cv2.Sobel(relief, -1, 0, 1)
    ruffled = cv2.resize(rng.normal(1, 0.05, (24, 24)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.float32(strength) * slope + ruffled).clip(0.25, 1.5)[..., None]


def _scene(rng: Generator, side: int) -> Array:
    """Return an out-of-focus background, RGB, (side, side, 3), in colours that say nothing of the species."""
    first, second, third = (_any_colour(rng) for _ in range(3))
    rough = min(side, 128)  # pixels; it is blurred anyway
    grid = rng.choice([(3, 2), (6, 6), (4, 13), (10, 10), (9, 4)])  # sky, bushes, stems, leaves, water
    mixed = cv2.resize(rng.normal(0.5, 0.35, grid), (rough, rough), interpolation=cv2.INTER_CUBIC).clip(0, 1)[..., None]
    layer = Layer((first * mixed + second * (1 - mixed)).astype(np.uint8), np.diag([rough, rough, 1.0]))
    for _ in range(rng.integers(0, 7)):  # leaves, berries, gaps of light
        spot = rng.random(2) + rng.normal(0, rng.uniform(0.03, 0.12), (5, 2))
        layer.draw(np.eye(3), 0, [spot], _any_colour(rng) if rng.random() < 0.4 else third)
    layer.draw(np.eye(3), rng.uniform(0.01, 0.06), rng.uniform(-0.3, 1.3, (rng.integers(1, 4), 2, 2)), third)
    blurred = cv2.GaussianBlur(layer.pixels, (0, 0), rng.uniform(0.008, 0.04) * rough)
    return cv2.resize(blurred, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def _any_colour(rng: Generator) -> Array:
    one, other = rng.choice(list(COLOURS.values()), 2)  # plumage's own colours: a bird may well match its background
    return np.asarray(rng.uniform(0.25, 1) * (one + rng.random() * (other - one)))


class Layer:
    """Pixels to draw on, in coordinates that `view`, 3 x 3, carries to them."""

    def __init__(self, pixels: Pixels, view: Array) -> None:
        self.pixels, self.view = pixels, view
        self.scale = float(np.sqrt(abs(np.linalg.det(view[:2, :2]))))

    def draw(self, frame: Array, width: float, lines: Iterable[ArrayLike], colour: Iterable[float]) -> None:
        """Draw lines, each (points, 2) in `frame`: closed curves filled where `width` is 0, else open lines."""
        curves = [transformed(self.view @ frame, line if width else smooth_curve(line)) for line in lines]
        sixteenths = [np.rint(16 * points).astype(np.int32) for points in curves]  # of a pixel: cv2's shift=4
        opaque = (*map(float, colour), 255.0)
        if width:
            cv2.polylines(self.pixels, sixteenths, False, opaque, max(1, round(width * self.scale)), cv2.LINE_AA, 4)
        else:
            cv2.fillPoly(self.pixels, sixteenths, opaque, cv2.LINE_AA, 4)


def transformed(frame: Array, points: ArrayLike) -> Array:
    """Return points, (n, 2), carried by a 3 x 3 frame."""
    return np.asarray(np.asarray(points) @ frame[:2, :2].T + frame[:2, 2])


def rotated_frame(x: float, y: float, degrees: float) -> Array:
    """Return the 3 x 3 frame at (x, y), rotated_frame anticlockwise."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, x], [sine, cosine, y], [0, 0, 1]])


def smooth_curve(points: ArrayLike) -> Array:
    """Return the closed Catmull-Rom curve through points, (n, 2); a point given twice is a corner."""
    points = np.asarray(points)
    rows = np.arange(-1, 3)[:, None] + np.arange(len(points))  # before each, itself, and two after it
    neighbours = np.take(points, rows, axis=0, mode="wrap")
    return np.asarray(np.einsum("kt,knd->ntd", CATMULL_ROM, neighbours).reshape(-1, 2))


def _catmull_rom(steps: int) -> Array:
    """Return what a point (its neighbours: before, itself, next, the one after) counts at each step to the next."""
    t = np.linspace(0, 1, steps, endpoint=False)
    return np.array([2 * t**2 - t**3 - t, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2


CATMULL_ROM = _catmull_rom(7)


class Individual(NamedTuple):
    """What one bird is drawn with: a pose (3 x 3 frames), colours and its species' attributes, by name."""

    rng: Generator
    joints: dict[str, Array]
    colours: dict[str, Array]
    values: dict[str, str]


def _joints(rng: Generator, build: Build) -> dict[str, Array]:
    """Return an individual's pose: the 3 x 3 frames that SHAPES are drawn in, and the feet's."""
    posture, half_depth, radius, neck, leg, tail, bill, _ = build
    lean, nod, wag, droop = rng.normal(0, POSE, 4)
    trunk, depth = rotated_frame(0, 0, posture + lean), np.diag([1, half_depth, 1])
    nape = transformed(trunk, [0.4 + neck, 0.17 - 0.0012 * posture])
    hip = transformed(trunk @ depth, [0.02, -0.8])
    head = rotated_frame(nape[0], nape[1], nod) @ np.diag([radius, radius, 1])
    return {
        "body": trunk @ depth,
        "head": head,
        "bill": head @ rotated_frame(0.7, 0, 0) @ np.diag([bill + 0.3, 1, 1]),
        "tail": trunk @ rotated_frame(-0.48, 0.03, wag) @ np.diag([tail, 1, 1]),
        "wing": trunk @ rotated_frame(0, 0, 0.4 * droop) @ depth,
        "feet": rotated_frame(hip[0] + 0.04, hip[1] - leg, 0),
    }


def _colours(rng: Generator, values: dict[str, str]) -> dict[str, Array]:
    """Return the colour of each of SHAPES and PARTS on this individual, RGB, (3,)."""
    worn, colours = rng.uniform(0, WORN), {}
    for attribute in (name for name, value in values.items() if value in COLOURS):
        tone = np.exp(rng.normal(0, PLUMAGE_TONE) + rng.normal(0, PLUMAGE_TONE, 3)) * COLOURS[values[attribute]]
        colours[attribute] = (tone * (1 - worn) + np.array([130, 112, 92]) * worn).clip(0, 255)
    for ground in ("face", "breast", "wing", "tail"):
        stands_out = np.abs(colours["trim"] - colours[ground]).max() > 60
        contrast = colours[ground] * 0.4 if colours[ground].mean() > 110 else 165 + colours[ground] * 0.35
        colours[f"{ground}_mark"] = colours["trim"] if stands_out else contrast
    shades = {"primaries": 0.72 * colours["wing"], "feathers": 0.5 * colours["wing"], "quill": 0.7 * colours["tail"]}
    same = {"crest": colours["crown"], "bill": colours["bill_colour"], "body": colours["breast"]}
    return colours | shades | same | {"eye": np.array([16, 14, 14]), "glint": np.array([235, 235, 235])}


def _view(rng: Generator, joints: dict[str, Array], side: int) -> Array:
    """Return the 3 x 3 matrix from the bird's units to pixels: facing, foreshortening, tilt, size and place."""
    facing = np.diag([rng.choice([-1, 1]) * rng.uniform(*FORESHORTENING), -1, 1])
    tilted = rotated_frame(0, 0, rng.uniform(-TILT, TILT)) @ facing
    tips = [("bill", (1, 0)), ("head", (0, 1.1)), ("tail", (-1, 0.1)), ("tail", (-1, -0.1)), ("body", (0.3, -1))]
    tips += [("body", (0.2, 1)), ("feet", (0, 0))]
    extent = transformed(tilted, [transformed(joints[joint], point) for joint, point in tips])
    low, size = extent.min(axis=0), np.ptp(extent, axis=0)
    scale = rng.uniform(*SCALE) / size.max()
    x, y = rng.random(2) * (1 - scale * size + 2 * OUT_OF_FRAME) - OUT_OF_FRAME - scale * low
    return np.asarray(np.diag([side, side, 1.0]) @ rotated_frame(x, y, 0) @ np.diag([scale, scale, 1]) @ tilted)


def _bird(rng: Generator, species: Species, side: int) -> Pixels:
    """Return an individual on its perch: RGBA, colours multiplied by alpha, (side, side, 4)."""
    bird = Individual(rng, _joints(rng, species.build), _colours(rng, species.values), species.values)
    layer = Layer(np.zeros((side, side, 4), np.uint8), _view(rng, bird.joints, side))
    feet, hips = bird.joints["feet"], transformed(bird.joints["body"], [(-0.08, -0.5), (0.06, -0.5)])
    if rng.random() < PERCHED:
        perch = np.column_stack([np.linspace(-3, 3, 9), rng.normal(-0.02, 0.02, 9)])
        layer.draw(
            feet @ rotated_frame(0, 0, rng.normal(0, 8)), rng.uniform(0.04, 0.1), [perch], 0.7 * _any_colour(rng)
        )
    for x, y in hips - feet[:2, 2]:
        leg, toes = [(x, y), (x - 0.05, 0.45 * y), (x, 0.01)], [(x - 0.07, -0.01), (x, 0.01), (x + 0.09, -0.01)]
        layer.draw(feet, 0.026, [leg, toes], bird.colours["leg_colour"])
    _draw_shapes(layer, {"head": ("crest",), "bill": ("bill",)}, bird)
    for part in PARTS:
        _draw_part(layer, part, bird)
    if rng.random() < TWIG_IN_FRONT:
        layer.draw(np.eye(3), rng.uniform(0.015, 0.04), rng.normal(0, (1, 0.5), (1, 2, 2)), 0.6 * _any_colour(rng))
    return layer.pixels


def _draw_shapes(layer: Layer, shapes: dict[str, tuple[str, ...]], bird: Individual) -> None:
    for frame, name in ((frame, name) for frame, names in shapes.items() for name in names):
        shape = f"{name} {bird.values[name]}" if bird.values.get(name) not in (None, *COLOURS) else name
        width, lines = LINES.get(shape, (0, [CURVES[shape]] if shape in CURVES else []))  # none is "wing_mark Plain"
        ruffle = 0.015 if name.endswith("_mark") else 0.0
        curves = [np.asarray(line) + bird.rng.normal(0, ruffle, np.shape(line)) for line in lines]
        layer.draw(bird.joints[frame], width, curves, bird.colours[name])


def _draw_part(layer: Layer, part: str, bird: Individual) -> None:
    """Draw one of PARTS: its shapes on its ground colour, softened, clipped by its outline, with a shadow around it."""
    pieces = OUTLINES[bird.values.get(f"{part}_shape", part)]
    outline = np.vstack([transformed(bird.joints[frame], points) for frame, points in pieces])
    corners, margin = transformed(layer.view, smooth_curve(outline)), 0.08 * layer.scale
    left, top = (corners.min(axis=0) - margin).clip(0, len(layer.pixels) - 1).astype(int)
    right, bottom = (corners.max(axis=0) + margin).clip(1, len(layer.pixels)).astype(int)
    below = layer.pixels[top:bottom, left:right]
    view = rotated_frame(-left, -top, 0) @ layer.view
    plumage = Layer(np.full_like(below, (*bird.colours[part], 255)), view)
    mask = Layer(np.zeros_like(below[..., 0]), view)
    _draw_shapes(plumage, PARTS[part], bird)
    mask.draw(np.eye(3), 0, [outline], (255, 0, 0))
    share = mask.pixels.astype(np.float32) / 255
    shadow = 1 - 0.3 * cv2.GaussianBlur(share, (0, 0), 0.025 * layer.scale)
    soft = cv2.GaussianBlur(plumage.pixels, (0, 0), 0.1 + 0.007 * layer.scale)  # feathers have no hard edges
    shaded = cv2.multiply(below, cv2.merge([shadow, shadow, shadow, np.ones_like(shadow)]), dtype=cv2.CV_8U)
    below[...] = cv2.blendLinear(soft, shaded, share, 1 - share)
