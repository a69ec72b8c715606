"""Names of classes as folders, of sets that call their classes otherwise."""

import re
from collections import Counter
from collections.abc import Mapping


def folder_names(titles: Mapping[str, str]) -> dict[str, str]:
    """Return a folder name for each class, by its id: its title or, where it has none, its id.

    Titles that differ in case only, which some file systems take for one, have their id added.
    """
    names = {key: re.sub(r"[\\/\s]+", "_", title).strip("._") for key, title in titles.items()}
    shared = Counter(name.casefold() for name in names.values())
    return {
        key: f"{name}_{key}".lstrip("_") if shared[name.casefold()] > 1 or not name else name
        for key, name in names.items()
    }
