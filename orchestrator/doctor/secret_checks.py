"""Secrets that others can read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from orchestrator.backends import find_backend
from orchestrator.doctor.case import Case
from orchestrator.doctor.check import Check, CheckFinding, Depth, passed, warned
from orchestrator.doctor.secrets import (
    hub_token_file,
    profiles_with_secrets,
    secret_keys,
    who_reads,
)
from orchestrator.errors import OrchestratorError
from orchestrator.user_paths import user_configs


class Secrets(Check):
    """A key or a login of this user's lies where others read it."""

    name = "secrets"
    depth = Depth.DOCTOR

    def look(self, case: Case) -> Iterator[CheckFinding]:
        found = [*_in_configuration(case), *_in_files(_files(case))]
        yield from found
        if not found:
            yield passed("nobody else reads the keys and logins that are found here")


def _in_configuration(case: Case) -> Iterator[CheckFinding]:
    """What a run would write into its run.yaml, and its reports' folder with it."""
    model, sandbox = case.config.model, case.config.cluster.sandbox
    given = {
        "model.request_fields": model.request_fields if model else {},
        "cluster.sandbox.env": sandbox.env,
    }
    for section, values in given.items():
        for key in secret_keys(values, section):
            yield warned(
                f"{key} is a secret by its name, and every run keeps it in its run.yaml",
                "Put a model's key into a variable that model.endpoint.api_key_env names; an "
                "agent reads all that its sandbox has.",
            )


def _files(case: Case) -> Iterator[Path]:
    """Files that hold secrets, as far as there are any."""
    folders = [user_configs(), *(case.request.config_dirs if case.request else ())]
    for folder in folders:
        yield from profiles_with_secrets(folder)
    yield hub_token_file()
    with contextlib.suppress(OrchestratorError):
        yield from find_backend(case.host.kind).secret_files()


def _in_files(files: Iterator[Path]) -> Iterator[CheckFinding]:
    for path in dict.fromkeys(files):
        with contextlib.suppress(OSError):  # it is not there
            if reader := who_reads(path):
                yield warned(
                    f"{path} holds a secret, and {reader} may read it", f"chmod 600 {path}"
                )
