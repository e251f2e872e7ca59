"""Modules of the official harness, without what it imports for reading datasets and for Modal.

`import swebench.harness` takes 1.2 s and 110 MB: its package imports all of its modules, and those
pandas, datasets and modal, which neither checks a row, nor grades, nor reports. Without them it is
0.15 s and 17 MB.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

PACKAGE = "swebench.harness"
NOT_USED = ("datasets", f"{PACKAGE}.modal_eval")

_imported: dict[str, ModuleType] = {}
_lock = threading.Lock()


def harness_module(name: str) -> ModuleType:
    """`swebench.harness.NAME`. Where this process has imported the harness already, it is that one.

    Others never see that something is missing: who imports the harness or `datasets` afterwards
    gets all of it. The first call for a module is to be made while no other thread imports those.
    """
    full = f"{PACKAGE}.{name}"
    with _lock:
        if full not in _imported:
            with _without_what_is_not_used():
                importlib.import_module(full)
        return _imported.get(full) or sys.modules[full]


class _NotUsed(ModuleType):
    """In the place of a module of which nothing is used."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def _without_what_is_not_used() -> Iterator[None]:
    if PACKAGE in sys.modules:
        yield
        return
    before = set(sys.modules)
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None, "this project depends on it"
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    sys.modules.update(_imported)
    stands_in = [name for name in NOT_USED if name not in sys.modules]
    sys.modules.update({name: _NotUsed(name) for name in stands_in})
    try:
        yield
    finally:
        for name in sys.modules.keys() - before:
            if name.partition(".")[0] == "swebench" or name in stands_in:
                module = sys.modules.pop(name)
                if name not in (PACKAGE, *stands_in):
                    _imported[name] = module
