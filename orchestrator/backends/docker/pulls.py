"""Pulling an image by name, for a platform: from a mirror or else from its registry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import docker
import docker.errors
import docker.utils

from orchestrator.backends.docker.credentials import Login, find_login
from orchestrator.backends.docker.engine import ENGINE_ERRORS, error_words
from orchestrator.backends.docker.images import (
    digest_of,
    find_image,
    image_facts,
    keep_under_another_name,
    platform_of,
)
from orchestrator.backends.docker.pull_problems import pull_failure
from orchestrator.backends.docker.pull_stream import EnginePull, Stalled
from orchestrator.backends.images import PullStep
from orchestrator.config.cluster import Images
from orchestrator.errors import ConfigError, PrerequisiteError
from orchestrator.images.names import registry_of, sources
from orchestrator.images.pulls import PullFailed, PullFailure, PullProblem

OF_THE_HOST = (PullProblem.NO_ROOM, PullProblem.ENGINE)
"""What no other registry would mend."""


def pull_image(
    client: docker.DockerClient, name: str, settings: Images, platform: str
) -> Iterator[PullStep]:
    """See `KeepsImages.pull_image`. Closing the iterator cancels the pull.

    An image that is there under the name, for another platform, is kept under a longer one.
    """
    try:
        pull = _Pull(client, name, settings, platform)
        if find_image(client, name, platform) is None:
            before = platform_of(client, name) and image_facts(client, name)["Id"]
            kept = keep_under_another_name(client, name)
            try:
                yield from pull.from_any_source()
            except PullFailed:
                _put_back(client, name, before, kept)
                raise
        facts = image_facts(client, name)
        yield PullStep(
            pull.compressed, int(facts.get("Size") or 0), pull.digest or digest_of(facts, name)
        )
    except ConfigError as error:  # of the name
        raise PullFailed(PullFailure(PullProblem.REFUSED, str(error))) from error
    except ENGINE_ERRORS as error:
        failure = _failure(error, name)
        is_name = isinstance(error, docker.errors.APIError) and error.status_code == 400
        if not is_name and failure.problem not in OF_THE_HOST:  # no registry was asked
            failure = PullFailure(PullProblem.ENGINE, failure.detail)
        raise PullFailed(failure) from error


@dataclass
class _Pull:
    client: docker.DockerClient
    name: str
    settings: Images
    platform: str
    compressed: int = 0
    digest: str = ""

    def from_any_source(self) -> Iterator[PullStep]:
        """Raises PullFailed: of the last that waiting would mend, where there is one."""
        failures: list[PullFailed] = []
        for source in sources(self.name, self.settings):
            try:
                yield from self._from(source)
                return
            except PullFailed as error:
                if error.failure.problem in OF_THE_HOST:
                    raise
                failures.append(error)
        mended = [e for e in failures if e.failure.problem is not PullProblem.REFUSED]
        raise (mended or failures)[-1]

    def _from(self, source: str) -> Iterator[PullStep]:
        """As `docker pull`: without a login where a credential helper fails."""
        login = Login({})
        timeout_s = self.settings.pull_timeout_s
        try:
            login = find_login(registry_of(source))
            with EnginePull(self.client, source, self.platform, login.auth) as pull:
                for progress in pull.follow(timeout_s):
                    self.compressed = max(self.compressed, progress.bytes)
                    self.digest = progress.digest
                    yield PullStep(self.compressed)
            self._take(source)
        except Stalled as error:
            raise PullFailed(self._stalled(source, timeout_s)) from error
        except PrerequisiteError as error:  # of Docker's settings
            raise PullFailed(PullFailure(PullProblem.ENGINE, error.what)) from error
        except ENGINE_ERRORS as error:
            failure = _failure(error, source)
            if login.problem:
                detail = f"{failure.detail} (without login: {login.problem})"
                failure = PullFailure(failure.problem, detail, failure.retry_after_s)
            raise PullFailed(failure) from error

    def _take(self, source: str) -> None:
        """What came is the image. Of a mirror's it gets the image's own name, and no other."""
        if find_image(self.client, source, self.platform) is None:
            found = platform_of(self.client, source)
            words = f"{source} came for {found}, not {self.platform}: its registry has no other"
            if not found:
                words = f"the engine ended the pull of {source}, and has no image"
            problem = PullProblem.REFUSED if found else PullProblem.AWAY
            raise PullFailed(PullFailure(problem, words))
        if source != self.name:
            self.digest = self.digest or digest_of(image_facts(self.client, source), source)
            self.client.api.tag(source, *docker.utils.parse_repository_tag(self.name), force=True)
            with contextlib.suppress(*ENGINE_ERRORS):  # somebody uses it by that name
                self.client.images.remove(source, noprune=True)

    def _stalled(self, source: str, timeout_s: float) -> PullFailure:
        try:
            self.client.ping()
        except ENGINE_ERRORS as error:
            return PullFailure(PullProblem.ENGINE, f"the engine hangs: {error_words(error)}")
        words = f"{source}: stalled, nothing has come for {timeout_s:g} s"
        return PullFailure(PullProblem.AWAY, words)


def _put_back(client: docker.DockerClient, name: str, before: str, kept: str) -> None:
    """An engine may bring an image of another platform and only then say so: it goes again."""
    with contextlib.suppress(*ENGINE_ERRORS):  # the pull's own failure is what is told
        if image_facts(client, name)["Id"] != before:
            client.images.remove(name)
            if kept:
                client.api.tag(kept, *docker.utils.parse_repository_tag(name), force=True)


def _failure(error: Exception, image: str) -> PullFailure:
    match error:
        case docker.errors.APIError():
            return pull_failure(str(error.explanation or error), image, error.status_code)
        case docker.errors.DockerException():  # in the midst of its report
            return pull_failure(str(error), image)
    return PullFailure(PullProblem.ENGINE, f"the engine broke off: {error_words(error)}")
