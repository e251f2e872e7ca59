"""OpenHands at work: a process in OpenHands' own environment, one for each rollout slot.

A fork server forks it, so that a host pays OpenHands' imports once. It takes one rollout after
another. Its worker asks the model for it, keeps the limits, reaches the sandbox, and may kill it at
any moment.

    worker sends   rollout; in answer to a query: answer, limit or overflow; to shell: address; to
                   look, store and script: file
    runner sends   query, call, fault, activity, step, shell, look, store and script; at the end of
                   a rollout: end or failed
"""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from openhands.sdk import Agent, LocalConversation, Tool, register_tool
from openhands.sdk.agent.base import _DEFAULT_SOUL
from openhands.sdk.context.condenser import LLMSummarizingCondenser
from openhands.sdk.conversation.exceptions import ConversationRunError
from openhands.sdk.conversation.state import ConversationExecutionStatus
from openhands.sdk.event import MessageEvent
from openhands.sdk.llm.exceptions import LLMContextWindowExceedError
from openhands.tools.file_editor import FileEditorTool
from openhands.tools.task_tracker import TaskTrackerTool
from openhands.tools.terminal import TerminalTool

from orchestrator.agents.runners.line import Worker, send, serve_rollouts

from .editor import SandboxFileEditor
from .model import WorkerLLM
from .reporting import Steps
from .terminal import SandboxTerminalExecutor, ShellPlace

UNLIMITED = 10**7
TOOLS = (TerminalTool.name, FileEditorTool.name, TaskTrackerTool.name)
BUILT_IN = ["FinishTool", "ThinkTool"]


class RolloutOver(BaseException):
    """Ends the conversation at once. No Exception, which OpenHands would handle in many places."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Line:
    """What a rollout asks its worker for."""

    def __init__(self, worker: Worker, steps: Steps, request: dict[str, Any]) -> None:
        self.command_timeout_s: float = request["command_timeout_s"]
        self.go_on = ""
        """What to tell the model if its last answer holds no call."""
        self._worker = worker
        self._steps = steps
        self._max_unusable: int = request["config"]["max_format_errors"]
        self._reminder = ""

    def ask(self, messages: list[dict[str, Any]], tools: Any) -> dict[str, Any]:
        """The model's answer. Raises RolloutOver where a limit has been reached."""
        self._steps.end(self._reminder)
        if self._steps.unusable >= self._max_unusable:
            raise RolloutOver("format_errors")
        if self._reminder and messages[-1]["role"] in ("user", "tool"):
            last = messages[-1]
            reminded = last | {"content": f"{last['content']}\n\n{self._reminder}"}
            messages = [*messages[:-1], reminded]
        send("query", messages=messages, tools=tools)
        reply = self._worker.receive()
        if reply["kind"] == "overflow":
            raise LLMContextWindowExceedError
        if reply["kind"] == "limit":
            raise RolloutOver("limit")
        self._steps.begin(reply)
        self.command_timeout_s = reply["command_timeout_s"]
        self.go_on, self._reminder = reply["go_on"], reply["reminder"]
        return reply

    def find_server(self, another: bool) -> dict[str, Any]:
        send("shell", another=another)
        return self._worker.receive()

    def look(self, path: str) -> dict[str, Any]:
        send("look", path=path)
        return dict(self._worker.receive()["found"])

    def store(self, path: str, content: str) -> dict[str, Any]:
        send("store", path=path, content=content)
        return dict(self._worker.receive()["found"])

    def keep_script(self, command: str) -> str:
        """Raises ValueError, which OpenHands tells the model, where the sandbox can't keep it."""
        send("script", command=command)
        found = self._worker.receive()["found"]
        if found["kind"] == "error":
            raise ValueError(f"the command is too long to be typed, and: {found['problem']}")
        return str(found["path"])


def note_missing(command: str, parameter: str) -> None:
    detail = f"{FileEditorTool.name} {command} lacks {parameter}"
    send("fault", problem="missing parameters", detail=detail)


def note_call(problem: str, detail: str) -> None:
    send("call", problem=problem, detail=detail)


class SandboxedConversation(LocalConversation):
    """OpenHands' conversation, which reads no plugins, hooks and agents from this host's disk."""

    def _ensure_plugins_loaded(self) -> None:
        self._plugins_loaded = True

    def _register_file_based_agents(self) -> None:
        pass


