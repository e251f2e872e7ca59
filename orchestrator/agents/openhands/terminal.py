"""OpenHands' terminal tool, with its shell in the sandbox.

Runs in OpenHands' environment. How commands are sent, waited for and answered is OpenHands' own.
Its terminal is a connection to the server in the sandbox (`in_sandbox/terminals.py`), where the
shell has its pty; whatever an agent does to shell or server, the next command has another one.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from openhands.sdk.utils import maybe_truncate
from openhands.tools.terminal.constants import (
    CMD_OUTPUT_PS1_END,
    MAX_CMD_OUTPUT_SIZE,
    NO_CHANGE_TIMEOUT_SECONDS,
    TMUX_SESSION_HEIGHT,
    TMUX_SESSION_WIDTH,
)
from openhands.tools.terminal.definition import TerminalAction, TerminalObservation
from openhands.tools.terminal.impl import TerminalExecutor
from openhands.tools.terminal.metadata import CmdOutputMetadata
from openhands.tools.terminal.terminal.subprocess_terminal import ENTER, SubprocessTerminal
from openhands.tools.terminal.terminal.terminal_session import (
    TerminalCommandStatus,
    TerminalSession,
)
from openhands.tools.terminal.utils.command import escape_bash_special_chars

HOST = "127.0.0.1"
START_S = 60.0
INTERRUPT_S = 5.0
"""How long a command may take to end once it is interrupted."""
GRACE_S = 1.0
MAX_TRIES = 3
MAX_SCREEN_CHARS = 1_000_000
"""Kept of what is printed: OpenHands shows 30,000 characters of it."""
MAX_TYPED_BYTES = 20_000
IDLE_READ_S = 0.05
"""Between two reads while no command is waited for: what prints on and on is slowed down."""
VARIABLES = {
    "TERM": "xterm-256color",
    "PS2": "",
    "HISTFILE": "/dev/null",
    "PAGER": "cat",
    "MANPAGER": "cat",
    "GIT_PAGER": "cat",
    "PIP_PROGRESS_BAR": "off",
    "TQDM_DISABLE": "1",
}
CALM_SHELL = "bind 'TAB:self-insert'; bind 'set enable-bracketed-paste off'"
"""An interactive shell would complete words at tabs, and mark what it takes for pasted."""
NO_ECHO = "stty -echo 2>/dev/null || :"
"""At each prompt, as `reset` and `stty sane` turn the echo on."""
SHELL_ENDED = "(the shell ended; this is a new one, in {cwd}: what `cd` and `export` did is gone)"
STOPPED = "\n[The command was stopped after {seconds:.0f} seconds, which is the limit.]"
KILLED = STOPPED + "\n[It did not end by that: the shell is a new one, in {cwd}.]"
_KEYS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""What a terminal takes for a key, such as Ctrl-C, and not for itself."""
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, moves of the cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles
    r"|\x1b[()][0-9A-B]|\x1b[=>78cDEHMNOZ]"
)
TYPED = "\0"
"""Stands on the screen where something was typed, and is not echoed: OpenHands takes a screen that
ends with a prompt for that of a shell that waits. Programs' own are dropped, as terminals do."""


def as_shown(printed: str) -> str:
    """What a terminal would show of it: of a line that was written again, such as a progress bar,
    what was written last."""
    text = _ESCAPES.sub("", printed)
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


class ShellPlace:
    """Where the shell is: in the sandbox, by way of the worker."""

    def __init__(
        self,
        workdir: str,
        patience: float,
        find_server: Callable[[bool], dict[str, Any]],
        keep_script: Callable[[str], str],
    ) -> None:
        """`find_server` gives the terminal server's address; asked with true, of another one.
        `keep_script` stores a command in the sandbox, and gives the file's path."""
        self.workdir = workdir
        self.patience = patience
        self.find_server = find_server
        self.keep_script = keep_script


