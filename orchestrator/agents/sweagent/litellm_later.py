"""litellm is imported when something of it is used.

By it SWE-agent asks models, and ours are asked by the worker. Its import takes 2.1 of the 2.9 s of
one core that all of SWE-agent's take. When a model is made, SWE-agent looks two things up in it:
what the model costs, and whether it calls functions. Of ours it knows nothing. Whatever else it is
asked, litellm itself answers, imported then.

Runs in SWE-agent's environment. To be called before SWE-agent is imported.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NAMES = ("litellm", "litellm.types", "litellm.types.utils", "litellm.utils")


class _Later(ModuleType):
    """In the place of a module, until something of it is used that is not known here."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks of modules
            raise AttributeError(name)
        return getattr(_imported(self.__name__), name)


def import_litellm_later() -> None:
    if "litellm" in sys.modules:
        return
    later = {name: _Later(name) for name in NAMES}
    for module in later.values():
        module.__path__ = []  # so that those below it can be imported
    sys.modules.update(later)
    for name, module in later.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(later[parent], child, module)
    top: Any = later["litellm"]
    top.model_cost = {}
    functions: Any = later["litellm.utils"]
    functions.supports_function_calling = lambda model: False


def _imported(name: str) -> ModuleType:
    for other in NAMES:
        if isinstance(sys.modules.get(other), _Later):
            del sys.modules[other]
    return importlib.import_module(name)
