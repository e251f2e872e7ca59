"""The words of each protocol, and patches given as edits that our own tool makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import orchestrator.agents
from orchestrator.config import RunRequest, load_config
from orchestrator.dataset import Dataset
from orchestrator.gold_answers import unseal
from orchestrator.scripted.actions import SUBMIT, Edit, edits_of
from orchestrator.scripted.protocols import AnswerForm, Protocol, answer_form, message_of

TOOL = Path(orchestrator.agents.__file__).parent / "tools" / "edit"
EDIT = Edit("src/a.py", "    old\n", "    new\n    newer\n")
BY_PROFILE = {
    "mini": Protocol.MINI,
    "mini-edit": Protocol.MINI,
    "sweagent": Protocol.THOUGHT_ACTION,
    "sweagent-xml": Protocol.XML,
    "sweagent-tools": Protocol.CALLS,
}


def asked(system: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "an issue"}]
    return {"model": "m", "messages": messages, **more}


@pytest.mark.parametrize(
    ("request_", "protocol"),
    [
        (asked("fence it: ```mswea_bash_command"), Protocol.MINI),
        (asked("put it in <command> tags"), Protocol.XML),
        (asked("one command in a fenced block"), Protocol.THOUGHT_ACTION),
        (asked("call a tool", tools=[{"type": "function"}]), Protocol.CALLS),
        (asked("put it in <command> tags", tools=[{"type": "function"}]), Protocol.CALLS),
        (asked("one command in a fenced block", tools=[]), Protocol.THOUGHT_ACTION),
        (asked("one command in a fenced block", tools=None), Protocol.THOUGHT_ACTION),
    ],
)
def test_a_protocol_is_known_by_what_the_model_is_asked_for(
    request_: dict[str, Any], protocol: Protocol
) -> None:
    assert answer_form(request_).protocol is protocol


def test_it_may_stand_in_the_second_message() -> None:
    request = asked("be careful")
    request["messages"][1]["content"] = "answer in <command> tags"

    assert answer_form(request).protocol is Protocol.XML


def test_what_was_said_later_does_not_change_it() -> None:
    request = asked("one command in a fenced block")
    request["messages"] += [{"role": "user", "content": "<command>mswea_bash_command"}]

    assert answer_form(request).protocol is Protocol.THOUGHT_ACTION


@pytest.mark.parametrize(("profile", "protocol"), BY_PROFILE.items())
def test_every_profile_that_asks_a_model_is_known_by_its_templates(
    profile: str, protocol: Protocol
) -> None:
    agent = load_config(RunRequest("demo", agent=profile, run_id="r")).agent
    request = asked(agent.system_template)
    request["messages"][1]["content"] = agent.instance_template
    if agent.kind == "sweagent" and agent.protocol == "function_calling":
        request["tools"] = [{"type": "function"}]

    assert answer_form(request).protocol is protocol


def content(action: str | Edit | None, protocol: Protocol) -> str:
    message = message_of("I think.", action, AnswerForm(protocol), 3)
    assert (message["role"], message["tool_calls"]) == ("assistant", [])
    assert isinstance(message["content"], str)
    return message["content"]


def test_a_command_is_said_in_the_words_of_each_text_protocol() -> None:
    assert content("ls\npwd", Protocol.MINI) == (
        "THOUGHT: I think.\n\n```mswea_bash_command\nls\npwd\n```"
    )
    assert content("ls\npwd", Protocol.THOUGHT_ACTION) == "I think.\n\n```\nls\npwd\n```"
    assert content("ls\npwd", Protocol.XML) == "I think.\n\n<command>\nls\npwd\n</command>"


def test_submitting_is_a_command_but_for_mini_which_knows_its_own() -> None:
    assert "\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\n" in content(SUBMIT, Protocol.MINI)
    assert content(SUBMIT, Protocol.THOUGHT_ACTION) == "I think.\n\n```\nsubmit\n```"
    assert content(SUBMIT, Protocol.XML) == "I think.\n\n<command>\nsubmit\n</command>"


@pytest.mark.parametrize("protocol", [Protocol.MINI, Protocol.THOUGHT_ACTION, Protocol.XML])
def test_an_edit_is_a_command_with_both_texts(protocol: Protocol) -> None:
    assert (
        "\nedit src/a.py <<'END_OF_EDIT'\n<<<<<<< SEARCH\n    old\n=======\n    new\n    newer\n"
        ">>>>>>> REPLACE\nEND_OF_EDIT\n" in content(EDIT, protocol)
    )


@pytest.mark.parametrize(
    ("action", "name", "arguments"),
    [
        ("ls", "bash", {"command": "ls"}),
        (SUBMIT, "submit", {}),
        (EDIT, "edit", {"path": EDIT.path, "old": EDIT.old, "new": EDIT.new}),
    ],
)
def test_an_action_is_one_call(action: str | Edit, name: str, arguments: dict[str, str]) -> None:
    message = message_of("I think.", action, AnswerForm(Protocol.CALLS), 3)

    assert message["content"] == "I think."
    (call,) = message["tool_calls"]
    assert (call["id"], call["type"]) == ("call_3", "function")
    assert call["function"]["name"] == name
    assert json.loads(call["function"]["arguments"]) == arguments


@pytest.mark.parametrize("protocol", Protocol)
def test_without_an_action_it_is_text_that_no_protocol_accepts(protocol: Protocol) -> None:
    said = content(None, protocol)

    assert said == "I think."


TWO_FILES = """\
diff --git a/src/one.py b/src/one.py
index 83db48f..bf269f4 100644
--- a/src/one.py
+++ b/src/one.py
@@ -1,4 +1,3 @@ def first():
 def first():
