"""What images are built from, pulled before the night.

At night an image that is pulled is waited for, and one that is built is not: without its base each
build fails, and a rollout with it.
"""

from __future__ import annotations

from rich.console import Console

from orchestrator.backends import find_backend
from orchestrator.backends.images import is_built_here
from orchestrator.display.terminal import print_line, waiting
from orchestrator.doctor.case import Case
from orchestrator.errors import PrerequisiteError
from orchestrator.images.pulls import PullFailed


def bring_bases(case: Case, console: Console) -> tuple[str, ...]:
    """Pull what images of the plan are built from, as the first builds would; gives warnings. On a
    Ray cluster its nodes build, and nothing is pulled here.

    Raises:
        PrerequisiteError: no base comes, and there is no other image with which to begin.
    """
    planned = case.planned
    if case.config.cluster.ray_address is not None or not any(map(is_built_here, planned)):
        return ()
    missing = case.missing_bases
    failures = [failure for base in missing for failure in _pull(base, case, console)]
    is_any_here = len(case.missing_images) < len({instance.image for instance in planned})
    is_any_pulled = not all(map(is_built_here, planned))
    if failures and len(failures) == len(missing) and not (is_any_here or is_any_pulled):
        raise failures[0]
    return tuple(map(str, failures))


def _pull(base: str, case: Case, console: Console) -> list[PrerequisiteError]:
    """Why it did not come; empty where it did."""
    cluster, what = case.config.cluster, f"pulling {base}, from which images are built"
    if not console.is_terminal:
        print_line(console, what)
    try:
        with waiting(console, what) as say:
            for step in find_backend(case.host.kind).pull_image(base, cluster):
                say(f"{what}: {step.compressed / 1e6:.0f} MB")
    except PullFailed as error:
        return [_can_not_be_built(error.failure.detail, base, cluster.sandbox.platform)]
    return []


def _can_not_be_built(why: str, base: str, platform: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"images are to be built, and their base can't be pulled: {why}.",
        f"Bring it by `docker pull --platform {platform} {base}`, or name one that is here: "
        "`--set cluster.images.base=IMAGE`, for Dockerfiles with `ARG BASE`.",
    )
