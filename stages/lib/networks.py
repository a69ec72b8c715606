"""Find a network by its name.

A network is a file in stages/networks with `Settings`, `HEAD`, `LEARNS`, `build` and `suggest`.
"""

from importlib import import_module
from types import ModuleType


def network_module(name: str) -> ModuleType:
    """Return the module of a network.

    Imported by name, so that a run depends on its own network's file and on no other's.
    """
    return import_module(f"stages.networks.{name}")
