"""What is told of a build that failed, from what Docker's two builders print."""

from __future__ import annotations

import pytest

from orchestrator.backends.docker.build_problems import MOST_CHARS, build_failure

DEPRECATED = """\
DEPRECATED: The legacy builder is deprecated and will be removed in a future release.
            Install the buildx component to build images with BuildKit:
            https://docs.docker.com/go/buildx/

Sending build context to Docker daemon  2.048kB
Step 1/4 : ARG BASE=my-base:1
Step 2/4 : FROM ${BASE}
"""
NO_HOST = "dial tcp: lookup registry.test on 192.0.2.53:53: no such host"
CLASSIC_RUN = f"""{DEPRECATED} ---> be66119ab9dd
Step 3/4 : RUN echo early
 ---> Running in 1c563ffb2dc2
early
Removing intermediate container 1c563ffb2dc2
 ---> 4766119ab9dd
Step 4/4 : RUN pip install nothing
 ---> Running in 5c563ffb2dc2
one
two
\x1b[91mERROR: of pip
\x1b[0m\x1b[91mNo such package: 'nothing'
\x1b[0mRemoving intermediate container 5c563ffb2dc2
The command '/bin/sh -c pip install nothing' returned a non-zero code: 1
"""
BUILDKIT_RUN = """\
#0 building with "default" instance using docker driver
#5 [2/3] RUN echo early
#5 0.101 early
#6 [3/3] RUN pip install nothing
#6 0.213 one
#6 ERROR: process "/bin/sh -c pip install nothing" did not complete successfully: exit code: 1
------
 > [3/3] RUN pip install nothing:
0.213 one
0.214 two

0.310 ERROR: of pip
0.311 No such package: 'nothing'
------
Dockerfile:3
--------------------
   2 |     RUN echo early
   3 | >>> RUN pip install nothing
   4 |
--------------------
ERROR: failed to solve: process "/bin/sh -c pip install nothing" did not complete successfully: \
exit code: 1

View build details: docker-desktop://dashboard/build/default/default/abc
"""
BUILDKIT_BASE = f"""\
#2 [internal] load metadata for registry.test/my-base:1
#2 ERROR: failed to do request: {NO_HOST}
------
 > [internal] load metadata for registry.test/my-base:1:
------
Dockerfile:2
--------------------
   2 | >>> FROM ${{BASE}}
--------------------
ERROR: failed to solve: registry.test/my-base:1: failed to do request: {NO_HOST}
"""
OLDER_BUILDKIT = """\
------
 > [2/2] RUN false:
#5 0.123 it is false
------
executor failed running [/bin/sh -c false]: exit code: 1
"""
TWO = "two ERROR: of pip No such package: 'nothing'"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            f'{DEPRECATED}Get "https://registry.test/v2/": {NO_HOST}\n',
            f'Get "https://registry.test/v2/": {NO_HOST}',
        ),
        (
            CLASSIC_RUN,
            "The command '/bin/sh -c pip install nothing' returned a non-zero code: 1; "
            f"it printed: {TWO}",
        ),
        (
            f"{CLASSIC_RUN.rpartition('The command')[0]}COPY failed: no such file",
            "COPY failed: no such file",
        ),
        (
            BUILDKIT_RUN,
            'failed to solve: process "/bin/sh -c pip install nothing" did not complete '
            f"successfully: exit code: 1; it printed: {TWO}",
        ),
        (
            BUILDKIT_BASE,
            f"failed to solve: registry.test/my-base:1: failed to do request: {NO_HOST}",
        ),
        (
            OLDER_BUILDKIT,
            "executor failed running [/bin/sh -c false]: exit code: 1; it printed: it is false",
        ),
        ("\n \n", "`docker build` failed, and said nothing"),
    ],
)
def test_what_failed_is_told_in_one_line(output: str, told: str) -> None:
    assert build_failure(output) == told


def test_a_long_command_is_shortened_between_its_words_and_keeps_its_end() -> None:
    command = " && ".join(f"install-number-{n}" for n in range(100))
    told = build_failure(f"The command '/bin/sh -c {command}' returned a non-zero code: 100")

    begin, end = told.split(" … ")
    assert len(told) <= MOST_CHARS + 3
    assert begin.startswith("The command '/bin/sh -c install-number-0 && ")
    assert end.endswith("&& install-number-99' returned a non-zero code: 100")
    assert set(begin.split()[4:]) <= set(command.split())


def test_a_line_without_spaces_is_shortened_too() -> None:
    assert build_failure("x" * 1000) == f"{'x' * (MOST_CHARS // 2)} … {'x' * (MOST_CHARS // 2)}"
