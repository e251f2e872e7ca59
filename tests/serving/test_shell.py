"""Where scripts run, with a program that plays ssh: what a real one does, `test_over_ssh` shows."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orchestrator.config.recipe import Recipe
from orchestrator.config.schema import Model
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.serving import bring_up as there
from orchestrator.serving.docker_command import make_run
from orchestrator.serving.shell import Shell

Play = Callable[..., Path]


class Heard:
    """What a person is told while a server comes up."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def show(self, text: str) -> None:
        self.shown.append(text)


@pytest.mark.parametrize("name", ["-oProxyCommand=touch owned", "a b", "a\nb", " ", "-", "a\x7f"])
def test_a_host_that_ssh_would_take_for_something_else_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no ssh destination"):
        Shell(name)


@pytest.mark.slow
def test_ssh_is_the_one_that_a_person_names_and_gets_no_word_of_the_script(play: Play) -> None:
    words = play("cat >/dev/null & sleep 0.1; kill $!; echo done")

    assert Shell("me@gpu").run("echo 'secret'").lines == ("done",)
    asked = words.read_text().split()
    assert asked[:3] == ["-F", "my", "config"]
    assert asked[-4:] == ["--", "me@gpu", "sh", "-s"]
    assert "BatchMode=yes" in asked


@pytest.mark.parametrize("words", ["echo Welcome", "printf Welcome", "head -c 999 /dev/urandom"])
def test_what_a_login_prints_is_no_word_of_the_script(words: str, play: Play) -> None:
    play(f"{words}; exec sh -s", is_login=True)

    assert Shell("gpu").run("echo @@absent; exit 3").lines == ("@@absent",)


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("read -r line; exec sh -s", "@@absent"),
        ("echo 'This account is currently not available.'; exit 1", "not available"),
        ("echo 'Welcome to the menu'; exit 0", "Welcome to the menu"),
        ("exit 0", "it says nothing"),
    ],
)
def test_a_login_that_runs_something_else_is_told_and_is_no_success(
    login: str, said: str, play: Play
) -> None:
    play(login, is_login=True)

    with pytest.raises(PrerequisiteError, match=f"gpu does not run what it is sent .*{said}"):
        Shell("gpu").run("echo @@absent; exit 0")


@pytest.mark.parametrize("program", ["'unclosed", "/nowhere/ssh", "/etc"])
def test_an_ssh_that_can_not_be_run_is_one_line(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWE_ORCHESTRATOR_SSH", program)

    with pytest.raises((ConfigError, PrerequisiteError), match="SWE_ORCHESTRATOR_SSH"):
        Shell("gpu").run("true")


def test_a_link_that_ssh_asks_to_open_reaches_the_person_at_once(play: Play) -> None:
    play("echo 'visit: https://login.tailscale.com/a/1' >&2; echo 'a banner' >&2; echo ok")
    found: list[str] = []

    assert Shell("gpu", say=found.append).run("true").lines == ("ok",)
    assert found == ["visit: https://login.tailscale.com/a/1"]


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("hostname 100.64.0.7", "100.64.0.7"),
        ("user me\nhostname spark.tail1.ts.net\nport 22", "spark.tail1.ts.net"),
        ("hostname fd7a::7", "[fd7a::7]"),
        ("", "gpu"),
    ],
)
def test_the_address_for_runs_is_what_ssh_config_makes_of_the_name(
    play: Play, told: str, address: str
) -> None:
    play(f"printf '%s\\n' '{told}'")

    assert Shell("me@gpu").address() == address


def test_this_machine_needs_no_ssh() -> None:
    assert Shell().run("echo 'it is'; exit 3").lines == ("it is",)
    assert Shell().run("exit 3").exit_code == 3
    assert Shell().address() == "127.0.0.1"


@pytest.mark.slow
def test_a_script_that_never_ends_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(TimeoutError):
        Shell().run(f"sleep 60 & echo $! >'{pid}'; wait; exit", timeout_s=0.3)

    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(int(pid.read_text())).status() == psutil.STATUS_ZOMBIE


def test_a_connection_that_breaks_off_while_a_server_loads_is_made_anew(
    play: Play,
    recipe: Recipe,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(there, "RETRY_S", 0.0)
    play(
        f"cd '{tmp_path}'; if [ -e once ]; then echo '@@step already'; exit 0; fi; touch once; "
        "echo '@@step start'; echo '@@log loading'; echo 'Timeout, server not responding.' >&2; "
        "exit 255"
    )
    heard = Heard()

    was_up = there.bring_up(Shell("gpu"), make_run(model, recipe), "text", heard)

    assert not was_up
    assert "the connection to gpu broke off; looking again" in heard.said
    assert heard.shown == ["loading"]


def test_layers_of_an_image_are_counted_as_they_come(
    play: Play, recipe: Recipe, model: Model
) -> None:
    play(
        "echo '@@step pull'; for layer in a b; do echo \"$layer: Pulling fs layer\"; done; "
        "echo 'c: Already exists'; echo 'a: Download complete'; echo 'a: Pull complete'"
    )
    heard = Heard()

    there.bring_up(Shell("gpu"), make_run(model, recipe), "text", heard)

    assert heard.shown[-1] == "image: 2 of 3 layers"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("told", "says"),
    [("@@step start", "It goes on there: --status"), ("@@step pull", "Nothing was started yet")],
)
def test_what_takes_too_long_says_what_goes_on(
    play: Play, recipe: Recipe, model: Model, told: str, says: str
) -> None:
    play(f"echo '{told}'; exec sleep 60")

    with pytest.raises(PrerequisiteError, match="is not healthy after") as failed:
        there.bring_up(Shell("gpu"), make_run(model, recipe), "text", Heard(), limit_s=0.6)
    assert failed.value.cure.startswith(says)


@pytest.mark.parametrize(
    "login_shell", [s for s in ["sh", "bash", "zsh", "fish", "tcsh"] if shutil.which(s)]
)
def test_no_login_shell_reads_a_word_of_the_script(play: Play, login_shell: str) -> None:
    play(f'for last; do :; done; exec {login_shell} -c "$last"', is_login=True)

    said = Shell("gpu").run("""printf '%s\\n' 'it'"'"'s "$HOME" `id` {a,b} (c) !1 %' 'x'; exit 7""")

    assert said.lines == ('it\'s "$HOME" `id` {a,b} (c) !1 %', "x")
    assert said.exit_code == 7
