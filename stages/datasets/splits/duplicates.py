"""Find pictures that stand in more than one place where that would make scores lie."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from stages.images.perceptual_hash import FURTHEST, TooMuchAlike, alike
from stages.runtime.errors import Problem

COLUMNS = ["file", "same_as", "kind", "distance", "leak", "dropped"]  # of data/duplicates.csv
Policy = Literal["error", "drop", "keep"]


class Place(NamedTuple):
    """A file in data/raw: its class, and the split that its picture goes to."""

    file: Path
    class_name: str
    split: str


class Duplicate(NamedTuple):
    """A picture that is there before, or one like it; a leak where that is in another split or class."""

    place: Place
    twin: Place
    kind: Literal["exact", "near", "mirrored"]
    distance: int  # bits of 256 in which they differ, as stages/images/perceptual_hash.py counts them
    dropped: bool

    @property
    def leak(self) -> bool:
        """Say whether it makes scores lie; a picture twice in one class of one split only counts double."""
        return self.twin[1:] != self.place[1:]

    def row(self) -> dict[str, object]:
        """Return it as a row of data/duplicates.csv."""
        return {"file": self.place.file, "same_as": self.twin.file, "kind": self.kind, "distance": self.distance,
                "leak": self.leak, "dropped": self.dropped}  # fmt: skip

    def __str__(self) -> str:
        here, there = (f"{place.file} ({place.split}, {place.class_name})" for place in (self.place, self.twin))
        if self.kind == "exact":
            return f"{here} is the same picture as {there}"
        return f"{here} looks like {there} ({self.kind}, {self.distance} of 256 bits differ)"


class Duplicates:
    """Pictures seen so far, by their decoded content and by what they look like.

    Give it test pictures first, so that it is their copies that are dropped: what is in the test set stays, as
    published.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy  # prepare.duplicates
        self.first: dict[bytes, Place] = {}
        self.kept: list[tuple[Place, bytes]] = []  # with their likeness: no two of them the same picture
        self.found: list[Duplicate] = []

    def drops(self, place: Place, digest: bytes, likeness: bytes) -> bool:
        """Note a picture; say whether it must be left out because it is the same as one before and leaks."""
        twin = self.first.setdefault(digest, place)
        if twin is place:
            self.kept.append((place, likeness))
            return False
        leaks = twin[1:] != place[1:]
        dropped = leaks and self.policy == "drop" and place.split != "test"
        self.found.append(Duplicate(place, twin, "exact", 0, dropped))
        return dropped

    def find_near(self, within: int) -> list[Place]:
        """Note for each picture the one before that it is most like, a leak first; return those that must be left out.

        Those are the leaks that differ in at most `within` bits, of which none is dropped where it is negative. Where
        pictures are too much alike to be compared this is said, and an error where some are to be dropped.
        """
        try:
            nearest = self._nearest()
        except TooMuchAlike:
            said = "nearly all pictures look alike: copies that are not exact cannot be told from others"
            if within >= 0:
                raise Problem(f"{said}; set prepare.duplicates_within: none") from None
            print(f"{said}, and are not listed")
            return []
        dropped = []
        for later, (earlier, distance, mirrored) in nearest.items():
            place, twin = self.kept[later][0], self.kept[earlier][0]
            counts = distance <= within and twin[1:] != place[1:]
            drop = counts and self.policy == "drop" and place.split != "test"
            self.found.append(Duplicate(place, twin, "mirrored" if mirrored else "near", distance, drop))
            dropped += [place] if drop else []
        return dropped

    def refused(self, within: int) -> list[Duplicate]:
        """Return the leaks that prepare.duplicates: error does not allow."""
        if self.policy != "error":
            return []
        return [each for each in self.found if each.leak and (each.kind == "exact" or each.distance <= within)]

    def _nearest(self) -> dict[int, tuple[int, int, bool]]:
        """Return (earlier, distance, mirrored) for each picture that has one like it before it, by number."""
        numbers: dict[tuple[str, str], int] = {}
        groups = np.array([numbers.setdefault(place[1:], len(numbers)) for place, _ in self.kept], np.int64)
        count = len(self.kept)
        best = np.full(count, np.iinfo(np.int64).max)
        for pairs in alike([likeness for _, likeness in self.kept], FURTHEST):
            same = groups[pairs.later] == groups[pairs.earlier]
            rank = ((same * (FURTHEST + 1) + pairs.distance) * 2 + pairs.mirrored) * count + pairs.earlier
            np.minimum.at(best, pairs.later, rank)
        found = {}
        for later in np.flatnonzero(best < np.iinfo(np.int64).max).tolist():
            rank, earlier = divmod(int(best[later]), count)
            found[later] = (earlier, rank // 2 % (FURTHEST + 1), bool(rank % 2))
        return found
