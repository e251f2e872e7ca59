"""What each process of a local Ray that is to work does first: Ray imports this module by its name.

Ray teaches its serializer tables of Arrow, and fields of models of FastAPI, and imports pyarrow,
NumPy and the old pydantic for that: 25 of a worker's 74 MB, and part of its start. Nothing of that
kind is ever sent here. Who connects to Ray imports this module first, too.
"""

from __future__ import annotations

from ray.util import serialization_addons

serialization_addons.apply = lambda _: None
