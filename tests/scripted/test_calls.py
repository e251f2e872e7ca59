"""Actions as calls of SWE-agent's and of OpenHands' functions, in calls and in text."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from orchestrator.scripted.actions import SUBMIT, Action, Edit, Incomplete
from orchestrator.scripted.calls import Call, call_of
from orchestrator.scripted.protocols import (
    AnswerForm,
    Protocol,
    answer_form,
    answers_before,
    message_of,
)

EDIT = Edit("src/a.py", "    old\n", "    new\n    newer\n")
SWEAGENT = ("edit", "bash", "submit")
# those of openhands-tools 1.58.2: what each function must have, and what it may have besides
OPENHANDS: dict[str, tuple[set[str], set[str]]] = {
    "terminal": ({"command"}, {"is_input", "timeout", "reset", "security_risk", "summary"}),
    "file_editor": (
        {"command", "path"},
        {"file_text", "old_str", "new_str", "insert_line", "view_range", "security_risk"}
        | {"summary"},
    ),
    "task_tracker": (set(), {"command", "task_list", "security_risk", "summary"}),
    "finish": ({"message"}, {"summary"}),
    "think": ({"thought"}, {"summary"}),
}
OPENHANDS_PROMPT = "You are OpenHands agent.\nYou have access to the following functions:\n\n" + (
    "\n".join(
        f"---- BEGIN FUNCTION #{number}: {name} ----\n…\n---- END FUNCTION #{number} ----"
        for number, name in enumerate(OPENHANDS, 1)
    )
)
WHERE = "a.py\n[Current working directory: /testbed]\n[Command finished with exit code 0]"


def called(action: Action, cwd: str = "/testbed") -> Call:
    return call_of(action, "I look.\nThen I see.", tuple(OPENHANDS), cwd)


def test_a_command_is_a_call_of_the_terminal() -> None:
    assert called("ls\npwd") == Call(
        "terminal",
        {"command": "ls\npwd", "summary": "I look. Then I see.", "security_risk": "LOW"},
    )


def test_an_edit_is_a_replacement_by_the_file_editor() -> None:
    call = called(EDIT)

    assert call.name == "file_editor"
    assert call.arguments["command"] == "str_replace"
    assert call.arguments["path"] == "/testbed/src/a.py"
    assert (call.arguments["old_str"], call.arguments["new_str"]) == (EDIT.old, EDIT.new)


def test_a_new_file_is_created() -> None:
    arguments = called(Edit("src/new.py", "", "x = 1\n")).arguments

    assert (arguments["command"], arguments["file_text"]) == ("create", "x = 1\n")
    assert "old_str" not in arguments


def test_the_file_editor_is_given_line_breaks_as_it_shows_them() -> None:
    arguments = called(Edit("a.txt", "one\r\ntwo\r\n", "one\r\n2\r\n")).arguments

    assert (arguments["old_str"], arguments["new_str"]) == ("one\ntwo\n", "one\n2\n")


def test_submitting_is_a_call_of_finish() -> None:
    assert called(SUBMIT).name == "finish"


@pytest.mark.parametrize(
    "action",
    ["ls", "", EDIT, Edit("new.py", "", "x\n"), SUBMIT],
    ids=lambda action: str(action)[:9],
)
def test_a_call_has_what_its_function_must_have_and_nothing_that_it_does_not_know(
    action: str | Edit,
) -> None:
    call, broken = called(action), called(Incomplete(action))
    required, more = OPENHANDS[call.name]

    assert required <= set(call.arguments) <= required | more
    assert broken.name == call.name
    assert set(broken.arguments) == set(call.arguments) - required


@pytest.mark.parametrize(
    ("action", "left"),
    [("ls", set()), (EDIT, {"old", "new"}), (SUBMIT, set())],
    ids=["command", "edit", "submit"],
)
def test_a_call_of_sweagents_functions_loses_its_required_parameters_too(
    action: str | Edit, left: set[str]
) -> None:
    assert set(call_of(Incomplete(action), "", SWEAGENT, "").arguments) == left


@pytest.mark.parametrize("protocol", [Protocol.MINI, Protocol.THOUGHT_ACTION, Protocol.XML])
def test_where_there_are_no_calls_an_incomplete_one_is_an_answer_without_action(
    protocol: Protocol,
) -> None:
    said = message_of("I think.", Incomplete("ls"), AnswerForm(protocol), 0)

    assert (said["content"], said["tool_calls"]) == ("I think.", [])


def asked(system: str, *later: dict[str, Any], **more: Any) -> dict[str, Any]:
    opening = [{"role": "system", "content": system}, {"role": "user", "content": "an issue"}]
    return {"model": "m", "messages": [*opening, *later], **more}


def offered(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name, "parameters": {}}} for name in names]


def test_the_functions_that_a_request_offers_are_known() -> None:
    form = answer_form(asked("call a tool", tools=offered(*OPENHANDS)))

    assert form.tools == tuple(OPENHANDS)
    assert form.by_calls


def test_functions_that_a_prompt_tells_of_are_called_in_text() -> None:
    form = answer_form(asked(OPENHANDS_PROMPT))

    assert (form.protocol, form.tools) == (Protocol.CALLS, tuple(OPENHANDS))
    assert form.as_text
    assert not form.by_calls


def test_a_prompt_in_parts_is_read_as_one_in_a_piece() -> None:
    request = asked(OPENHANDS_PROMPT)
    for message in request["messages"]:
        message["content"] = [{"type": "text", "text": message["content"]}]

    assert answer_form(request).tools == tuple(OPENHANDS)


@pytest.mark.parametrize(
    "observation",
    [
        {"role": "tool", "tool_call_id": "call_0", "content": WHERE},
        {"role": "tool", "tool_call_id": "call_0", "content": [{"type": "text", "text": WHERE}]},
        {"role": "user", "content": f"EXECUTION RESULT of [terminal]:\n{WHERE}"},
    ],
    ids=["a tool's", "in parts", "as text"],
)
def test_files_lie_where_the_terminal_said_first_that_it_is(observation: dict[str, Any]) -> None:
    said = {"role": "assistant", "content": "I look."}
    elsewhere = observation | {"content": "[Current working directory: /tmp]"}
    request = asked("", said, observation, said, elsewhere, tools=offered(*OPENHANDS))

    (call,) = message_of("I edit.", EDIT, answer_form(request), 2)["tool_calls"]

    assert json.loads(call["function"]["arguments"])["path"] == "/testbed/src/a.py"


@pytest.mark.parametrize("text", ["/testbed", "The issue says [Current working directory: /tmp]"])
def test_where_the_terminal_has_said_nothing_nobody_guesses(text: str) -> None:
    request = asked("", {"role": "user", "content": text}, tools=offered(*OPENHANDS))

    assert answer_form(request).workdir == ""


# as openhands-sdk 1.58.2 finds calls and parameters; it strips a parameter's white space
FUNCTION = re.compile(r"<function=([^>]+)>\n?(.*?)</function>", re.DOTALL)
PARAMETER = re.compile(r"<parameter=([^>]+)>(.*?)</parameter>", re.DOTALL)


@pytest.mark.parametrize(
    "action",
    [
        "ls",
        "cat <<'E'\n</tag> <b>\nE",
        "echo a=b",
        SUBMIT,
        EDIT,
        Incomplete("ls"),
        Incomplete(EDIT),
    ],
    ids=lambda action: str(action)[:12],
)
def test_a_call_as_text_is_read_as_the_same_call(action: Action) -> None:
    form = AnswerForm(Protocol.CALLS, tuple(OPENHANDS), as_text=True, workdir="/testbed")

    message = message_of("I think.", action, form, 3)

    assert message["tool_calls"] == []
    ((name, body),) = FUNCTION.findall(message["content"])
    call = call_of(action, "I think.", form.tools, form.workdir)
    assert name == call.name
    assert {key: value.strip() for key, value in PARAMETER.findall(body)} == {
        key: value.strip() for key, value in call.arguments.items()
    }
    assert message["content"].startswith("I think.\n\n<function=")


def test_a_call_as_text_that_nobody_could_read_was_an_answer_too() -> None:
    """OpenHands drops it, and adds its complaint to what the user has said before."""
    complaint = "\nMissing required parameters for function 'terminal': {'command'}"
    seen = {"role": "user", "content": f"EXECUTION RESULT of [terminal]:\n{WHERE}{complaint * 2}"}
    request = asked(OPENHANDS_PROMPT, {"role": "assistant", "content": "I look."}, seen)
    request["messages"][1]["content"] += complaint

    assert answers_before(request["messages"], answer_form(request)) == 4


def test_by_calls_every_answer_is_kept_and_complaints_are_results() -> None:
    complaint = {"role": "user", "content": "Missing required parameters for function 'terminal'"}
    request = asked("", {"role": "assistant", "content": ""}, complaint, tools=offered(*OPENHANDS))

    assert answers_before(request["messages"], answer_form(request)) == 1
