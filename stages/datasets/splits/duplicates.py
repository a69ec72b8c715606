"""Find images that stand in more than one split or class where that would make scores lie."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.datasets.splits.splitting import ImageFile
from stages.images.perceptual_hash import MAX_DISTANCE, TooManySimilarImages, near_pairs
from stages.runtime.errors import UserError

COLUMNS = ["file", "same_as", "kind", "distance", "leak", "dropped"]  # of data/duplicates.csv
Policy = Literal["error", "drop", "keep"]


class Duplicate(NamedTuple):
    """An image that is there before, or one like it; a leak where that is in another split or class."""

    file: ImageFile
    same_as: ImageFile
    kind: Literal["exact", "near", "mirrored"]
    distance: int  # bits of 256 in which they differ, as stages/images/perceptual_hash.py counts them
    dropped: bool

    @property
    def leak(self) -> bool:
        """Say whether it makes scores lie; an image twice in one class of one split only counts double."""
        return self.same_as.stratum != self.file.stratum

    def row(self) -> dict[str, object]:
        """Return it as a row of data/duplicates.csv."""
        paths = {"file": self.file.path, "same_as": self.same_as.path}
        return paths | {"kind": self.kind, "distance": self.distance, "leak": self.leak, "dropped": self.dropped}

    def __str__(self) -> str:
        one, other = (f"{file.path} ({file.split}, {file.class_name})" for file in (self.file, self.same_as))
        if self.kind == "exact":
            return f"{one} is the same image as {other}"
        return f"{one} looks like {other} ({self.kind}, {self.distance} of 256 bits differ)"


class DuplicateFinder:
    """Images seen so far, by their decoded content and by what they look like.

    Give it test images first, so that it is their copies that are dropped: what is in the test set stays, as
    published. Near copies that differ in at most `near_distance` bits count as copies; with "none" no near copy does.
    """

    def __init__(self, policy: Policy, near_distance: int | Literal["none"]) -> None:
        self.policy = policy  # prepare.duplicates
        self.near_distance = -1 if near_distance == "none" else near_distance
        self.by_digest: dict[bytes, ImageFile] = {}
        self.hashes: dict[ImageFile, bytes] = {}  # no two of them the same image
        self.found: list[Duplicate] = []
        self.copied_in_training: set[ImageFile] | None = set()  # None: not known

    def add(self, file: ImageFile, digest: bytes, perceptual_hash: bytes) -> bool:
        """Note an image; say whether it may stay: a leak of the same image as one before is dropped."""
        same_as = self.by_digest.setdefault(digest, file)
        if same_as is file:
            self.hashes[file] = perceptual_hash
            return True
        self._note(file, same_as, "exact", 0)
        return not self.found[-1].dropped

    def find_near(self) -> None:
        """Note for each image the one before that it is most like, a leak first.

        Where images are too much alike to be compared this is said, and an error where some are to be dropped.
        """
        try:
            nearest = self._nearest()
        except TooManySimilarImages:
            problem = "nearly all images look alike: copies that are not exact cannot be told from others"
            if self.near_distance >= 0:
                raise UserError(f"{problem}; set prepare.near_duplicate_distance: none") from None
            print(f"{problem}, and are not listed")
            self.copied_in_training = None
            return
        files = list(self.hashes)
        for later, (earlier, distance, mirrored) in nearest.items():
            self._note(files[later], files[earlier], "mirrored" if mirrored else "near", distance)

    def refused(self) -> list[Duplicate]:
        """Return the leaks that prepare.duplicates: error does not allow."""
        return [each for each in self.found if self._counts(each)] if self.policy == "error" else []

    def dropped(self) -> set[ImageFile]:
        """Return the images that must be left out."""
        return {each.file for each in self.found if each.dropped}

    def groups(self, files: Iterable[ImageFile]) -> dict[ImageFile, str]:
        """Return the group of each image: its own or, where it has none, one with those that look like it."""
        first: dict[ImageFile, ImageFile] = {}  # of the images that look like each other, directly or by others
        for each in sorted(self.found, key=lambda each: each.kind == "exact"):  # `same_as` has had its turn
            first[each.file] = first.setdefault(each.same_as, each.same_as)
        return {file: file.group or (f"like {first[file].path}" if file in first else "") for file in files}

    def share_copied_in_training(self, files: Iterable[ImageFile]) -> float | None:
        """Return the share of `files` of which networks train on a copy, 0 to 1; None where it is not known."""
        if self.copied_in_training is None:
            return None
        copied = [file in self.copied_in_training for file in files]
        return round(sum(copied) / max(1, len(copied)), 4)

    def _note(self, file: ImageFile, same_as: ImageFile, kind: Literal["exact", "near", "mirrored"], bits: int) -> None:
        each = Duplicate(file, same_as, kind, bits, dropped=False)
        dropped = self.policy == "drop" and file.split != "test" and self._counts(each)
        self.found.append(each._replace(dropped=dropped))
        if kind == "exact" and not dropped and file.split == "original" and self.copied_in_training is not None:
            self.copied_in_training.add(same_as)

    def _counts(self, each: Duplicate) -> bool:
        return each.leak and (each.kind == "exact" or each.distance <= self.near_distance)

    def _nearest(self) -> dict[int, tuple[int, int, bool]]:
        """Return (earlier, distance, mirrored) for each image that has one like it before it, by number.

        Note besides which of other splits have one like them in training.
        """
        files, count = list(self.hashes), len(self.hashes)
        numbers = {stratum: number for number, stratum in enumerate(dict.fromkeys(file.stratum for file in files))}
        strata = np.array([numbers[file.stratum] for file in files], np.int64)
        trained = np.array([file.split == "original" for file in files], bool)
        copied: NDArray[np.bool_] = np.zeros(count, bool)
        best = np.full(count, np.iinfo(np.int64).max)
        for pairs in near_pairs(list(self.hashes.values()), MAX_DISTANCE):
            same = strata[pairs.later] == strata[pairs.earlier]
            rank = ((same * (MAX_DISTANCE + 1) + pairs.distance) * 2 + pairs.mirrored) * count + pairs.earlier
            np.minimum.at(best, pairs.later, rank)
            stays = pairs.distance > (self.near_distance if self.policy == "drop" else -1)
            copied[pairs.earlier[trained[pairs.later] & ~trained[pairs.earlier] & stays]] = True
        if self.copied_in_training is not None:
            self.copied_in_training |= {files[number] for number in np.flatnonzero(copied)}
        found = {}
        for later in np.flatnonzero(best < np.iinfo(np.int64).max).tolist():
            rank, earlier = divmod(int(best[later]), count)
            found[later] = (earlier, rank // 2 % (MAX_DISTANCE + 1), bool(rank % 2))
        return found
