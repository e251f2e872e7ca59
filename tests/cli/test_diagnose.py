"""`diagnose` as people meet it, on a server that plays a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import played_model as plays
from support.commands import Ended
from support.played_model import Persona, ToolModelServer

from orchestrator.diagnose.levels import CallLevel, Diagnosis, LevelCell

pytestmark = pytest.mark.slow

Say = Callable[[str], Ended]
Run = Callable[..., Ended]


@pytest.fixture
def serve() -> Iterator[Callable[..., ToolModelServer]]:
    """Starts servers that play a persona: `serve(talks)`."""
    started: list[ToolModelServer] = []

    def start(persona: Persona, **more: Any) -> ToolModelServer:
        started.append(ToolModelServer(persona=persona, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def diagnose(say: Say, serve: Callable[..., ToolModelServer]) -> Run:
    """What the command says of a persona: `diagnose(good, "--json")`."""

    def run(persona: Persona, args: str = "", **more: Any) -> Ended:
        server = serve(persona, takes_s=0.002, **more)
        there = f"--set model.endpoint.base_url={server.base_url} --set model.served_name=played"
        return say(f"diagnose scripted {there} --set model.max_concurrency=3 {args}")

    return run


def test_a_good_model_gets_its_agent_and_no_blame(diagnose: Run) -> None:
    said = diagnose(plays.good, "--times 5").succeeded()

    assert said.index("level 1, 1 at once, function calling: 5/5") < said.index(
        "level 3, 3 at once"
    )
    assert "3  loops of 6 turns, 3 at once" in said
    assert "   fenced text      ████████████████████ 5/5" in said
    assert "Use --agent sweagent: fenced text works at every level that was asked." in said
    assert "To mend it" not in said
    assert "example" not in said
    assert max(map(len, said.splitlines())) <= 80


def test_what_mends_a_fault_is_said_and_its_examples_are_kept(
    diagnose: Run, tmp_path: Path
) -> None:
    args = f"--times 5 --save {tmp_path}/kept --examples --agent sweagent-tools --agent mini"
    said = diagnose(plays.leaves_raw("gemma4"), args).succeeded()

    words = " ".join(said.split())
    assert "Use --agent mini-edit:" in words
    assert "The server (function calling): calls stay in the answers as text" in words
    assert "--enable-auto-tool-choice --tool-call-parser gemma4" in words
    assert f"An example of each failure is in {tmp_path}/kept" in words.replace("- ", "-")
    assert "came: {" in words
    (kept,) = (tmp_path / "kept").iterdir()
    example = json.loads(kept.read_text())
    assert (kept.name, example["kind"]) == (
        "1-function_calling-raw-tool-text.json",
        "raw tool text",
    )
    assert example["request"]["tools"][0]["function"]["name"] == "bash"
    assert "<|tool_call>" in example["answer"]["choices"][0]["message"]["content"]


def test_examples_lie_in_the_users_cache_unless_they_are_told_where_to(
    diagnose: Run, folders: dict[str, str]
) -> None:
    diagnose(plays.is_empty_with_tools, "--times 5 --agent sweagent-tools")

    assert list(Path(folders["tmp"], "cache", "diagnoses", "scripted").glob("1-*-empty.json"))


def test_json_goes_to_stdout_alone_and_nothing_usable_is_exit_code_3(diagnose: Run) -> None:
    done = diagnose(plays.talks, "--times 5 --json")

    assert done.exit_code == 3
    assert "level 1, 1 at once" in done.stderr
    first = done.report["cells"][0]
    assert (first["level"], first["protocol"], first["state"]) == (1, "function_calling", "fails")
    assert (first["valid"], first["judged"], first["failures"]) == (0, 5, {"no call": 5})
    assert done.report["verdict"]["agent"] is None
    assert done.report["verdict"]["causes"][0]["blame"] == "the model"


def test_the_model_may_be_named_by_the_option_as_well(
    say: Say, serve: Callable[..., ToolModelServer]
) -> None:
    there = f"--set model.endpoint.base_url={serve(plays.good).base_url} --set model.served_name"
    args = f"{there}=played --set model.max_concurrency=1 --times 1 --agent sweagent"

    assert "Use --agent sweagent" in say(f"diagnose --model scripted {args}").succeeded()
    assert "Use --agent sweagent" in say(f"diagnose scripted -m scripted {args}").succeeded()


def test_a_small_context_works_and_is_said_to_have_been_small(diagnose: Run) -> None:
    said = diagnose(plays.good, "--times 1 --agent sweagent-tools", context=4096).succeeded()

    assert "the context is small: tools with no descriptions" in said
    assert "so levels 2 and 3 were cut" in " ".join(said.split())


WRONG = {
    "no model": ("", 2, "name a model: --model NAME"),
    "two models": ("scripted --model demo", 2, "two models are named"),
    "no server": ("scripted", 2, "no server to ask"),
    "unknown model": ("qwen", 2, "unknown model 'qwen'"),
    "no address yet": ("gemma-4-26b", 3, "has no server yet"),
    "unknown agent": ("scripted {there} --agent gold", 2, "knows no form of its answers"),
    "another's setting": ("scripted {there} --set rollout.max_steps=3", 2, "model.* keys"),
    "no folder": ("scripted {there} --save /dev/null/x", 2, "--save /dev/null/x"),
    "no key": (
        "scripted {there} --set model.endpoint.api_key_env=NO_SUCH_KEY_HERE",
        *(3, "$NO_SUCH_KEY_HERE is not set"),
    ),
    "nobody there": ("scripted --set model.endpoint.base_url=http://127.0.0.1:9/v1", 3, "answer"),
    "not served": ("scripted {there} --set model.served_name=x", 3, "does not serve 'x'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_person_can_mend_is_one_line(
    name: str, say: Say, serve: Callable[..., ToolModelServer]
) -> None:
    args, exit_code, says = WRONG[name]
    if "{there}" in args:
        there = f"--set model.endpoint.base_url={serve(plays.good).base_url}"
        args = args.replace("{there}", f"{there} --set model.served_name=played")

    say(f"diagnose {args}").assert_one_line(exit_code, says)


def test_a_server_that_completes_no_chat_is_one_line(
    say: Say, serve: Callable[..., ToolModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plays, "good", plays.fails_always)
    there = f"--set model.endpoint.base_url={serve(plays.talks).base_url}"

    done = say(f"diagnose scripted {there} --set model.served_name=played")

    done.assert_one_line(3, "does not complete a chat (HTTP 500")


def test_ctrl_c_prints_what_is_known(diagnose: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = Diagnosis._fill

    def interrupted(self: Diagnosis, cell: LevelCell) -> None:
        if cell.level is CallLevel.FULL:
            raise KeyboardInterrupt
        fill(self, cell)

    monkeypatch.setattr(Diagnosis, "_fill", interrupted)

    done = diagnose(plays.good, "--times 5")

    assert done.exit_code == 130
    assert "Interrupted: only what was asked so far." in done.stdout
    assert "Perhaps --agent sweagent" in done.stdout
    assert "   function calling ████████████████████ 5/5" in done.stdout
