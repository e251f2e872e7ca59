"""What pip says of an index that does not answer, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agents.installing.environment import (
    PipFailed,
    VirtualEnvironment,
    why_no_index_answers,
)

RETRY = (
    "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by '{}': /simple/x/"
)
NOTHING = "ERROR: Could not find a version that satisfies the requirement x (from versions: none)"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            # pip 26
            RETRY.format(
                "NameResolutionError(\"HTTPSConnection(host='pypi.org', port=443): Failed to "
                "resolve 'pypi.org' ([Errno -2] Name or service not known)\")"
            ),
            "Failed to resolve 'pypi.org' ([Errno -2] Name or service not known)",
        ),
        (
            # pip 23
            RETRY.format(
                "NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at "
                "0x7f>: Failed to establish a new connection: [Errno 111] Connection refused')"
            ),
            "Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        (
            RETRY.format(
                "ReadTimeoutError(\"HTTPSConnectionPool(host='pypi.org', port=443): Read timed "
                'out. (read timeout=15)")'
            ),
            "Read timed out. (read timeout=15)",
        ),
        (
            RETRY.format(
                "ProxyError('Cannot connect to proxy.', NewConnectionError('<pip.HTTPSConnection "
                "object at 0x7f>: Failed to establish a new connection: [Errno 111] Refused'))"
            ),
            "Failed to establish a new connection: [Errno 111] Refused",
        ),
        (
            "Could not fetch URL https://pypi.org/simple/x/: There was a problem confirming the "
            "ssl certificate: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded "
            "with url: /simple/x/ (Caused by SSLError(SSLCertVerificationError(1, 'self-signed'))) "
            "- skipping",
            "SSLError(SSLCertVerificationError(1, 'self-signed'))",
        ),
    ],
)
def test_the_reason_that_no_index_answers_is_told_without_the_clients_classes(
    said: str, reason: str
) -> None:
    assert why_no_index_answers(["Looking in indexes: x", said, NOTHING]) == reason


def test_an_index_that_answered_is_not_blamed() -> None:
    assert why_no_index_answers([NOTHING, "ERROR: No matching distribution found for x"]) == ""


@pytest.fixture
def environment(tmp_path: Path) -> VirtualEnvironment:
    """One whose pip says what the test wrote into `said`, and fails; it wants no PIP_USER."""
    environment = VirtualEnvironment(tmp_path / "venv")
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text(
        f'#!/bin/sh\n[ "$PIP_USER" = 0 ] || exit 0\ncat {tmp_path}/said\nexit 1\n'
    )
    environment.python.chmod(0o755)
    return environment


def failure(environment: VirtualEnvironment, said: str) -> str:
    (environment.folder.parent / "said").write_text(said)
    with pytest.raises(PipFailed) as caught:
        environment.install("x", detail=lambda _: None)
    assert said == f"{caught.value.output}\n"
    return str(caught.value)


def test_without_a_network_the_failure_is_one_line_that_names_it(
    environment: VirtualEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    retry = RETRY.format("NewConnectionError('<pip.HTTPSConnection>: [Errno 101] Unreachable')")

    assert failure(environment, f"{retry}\n{retry}\n{NOTHING}\n") == (
        "pip reaches no package index: [Errno 101] Unreachable. Look at this host's network and "
        "proxy, and run it again."
    )


@pytest.mark.parametrize(
    "said", [NOTHING, "ERROR: Could not install packages: [Errno 28] No space left on device"]
)
def test_any_other_failure_is_told_in_pips_words(
    environment: VirtualEnvironment, said: str
) -> None:
    assert failure(environment, f"Looking in indexes\n{said}\n") == f"pip can't install it: {said}"


def test_a_python_that_can_make_no_environment_is_told(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Error: ensurepip is not available'\nexit 1\n")
    python.chmod(0o755)

    with pytest.raises(RuntimeError, match="Python can't make an environment: Error: ensurepip"):
        VirtualEnvironment(tmp_path / "venv").create(python)