-    index = 1
-    return index
+    return 1
~
@@ -7,3 +6,6 @@ def first():
~
 def second():
     return 2
+
+def third():
+    return 3
diff --git a/two files/b.txt b/two files/b.txt
--- a/two files/b.txt
+++ b/two files/b.txt
@@ -1,2 +1 @@
 kept
-gone
""".replace("~", " ")
ONE_PY = "def first():\n    index = 1\n    return index\n\n# …\n\n\ndef second():\n    return 2\n"


def test_a_patch_is_an_edit_a_hunk() -> None:
    assert edits_of(TWO_FILES) == [
        Edit(
            "src/one.py",
            "def first():\n    index = 1\n    return index\n\n",
            "def first():\n    return 1\n\n",
        ),
        Edit(
            "src/one.py",
            "\ndef second():\n    return 2\n",
            "\ndef second():\n    return 2\n\ndef third():\n    return 3\n",
        ),
        Edit("two files/b.txt", "kept\ngone\n", "kept\n"),
    ]


def test_no_patch_is_no_edit() -> None:
    assert edits_of("") == []


def git_apply(patch: str, folder: Path) -> None:
    done = subprocess.run(
        ["git", "apply", "-"],
        input=patch.encode(),
        capture_output=True,
        cwd=folder,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)},
    )
    assert done.returncode == 0, done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_edits_do_what_the_patch_does(patch: str, repository: Path, tmp_path: Path) -> None:
    """In both ways in which the tool is given an edit: blocks on standard input, and arguments."""
    folders = [tmp_path / name for name in ("patched", "by_blocks", "by_arguments")]
    patched, by_blocks, by_arguments = folders
    for folder in folders:
        shutil.copytree(repository, folder)
    git_apply(patch, patched)
    for edit in edits_of(patch):
        run(["bash", "-c", edit.command], by_blocks)
        run(["edit", edit.path, "--old", edit.old, "--new", edit.new], by_arguments)

    assert contents(patched) != contents(repository)
    assert contents(by_blocks) == contents(patched)
    assert contents(by_arguments) == contents(patched)


def run(command: list[str], folder: Path) -> None:
    path = os.pathsep.join([str(TOOL.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_edits_do_what_their_patch_does(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "src").mkdir(parents=True)
    (repository / "src" / "one.py").write_text(ONE_PY.replace("\n# …\n\n", "\n# …\n"))
    (repository / "b.txt").write_text("kept\ngone\n")
    patch = TWO_FILES.replace("two files/", "")

    assert_edits_do_what_the_patch_does(patch, repository, tmp_path)


@pytest.mark.slow
def test_edits_do_what_the_gold_patch_does_in_every_demo_instance(
    demo: Dataset, tmp_path: Path
) -> None:
    done = []
    for instance in demo.instances:
        patch = unseal(demo.answers[instance.instance_id]).gold_patch
        if "\nnew file mode" in patch or "\ndeleted file mode" in patch:
            continue  # no persona's edits make or remove files
        assert instance.task_dir is not None
        done.append(instance.instance_id)
        folder = tmp_path / instance.instance_id
        assert_edits_do_what_the_patch_does(patch, Path(instance.task_dir) / "repo", folder)

    assert len(done) >= len(demo.instances) - 1, "one makes a new file"


def test_lines_that_look_like_a_patchs_headers_are_text_inside_a_hunk() -> None:
    patch = (
        "diff --git a/q.sql b/q.sql\nindex 1..2 100644\n--- a/q.sql\n+++ b/q.sql\n"
        "@@ -1,2 +1,2 @@\n select 1\n--- old\n+++ new\x0cer\n"
    )

    (edit,) = edits_of(patch)

    assert (edit.old, edit.new) == ("select 1\n-- old\n", "select 1\n++ new\x0cer\n")
