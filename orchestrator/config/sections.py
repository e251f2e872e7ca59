"""What every section of a configuration is made of."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

AUTO: Literal["auto"] = "auto"
"""As a kind of sandbox: the first that this host offers. As a cluster's name: what suits it."""
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def _one_line(name: str) -> str:
    if not name.strip() or _CONTROL.search(name):
        raise ValueError("must be one line of text")
    return name


Name = Annotated[str, AfterValidator(_one_line)]
"""It stands in tables, and in the names of files."""


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
