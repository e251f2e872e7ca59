"""OpenHands' file editor, on files of the sandbox.

Runs in OpenHands' environment. Before each action, what it looks at is brought from the sandbox
into a mirror on this host; OpenHands' own editor works on that; what it changed is taken back. No
text tells of the mirror.
"""

from __future__ import annotations

import base64
import posixpath
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openhands.sdk.llm import TextContent
from openhands.tools.file_editor.definition import FileEditorAction, FileEditorObservation
from openhands.tools.file_editor.editor import IMAGE_EXTENSIONS, FileEditor
from openhands.tools.file_editor.exceptions import EditorToolParameterMissingError
from openhands.tools.file_editor.impl import FileEditorExecutor

MAX_BYTES = FileEditor.MAX_FILE_SIZE_MB * 1024 * 1024
"""What is larger is refused by the editor, which sees a hole of its size."""
MAX_HOLE_BYTES = 10**12
Look = Callable[[str], dict[str, Any]]
Store = Callable[[str, str], dict[str, Any]]
NoteMissing = Callable[[str, str], None]
"""Takes the command of a call, and the parameter that this command wants and was not given."""


class MirroredEditor(FileEditor):
    """Knows the names in a folder of the sandbox, which the mirror has not, and tells of parameters
    that a command lacks: in the schema they are optional, as other commands have none."""

    found: dict[str, Any]
    """What the sandbox has at the path that is looked at."""

    def __init__(self, mirror: Path, workdir: str, note_missing: NoteMissing) -> None:
        super().__init__(str(mirror) + workdir)
        self._mirror = str(mirror)
        self._note_missing = note_missing

    def __call__(self, **given: Any) -> FileEditorObservation:
        try:
            return super().__call__(**given)
        except EditorToolParameterMissingError as error:
            self._note_missing(error.command, error.parameter)
            raise

    def _count_hidden_children(self, path: Path) -> int:
        return int(self.found["hidden"])

    def _list_directory_for_view(self, path: Path) -> list[str]:
        """Paths of the sandbox: a long list is cut, and what is cut is not found in it again."""
        entries = [("", True), *self.found["entries"]]
        shown = [f"{path / name}{'/' if is_folder else ''}" for name, is_folder in entries]
        return [name.removeprefix(self._mirror) for name in shown]


class SandboxFileEditor(FileEditorExecutor):
    """OpenHands' editor as a tool, on the sandbox's files."""

    def __init__(
        self, workdir: str, mirror: Path, look: Look, store: Store, note_missing: NoteMissing
    ) -> None:
        """`look` tells what a path is in the sandbox; `store` writes a file there, whose content
        it is given in base64."""
        self._mirror = mirror.resolve()
        self._workdir = workdir
        self._look, self._store = look, store
        super().__init__(workspace_root=str(self._mirror) + workdir)
        self.editor: MirroredEditor = MirroredEditor(self._mirror, workdir, note_missing)

    def __call__(self, action: FileEditorAction, conversation: Any = None) -> FileEditorObservation:
        path = posixpath.join(self._workdir, action.path)
        found = self._look(path)
        problem = self._problem(found, path)
        if problem:
            return self._failed(action, f"{path}: {problem}")
        mirrored = Path(f"{self._mirror}/{posixpath.normpath(path).lstrip('/')}")
        given = self._given(action.path, mirrored)
        try:
            self._bring(found, mirrored)
            self.editor.found = found
            mirrored_action = action.model_copy(update={"path": given})
            observation = super().__call__(mirrored_action, conversation)
        except OSError as error:
            return self._failed(action, f"{path}: {error.strerror or error}")
        if action.command != "view" and not observation.is_error:
            content = base64.b64encode(mirrored.read_bytes()).decode()
            stored = self._store(path, content)
            if stored["kind"] == "error":
                problem = f"Ran into {stored['problem']} while trying to write to {path}"
                return self._failed(action, problem)
        return self._without_mirror(observation)

    def _given(self, path: str, mirrored: Path) -> str:
        """The path for the editor, which refuses relative ones and says where to look instead."""
        if path.startswith("/"):
            return str(mirrored)
        root = Path(str(self._mirror) + self._workdir)
        is_inside = mirrored.is_relative_to(root)
        return str(mirrored.relative_to(root)) if is_inside else path.lstrip("./")

    @staticmethod
    def _problem(found: dict[str, Any], path: str) -> str:
        """Why the editor can't work on it; empty where it can, or says so itself."""
        if found["kind"] == "error":
            return str(found["problem"])
        if found["kind"] == "other":
            return "it is neither a file nor a folder"
        if found["kind"] == "large" and Path(path).suffix.lower() in IMAGE_EXTENSIONS:
            return f"the image is too large ({found['bytes'] / 1024 / 1024:.1f}MB)"
        return ""

    def _bring(self, found: dict[str, Any], mirrored: Path) -> None:
        """Make the mirror hold what the sandbox has at one path, and nothing else."""
        shutil.rmtree(self._mirror, ignore_errors=True)
        self._mirror.mkdir()
        if found["kind"] == "folder":
            mirrored.mkdir(parents=True, exist_ok=True)
            return
        if found["kind"] != "nothing" or found["in_folder"]:
            mirrored.parent.mkdir(parents=True, exist_ok=True)
        if found["kind"] == "file":
            mirrored.write_bytes(base64.b64decode(found["content"]))
        elif found["kind"] == "large":
            with mirrored.open("wb") as file:
                file.truncate(min(found["bytes"], MAX_HOLE_BYTES))

    def _without_mirror(self, observation: FileEditorObservation) -> FileEditorObservation:
        content = [
            part.model_copy(update={"text": self._named_as_there(part.text)})
            if isinstance(part, TextContent)
            else part
            for part in observation.content
        ]
        path = self._named_as_there(observation.path) if observation.path else observation.path
        return observation.model_copy(update={"content": content, "path": path})

    def _named_as_there(self, text: str) -> str:
        """The text with the sandbox's paths for the mirror's."""
        root = str(self._mirror)
        return text.replace(f"{root}/", "/").replace(root, "/")

    @staticmethod
    def _failed(action: FileEditorAction, text: str) -> FileEditorObservation:
        return FileEditorObservation.from_text(text=text, command=action.command, is_error=True)
