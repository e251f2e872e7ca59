"""The command that puts one model into another's place: shown, limited, and never waited for in
vain."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.commands import wait_until

from orchestrator.matrix.switch import run_switch, switch_command


def switch(command: str, model: str = "gemma", limit_s: float = 20) -> tuple[str, list[str]]:
    said: list[str] = []
    return run_switch(switch_command(command, model), limit_s, said.append), said


def test_the_model_stands_in_the_command_and_each_line_is_shown() -> None:
    problem, said = switch("echo down; echo up {model} >&2; printf 'half a line'")

    assert (problem, said) == ("", ["down", "up gemma", "half a line"])


@pytest.mark.parametrize("model", ["a; touch oops", "$(touch oops)", "a b", "it's", "-x"])
def test_a_models_name_is_one_word_to_the_shell(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    problem, said = switch("printf '%s\\n' {model}", model)

    assert (problem, said) == ("", [model])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "as_run"),
    [
        ("serve {model} --up", "serve qwen3.5-35b --up"),
        (
            "for o in {others}; do down $o; done; up {model}",
            "for o in gemma-4-26b 'a b'; do down $o; done; up qwen3.5-35b",
        ),
        ("awk '{print $1}' {model}", "awk '{print $1}' qwen3.5-35b"),
    ],
)
def test_names_take_their_places_and_other_braces_are_the_shells(command: str, as_run: str) -> None:
    assert switch_command(command, "qwen3.5-35b", ["gemma-4-26b", "a b"]) == as_run


def test_a_name_with_the_others_place_in_it_is_that_name() -> None:
    assert switch_command("{model}", "{others}", ["x"]) == "'{others}'"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo {model}; exit 7", "exit code 7"),
        ("no-such-program-here {model}", "exit code 127"),
        ("kill -9 $$; : {model}", "was killed by signal 9"),
    ],
)
def test_a_command_that_fails_says_how(command: str, says: str) -> None:
    problem, _ = switch(command)

    assert says in problem


@pytest.mark.slow
def test_a_command_that_does_not_end_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    problem, said = switch(f"echo {{model}}; sleep 60 & echo $! > {pid}; wait", limit_s=0.5)

    assert "did not end within" in problem
    assert said == ["gemma"]
    wait_until(lambda: not is_running(int(pid.read_text())), "its end", limit_s=10)


@pytest.mark.slow
def test_a_server_that_it_leaves_running_is_not_waited_for_and_lives_on(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()

    problem, said = switch(f"sleep 30 & echo $! > {pid}; echo started {{model}}")

    left = int(pid.read_text())
    try:
        assert (problem, said) == ("", ["started gemma"])
        assert time.monotonic() - started < 20
        assert is_running(left)
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_stop_ends_what_it_has_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_switch(f"echo $$ > {pid}; echo gemma; sleep 60", 20, stop)
    wait_until(lambda: not is_running(int(pid.read_text())), "its end", limit_s=10)


def test_it_asks_nobody() -> None:
    assert switch("read answer; echo \"got '$answer' {model}\"") == ("", ["got '' gemma"])


def test_python_is_the_one_that_runs_this() -> None:
    _, said = switch("python -c 'import sys; print(sys.prefix)' {model}")

    assert said == [sys.prefix]


def test_what_is_no_text_and_what_is_redrawn_are_shown_line_by_line() -> None:
    problem, said = switch("printf '1%%\\r2%%\\r3%%\\n\\377 {model} \\033[2J\\n\\n'")

    assert problem == ""
    assert said[:3] == ["1%", "2%", "3%"]
    assert "gemma" in said[3]
    assert "\x1b" not in said[3]


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_command_that_prints_much_waits_for_who_reads(tmp_path: Path) -> None:
    done, seen = tmp_path / "done", []

    def say(_line: str) -> None:
        if not seen:
            time.sleep(0.5)
            seen.append(done.exists())

    command = f"head -c 4000000 /dev/zero | tr '\\0' x | fold -w 1000; touch {done} # {{model}}"
    assert run_switch(command, 20, say) == ""

    assert (seen, done.exists()) == ([False], True)


def test_a_line_without_end_is_shown_in_parts() -> None:
    _, said = switch("head -c 10000 /dev/zero | tr '\\0' x")

    assert list(map(len, said)) == [4096, 4096, 1808]
