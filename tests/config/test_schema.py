"""What the configuration accepts, and what it says to the rest."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from orchestrator.config.cluster import Cluster, GatewayAddress, Grading, SandboxSettings
from orchestrator.config.schema import Benchmark, Endpoint, Predictions, RolloutLimits
from orchestrator.types import FailureKind

WRONG: list[tuple[type[BaseModel], dict[str, Any], str]] = [
    (Endpoint, {"base_url": "http://me:secret@h:8000/v1"}, "api_key_env"),
    (Endpoint, {"base_url": "http://h/v1", "replicas": ["http://me@h/v1"]}, "api_key_env"),
    (Endpoint, {"base_url": "http://h/v1", "max_tries": 0}, "max_tries"),
    (SandboxSettings, {"mounts": ["/a"]}, "is not /host/path:/sandbox/path"),
    (SandboxSettings, {"mounts": ["a:/b"]}, "is not /host/path:/sandbox/path"),
    (SandboxSettings, {"mounts": ["/a:/b:rx"]}, "is not /host/path:/sandbox/path"),
    (GatewayAddress, {"host": "0.0.0.0"}, "workers can reach"),
    (GatewayAddress, {"port": 70000}, "port"),
    (Cluster, {"name": "c", "workers": 0}, "1 or more, or auto"),
    (RolloutLimits, {"retries": {"bad_luck": 1}}, "retries"),
    (RolloutLimits, {"max_step": 3}, "max_step"),
    (Cluster, {"name": "a\nb"}, "must be one line of text"),
    (Cluster, {"name": "a\0"}, "must be one line of text"),
    (Predictions, {"name": " "}, "must be one line of text"),
    (Predictions, {"name": "\udcff"}, "name"),
]


@pytest.mark.parametrize(("section", "given", "says"), WRONG)
def test_what_can_not_be_meant_is_refused(
    section: type[BaseModel], given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        section(**given)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no URL"),
        ("localhost:8000/v1", "no URL"),
        ("//host/v1", "no URL"),
        ("ftp://host/v1", "no URL"),
        ("http://", "no URL"),
        ("http://a b/v1", "no URL"),
        ("http://host:port/v1", "no URL"),
        ("http://host:99999/v1", "no URL"),
        ("http://host:0/v1", "no URL"),
        ("http://[::1:8000/v1", "no URL"),
        ("Scripted", "no URL"),
        ("http://key@host/v1", "api_key_env"),
        ("http://host/v1?key=1", "no [?]"),
        ("http://host/v1#top", "no #"),
        ("http://host/v1/v1/", "twice"),
        ("http://gpu..lan:8000/v1", "can be no host's name"),
        (f"http://{'gpu' * 30}:8000/v1", "can be no host's name"),
        ("http://xn--a/v1", "can be no host's name"),
        ("http://☃:8000/v1", "can be no host's name"),
        ("http://host/v1/chat/completions", "up to /v1"),
    ],
)
@pytest.mark.parametrize("key", ["base_url", "replicas"])
def test_an_address_that_can_be_no_servers_is_refused(key: str, url: str, says: str) -> None:
    given = {"base_url": "http://h/v1"} | {key: [url] if key == "replicas" else url}
    with pytest.raises(ValidationError, match=says):
        Endpoint(**given)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1]:8000/v1",
        "http://[fd7a:115c::1]/v1/",
        "https://h/serve/models/v1",
        "HTTP://h:80",
        " http://h/v1\t",
        "http://h.:8000/v1/",
    ],
)
def test_an_address_may_be_of_any_form_that_servers_have(url: str) -> None:
    assert Endpoint(base_url=url).base_url == url.strip()


def test_an_at_sign_in_a_path_is_no_secret() -> None:
    assert Endpoint(base_url="http://h:8000/models/@me/v1").base_url.endswith("@me/v1")


def test_a_models_servers_are_named_once_each_and_without_slashes() -> None:
    endpoint = Endpoint(
        base_url="http://a/v1/", replicas=("http://b/v1", "http://a/v1", "http://b/v1/")
    )

    assert endpoint.base_urls == ("http://a/v1", "http://b/v1")


def test_mounts_may_have_a_mode() -> None:
    mounts = ("/a:/b", "/a:/b:ro", "/a:/b:rw")

    assert SandboxSettings(mounts=mounts).mounts == mounts


@pytest.mark.parametrize(
    ("timeout_s", "emulated_timeout_s", "emulated", "limit_s"),
    [(1800, 7200, False, 1800), (1800, 7200, True, 7200), (9000, 7200, True, 9000)],
)
def test_emulated_tests_have_a_limit_of_their_own_which_is_never_the_shorter_one(
    timeout_s: int, emulated_timeout_s: int, emulated: bool, limit_s: int
) -> None:
    grading = Grading(timeout_s=timeout_s, emulated_timeout_s=emulated_timeout_s)

    assert grading.limit_s(emulated) == limit_s


def test_retries_that_are_not_named_keep_their_defaults() -> None:
    retries = RolloutLimits(retries={FailureKind.WORKER_LOST: 7}).retries

    assert retries[FailureKind.WORKER_LOST] == 7
    assert set(retries) == set(FailureKind)
    assert retries[FailureKind.INTERRUPTED] == 0


@pytest.mark.parametrize(
    ("source", "bundled"), [("bundled", True), ("bundled:smoke", True), ("org/bundled", False)]
)
def test_a_benchmark_that_ships_is_known_by_its_source(source: str, bundled: bool) -> None:
    assert Benchmark(name="b", source=source).is_bundled is bundled
