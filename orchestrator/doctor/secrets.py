"""Secrets that lie where others read them: in files, and in profiles."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.config.yaml_files import read_yaml
from orchestrator.errors import ConfigError

_SECRET = re.compile(
    r"(?:^|[-_])(?:api[-_]?key|access[-_]?key|secret(?:[-_]?key)?|passw(?:or)?d|authorization)$"
    r"|(?:^|(?:^|[-_])(?:api|auth|access|bearer|hf|hub|github|gh|refresh|session)[-_])token$",
    re.IGNORECASE,
)
"""A key of a secret. `eos_token` and the like are none."""
_READ_BY_GROUP, _READ_BY_ALL = (0o040, 0o010), (0o004, 0o001)
"""The bit that lets a file be read, and the one that lets a folder be passed."""


def who_reads(path: Path) -> str:
    """`everybody` or `its group` beside the owner of a file that is there; else empty.

    Others read it only where they may pass all folders above it. Raises OSError.
    """
    real = path.resolve()
    file = real.stat()
    above = [folder.stat().st_mode for folder in real.parents]
    for who, (reads, passes) in (("everybody", _READ_BY_ALL), ("its group", _READ_BY_GROUP)):
        is_alone = who == "its group" and _is_alone(file.st_uid, file.st_gid)
        if file.st_mode & reads and all(folder & passes for folder in above) and not is_alone:
            return who
    return ""


def _is_alone(user: int, group: int) -> bool:
    """Whether a group is a user's own, as Linux makes one for each."""
    try:
        name, found = pwd.getpwuid(user).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def secret_keys(section: Any, name: str = "") -> Iterator[str]:
    """Dotted keys of a section of a profile under which a secret is written, by their name."""
    if isinstance(section, dict):
        for key, value in section.items():
            dotted = f"{name}.{key}".strip(".")
            if isinstance(value, str) and value.strip() and _SECRET.search(str(key)):
                yield dotted
            else:
                yield from secret_keys(value, dotted)
    elif isinstance(section, list | tuple):
        for value in section:
            yield from secret_keys(value, name)


def profiles_with_secrets(folder: Path) -> Iterator[Path]:
    """Profiles below a folder of a person's own that hold one. What can't be read is passed over:
    whoever uses it is told."""
    for path in sorted(folder.glob("*/*.y*ml")):
        try:
            found = read_yaml(path, str(path))
        except ConfigError:
            continue
        if next(secret_keys(found), None) is not None:
            yield path


def hub_token_file() -> Path:
    """Where the client of the Hugging Face hub keeps its token. It need not exist."""
    from huggingface_hub.constants import HF_TOKEN_PATH

    return Path(os.path.expanduser(HF_TOKEN_PATH))
