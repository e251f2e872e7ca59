"""Every path of a run, spelled once; those of the user are in `user_paths`.

runs/<run_id>/
    run.yaml                 the merged RunConfig that the run was started with
    lock.json                what the number depends on: versions, digests, serving facts
    rows.jsonl               the benchmark's rows that the run covers, answers too; sandboxes of
                             kinds that isolate never see it
    journal.sqlite           the record: one row a rollout, one a grade
    driver.lock              held (flock) by the live driver
    gateway.log              outages and lost requests, one line each
    ray-session              where the local Ray of the live driver keeps its files
    predictions.jsonl        official keys, one line an instance with an outcome
    rollouts/<instance_id>/<attempt>/
        patch.diff           the prediction's patch (partial.diff of an interrupted one)
        trajectory.json      our one form; the agent's own file lies beside it
        result.json          written last: its existence means the folder is whole
    logs/run_evaluation/<run_id>/<model>/<instance_id>/      the harness's official layout
    <model>.<run_id>.json    the official final report
    report.{json,md,html}
    report_files/<instance_id>.js
                             what report.html loads when an instance is opened, where it is large
    exports/<kind>/          what `export` has written last, for others to read
    scratch/                 copies that process sandboxes work in; empty between runs

runs/<matrix_id>/              of a matrix; each of its runs has a folder of its own beside it
    matrix.yaml              what it was started with: its runs and their configurations
    driver.lock              held (flock) while the matrix goes on
    matrix.{json,md}         the report over all runs
    grid.svg                 instances x cells, a picture

<instance_id> and <model> become folders by `folder_name`, which leaves ordinary names as they are.

<temporary>/swe-orchestrator-<uid>/<digest of the run's folder>/
    {rollout,grade}-*        what one works with; on each host that it runs on
<temporary>/swe-orchestrator-<uid>/builds/<image>
                             held (flock) by who builds it
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.types import RolloutKey

TRAJECTORY = "trajectory.json"
"""Of a rollout, in our one form."""
FILE_NAME_BYTES = 255
"""What file systems take of one name."""
FOLDER_NAME_BYTES = 200
"""Leaves room for what is put behind a name: a number, a temporary file's ending."""
NO_FULL_SYNC = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS)
"""What a file system says that does not know the call."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHORTENED = re.compile(r"~[0-9a-f]{16}\Z")


@dataclass(frozen=True)
class RunPaths:
    """The folder of one run; see the module's docstring for the drawing."""

    root: Path

    @classmethod
    def of(cls, runs_dir: str, run_id: str) -> RunPaths:
        return cls(Path(runs_dir).resolve() / run_id)

    @property
    def run_id(self) -> str:
        return self.root.name

    @property
    def config(self) -> Path:
        return self.root / "run.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "lock.json"

    @property
    def rows(self) -> Path:
        return self.root / "rows.jsonl"

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite"

    @property
    def driver_lock(self) -> Path:
        return self.root / "driver.lock"

    @property
    def ray_session(self) -> Path:
        return self.root / "ray-session"

    @property
    def gateway_log(self) -> Path:
        return self.root / "gateway.log"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions.jsonl"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_md(self) -> Path:
        return self.root / "report.md"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    @property
    def report_files(self) -> Path:
        return self.root / "report_files"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def export(self, kind: str) -> Path:
        """Of the last export of a kind."""
        return self.root / "exports" / kind

    def harness_logs(self, run_id: str) -> Path:
        """Of the run's own id: its folder may have been given another name."""
        return self.root / "logs" / "run_evaluation" / run_id

    def rollout(self, key: RolloutKey) -> Path:
        return self.root / "rollouts" / folder_name(key.instance_id) / str(key.attempt)

    def patch(self, key: RolloutKey) -> Path:
        return self.rollout(key) / "patch.diff"

    def trajectory(self, key: RolloutKey) -> Path:
        return self.rollout(key) / TRAJECTORY

    def harness_log(self, model: str, key: RolloutKey) -> Path:
        model_name = harness_model_name(model, key.run_id)
        return self.harness_logs(key.run_id) / model_name / folder_name(key.instance_id)


