"""Find images that stand in more than one split or class where that would make scores lie."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from stages.images.perceptual_hash import MAX_DISTANCE, TooManySimilarImages, near_pairs
from stages.runtime.errors import UserError

COLUMNS = ["file", "same_as", "kind", "distance", "leak", "dropped"]  # of data/duplicates.csv
Policy = Literal["error", "drop", "keep"]


class SplitFile(NamedTuple):
    """A file in data/raw: its class, and the split that its image goes to."""

    file: Path
    class_name: str
    split: str


class Duplicate(NamedTuple):
    """An image that is there before, or one like it; a leak where that is in another split or class."""

    split_file: SplitFile
    twin: SplitFile
    kind: Literal["exact", "near", "mirrored"]
    distance: int  # bits of 256 in which they differ, as stages/images/perceptual_hash.py counts them
    dropped: bool

    @property
    def leak(self) -> bool:
        """Say whether it makes scores lie; an image twice in one class of one split only counts double."""
        return self.twin[1:] != self.split_file[1:]

    def row(self) -> dict[str, object]:
        """Return it as a row of data/duplicates.csv."""
        return {"file": self.split_file.file, "same_as": self.twin.file, "kind": self.kind, "distance": self.distance,
                "leak": self.leak, "dropped": self.dropped}  # fmt: skip

    def __str__(self) -> str:
        here, there = (
            f"{split_file.file} ({split_file.split}, {split_file.class_name})"
            for split_file in (self.split_file, self.twin)
        )
        if self.kind == "exact":
            return f"{here} is the same image as {there}"
        return f"{here} looks like {there} ({self.kind}, {self.distance} of 256 bits differ)"


class Duplicates:
    """Images seen so far, by their decoded content and by what they look like.

    Give it test images first, so that it is their copies that are dropped: what is in the test set stays, as
    published.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy  # prepare.duplicates
        self.first: dict[bytes, SplitFile] = {}
        self.kept: list[tuple[SplitFile, bytes]] = []  # with their perceptual hash: no two of them the same image
        self.found: list[Duplicate] = []

    def drops(self, split_file: SplitFile, digest: bytes, perceptual_hash: bytes) -> bool:
        """Note an image; say whether it must be left out because it is the same as one before and leaks."""
        twin = self.first.setdefault(digest, split_file)
        if twin is split_file:
            self.kept.append((split_file, perceptual_hash))
            return False
        leaks = twin[1:] != split_file[1:]
        dropped = leaks and self.policy == "drop" and split_file.split != "test"
        self.found.append(Duplicate(split_file, twin, "exact", 0, dropped))
        return dropped

    def find_near(self, within: int) -> list[SplitFile]:
        """Note for each image the one before that it is most like, a leak first; return those that must be left out.

        Those are the leaks that differ in at most `within` bits, of which none is dropped where it is negative. Where
        images are too much alike to be compared this is said, and an error where some are to be dropped.
        """
        try:
            nearest = self._nearest()
        except TooManySimilarImages:
            said = "nearly all images look alike: copies that are not exact cannot be told from others"
            if within >= 0:
                raise UserError(f"{said}; set prepare.near_duplicate_distance: none") from None
            print(f"{said}, and are not listed")
            return []
        dropped = []
        for later, (earlier, distance, mirrored) in nearest.items():
            split_file, twin = self.kept[later][0], self.kept[earlier][0]
            counts = distance <= within and twin[1:] != split_file[1:]
            drop = counts and self.policy == "drop" and split_file.split != "test"
            self.found.append(Duplicate(split_file, twin, "mirrored" if mirrored else "near", distance, drop))
            dropped += [split_file] if drop else []
        return dropped

    def refused(self, within: int) -> list[Duplicate]:
        """Return the leaks that prepare.duplicates: error does not allow."""
        if self.policy != "error":
            return []
        return [each for each in self.found if each.leak and (each.kind == "exact" or each.distance <= within)]

    def _nearest(self) -> dict[int, tuple[int, int, bool]]:
        """Return (earlier, distance, mirrored) for each image that has one like it before it, by number."""
        numbers: dict[tuple[str, str], int] = {}
        groups = np.array([numbers.setdefault(split_file[1:], len(numbers)) for split_file, _ in self.kept], np.int64)
        count = len(self.kept)
        best = np.full(count, np.iinfo(np.int64).max)
        for pairs in near_pairs([perceptual_hash for _, perceptual_hash in self.kept], MAX_DISTANCE):
            same = groups[pairs.later] == groups[pairs.earlier]
            rank = ((same * (MAX_DISTANCE + 1) + pairs.distance) * 2 + pairs.mirrored) * count + pairs.earlier
            np.minimum.at(best, pairs.later, rank)
        found = {}
        for later in np.flatnonzero(best < np.iinfo(np.int64).max).tolist():
            rank, earlier = divmod(int(best[later]), count)
            found[later] = (earlier, rank // 2 % (MAX_DISTANCE + 1), bool(rank % 2))
        return found
