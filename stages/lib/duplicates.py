"""Find pictures that stand in more than one place where that would make scores lie."""

from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A file in data/raw: its class, and the split that its picture goes to."""

    file: Path
    class_name: str
    split: str


class Duplicate(NamedTuple):
    """A picture that is also in another split or class."""

    place: Place
    twin: Place
    dropped: bool

    def __str__(self) -> str:
        here, there = (f"{place.file} ({place.split}, {place.class_name})" for place in (self.place, self.twin))
        return f"{here} is the same picture as {there}"


class Leaks:
    """Pictures seen so far, by their decoded content.

    A picture twice in one class of one split is no leak: it only counts double. Give it test pictures first, so that
    it is their copies that are dropped: what is in the test set stays, as published.
    """

    def __init__(self, policy: str) -> None:
        self.policy = policy  # prepare.duplicates: error, drop or keep
        self.first: dict[bytes, Place] = {}
        self.found: list[Duplicate] = []

    def drops(self, place: Place, digest: bytes) -> bool:
        """Note a picture; say whether it must be left out because it leaks."""
        twin = self.first.setdefault(digest, place)
        if twin[1:] == place[1:]:
            return False
        dropped = self.policy == "drop" and place.split != "test"
        self.found.append(Duplicate(place, twin, dropped))
        return dropped
