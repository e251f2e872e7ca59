"""Who is told when a run has ended, and that nothing which goes wrong with it costs the run."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from support.model_servers import ModelServer, Pages
from support.rows import state

from orchestrator.config import RunConfig
from orchestrator.config.cluster import Notify
from orchestrator.driver.plan import Plan
from orchestrator.errors import EXIT_FAILURES_LEFT, ConfigError, PrerequisiteError
from orchestrator.report.build import build_report
from orchestrator.run import notify as notify_module
from orchestrator.run.notify import all_ended_words, notifying, send
from orchestrator.types import RolloutKey

MakeConfig = Callable[..., RunConfig]
WORK = Plan((RolloutKey("r", "i", 1),), (), 0)
TOPIC = Pages({"/topic": "{}"})


@pytest.fixture
def listener(tmp_path: Path) -> Path:
    """A program that writes its last argument into a file beside it."""
    program = tmp_path / "tell"
    program.write_text(f'#!/bin/sh\nfor last; do :; done\nprintf %s "$last" >{tmp_path}/told\n')
    program.chmod(0o755)
    return program


def test_a_line_is_posted_to_a_topic() -> None:
    with ModelServer(TOPIC) as server:
        assert send(Notify(url=f"http://127.0.0.1:{server.port}/topic"), "r done: 1 of 2") == ()

    assert (server.asked, server.bodies) == (["/topic"], [b"r done: 1 of 2"])


def test_webhooks_that_want_json_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(notify_module.JSON_KEYS, "127.0.0.1", "text")
    with ModelServer(TOPIC) as server:
        assert send(Notify(url=f"http://127.0.0.1:{server.port}/topic"), 'a "b"') == ()

    assert json.loads(server.bodies[0]) == {"text": 'a "b"'}


def test_a_url_that_is_a_secret_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ModelServer(TOPIC) as server:
        monkeypatch.setenv("MY_TOPIC", f"http://127.0.0.1:{server.port}/topic\n")
        assert send(Notify(url_env="MY_TOPIC"), "x") == ()
    for value in ("", "no url", "ftp://host/x", "https://user:key@host/x", "http://[::1/x"):
        monkeypatch.setenv("MY_TOPIC", value)
        (problem,) = send(Notify(url_env="MY_TOPIC"), "x")
        assert problem == "$MY_TOPIC holds no URL (cluster.notify.url_env)"


@pytest.mark.parametrize("text", ["it's done", 'a "quote"; $(rm -rf /) `x`', "-v", "über", ""])
def test_a_command_gets_the_line_as_its_last_argument_and_no_shell_reads_it(
    text: str, listener: Path, tmp_path: Path
) -> None:
    assert send(Notify(command=(str(listener), "a title")), text) == ()

    assert (tmp_path / "told").read_text(encoding="utf-8") == text


def test_a_command_is_split_as_a_shell_splits_it(make_config: MakeConfig) -> None:
    config = make_config(settings={"cluster.notify.command": "notify-send 'a title' -u low"})

    assert config.cluster.notify.command == ("notify-send", "a title", "-u", "low")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("url", "https://me:secret@ntfy.sh/x", "url_env"),
        ("url", "ntfy.sh/x", "is no URL"),
        ("url", "https://ntfy.sh/a topic", "is no URL"),
        ("url", "http://[::1/x", "is no URL"),
        ("url_env", "https://ntfy.sh/x", "name of an environment variable"),
        ("command", "say 'half", "No closing quotation"),
    ],
)
def test_what_can_not_be_told_to_is_refused_before_the_night(
    key: str, value: str, says: str, make_config: MakeConfig
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        make_config(settings={f"cluster.notify.{key}": value})

    assert "secret" not in str(caught.value)


def test_what_goes_wrong_is_a_line_that_does_not_tell_the_topic(tmp_path: Path) -> None:
    with ModelServer(Pages({}, (403, ""))) as server:
        (refused,) = send(Notify(url=f"http://127.0.0.1:{server.port}/secret-topic"), "x")
    (away,) = send(Notify(url="http://127.0.0.1:9/secret-topic"), "x")
    (unknown,) = send(Notify(url="https://no-such-host.invalid/secret-topic"), "x")
    no_program, failed = Notify(command=("/no/such/program",)), Notify(command=("false",))

    assert refused == "127.0.0.1 answers HTTP 403"
    assert "127.0.0.1 does not answer (Connection refused" in away
    assert "no-such-host.invalid does not answer" in unknown
    assert "secret-topic" not in refused + away + unknown
    assert send(no_program, "x") == ("/no/such/program: No such file or directory",)
    assert send(failed, "x") == ("false ended with exit code 1",)
    assert send(Notify(command=(str(tmp_path),)), "x") == (f"{tmp_path}: Permission denied",)


@pytest.mark.slow
def test_a_command_that_does_not_end_holds_nobody_up_and_goes_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_module, "LIMIT_S", 0.5)
    child = tmp_path / "child"
    command = ("sh", "-c", 'sleep 60 & echo $! >"$0"; wait', str(child))

    (problem,) = send(Notify(command=command), "x")

    assert problem == "sh did not end within 0.5 s, and was ended"
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(child.read_text())).wait(5)


def test_a_command_that_leaves_a_child_behind_or_reads_its_input_is_not_waited_for(
    listener: Path,
) -> None:
    assert send(Notify(command=("sh", "-c", "sleep 3 & exit 0")), "x") == ()
    assert send(Notify(command=("sh", "-c", "read answer; exit 0")), "x") == ()


def test_one_that_fails_keeps_the_other_from_nothing(listener: Path, tmp_path: Path) -> None:
    both = Notify(url="http://127.0.0.1:9/x", command=(str(listener),))

    assert len(send(both, "told")) == 1
    assert (tmp_path / "told").read_text() == "told"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PrerequisiteError("the disk is full.", "Free some."), "r stopped: the disk is full. Free"),
        (KeyboardInterrupt(), "r stopped: interrupted; `resume r` goes on"),
        (RuntimeError(), "r stopped: RuntimeError; `resume r` goes on"),
    ],
)
def test_whatever_ends_a_run_is_told_and_goes_on_as_it_was(
    error: BaseException, says: str, listener: Path, tmp_path: Path, make_config: MakeConfig
) -> None:
    config = make_config(
        run_id="r", settings={"cluster.notify.command": [str(listener)], "cluster.workers": 1}
    )
    with pytest.raises(type(error)), notifying(config, WORK, Console(file=io.StringIO())):
        raise error

    assert (tmp_path / "told").read_text().startswith(says)


def test_a_notification_that_fails_costs_the_run_a_line_and_nothing_else(
    make_config: MakeConfig,
) -> None:
    said = io.StringIO()
    config = make_config(settings={"cluster.notify.command": ["false"]})
    with notifying(config, WORK, Console(file=said, width=200)) as ending:
        ending.text = "done"

    assert said.getvalue() == "the notification was not sent: false ended with exit code 1\n"


def test_a_session_with_nothing_to_do_is_told_to_nobody(
    listener: Path, tmp_path: Path, make_config: MakeConfig
) -> None:
    config = make_config(settings={"cluster.notify.command": [str(listener)]})
    with notifying(config, Plan((), (), 12), Console(file=io.StringIO())) as ending:
        ending.text = "done"

    assert not (tmp_path / "told").exists()


def test_several_runs_are_told_of_once_under_their_common_name(
    listener: Path, tmp_path: Path, make_config: MakeConfig
) -> None:
    config = make_config(run_id="r", settings={"cluster.notify.command": [str(listener)]})
    reports = [build_report(config, replace(state(ids=("a",)), run_id=run), {}) for run in "rs"]
    with notifying(config, WORK, Console(file=io.StringIO()), "an evening") as ending:
        ending.text = all_ended_words("an evening", reports, EXIT_FAILURES_LEFT)

    assert (tmp_path / "told").read_text() == (
        "an evening ended with failures left: 0 of 2 runs valid; resolved: r 0 of 1, s 0 of 1"
    )
    with pytest.raises(KeyboardInterrupt), notifying(config, WORK, Console(), "an evening"):
        raise KeyboardInterrupt
    told = (tmp_path / "told").read_text()
    assert told == "an evening stopped: interrupted; it can be resumed"
