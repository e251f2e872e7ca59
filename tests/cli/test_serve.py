"""`serve` without a host: what is printed, linted and refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.commands import Ended

from orchestrator.cli import main

Say = Callable[[str], Ended]

WRONG = {
    "no recipe": ("serve demo", "names no recipe"),
    "unknown model": ("serve gemma", "unknown model 'gemma'"),
    "unknown variant": ("serve gemma-4-26b --variant fp7", "no variant 'fp7'"),
    "two deeds": ("serve gemma-4-26b --up --down", "--up and --down: one of them at a time"),
    "an option of another deed": ("serve gemma-4-26b --status --replace", "it goes with --up"),
    "one of two other deeds": ("serve m --lint --variant x", "it goes with --print and --up"),
    "another's setting": ("serve gemma-4-26b --set rollout.max_steps=3", "model.* keys"),
    "an option as host": ("serve gemma-4-26b --host=-oProxyCommand=x", "no ssh destination"),
    "a host of nothing": ("serve gemma-4-26b --host= --down", "--host is empty"),
    "no such template": ("serve gemma-4-26b --chat-template nowhere", "No such file"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_what_can_not_be_served_is_one_line(say: Say, case: str) -> None:
    args, says = WRONG[case]

    say(args).assert_one_line(2, says)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["gemma-4-26b", "gemma-4-31b", "gemma-4-e4b", "qwen3.5-35b", "qwen3.6-35b"]
)
def test_every_shipped_model_has_a_command_that_nothing_is_held_against(
    say: Say, model: str
) -> None:
    done = say(f"serve {model}")

    assert done.exit_code == 0
    assert done.stdout.startswith("bash <<'END'\n")
    assert f"--served-model-name {model}" in done.stdout
    assert "broken:" not in done.stderr
    assert "init --base-url http://HOST:8000/v1" in done.stderr


def test_json_has_the_words_and_the_address(say: Say) -> None:
    found = say("serve qwen3.6-35b --port 8100 --json").report

    assert found["base_url"] == "http://HOST:8100/v1"
    assert found["docker"][:2] == ["run", "--detach"]
    assert "8100:8000" in found["docker"]
    assert found["faults"] == []


@pytest.mark.slow
def test_a_context_of_ones_own_is_taken(say: Say) -> None:
    assert (
        "--max-model-len 65536" in say("serve qwen3.6-35b --set model.context_length=65536").stdout
    )


@pytest.mark.parametrize(
    ("command", "exit_code", "says"),
    [
        (
            "vllm serve org/m --enable-auto-tool-choice --tool-call-parser hermes "
            "--gpu-memory-utilization 0.8",
            0,
            "Nothing in it is known to be broken",
        ),
        ("vllm serve Qwen/Qwen3.5-35B-A3B --reasoning-parser qwen3", 2, "--force goes on"),
        ("ollama run gemma", 2, "error: "),
    ],
)
def test_a_command_line_of_ones_own_is_linted(
    command: str,
    exit_code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["orchestrator", "serve", "--lint", command])

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr()
    assert (ended.value.code or 0) == exit_code
    assert says in said.out + said.err
