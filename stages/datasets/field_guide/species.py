"""The species of the field guide: what each looks like, drawn from the seed.

A family shares a prototype; each further member changes one to three of its field marks, so that telling siblings
apart takes a careful look.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from stages.runtime.seeding import stream

Build = tuple[float, float, float, float, float, float, float, str]

# How alike species are
FAMILY_SIZE = 4
CHANGES = (1, 3)  # in how many attributes a member differs from its family's prototype

# fmt: off
COLOURS = {
    "Azure": (72, 138, 214), "Black": (30, 30, 36), "Buff": (214, 182, 134), "Chestnut": (128, 62, 36),
    "Crimson": (176, 24, 44), "Emerald": (34, 142, 92), "Golden": (236, 178, 40), "Grey": (142, 146, 152),
    "Lemon": (240, 226, 92), "Olive": (118, 122, 58), "Orange": (232, 120, 32), "Rose": (226, 130, 150),
    "Slate": (76, 92, 118), "Turquoise": (58, 184, 184), "Violet": (116, 70, 158), "White": (240, 240, 238),
    "Dark": (48, 46, 50), "Yellow": (230, 180, 50), "Red": (200, 60, 40), "Pale": (200, 184, 164),  # of bill and legs
}
PLUMAGE, HORN = tuple(COLOURS)[:16], tuple(COLOURS)[16:]
ATTRIBUTES: dict[str, tuple[str, float, tuple[str, ...]]] = {  # name of the bird, how readily siblings differ, values
    "crown": ("crowned", 4, PLUMAGE), "face": ("faced", 2, PLUMAGE), "throat": ("throated", 2, PLUMAGE),
    "back": ("backed", 2, PLUMAGE), "breast": ("breasted", 4, PLUMAGE), "belly": ("bellied", 2, PLUMAGE),
    "wing": ("winged", 4, PLUMAGE), "tail": ("tailed", 2, PLUMAGE), "bill_colour": ("billed", 1, HORN),
    "leg_colour": ("legged", 0.5, HORN), "trim": ("trimmed", 0, PLUMAGE),  # trim: of all marks; a plain bird shows none
    "face_mark": ("faced", 2, ("Plain", "Ring", "Stripe", "Brow", "Mask", "Cheek", "Moustache")),
    "breast_mark": ("breasted", 3, ("Plain", "Streak", "Spot", "Bar", "Band", "Flank")),
    "wing_mark": ("winged", 2, ("Plain", "Bar", "Twobar", "Patch", "Edge", "Spot")),
    "tail_mark": ("tailed", 0.5, ("Plain", "Tip", "Bar", "Edge")), "tail_shape": ("tailed", 0.5, ("Square", "Fork")),
    "crest": ("crested", 2, ("Smooth", "Short", "Tall", "Swept")),
    "bill": ("billed", 1, ("Cone", "Needle", "Dagger", "Hook", "Sickle")),
}
# posture in degrees; half depth, radius of the head, neck, leg and tail in bodies; bill in radii of the head, its shape
BUILDS: dict[str, Build] = {
    "Finch": (35, 0.29, 0.2, 0, 0.2, 0.42, 0.75, "Cone"), "Thrush": (42, 0.28, 0.17, 0.03, 0.32, 0.44, 0.95, "Dagger"),
    "Wren": (12, 0.31, 0.2, 0, 0.26, 0.3, 1.1, "Needle"), "Plover": (18, 0.28, 0.19, 0.02, 0.48, 0.26, 0.85, "Needle"),
    "Hawk": (60, 0.28, 0.18, 0, 0.24, 0.52, 0.75, "Hook"), "Kingfisher": (50, 0.27, 0.25, 0, 0.11, 0.26, 2.3, "Dagger"),
    "Parrot": (58, 0.27, 0.21, 0, 0.14, 0.75, 0.9, "Hook"), "Flycatcher": (55, 0.25, 0.2, 0, 0.16, 0.48, 0.8, "Dagger"),
    "Rail": (16, 0.25, 0.15, 0.1, 0.5, 0.24, 2.8, "Needle"), "Warbler": (30, 0.25, 0.19, 0, 0.22, 0.44, 0.85, "Needle"),
    "Jay": (30, 0.26, 0.19, 0.03, 0.25, 0.66, 1.2, "Dagger"), "Dove": (25, 0.29, 0.15, 0.05, 0.18, 0.56, 0.8, "Needle"),
    "Sunbird": (36, 0.23, 0.18, 0, 0.18, 0.4, 2.1, "Sickle"), "Curlew": (18, 0.26, 0.15, 0.14, 0.52, 0.24, 4, "Sickle"),
}
# fmt: on


class Species(NamedTuple):
    """A species: its name, its family's build, and a value for every one of ATTRIBUTES."""

    name: str
    build: Build
    values: dict[str, str]


def field_guide(count: int, seed: int) -> list[Species]:
    """Return the first `count` species of the seed's field guide."""
    return [species for family in range(-(-count // FAMILY_SIZE)) for species in _family(seed, family)][:count]


def _family(seed: int, family: int) -> Iterator[Species]:
    rng = stream(seed, "family", family)
    noun = str(rng.choice(list(BUILDS)))
    named_after, known = "crown", [_prototype(rng) | {"bill": BUILDS[noun][-1]}]
    for number in range(FAMILY_SIZE * family, FAMILY_SIZE * (family + 1)):
        if number % FAMILY_SIZE:
            named_after = _add_sibling(stream(seed, "species", number), known)
        title = f"{known[-1][named_after]}-{ATTRIBUTES[named_after][0]}_{noun}"
        yield Species(f"{number + 1:04d}.{title}", BUILDS[noun], known[-1])


def _prototype(rng: Generator) -> dict[str, str]:
    values = {attribute: str(rng.choice(options)) for attribute, (_, _, options) in ATTRIBUTES.items()}
    colours = rng.choice(PLUMAGE, 4, replace=False)  # a few for all parts look more like a bird than one for each
    chances = np.array([0.5, 0.3, 0.15, 0.05])
    above = {part: str(rng.choice(colours, p=chances)) for part in ("back", "wing", "tail")}
    below = {part: str(rng.choice(colours, p=chances[::-1])) for part in ("throat", "breast", "belly")}
    return values | above | below


def _add_sibling(rng: Generator, known: list[dict[str, str]]) -> str:
    """Add a bird that differs from known[0] in CHANGES attributes and from all others; return one that changed."""
    weights = np.array([weight for _, weight, _ in ATTRIBUTES.values()])
    sibling = known[0]
    while sibling in known:
        number = rng.integers(*CHANGES, endpoint=True)
        changed = rng.choice(list(ATTRIBUTES), number, replace=False, p=weights / weights.sum()).tolist()
        others = {name: [value for value in ATTRIBUTES[name][2] if value != known[0][name]] for name in changed}
        sibling = known[0] | {name: str(rng.choice(values)) for name, values in others.items()}
    known.append(sibling)
    return str(changed[0])