class SandboxTerminal(SubprocessTerminal):
    """One shell in the sandbox. It is closed once its deadline has passed, so that OpenHands waits
    for a command no longer."""

    def __init__(self, place: ShellPlace) -> None:
        super().__init__(place.workdir)
        self.is_lost = False
        """Whether the shell has ended, or what holds it."""
        self.deadline: float | None = None
        """Of the command that is waited for, in seconds of time.monotonic()."""
        self.is_answering = False
        """Whether what is sent is for a program that asks, and not for the shell."""
        self.command = ""
        """What is run, as the model gave it."""
        self.output_buffer: deque[str] = deque()
        self._place = place
        self._connection: socket.socket
        self._held = ""
        """A carriage return that a line feed may follow."""
        self._chars = 0

    @property
    def closed(self) -> bool:
        return self._closed or self.is_lost or self.is_overdue

    @property
    def is_overdue(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    @property
    def is_at_prompt(self) -> bool:
        return self.read_screen().rstrip().endswith(CMD_OUTPUT_PS1_END.rstrip())

    def initialize(self) -> None:
        """Raises OSError where there is no shell to be had."""
        error: OSError | None = None
        for tries in range(MAX_TRIES):
            try:
                self._connect(self._place.find_server(tries > 0))
                return
            except OSError as why:
                error = why
        raise error or OSError("no shell")

    def _connect(self, server: dict[str, Any]) -> None:
        start_s = START_S * self._place.patience
        self.is_lost = False
        self._connection = socket.create_connection((HOST, server["port"]), start_s)
        self._connection.settimeout(None)
        request = {
            "token": server["token"],
            "cwd": self._place.workdir,
            "rows": TMUX_SESSION_HEIGHT,
            "columns": TMUX_SESSION_WIDTH,
            "variables": VARIABLES | {"PS1": self.PS1},
        }
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        self._pty_master_fd = self._connection.fileno()
        self._initialized = True
        self.output_buffer.clear()
        self.reader_thread = threading.Thread(target=self._read_on, daemon=True)
        self.reader_thread.start()
        prompt = f'export PS1="{self.PS1}"; {NO_ECHO}'
        start = f"set +H; {CALM_SHELL}; export PROMPT_COMMAND='{prompt}'"
        self._write_pty(start.encode() + ENTER)
        if not self._is_ready(start_s):
            self._connection.close()
            raise OSError("the shell in the sandbox gives no prompt")
        self.clear_screen()

    def _is_ready(self, timeout_s: float) -> bool:
        """Wait for the first prompt that OpenHands can read."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not self.is_lost:
            if CmdOutputMetadata.matches_ps1_metadata(self.read_screen()):
                return True
        return False

    def close(self) -> None:
        self._closed = True
        if self._initialized:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()

    def interrupt(self) -> bool:
        """Press Ctrl-C; whether the command has ended then."""
        with contextlib.suppress(OSError):
            self._write_pty(b"\x03")
        return bool(self._wait_for_prompt(INTERRUPT_S * self._place.patience))

    def send_keys(self, text: str, enter: bool = True) -> None:
        """Type it; the shell reads from a file what can't be typed into it.

        OpenHands doubles backslashes for another kind of terminal: `find -exec … \\;` would break.
        """
        if text == escape_bash_special_chars(self.command):
            text = self.command
        if enter and not self.is_answering and not can_be_typed(text):
            text = f". '{self._place.keep_script(text)}'"
        with self.output_lock:
            self.output_buffer.append(TYPED)
        super().send_keys(text, enter)

    def read_screen(self) -> str:
        time.sleep(0.01)  # what was sent may be answered at once
        with self.output_lock:
            printed = "".join(self.output_buffer)
        return as_shown(printed)

    def _write_pty(self, data: bytes) -> None:
        self._connection.sendall(data)

    def _read_on(self) -> None:
        connection = self._connection
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.is_lost = True
                return
            with self.output_lock:
                self._add_text_to_buffer(decoder.decode(data))
            if self.deadline is None and self._initialized:
                time.sleep(IDLE_READ_S)

    def _add_text_to_buffer(self, text: str) -> None:
        """Lines end as OpenHands looks for them: after CRLF it finds no prompt."""
        text, self._held = self._held + text, ""
        if text.endswith("\r"):
            text, self._held = text[:-1], "\r"
        text = text.replace("\r\n", "\n").replace(TYPED, "")
        self.output_buffer.append(text)
        self._chars += len(text)
        if self._chars > 2 * MAX_SCREEN_CHARS:
            screen = "".join(self.output_buffer)[-MAX_SCREEN_CHARS:]
            self.output_buffer.clear()
            self.output_buffer.append(screen)
            self._chars = len(screen)


def can_be_typed(command: str) -> bool:
    """Whether it reaches a shell as it is where it is typed into its terminal."""
    return len(command.encode()) <= MAX_TYPED_BYTES and not _KEYS.search(command)


class EcholessSession(TerminalSession):
    """OpenHands' session at a terminal that does not echo what is typed."""

    def _get_command_output(self, command: str, *args: Any, **kwargs: Any) -> str:
        """Take no echo away: output may begin as the command does."""
        return str(super()._get_command_output("", *args, **kwargs)).replace(TYPED, "").strip("\n")


class SandboxTerminalExecutor(TerminalExecutor):
    """OpenHands' terminal tool, on shells in the sandbox."""

    def __init__(self, place: ShellPlace, limit_s: Callable[[], float]) -> None:
        """`limit_s` is how long the next command may take."""
        self.shell_path = None
        self.full_output_save_dir = None
        self._pool = None
        self._env = None
        self._working_dir = place.workdir
        self._session: EcholessSession | None = None
        self._place = place
        self._limit_s = limit_s
        self._action: TerminalAction

    def __call__(self, action: TerminalAction, conversation: Any = None) -> TerminalObservation:
        limit_s = self._limit_s()
        if action.timeout is not None:
            action = action.model_copy(update={"timeout": min(action.timeout, limit_s)})
        if self._session is None:
            self._open()
        self._begin(action, limit_s)
        self._action = action
        try:
            observation = super().__call__(action, conversation)
        except OSError:  # it was lost while it was written to
            observation = self._observation(action, "")
        if self._terminal.is_lost:
            return self._after_the_end(action)
        is_overdue = self._terminal.is_overdue and not self._terminal.is_at_prompt
        self._terminal.deadline = None
        return self._after_the_limit(action, limit_s) if is_overdue else observation

    def _begin(self, action: TerminalAction, limit_s: float) -> None:
        self._terminal.is_answering = action.is_input
        self._terminal.command = action.command.strip()
        # a timeout of the action's own comes first
        self._terminal.deadline = time.monotonic() + limit_s + GRACE_S

    @property
    def _terminal(self) -> SandboxTerminal:
        assert self._session is not None
        terminal = self._session.terminal
        assert isinstance(terminal, SandboxTerminal)
        return terminal

    def _open(self) -> None:
        terminal = SandboxTerminal(self._place)
        quiet_s = int(NO_CHANGE_TIMEOUT_SECONDS * self._place.patience)
        session = EcholessSession(terminal, quiet_s)
        session.initialize()
        self._session = session

    def _reset_single_session(self) -> TerminalObservation:
        assert self._session is not None
        self._session.close()
        self._open()
        self._begin(self._action, self._limit_s())
        return TerminalObservation.from_text(text=self._RESET_TEXT, command="[RESET]", exit_code=0)

    def _after_the_end(self, action: TerminalAction) -> TerminalObservation:
        """The shell has ended (`exit`), or the server that holds it (`pkill`): take another."""
        printed = self._printed()
        self._open()
        note = SHELL_ENDED.format(cwd=self._place.workdir)
        return self._observation(action, "\n".join(filter(None, [printed, note])))

    def _after_the_limit(self, action: TerminalAction, limit_s: float) -> TerminalObservation:
        """Stop a command that has used up its time and never fell silent."""
        assert self._session is not None
        has_ended = self._terminal.interrupt()
        printed = self._printed()
        if has_ended:
            note = STOPPED.format(seconds=limit_s)
            self._session.prev_status = TerminalCommandStatus.COMPLETED
            self._session.prev_output = ""
            self._terminal.clear_screen()
        else:
            note = KILLED.format(seconds=limit_s, cwd=self._place.workdir)
            self._session.close()
            self._open()
        return self._observation(action, printed, note)

    def _printed(self) -> str:
        """What the last command printed."""
        screen = self._terminal.read_screen()
        prompts = CmdOutputMetadata.matches_ps1_metadata(screen)
        is_last = len(prompts) == 1 and self._terminal.is_at_prompt
        assert self._session is not None
        text = self._session._combine_outputs_between_matches(screen, prompts, is_last)
        return str(maybe_truncate(text.replace(TYPED, "").strip(), MAX_CMD_OUTPUT_SIZE))

    def _observation(
        self, action: TerminalAction, text: str, note: str = ""
    ) -> TerminalObservation:
        return TerminalObservation.from_text(
            text=text,
            command=action.command,
            exit_code=-1,
            metadata=CmdOutputMetadata(suffix=note),
            is_error=not note,
        )