def serve_rollout(worker: Worker, request: dict[str, Any]) -> None:
    """One rollout, to its `end` or `failed`."""
    output_dir, scratch = Path(request["output_dir"]), Path(request["scratch"])
    tempfile.tempdir = str(scratch)
    try:
        steps = Steps(send, output_dir / "openhands.events.jsonl")
        line = Line(worker, steps, request)
        conversation = start_conversation(line, steps, request, scratch)
        try:
            status = converse(conversation, line, steps, request)
        finally:
            conversation.close()
        steps.end()
    except Exception as error:  # noqa: BLE001 - the boundary to OpenHands' code
        # the worker records it as a failure
        send(
            "failed",
            detail=" ".join(f"{type(error).__name__}: {error}".split())[:500],
            traceback=traceback.format_exc(),
        )
    else:
        send("end", status=status)


def start_conversation(
    line: Line, steps: Steps, request: dict[str, Any], scratch: Path
) -> SandboxedConversation:
    """OpenHands' agent with its default tools but for the browser, as in its own benchmarks."""
    config, workdir = request["config"], request["workdir"]
    native = config["protocol"] == "function_calling"
    nothing = scratch / "workspace"
    nothing.mkdir()
    register_tools(line, workdir, request["patience"], nothing, scratch / "mirror")
    condenser = None
    if config["condense_after"]:
        summarizer = WorkerLLM.of(line.ask, note_call, native, "condenser")
        condenser = LLMSummarizingCondenser(llm=summarizer, max_size=config["condense_after"])
    agent = Agent(
        llm=WorkerLLM.of(line.ask, note_call, native, "agent"),
        tools=[Tool(name=name) for name in TOOLS],
        include_default_tools=BUILT_IN,
        system_prompt_kwargs={
            "cli_mode": True,
            "soul_content": _DEFAULT_SOUL,  # not the user's
        },
        condenser=condenser,
    )
    return SandboxedConversation(
        agent=agent,
        workspace=str(nothing),
        callbacks=[steps.take],
        max_iteration_per_run=UNLIMITED,  # the worker's limits hold
        visualizer=None,
        profile_store_dir=scratch / "profiles",
    )


def register_tools(line: Line, workdir: str, patience: float, nothing: Path, mirror: Path) -> None:
    """Make OpenHands' names of tools stand for those that work in the sandbox."""
    place = ShellPlace(workdir, patience, line.find_server, line.keep_script)
    state: Any = SimpleNamespace(
        workspace=SimpleNamespace(working_dir=str(nothing)), env_observation_persistence_dir=None
    )
    shell = SandboxTerminalExecutor(place, lambda: line.command_timeout_s)
    register_tool(TerminalTool.name, TerminalTool.create(state, executor=shell)[0])
    state = SimpleNamespace(
        workspace=SimpleNamespace(working_dir=workdir),
        agent=SimpleNamespace(llm=SimpleNamespace(vision_is_active=lambda: False)),
    )
    editor = SandboxFileEditor(workdir, mirror, line.look, line.store, note_missing)
    file_editor = FileEditorTool.create(state)[0].set_executor(editor)
    register_tool(FileEditorTool.name, file_editor)


def converse(
    conversation: SandboxedConversation, line: Line, steps: Steps, request: dict[str, Any]
) -> str:
    """Run the agent until it has finished, or can't go on; how it ended, as in `outcomes`."""
    conversation.send_message(request["instruction"])
    while True:
        try:
            conversation.run()
        except RolloutOver as over:
            return over.status
        except ConversationRunError as error:
            if isinstance(error.original_exception, LLMContextWindowExceedError):
                return "overflow"
            raise
        status = conversation.state.execution_status
        if status is ConversationExecutionStatus.STUCK:
            steps.end()
            return "stuck_in_errors" if steps.unusable else "stuck"
        if status is not ConversationExecutionStatus.FINISHED:
            return str(status.value)
        if not ends_in_words(conversation):
            return "finished"
        conversation.send_message(line.go_on)


def ends_in_words(conversation: SandboxedConversation) -> bool:
    """Whether the agent ended its turn with a message, as to a person who would answer."""
    last = conversation.state.events[-1]
    return isinstance(last, MessageEvent) and last.source == "agent"


def main() -> None:
    serve_rollouts(serve_rollout, "openhands.log")
