"""Split images so that a group of them (of one animal, burst, patient or place) never stands in two splits."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from stages.runtime.errors import UserError
from stages.runtime.seeding import derived_seed

MAX_SWAPPED_GROUPS = 500  # more are balanced by single moves
ROUNDS = 100  # of improving a split, each over all groups; few are needed


def _pattern(group_by: str) -> str:
    if group_by not in ("none", "folder"):
        try:
            re.compile(group_by)
        except re.error as error:
            raise ValueError(f"must be none, folder or a regular expression ({error})") from None
    return group_by


GroupBy = Annotated[str, AfterValidator(_pattern)]


class Member(NamedTuple):
    """An image to be split: its path from the folder of its class on, its class, and its file."""

    path: str
    class_name: str
    file: Path


def group_names(members: Sequence[Member], group_by: str, table: Mapping[Path, str]) -> dict[Member, str]:
    """Return the group of each image, "" where it has none.

    none: what `table` says of the file, if anything; folder: images below a class in folders of the same name,
    whatever the class, are one group; else the first part in brackets of the regular expression, or all that it finds
    in the path. Raises UserError where the expression finds nothing in any path.
    """
    found = {member: _group(member, group_by, table) for member in members}
    if members and group_by not in ("none", "folder") and not any(found.values()):
        raise UserError(
            f"params.yaml: prepare.group_by = {group_by!r} finds no group in any path, such as {members[0].path};"
            " correct it, or set none"
        )
    return found


def _group(member: Member, group_by: str, table: Mapping[Path, str]) -> str:
    if group_by == "none":
        return table.get(member.file, "")
    if group_by == "folder":
        return "/".join(PurePosixPath(member.path).parts[1:-1])
    found = re.search(group_by, member.path)
    return (found[1] if found.re.groups else found[0]) or "" if found else ""


def split_by_group(groups: Mapping[Member, str], fractions: Mapping[str, float], seed: int) -> dict[Member, str]:
    """Return the split of each image: one of `fractions`, which add up to 1, and a group's the same.

    An image without a group is one by itself. In each class each split has at least one image and as nearly its
    fraction as groups allow: larger groups first, each to where it is wanted most; then single groups and pairs change
    places as long as that makes it better. Raises UserError where a class has too few groups, or groups cannot be
    shared out so that each split has one.
    """
    members = defaultdict(list)
    for member, group in groups.items():
        members[f"group {group}" if group else f"picture {member.path}"].append(member)  # names of random streams
    counts = {name: Counter(member.class_name for member in some) for name, some in members.items()}
    state = _Assignment(counts, fractions)
    # groups of about the same size in an order drawn from the seed
    order = sorted(counts, key=lambda name: (-len(members[name]).bit_length(), derived_seed(seed, "group", name)))
    for name in order:
        state.assign(name, min(fractions, key=lambda split: state.cost_of_adding(name, split)))
    state.cost_of_none = float(len(groups))  # more than any balance is worth
    for _ in range(ROUNDS if len(fractions) > 1 else 0):
        if sum(state.improve(name, order) for name in order) == 0:
            break
    state.check()
    return {member: state.split[name] for name, some in members.items() for member in some}


def check_groups(groups: Mapping[Member, str], splits: Mapping[Member, str]) -> None:
    """Raise UserError for groups that stand in several splits, where the source has splits of its own."""
    examples: dict[str, dict[str, Path]] = defaultdict(dict)
    for member, group in groups.items():
        if group:
            examples[group].setdefault(splits[member], member.file)
    lines = [
        f"group {group} stands in several splits: "
        + ", ".join(f"{file} ({split})" for split, file in sorted(where.items()))
        for group, where in sorted(examples.items())
        if len(where) > 1
    ]
    if lines:
        raise UserError(*lines, "mend the source's own splits, or correct prepare.group_by")


class _Assignment:
    """Groups with the split of each: what each split has and wants of each class."""

    def __init__(self, counts: Mapping[str, Counter[str]], fractions: Mapping[str, float]) -> None:
        self.counts, self.splits = counts, list(fractions)
        self.sizes = sum(counts.values(), Counter[str]())
        self.wanted = {
            (name, split): size * share for name, size in self.sizes.items() for split, share in fractions.items()
        }
        self.has: Counter[tuple[str, str]] = Counter()
        self.split: dict[str, str] = {}
        self.cost_of_none = 0.0

    def cost(self, name: str, split: str, count: int) -> float:
        """Return how bad it is that a split has so many of a class: the square of the excess, by the class's size."""
        return (count - self.wanted[name, split]) ** 2 / self.sizes[name] + (0 if count else self.cost_of_none)

    def cost_of_adding(self, group: str, split: str, without: str = "") -> float:
        """Return by how much the cost of a split grows with a group in it, and with another taken out."""
        change = Counter(self.counts[group])
        change.subtract(self.counts[without] if without else {})
        has = {name: self.has[name, split] for name in change}
        return sum(
            self.cost(name, split, has[name] + n) - self.cost(name, split, has[name]) for name, n in change.items()
        )

    def cost_of_removing(self, group: str) -> float:
        """Return by how much the cost of its split grows without a group."""
        split = self.split[group]
        has = {name: self.has[name, split] for name in self.counts[group]}
        return sum(
            self.cost(name, split, has[name] - n) - self.cost(name, split, has[name])
            for name, n in self.counts[group].items()
        )

    def assign(self, group: str, split: str) -> None:
        """Put a group into a split, out of where it was."""
        if (before := self.split.get(group)) is not None:
            self.has.subtract({(name, before): n for name, n in self.counts[group].items()})
        self.has.update({(name, split): n for name, n in self.counts[group].items()})
        self.split[group] = split

    def improve(self, group: str, order: Sequence[str]) -> bool:
        """Move a group to a better split, or have it change places with another; say whether anything was better."""
        here, out = self.split[group], self.cost_of_removing(group)
        best = min(
            (split for split in self.splits if split != here), key=lambda split: self.cost_of_adding(group, split)
        )
        if out + self.cost_of_adding(group, best) < -1e-9:
            self.assign(group, best)
            return True
        if len(order) > MAX_SWAPPED_GROUPS:
            return False
        for other in order:
            there = self.split[other]
            if there != here and self.counts[other] != self.counts[group]:
                gain = self.cost_of_adding(group, there, other) + self.cost_of_adding(other, here, group)
                if gain < -1e-9:
                    self.assign(group, there)
                    self.assign(other, here)
                    return True
        return False

    def check(self) -> None:
        """Raise UserError for classes of which a split has nothing."""
        lines = []
        for name in sorted(self.sizes):
            if empty := [split for split in self.splits if not self.has[name, split]]:
                groups = sum(name in count for count in self.counts.values())
                lines.append(
                    f"data/raw: class {name!r} has {self.sizes[name]} images in {groups} groups, which leave nothing"
                    f" for {', '.join(empty)}; it needs at least {len(self.splits)} groups that other classes can spare"
                )
        if lines:
            raise UserError(
                *lines, "add images, correct prepare.group_by, or leave these classes out of dataset.classes"
            )
