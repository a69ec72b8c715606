"""torch's compiler is imported only where something is compiled.

Every optimizer imports it to tell it what to leave alone, torchvision, DistributedDataParallel and a group of processes
for a question each: four seconds of each training, and of what makes a torchvision network, though nothing here is
compiled. Until anything else of it is asked for, a module that answers these stands in its place.
"""

import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

NAMES = ("torch._dynamo", "torch._dynamo.utils")


class _Placeholder(ModuleType):
    def __getattr__(self, name: str) -> Any:
        is_package = self.__name__ == NAMES[0]  # others of its modules may be imported
        if name.startswith("__") and not (name == "__path__" and is_package):  # what Python asks of every module
            raise AttributeError(name)
        _remove_placeholders()
        return getattr(import_module(self.__name__), name)


def defer_compiler_import() -> None:
    """Have torch's compiler be imported no sooner than it is used."""
    if any(name in sys.modules for name in NAMES):
        return
    compiler, utils = (_Placeholder(name) for name in NAMES)
    compiler.disable = lambda fn=None, *_, **__: fn  # type: ignore[attr-defined]
    compiler.graph_break = lambda *_: None  # type: ignore[attr-defined]
    compiler.utils = utils  # type: ignore[attr-defined]
    compiler.trace_rules = SimpleNamespace(clear_lru_cache=lambda: None)  # type: ignore[attr-defined]
    utils.is_compile_supported = lambda _: False  # type: ignore[attr-defined]
    utils.get_optimize_ddp_mode = lambda: "no_optimization"  # type: ignore[attr-defined]
    sys.modules.update(zip(NAMES, (compiler, utils), strict=True))


def _remove_placeholders() -> None:
    for name in NAMES:
        if isinstance(sys.modules.get(name), _Placeholder):
            del sys.modules[name]
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(vars(torch).get("_dynamo"), _Placeholder):
        del torch._dynamo