@dataclass(frozen=True)
class MatrixPaths:
    """The folder of one matrix; see the module's docstring for the drawing."""

    root: Path

    @classmethod
    def of(cls, runs_dir: str, matrix_id: str) -> MatrixPaths:
        return cls(Path(runs_dir).resolve() / matrix_id)

    @property
    def matrix_id(self) -> str:
        return self.root.name

    @property
    def record(self) -> Path:
        return self.root / "matrix.yaml"

    @property
    def driver_lock(self) -> Path:
        return self.root / "driver.lock"

    @property
    def report_json(self) -> Path:
        return self.root / "matrix.json"

    @property
    def report_md(self) -> Path:
        return self.root / "matrix.md"

    @property
    def grid(self) -> Path:
        return self.root / "grid.svg"

    def run(self, run_id: str) -> RunPaths:
        """One of its runs."""
        return RunPaths(self.root.parent / run_id)


def temporary_folder(run_dir: str) -> Path:
    """Of a run, on this host: `clean` finds what is left there."""
    digest = hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:16]
    return _temporary() / digest


def build_lock(image: str) -> Path:
    """Held by who builds an image on this host."""
    return _temporary() / "builds" / folder_name(image)


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"swe-orchestrator-{os.getuid()}"


@contextmanager
def working_folder(run_dir: str, purpose: str) -> Iterator[Path]:
    """An empty folder of a rollout's or a grade's own, for as long as it lasts. Raises OSError."""
    parent = temporary_folder(run_dir)
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{purpose}-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def folder_name(name: str, max_bytes: int = FOLDER_NAME_BYTES) -> str:
    """The name of the folder that belongs to somebody's name for something.

    It is one folder's name, whatever it is made from, and differs where the names do: what no
    folder can be called is written with dashes, cut, and given a digest of the whole name.
    """
    readable = _CONTROL.sub("-", name).replace("/", "-")
    fits = len(readable.encode("utf-8")) <= max_bytes and readable not in ("", ".", "..")
    if readable == name and fits and not _SHORTENED.search(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    head = readable.lstrip(".").encode("utf-8")[: max_bytes - 17].decode("utf-8", "ignore")
    return f"{head}~{digest}"


def harness_model_name(model: str, run_id: str) -> str:
    """The model's name that the official harness is given.

    The harness makes a folder of it, `/` written as `__`, and the file `<model>.<run_id>.json`.
    """
    room = FILE_NAME_BYTES - len(f".{run_id}.json".encode("utf-8", "surrogatepass"))
    return folder_name(model.replace("/", "__"), max(room, 40))


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write to a temporary file beside `path`, flush, rename, flush the folder: readers see all of
    it or nothing, and what is written is still there after a power cut."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    _make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(raw)
            file.flush()
            flush_to_drive(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush_to_drive(descriptor: int) -> None:
    """Wait until what was written to a file, or a folder's entries, lies on the drive itself.

    On macOS `fsync` leaves it in the drive's own memory, which a power cut empties; F_FULLFSYNC
    asks the drive to write that down (Apple's manual page fsync(2)). A file system that can't pass
    this on, such as a network share, gets an `fsync`, as SQLite does it.

    Raises:
        OSError: it can't be written.
    """
    full_sync: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full_sync is not None:
        try:
            fcntl.fcntl(descriptor, full_sync)
            return
        except OSError as error:
            if error.errno not in NO_FULL_SYNC:
                raise
    os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """The same for the names in a folder: a file that was made or renamed is found there. Where a
    file system, or the folder's mode, does not allow it, nothing better can be done."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    try:
        flush_to_drive(descriptor)
    except OSError as error:
        if error.errno not in NO_FULL_SYNC:
            raise
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make it and what it lies in, each of which is then on the drive."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        flush_folder(made.parent)
