"""Inside a sandbox: what a path stands for there, and new content for a file.

Runs by itself under the image's Python (3.7 or newer), and so imports nothing of ours. It prints
one line of JSON. Paths come in hexadecimal, so that no shell has to read them.

usage: python files.py look PATH MAX_BYTES MAX_NAMES
       python files.py store PATH < CONTENT         in base64, in place: the file stays what it is
       python files.py script < CONTENT             a new file for bash to source, which removes it
"""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import tempfile
from typing import Any, BinaryIO


def listed(folder: str, left: int) -> list[tuple[str, bool, str]]:
    """Names in a folder that are not hidden, in order: [name, whether it is a folder, path]."""
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))[:left]
    return [
        (name, os.path.isdir(path), path) for name in names for path in [os.path.join(folder, name)]
    ]


def look_at_folder(path: str, max_names: int) -> dict[str, Any]:
    entries: list[tuple[str, bool]] = []
    for name, is_folder, inner in listed(path, max_names):
        entries.append((shown(name), is_folder))
        if is_folder:
            try:
                for child, is_inner_folder, _ in listed(inner, max_names - len(entries)):
                    entries.append((shown(name + "/" + child), is_inner_folder))
            except OSError:
                pass
    hidden = sum(1 for name in os.listdir(path) if name.startswith("."))
    return {"kind": "folder", "entries": entries[:max_names], "hidden": hidden}


def shown(name: str) -> str:
    """A name as text; bytes that are no UTF-8 are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def look(path: str, max_bytes: int, max_names: int) -> dict[str, Any]:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "nothing", "in_folder": os.path.isdir(os.path.dirname(path))}
    if stat.S_ISDIR(mode):
        return look_at_folder(path, max_names)
    if not stat.S_ISREG(mode):
        return {"kind": "other"}
    with open(path, "rb") as file:
        content = file.read(max_bytes + 1)
        size = max(len(content), os.fstat(file.fileno()).st_size)
    if size > max_bytes:
        return {"kind": "large", "bytes": size}
    return {"kind": "file", "content": base64.b64encode(content).decode()}


def store(path: str, content: bytes) -> dict[str, Any]:
    """Keep its mode, owner and links. What can't be written whole is left as it was."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        create(path, content)
        return {"kind": "stored"}
    is_writable = os.access(path, os.W_OK)
    if not is_writable:
        os.chmod(path, mode | stat.S_IWUSR)
    try:
        with open(path, "r+b", buffering=0) as file:
            old = file.read()
            try:
                replace_all(file, content)
            except OSError:
                replace_all(file, old)
                raise
    finally:
        if not is_writable:
            os.chmod(path, mode)
    return {"kind": "stored"}


def create(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            os.unlink(path)
            raise


def replace_all(file: BinaryIO, content: bytes) -> None:
    file.seek(0)
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
    file.truncate()


def keep_script(content: bytes) -> dict[str, Any]:
    handle, path = tempfile.mkstemp(prefix=".openhands-")
    with os.fdopen(handle, "wb") as file:
        file.write(b"rm -f -- '" + os.fsencode(path) + b"'\n" + content)
    return {"kind": "stored", "path": path}


def main(what: str, *given: str) -> dict[str, Any]:
    try:
        path = bytes.fromhex(given[0]).decode() if given else ""
        if what == "look":
            return look(path, int(given[1]), int(given[2]))
        content = base64.b64decode(sys.stdin.buffer.read())
        return store(path, content) if what == "store" else keep_script(content)
    except OSError as error:
        return {"kind": "error", "problem": error.strerror or str(error)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
