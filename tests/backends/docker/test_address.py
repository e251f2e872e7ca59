"""Which engine is meant: by the environment, and by what `docker context` has written."""

from __future__ import annotations

import gc
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.backends.docker.address import EngineClient, find_engine
from orchestrator.backends.docker.engine import connect, connect_for_harness
from orchestrator.errors import PrerequisiteError

SOCKET = "unix:///var/run/docker.sock"


class Config:
    """A folder as Docker's client has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config.json"

    def choose(self, name: object) -> None:
        self.file.write_text(json.dumps({"currentContext": name}))

    def add(self, name: str, host: str, keys: tuple[str, ...] = (), **more: Any) -> Path:
        """A context; returns its meta.json."""
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = self.folder / "contexts" / "meta" / digest / "meta.json"
        meta.parent.mkdir(parents=True)
        endpoint = {"Host": host, "SkipTLSVerify": False, **more}
        meta.write_text(
            json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}})
        )
        for key in keys:
            file = self.folder / "contexts" / "tls" / digest / "docker" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("a key")
        return meta

    def find(self, **environment: str) -> str:
        return str(find_engine({"DOCKER_CONFIG": str(self.folder)} | environment))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Also what this process has, without variables that would name an engine."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return Config(tmp_path)


def test_the_engine_is_found_in_the_order_of_dockers_client(config: Config) -> None:
    assert config.find() == f"{SOCKET} (Docker's default)"

    config.add("colima", "unix:///colima.sock")
    config.add("größe 2", "unix:///other.sock")
    config.choose("colima")
    assert config.find() == f"unix:///colima.sock (context 'colima' of {config.file})"

    by_variable = config.find(DOCKER_CONTEXT="größe 2")
    assert by_variable == "unix:///other.sock (context 'größe 2' of DOCKER_CONTEXT)"
    both = {"DOCKER_HOST": "tcp://gpu:2375", "DOCKER_CONTEXT": "colima"}
    assert config.find(**both) == "tcp://gpu:2375 (DOCKER_HOST)"
    assert config.find(DOCKER_CONTEXT="default") == f"{SOCKET} (Docker's default)"
    assert "colima" in config.find(DOCKER_HOST=" ", DOCKER_CONTEXT="")


@pytest.mark.parametrize("written", ["{}", '{"currentContext": ""}', '{"currentContext": null}'])
def test_without_a_chosen_context_it_is_the_default(config: Config, written: str) -> None:
    config.file.write_text(written)

    assert config.find() == f"{SOCKET} (Docker's default)"


def test_a_context_that_is_not_there_is_named_and_so_are_others(config: Config) -> None:
    config.add("orbstack", "unix:///orb.sock")
    config.add("broken", "x").write_text("{")
    config.choose("colima")

    by_variable = {"DOCKER_CONTEXT": "colima"}
    for environment, source in (({}, str(config.file)), (by_variable, "DOCKER_CONTEXT")):
        with pytest.raises(PrerequisiteError) as caught:
            config.find(**environment)
        assert f"no Docker context 'colima' of {source}" in str(caught.value)
        assert "known: default, orbstack" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "null", "7", '"x"', '{"currentContext": ', "\x00", "[" * 100_000],
)
def test_settings_of_docker_that_are_none_are_named(config: Config, text: str) -> None:
    config.file.write_text(text)

    with pytest.raises(PrerequisiteError, match=f"{config.file} holds no settings") as caught:
        config.find()
    assert "\n" not in str(caught.value)
    assert config.find(DOCKER_HOST=SOCKET), "who names the engine is not held up"


@pytest.mark.parametrize("endpoint", [{}, [], {"docker": {}}, {"docker": None}, {"docker": "x"}])
def test_a_context_that_is_malformed_is_named(config: Config, endpoint: object) -> None:
    meta = config.add("odd", "x")
    meta.write_text(json.dumps({"Name": "odd", "Endpoints": endpoint}))

    with pytest.raises(PrerequisiteError, match=r"meta\.json holds no settings"):
        config.find(DOCKER_CONTEXT="odd")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["currentContext", "Endpoints", "docker", "Host", "SkipTLSVerify"]),
            inner,
        )
    ),
)


@pytest.mark.slow
@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON, JSON)
def test_whatever_stands_in_dockers_files_is_one_line(
    config: Config, chosen: object, meta: object
) -> None:
    config.file.write_text(json.dumps(chosen))
    file = config.folder / "contexts" / "meta" / hashlib.sha256(b"odd").hexdigest() / "meta.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(meta))

    for environment in ({}, {"DOCKER_CONTEXT": "odd"}):
        try:
            assert config.find(**environment)
        except PrerequisiteError as error:
            words = str(error)
        else:
            words = ""
        assert "\n" not in words


@pytest.mark.parametrize("by", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_an_engine_over_ssh_is_refused_with_the_way_round(config: Config, by: str) -> None:
    config.add("far", "ssh://me@gpu")

    with pytest.raises(PrerequisiteError, match="ssh -N -L") as caught:
        config.find(**{by: "ssh://me@gpu" if by == "DOCKER_HOST" else "far"})
    assert by in caught.value.what


def test_a_context_brings_its_keys(config: Config) -> None:
    keys = ("ca.pem", "cert.pem", "key.pem")
    config.add("safe", "tcp://gpu:2376", keys)
    config.add("half", "tcp://gpu:2376", ("ca.pem", "cert.pem"))
    config.add("ca", "tcp://gpu:2376", ("ca.pem",), SkipTLSVerify=True)
    config.add("plain", "tcp://gpu:2375")

    def tls(name: str) -> Any:
        return find_engine({"DOCKER_CONFIG": str(config.folder), "DOCKER_CONTEXT": name}).tls

    safe = tls("safe")
    assert safe.verify is True
    assert {Path(path).name for path in (safe.ca_cert, *safe.cert)} == set(keys)
    assert tls("ca").verify is False
    assert tls("plain") is None
    with pytest.raises(PrerequisiteError, match=r"key\.pem are wanted"):
        tls("half")


def test_variables_bring_the_keys_of_an_engine_that_is_named(config: Config) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (config.folder / name).write_text("a key")
    verified = {"DOCKER_HOST": "tcp://gpu:2376", "DOCKER_TLS_VERIFY": "1"}

    def tls(**environment: str) -> Any:
        return find_engine({"DOCKER_CONFIG": str(config.folder)} | environment).tls

    assert tls(**verified).verify is True
    assert tls(DOCKER_HOST="tcp://gpu:2376", DOCKER_TLS_VERIFY="") is None
    assert tls(DOCKER_HOST="unix:///x.sock", DOCKER_TLS_VERIFY="1") is None
    assert tls(DOCKER_TLS_VERIFY="1") is None, "the default is a socket"
    with pytest.raises(PrerequisiteError, match="not all in /nowhere"):
        tls(**verified, DOCKER_CERT_PATH="/nowhere")


def test_only_an_engine_elsewhere_is_asked_through_a_proxy_and_with_its_own_certificates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/of/the/web.pem")

    with closing(EngineClient("tcp://gpu:2375", version="1.44")) as client:
        client.verify = "/of/the/context.pem"

        def way(url: str) -> Any:
            return client.merge_environment_settings(url, {}, None, None, None)

        assert way("http://gpu:2375/v1.44/info")["proxies"] == {"all": "http://proxy:1"}
        for here in ("http+docker://localhost/info", "http://127.0.0.1:2375/info"):
            assert way(here)["proxies"] == {}
            assert way(here)["verify"] == "/of/the/context.pem"


OPEN = pytest.mark.parametrize("open_client", [connect, connect_for_harness])


@OPEN
@pytest.mark.parametrize(
    "content", ["[1]", '{"auths": "x"}', '{"auths": {"a": 3}}', '{"proxies": 3}', "null"]
)
def test_what_the_sdk_stumbles_over_in_dockers_settings_is_one_line(
    open_client: Callable[[int], docker.DockerClient],
    content: str,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.file.write_text(content)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    with pytest.raises(PrerequisiteError, match=f"{config.file} holds no settings"):
        open_client(5)


@pytest.mark.slow
@OPEN
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_context_whose_engine_is_down_is_named(
    open_client: Callable[[int], docker.DockerClient], config: Config
) -> None:
    config.add("colima", f"unix://{config.folder}/none.sock")
    config.choose("colima")

    with pytest.raises(PrerequisiteError, match="context 'colima'") as caught:
        open_client(5)
    assert "docker context ls" in caught.value.cure
    del caught
    gc.collect()  # the SDK leaves its socket open


@pytest.mark.docker
@OPEN
@pytest.mark.parametrize("by", ["config.json", "DOCKER_CONTEXT"])
def test_the_engine_of_a_context_is_the_one_that_is_asked(
    open_client: Callable[[int], docker.DockerClient],
    by: str,
    config: Config,
    sockets: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    with closing(connect()) as usual:
        url, expected = find_engine().url, usual.info()["ID"]
    if not url.startswith("unix://"):
        pytest.skip("the engine of these tests has no socket")
    elsewhere = Path(sockets) / "elsewhere.sock"
    elsewhere.symlink_to(url.removeprefix("unix://"))
    config.add("elsewhere", f"unix://{elsewhere}")
    config.add("dead", f"unix://{sockets}/none.sock")
    config.choose("elsewhere" if by == "config.json" else "dead")
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(config.folder))
    if by == "DOCKER_CONTEXT":
        monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")

    with closing(open_client(10)) as client:
        assert client.info()["ID"] == expected
    assert os.path.samefile(elsewhere, url.removeprefix("unix://"))
