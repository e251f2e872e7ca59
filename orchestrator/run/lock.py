"""lock.json: what the number depends on, as it was when the run started."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.agents import AgentKind
from orchestrator.backends import Host, find_backend
from orchestrator.config.changes import Change
from orchestrator.config.schema import Benchmark, RunConfig
from orchestrator.dataset import Dataset
from orchestrator.dataset.kept import kept_rows
from orchestrator.doctor.examine import Checked
from orchestrator.endpoint.fields import with_profile
from orchestrator.endpoint.servers import Serving
from orchestrator.errors import ConfigError, JournalError, one_line
from orchestrator.images.platforms import same_platform
from orchestrator.paths import RunPaths, write_atomic
from orchestrator.report.validity import Drift, Part

# with `docker`, as the harness uses Docker's SDK for every kind of sandbox
PACKAGES = ("swe-orchestrator", "swebench", "mini-swe-agent", "ray", "docker")


class _Part(BaseModel):
    """Frozen; keys of other versions are let pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DatasetLock(_Part):
    source: str = ""
    split: str = ""
    instances: int = 0
    of_benchmark: int = 0
    """How many the whole benchmark has; 0 where that is not known."""
    sha256: str = ""
    """Of the selected rows, in their order, as their source had them."""
    rows_sha256: str = ""
    """Of the run's own rows.jsonl."""


class SandboxLock(_Part):
    kind: str = ""
    engine: str = ""
    """Its version."""
    engine_name: str = ""
    platform: str = ""
    architecture: str = ""
    """The platform of the engine's own processors; where it is another than the images', they were
    emulated."""
    network: bool = False
    """Whether sandboxes have a route out."""
    grading_network: bool = True
    host_memory_gb: float = 0.0
    host_cpus: int = 0

    @property
    def images_platform(self) -> str:
        """Of the images; empty where there are none, or it is not known."""
        return self.platform if self.architecture else ""

    @property
    def emulation(self) -> str:
        """As a host says it (`Host.emulation`)."""
        return Host(
            self.kind,
            self.host_memory_gb,
            self.host_cpus,
            platform=self.platform,
            engine_name=self.engine_name,
            architecture=self.architecture,
        ).emulation

    def host_changes(self, host: Host) -> Iterator[str]:
        """Where a later session has processors of another kind."""
        if "" in (self.architecture, host.architecture):
            return
        if not same_platform(self.architecture, host.architecture):
            yield (
                f"the engine's processors are {host.architecture} here, and the run began on "
                f"{self.architecture}"
            )


class ChangeLock(_Part):
    """A key of run.yaml that `resume --set` has changed; no result depends on it."""

    at: str = ""
    """Local time, ISO 8601."""
    key: str = ""
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        return f"{self.key} {self.before} → {self.after} ({self.at})"


class DriftLock(_Part):
    """A part of the surroundings that a session found to be another than the run began with."""

    part: Part
    words: str
    since: float = 0.0
    """Results from then on are of the other, or may be. Seconds since the epoch."""
    until: float | None = None
    """From then on it was again as the run began."""
    within_session: bool = False
    """It changed while a session went on."""

    @property
    def drift(self) -> Drift:
        """As the report judges it."""
        return Drift(self.part, self.words, self.since, self.until, self.within_session)


