"""What a person is told of profiles that were written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.endpoint.listing import name_words
from orchestrator.setup.add_model import Added
from orchestrator.setup.profiles import ModelAnswers


def added_lines(added: Added, config_dirs: tuple[Path, ...]) -> Iterator[str]:
    yield f"wrote {added.path}: {model_words(added.answers)}"
    yield "next:"
    yield from next_lines(added.path.stem, config_dirs, ("doctor lite", "launch smoke"))


def model_words(answers: ModelAnswers) -> str:
    """`m, 131072 tokens, on vLLM 0.32.0; as the profile m for the rest`."""
    served, kind = answers.served, answers.kind
    length = served.context_length
    parts = [
        name_words([served.name]),
        f"{length} tokens" if length else "a context of a length that the server does not say",
        f"on {kind.name} {kind.version}".strip() if kind.name else "on a server of unknown kind",
    ]
    known = f"; as the profile {answers.known.name} for the rest" if answers.known else ""
    return ", ".join(parts) + known


def next_lines(model: str, config_dirs: tuple[Path, ...], commands: Sequence[str]) -> Iterator[str]:
    """The commands that come next, with what makes them find the profile."""
    dirs = "".join(f" --config-dir {shlex.quote(str(folder))}" for folder in config_dirs)
    for command in commands:
        yield f"  python -m orchestrator {command} --model {model}{dirs}"
