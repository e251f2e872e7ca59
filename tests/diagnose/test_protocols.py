"""The forms of answer: read as the agents themselves read them."""

from __future__ import annotations

import json
import subprocess
from random import Random
from typing import Any

import pytest
from minisweagent.exceptions import FormatError
from minisweagent.models.utils.actions_text import parse_regex_actions

from orchestrator.agents.mini.agent import ACTION_REGEX
from orchestrator.agents.sweagent.installation import find_installation
from orchestrator.config import RunRequest, load_config
from orchestrator.diagnose.protocols import (
    FORM_OF,
    FORMS,
    ask_again,
    commands_in,
    forms_of,
    go_on,
    open_full,
    open_small,
)
from orchestrator.diagnose.tasks import fit
from orchestrator.errors import ConfigError
from orchestrator.scripted.protocols import Protocol

SIZES = fit(32768, 4.0)
PIECES = (
    *(
        "```",
        "```\n",
        "\n```\n",
        "```bash\n",
        "```mswea_bash_command\n",
        "```mswea_bash_command\r\n",
    ),
    *("<command>", "</command>", "<command>\n", "\n</command>", "I look.", "ls -l", "\n", "\n\n"),
    *(" ", "grep -n 'a' b", "```python", "\u2028", "```\t\n", "echo '```'"),
)


def odd_texts(count: int) -> list[str]:
    random = Random(0)
    return ["".join(random.choices(PIECES, k=random.randint(0, 12))) for _ in range(count)]


@pytest.mark.slow
def test_minis_blocks_are_read_as_mini_reads_them() -> None:
    def minis(text: str) -> list[str]:
        try:
            actions = parse_regex_actions(text, action_regex=ACTION_REGEX, format_error_template="")
        except FormatError:
            return []
        return [action["command"] for action in actions]

    for text in odd_texts(3000):
        found = commands_in(text, Protocol.MINI)
        assert (found if len(found) == 1 else []) == minis(text), text


_ASK_SWEAGENT = """
import json, sys
from sweagent.exceptions import FormatError
from sweagent.tools.parsing import ThoughtActionParser, XMLThoughtActionParser
parsers = {"thought_action": ThoughtActionParser(), "xml_thought_action": XMLThoughtActionParser()}
def ask(parser, text):
    try:
        return parser({"message": text}, [])[1].strip()
    except FormatError:
        return ""
texts = json.load(sys.stdin)
print(json.dumps({name: [ask(p, text) for text in texts] for name, p in parsers.items()}))
"""


@pytest.mark.sweagent
@pytest.mark.slow
def test_fences_and_tags_are_read_as_sweagent_reads_them() -> None:
    installation = find_installation()
    assert installation is not None
    texts = odd_texts(3000)
    done = subprocess.run(
        [str(installation.paths.python), "-c", _ASK_SWEAGENT],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    real = json.loads(done.stdout.splitlines()[-1])

    for protocol in (Protocol.THOUGHT_ACTION, Protocol.XML):
        for text, action in zip(texts, real[protocol], strict=True):
            found = commands_in(text, protocol)
            assert (found[-1] if found else "") == action, (protocol, text)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.profile)
def test_a_form_is_the_one_that_its_agents_profile_asks_for(form: Any) -> None:
    agent = load_config(RunRequest("demo", model="scripted", agent=form.profile)).agent

    assert agent is not None
    assert getattr(agent, "protocol", "mini") == form.protocol
    assert form.is_text is (form.protocol is not Protocol.CALLS)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.profile)
def test_a_model_is_told_the_form_in_the_agents_own_words(
    form: Any, templates: dict[Protocol, str]
) -> None:
    small = open_small(templates[form.protocol], 0)
    full = open_full(form, templates[form.protocol], 0, SIZES)

    for opening in (small, full):
        system, user = opening.messages
        assert (system["role"], user["role"]) == ("system", "user")
        assert templates[form.protocol] in system["content"]
    assert (len(small.tools), len(full.tools)) == (2, 11)
    manual_is_told = "Commands beside the shell's own" in full.messages[0]["content"]
    assert manual_is_told is form.is_text


def test_conversations_differ_so_that_samples_at_temperature_0_do() -> None:
    asked = {open_small("", number).messages[1]["content"] for number in range(10)}

    assert len(asked) == 10


def test_a_result_is_fed_back_in_the_agents_form() -> None:
    call = {"id": "c1", "function": {"name": "bash", "arguments": '{"command": "pytest"}'}}
    said = {"role": "assistant", "content": None, "tool_calls": [call, call | {"id": "c2"}]}

    answer, *results = go_on(Protocol.CALLS, said, SIZES)

    assert answer == {"role": "assistant", "content": "", "tool_calls": said["tool_calls"]}
    assert [(r["role"], r["tool_call_id"]) for r in results] == [("tool", "c1"), ("tool", "c2")]
    assert "1 failed" in results[0]["content"]


@pytest.mark.parametrize(
    ("protocol", "content", "seen"),
    [
        (Protocol.THOUGHT_ACTION, "```\npytest\n```", "OBSERVATION:\nFAILED"),
        (Protocol.XML, "<command>pytest</command>", "OBSERVATION:\nFAILED"),
        (Protocol.MINI, "```mswea_bash_command\npytest\n```", "<returncode>0</returncode>"),
    ],
)
def test_an_observation_is_shown_as_the_agent_shows_it(
    protocol: Protocol, content: str, seen: str
) -> None:
    answer, result = go_on(protocol, {"content": content}, SIZES)

    assert (answer["content"], result["role"]) == (content, "user")
    assert result["content"].startswith(seen)


def test_a_model_is_asked_again_and_sees_its_own_answer() -> None:
    answer, complaint = ask_again({"content": None, "tool_calls": [{}]}, "bash lacks command")

    assert answer == {"role": "assistant", "content": " "}
    assert "bash lacks command" in complaint["content"]


def test_a_diagnosis_is_kept_to_the_agents_that_are_named() -> None:
    assert forms_of([]) == FORMS
    assert forms_of(["sweagent-xml", "mini"]) == (FORM_OF[Protocol.XML], FORM_OF[Protocol.MINI])
    with pytest.raises(ConfigError, match=r"did you mean 'sweagent-tools'\?"):
        forms_of(["sweagent-tool"])