class RunLock(_Part):
    """The file's content; a run of an older version may lack any part of it."""

    run_id: str = ""
    versions: Mapping[str, str] = {}
    """Of Python, of the packages that matter, and of the agent."""
    dataset: DatasetLock = DatasetLock()
    images: Mapping[str, str] = {}
    """The images that were on the host at the start, by name: repository and digest, or id."""
    image_names: Mapping[str, str] = {}
    """By instance."""
    sandbox: SandboxLock = SandboxLock()
    serving: tuple[Mapping[str, Any], ...] = ()
    """Base URL and facts of each model server that was asked."""
    request_fields: Mapping[str, Any] = {}
    """What the model's profile adds to every request."""
    changes: tuple[ChangeLock, ...] = ()
    """What later sessions have changed, in order. The rest is as it was at the start."""
    drifts: tuple[DriftLock, ...] = ()
    """What was another in later sessions, in the order in which it was found."""

    @classmethod
    def read(cls, paths: RunPaths) -> RunLock:
        """An empty one where the run has none.

        Raises:
            JournalError: the file can't be read.
        """
        try:
            return cls.model_validate_json(paths.lock.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            words = one_line(error, 200)
            raise JournalError(f"{paths.lock} can't be read ({words}); restore it.") from error

    def write(self, paths: RunPaths) -> None:
        write_atomic(paths.lock, self.model_dump_json(indent=1))

    def with_changes(self, changes: Sequence[Change]) -> RunLock:
        """With changes that are made now."""
        now = datetime.now().isoformat(sep=" ", timespec="seconds")
        made = (ChangeLock(at=now, key=c.key, before=c.before, after=c.after) for c in changes)
        return self.model_copy(update={"changes": (*self.changes, *made)})

    @property
    def images_at_start(self) -> Mapping[str, str]:
        """By instance, as far as they were there."""
        return self.by_instance(self.images)

    def by_instance(self, images: Mapping[str, str]) -> Mapping[str, str]:
        """The same images, which are given by name."""
        return {i: images[name] for i, name in self.image_names.items() if name in images}

    def serving_changes(self, serving: Sequence[Serving]) -> Iterator[str]:
        """Where a server shows itself as another than those that the run began with."""
        known = [_identity(facts) for facts in self.serving]
        for server in serving:
            for name, value in _identity(server.facts).items():
                before = [facts[name] for facts in known if name in facts]
                if before and value not in before:
                    yield (
                        f"{server.base_url} shows {name} {value}, and the run began with "
                        f"{before[0]}"
                    )

    def require_same_dataset(self, dataset: Dataset, paths: RunPaths) -> None:
        """A run that goes on with other rows than it began with would mix two benchmarks.

        Raises:
            ConfigError: they are others.
        """
        if self.dataset.sha256 not in ("", dataset.sha256):
            raise ConfigError(
                f"the dataset of {paths.run_id} is not the one that it was started with "
                f"(see {paths.lock}); start a new run"
            )

    def require_same_rows(self, rows: str, paths: RunPaths) -> None:
        """Raises JournalError where somebody has changed the run's rows.jsonl."""
        if self.dataset.rows_sha256 not in ("", _sha256(rows)):
            raise JournalError(
                f"{paths.rows} is not as the run wrote it (see {paths.lock}): restore it, or start "
                "a new run"
            )


def _identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What of a server's facts says which model it serves, and how."""
    model = facts.get("model")
    entry = model if isinstance(model, Mapping) else {}
    found = {
        "the kind": facts.get("server"),
        "version": facts.get("version"),
        "the model of": entry.get("root"),
        "a context of": entry.get("max_model_len"),
    }
    return {name: value for name, value in found.items() if value is not None}


def make_lock(
    config: RunConfig, dataset: Dataset, checked: Checked, agent: AgentKind | None
) -> RunLock:
    """The lock of a run that starts now, on the host and with the servers that were checked."""
    host, sandbox = checked.host, config.cluster.sandbox
    return RunLock(
        run_id=config.run_id,
        versions=versions() | (agent.versions() if agent else {}),
        dataset=dataset_lock(config.benchmark, dataset),
        images=find_backend(host.kind).image_ids(dataset.instances, sandbox.platform),
        image_names={i.instance_id: i.image for i in dataset.instances},
        sandbox=SandboxLock(
            kind=host.kind,
            engine=host.engine_version,
            engine_name=host.engine_name,
            platform=sandbox.platform,
            architecture=host.architecture,
            network=sandbox.network or not host.isolates,
            grading_network=config.cluster.grading.network,
            host_memory_gb=round(host.memory_gb, 1),
            host_cpus=host.cpus,
        ),
        serving=tuple({"base_url": s.base_url, **s.facts} for s in checked.serving),
        request_fields=with_profile(config.model, {}) if config.model else {},
    )


def dataset_lock(benchmark: Benchmark, dataset: Dataset) -> DatasetLock:
    """What is kept of the rows that a run covers."""
    return DatasetLock(
        source=benchmark.source,
        split=benchmark.split,
        instances=len(dataset.instances),
        of_benchmark=dataset.of_benchmark,
        sha256=dataset.sha256,
        rows_sha256=_sha256(kept_rows(dataset)),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
