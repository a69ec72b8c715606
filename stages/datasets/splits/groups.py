"""Split images so that a group of them (of one animal, burst, patient or place) never stands on both sides."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from stages.runtime.errors import UserError
from stages.runtime.seeding import derived_seed

SWAPPED_UP_TO = 500  # groups; more are balanced by single moves
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
    """An image to be split: its path below the splits, which starts with its class, its class, and its file."""

    path: str
    class_name: str
    file: Path


def group_names(members: Sequence[Member], group_by: str, table: Mapping[Path, str]) -> dict[Member, str]:
    """Return the group of each image; one that has none is a group by itself.

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
    return {member: f"group {name}" if name else f"picture {member.path}" for member, name in found.items()}


def _group(member: Member, group_by: str, table: Mapping[Path, str]) -> str:
    if group_by == "none":
        return table.get(member.file, "")
    if group_by == "folder":
        return "/".join(PurePosixPath(member.path).parts[1:-1])
    found = re.search(group_by, member.path)
    return (found[1] if found.re.groups else found[0]) or "" if found else ""


def split_by_group(groups: Mapping[Member, str], fractions: Mapping[str, float], seed: int) -> dict[Member, str]:
    """Return the part of each image: one of `fractions`, which add up to 1, and a group's the same.

    In each class each part has at least one image and as nearly its fraction as groups allow: larger groups first,
    each to where it is wanted most; then single groups and pairs change places as long as that makes it better. Raises
    UserError where a class has too few groups, or groups cannot be shared out so that each part has one.
    """
    members = defaultdict(list)
    for member, name in groups.items():
        members[name].append(member)
    counts = {name: Counter(member.class_name for member in some) for name, some in members.items()}
    state = _Split(counts, fractions)
    # groups of about the same size in an order drawn from the seed
    order = sorted(counts, key=lambda name: (-len(members[name]).bit_length(), derived_seed(seed, "group", name)))
    for name in order:
        state.place(name, min(fractions, key=lambda part: state.cost_of_adding(name, part)))
    state.missing_cost = float(sum(map(len, members.values())))  # more than any balance is worth
    for _ in range(ROUNDS):
        if sum(state.improve(name, order) for name in order) == 0:
            break
    state.complain()
    return {member: state.part[name] for name, some in members.items() for member in some}


def keep_apart(groups: Mapping[Member, str], parts: Mapping[Path, str]) -> None:
    """Raise UserError for groups that stand in several parts, where the source has splits of its own."""
    stands: dict[str, dict[str, Path]] = defaultdict(dict)
    for member, name in groups.items():
        stands[name].setdefault(parts[member.file], member.file)
    lines = [
        f"{name} stands on several sides: {', '.join(f'{file} ({part})' for part, file in sorted(where.items()))}"
        for name, where in sorted(stands.items())
        if len(where) > 1
    ]
    if lines:
        raise UserError(*lines, "mend the source's own splits, or correct prepare.group_by")


class _Split:
    """A split of groups in the making: what each part has and wants of each class."""

    def __init__(self, counts: Mapping[str, Counter[str]], fractions: Mapping[str, float]) -> None:
        self.counts, self.parts = counts, list(fractions)
        self.sizes = sum(counts.values(), Counter[str]())
        self.wanted = {
            (name, part): size * share for name, size in self.sizes.items() for part, share in fractions.items()
        }
        self.has: Counter[tuple[str, str]] = Counter()
        self.part: dict[str, str] = {}
        self.missing_cost = 0.0

    def cost(self, name: str, part: str, count: int) -> float:
        """Return how bad it is that a part has so many of a class: the square of the excess, by the class's size."""
        return (count - self.wanted[name, part]) ** 2 / self.sizes[name] + (0 if count else self.missing_cost)

    def cost_of_adding(self, group: str, part: str, without: str = "") -> float:
        """Return by how much the cost of a part grows with a group in it, and with another taken out."""
        change = Counter(self.counts[group])
        change.subtract(self.counts[without] if without else {})
        has = {name: self.has[name, part] for name in change}
        return sum(
            self.cost(name, part, has[name] + n) - self.cost(name, part, has[name]) for name, n in change.items()
        )

    def cost_of_removing(self, group: str) -> float:
        """Return by how much the cost of its part grows without a group."""
        part = self.part[group]
        has = {name: self.has[name, part] for name in self.counts[group]}
        return sum(
            self.cost(name, part, has[name] - n) - self.cost(name, part, has[name])
            for name, n in self.counts[group].items()
        )

    def place(self, group: str, part: str) -> None:
        """Put a group into a part, out of where it was."""
        if (before := self.part.get(group)) is not None:
            self.has.subtract({(name, before): n for name, n in self.counts[group].items()})
        self.has.update({(name, part): n for name, n in self.counts[group].items()})
        self.part[group] = part

    def improve(self, group: str, order: Sequence[str]) -> bool:
        """Move a group to a better part, or have it change places with another; say whether anything was better."""
        here, out = self.part[group], self.cost_of_removing(group)
        best = min((part for part in self.parts if part != here), key=lambda part: self.cost_of_adding(group, part))
        if out + self.cost_of_adding(group, best) < -1e-9:
            self.place(group, best)
            return True
        if len(order) > SWAPPED_UP_TO:
            return False
        for other in order:
            there = self.part[other]
            if there != here and self.counts[other] != self.counts[group]:
                gain = self.cost_of_adding(group, there, other) + self.cost_of_adding(other, here, group)
                if gain < -1e-9:
                    self.place(group, there)
                    self.place(other, here)
                    return True
        return False

    def complain(self) -> None:
        """Raise UserError for classes of which a part has nothing."""
        lines = []
        for name in sorted(self.sizes):
            if empty := [part for part in self.parts if not self.has[name, part]]:
                groups = sum(name in count for count in self.counts.values())
                lines.append(
                    f"data/raw: class {name!r} has {self.sizes[name]} images in {groups} groups, which leave nothing"
                    f" for {', '.join(empty)}; it needs at least {len(self.parts)} groups that other classes can spare"
                )
        if lines:
            raise UserError(
                *lines, "add images, correct prepare.group_by, or leave these classes out of dataset.classes"
            )
