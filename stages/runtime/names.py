"""Names of classes and files: their order, and which of them some systems hold for one."""

import re
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from unicodedata import category, normalize

DIRECTIONS = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}  # turn what follows around
NUMBER = r"-?[0-9]+([.][0-9]+)?"


def natural_order(names: Iterable[str]) -> list[str]:
    """Return names, each once, by their value where all are numbers (1, 2, 10), else letter by letter (1, 10, crow)."""
    names = sorted(set(names))
    if all(re.fullmatch(NUMBER, name) for name in names):
        return sorted(names, key=Decimal)
    return names


def folded(name: str) -> str:
    """Return what names have in common that macOS or Windows hold for one: they differ in case or composed accents."""
    return normalize("NFC", normalize("NFC", name).casefold())


def case_clashes(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of different names that some systems hold for one."""
    return _clashes(names, folded)


def number_clashes(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of different names that are the same number, as 01 and 1."""
    return _clashes((name for name in names if re.fullmatch(NUMBER, name)), Decimal)


def _clashes(names: Iterable[str], key: Callable[[str], Hashable]) -> list[tuple[str, str]]:
    first: dict[Hashable, str] = {}
    pairs = ((first.setdefault(key(name), name), name) for name in sorted(set(names)))
    return [(earlier, later) for earlier, later in pairs if earlier != later]


def distinguishable(name: str, other: str) -> str:
    """Return a name in quotes, with its accents apart where it would look the same as the other."""
    alike = normalize("NFC", name) == normalize("NFC", other)
    return f"{name!r} ({name.encode('unicode_escape').decode()})" if alike else repr(name)


def has_control_characters(name: str) -> bool:
    """Say whether a name holds what would change a terminal or the text around it instead of being shown."""
    return any(category(character) in ("Cc", "Zl", "Zp") or character in DIRECTIONS for character in name)


def printable(text: str) -> str:
    """Return a text in which what is not shown, as U+009B or U+202E, is spelled as in Python's strings."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
