"""This host is known again whatever its name is, and is no other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import host_id as module
from orchestrator.errors import EXIT_PREREQUISITE, PrerequisiteError
from orchestrator.host_id import host_id, is_this_hosts


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's data folder; a new session begins with `host_id.cache_clear()`."""
    folder = tmp_path / "my data's"
    monkeypatch.setenv("SWE_ORCHESTRATOR_DATA", str(folder))
    host_id.cache_clear()
    yield folder
    host_id.cache_clear()


def in_a_new_session() -> str:
    host_id.cache_clear()
    return host_id()


def test_a_mac_takes_another_name_with_another_network_and_is_the_same_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Mini.local")
    label = host_id()
    monkeypatch.setattr(socket, "gethostname", lambda: "mini.fritz.box")

    assert in_a_new_session() == label
    assert is_this_hosts(label)


def test_what_earlier_versions_labelled_with_the_hosts_name_is_this_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "mini.fritz.box")

    assert is_this_hosts("mini.fritz.box")
    for another in ("another", "", None):
        assert not is_this_hosts(another)


def test_two_hosts_with_one_home_are_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "MACHINE_ID", tmp_path / "one")
    (tmp_path / "one").write_text("aaaa\n", encoding="ascii")
    one = host_id()
    monkeypatch.setattr(module, "MACHINE_ID", tmp_path / "none")

    assert in_a_new_session() != one


@pytest.mark.parametrize("left", ["", "\n", "0123", "\0" * 33, "no id, but as long as one is....."])
def test_what_a_power_cut_left_is_made_anew_once(data: Path, left: str) -> None:
    data.mkdir()
    (data / "host-id").write_text(left, encoding="ascii")

    assert host_id() == in_a_new_session()


@pytest.mark.slow
def test_runs_that_start_at_once_agree(data: Path) -> None:
    program = "from orchestrator.host_id import host_id; print(host_id())"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
        for _ in range(6)
    ]

    assert len({process.communicate()[0] for process in started}) == 1
    assert list(data.iterdir()) == [data / "host-id"]


@pytest.mark.parametrize("in_the_way", ["data", "data/host-id/"])
def test_where_nothing_can_be_kept_the_systems_own_id_will_do_else_one_line_says_so(
    in_the_way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWE_ORCHESTRATOR_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(module, "MACHINE_ID", tmp_path / "machine-id")
    (tmp_path / "machine-id").write_text("")
    if in_the_way.endswith("/"):
        (tmp_path / in_the_way).mkdir(parents=True)
    else:
        (tmp_path / in_the_way).touch()

    with pytest.raises(PrerequisiteError, match="host-id") as caught:
        host_id()

    assert caught.value.exit_code == EXIT_PREREQUISITE
    assert "SWE_ORCHESTRATOR_DATA" in caught.value.cure
    assert "\n" not in str(caught.value)
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef")
    assert in_a_new_session() == in_a_new_session()
