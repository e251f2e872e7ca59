"""A registry's client, against Debian's docker-registry and servers that play others."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from support.fake_proxy import FakeProxy
from support.registries import (
    DOCKER_LIST,
    Asked,
    FakeServer,
    Reply,
    manifest_of,
    push_image,
    push_manifest,
    registry_server,
)

from orchestrator.images import registry as registry_module
from orchestrator.images.names import HUB, parse_name
from orchestrator.images.pulls import PullFailed, PullProblem, Quota
from orchestrator.images.registry import Registry, is_private, parse_quota

AMD = "linux/amd64"
LAYERS = [b"base" * 100, b"env" * 50, b"own"]
MANIFEST, CONFIG = manifest_of(LAYERS)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_server(tmp_path_factory.mktemp("registry")) as place:
        yield place


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class TokenRegistry:
    """A registry that wants tokens, with the server that gives them: for `user` with `secret`, for
    the identity token `identity`, and for everybody where it is public."""

    def __init__(self, is_public: bool = True, form: str = "token") -> None:
        self.is_public, self.form = is_public, form
        self.given: list[str] = []
        """Scopes for which tokens were given."""
        self.valid: set[str] = set()

    def answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/token"):
            return self._give(asked)
        shown = asked.headers.get("authorization", "")
        if shown.removeprefix("Bearer ") not in self.valid:
            challenge = f'Bearer realm="http://{asked.headers["host"]}/token",service="fake"'
            return Reply(401, b"{}", {"WWW-Authenticate": challenge})
        return Reply(body=MANIFEST, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})

    def _give(self, asked: Asked) -> Reply:
        form = parse_qs(asked.body.decode() or urlsplit(asked.path).query)
        knows = asked.headers.get("authorization") == basic("user", "secret") or (
            asked.method == "POST"
            and form["grant_type"] == ["refresh_token"]
            and form["refresh_token"] == ["identity"]
        )
        shows = "authorization" in asked.headers or asked.method == "POST"
        if not knows and (shows or not self.is_public):
            return Reply(401, {"errors": [{"message": "incorrect username or password"}]})
        assert form["service"] == ["fake"]
        self.given += form["scope"]
        token = f"token-{len(self.given)}"
        self.valid.add(token)
        return Reply(body={self.form: token, "expires_in": 300})


LOGINS = [
    {},
    {"username": "user", "password": "secret", "email": None, "serveraddress": "x"},
    {"Username": "user", "Password": "secret", "ServerAddress": "x"},
    {"IdentityToken": "identity"},
]


@pytest.mark.slow
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("form", ["token", "access_token"])
def test_a_token_is_asked_for_once_for_each_repository(login: dict[str, str], form: str) -> None:
    fake = TokenRegistry(form=form)
    with FakeServer(fake.answer) as server, Registry(server.place, login) as registry:
        for image in ("a/b:1", "a/b:2", "a/c"):
            size = registry.size(parse_name(f"{server.place}/{image}"), AMD)
            assert size.bytes == sum(map(len, LAYERS))

    assert fake.given == ["repository:a/b:pull", "repository:a/c:pull"]


@pytest.mark.parametrize("login", LOGINS[1:])
def test_what_is_not_public_is_shown_the_login(login: dict[str, str]) -> None:
    fake = TokenRegistry(is_public=False)
    with FakeServer(fake.answer) as server, Registry(server.place, login) as registry:
        registry.size(parse_name(f"{server.place}/a/b"), AMD)

    assert len(fake.given) == 1


@pytest.mark.parametrize(
    "login", [{}, {"Username": "user", "Password": "wrong"}, {"IdentityToken": "old"}]
)
def test_a_login_that_is_not_taken_is_refused_in_the_registrys_words(login: dict[str, str]) -> None:
    fake = TokenRegistry(is_public=False)
    with (
        FakeServer(fake.answer) as server,
        Registry(server.place, login) as registry,
        pytest.raises(PullFailed, match="incorrect username") as caught,
    ):
        registry.size(parse_name(f"{server.place}/a/b"), AMD)

    assert caught.value.failure.problem is PullProblem.REFUSED
    assert len([path for path in server.paths() if "/token" in path]) <= 2


@pytest.mark.slow
def test_a_token_that_the_registry_forgot_is_asked_for_anew() -> None:
    fake = TokenRegistry()
    with FakeServer(fake.answer) as server, Registry(server.place) as registry:
        registry.size(parse_name(f"{server.place}/a/b"), AMD)
        fake.valid.clear()
        registry.size(parse_name(f"{server.place}/a/b"), AMD)

    assert len(fake.given) == 2


@pytest.mark.parametrize(
    ("login", "is_taken"),
    [
        ({"Username": "user", "Password": "secret"}, True),
        ({"Username": "user"}, False),
        ({}, False),
    ],
)
def test_a_registry_may_want_a_basic_login(login: dict[str, str], is_taken: bool) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("authorization") == basic("user", "secret"):
            return Reply(body=MANIFEST)
        return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="home"'})

    with FakeServer(answer) as server, Registry(server.place, login) as registry:
        name = parse_name(f"{server.place}/a/b")
        if is_taken:
            assert registry.size(name, AMD).layers
        else:
            with pytest.raises(PullFailed) as caught:
                registry.size(name, AMD)
            assert caught.value.failure.problem is PullProblem.REFUSED


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Negotiate",
        "Bearer",
        'Bearer realm=""',
        'Bearer realm="ftp://x/token"',
        'Bearer realm="/token"',
        "Basic",
        "Bearer realm",
        '"',
    ],
)
def test_an_odd_challenge_is_one_line(challenge: str) -> None:
    with (
        FakeServer(lambda _: Reply(401, b"", {"WWW-Authenticate": challenge})) as server,
        Registry(server.place) as registry,
        pytest.raises(PullFailed) as caught,
    ):
        registry.size(parse_name(f"{server.place}/a/b"), AMD)

    assert "\n" not in caught.value.failure.detail
    assert len(server.asked) <= 3


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", {}, {"token": None}, {"token": 3}, {"token": "a\nb"}, {"token": ""}],
)
def test_an_odd_token_is_one_line(body: object) -> None:
    def answer(asked: Asked) -> Reply:
        challenge = f'Bearer realm="http://{asked.headers["host"]}/token"'
        if asked.path.startswith("/token"):
            return Reply(body=body)
        return Reply(401, b"", {"WWW-Authenticate": challenge})

    with (
        FakeServer(answer) as server,
        Registry(server.place) as registry,
        pytest.raises(PullFailed, match="no token"),
    ):
        registry.size(parse_name(f"{server.place}/a/b"), AMD)


def test_a_login_is_never_shown_without_tls_but_to_this_host() -> None:
    def answer(asked: Asked) -> Reply:
        challenge = 'Bearer realm="http://tokens.example/token",service="fake"'
        return Reply(401, b"", {"WWW-Authenticate": challenge})

    with (
        FakeServer(answer) as server,
        Registry(server.place, LOGINS[2]) as registry,
        pytest.raises(PullFailed, match="without TLS") as caught,
    ):
        registry.size(parse_name(f"{server.place}/a/b"), AMD)

    assert caught.value.failure.problem is PullProblem.REFUSED


# against a real registry


@pytest.mark.slow
def test_the_layers_of_an_image_come_from_its_manifest(address: str) -> None:
    digest = push_image(address, "a/one", "latest", LAYERS)
    name = parse_name(f"{address}/a/one")

    with Registry(address) as registry:
        size = registry.size(name, AMD)
        assert [layer.size for layer in size.layers] == [len(layer) for layer in LAYERS]
        assert size.digest == registry.digest(name) == digest
        pinned = parse_name(f"{address}/a/one@{digest}")
        assert registry.size(pinned, AMD) == size


@pytest.mark.slow
def test_of_several_platforms_each_has_its_size(address: str) -> None:
    entries = []
    for architecture, layers in (("arm64", [b"a"]), ("amd64", LAYERS)):
        digest = push_image(address, "a/two", architecture, layers, f"linux/{architecture}")
        platform = {"os": "linux", "architecture": architecture}
        size = len(manifest_of(layers, f"linux/{architecture}")[0])
        entries.append(
            {"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}
            | {"digest": digest, "size": size, "platform": platform}
        )
    index = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries}
    whole = push_manifest(address, "a/two", "latest", json.dumps(index).encode(), DOCKER_LIST)

    with Registry(address) as registry:
        name = parse_name(f"{address}/a/two")
        assert registry.size(name, AMD).bytes == sum(map(len, LAYERS))
        assert registry.size(name, "linux/arm64/v8").bytes == 1
        assert registry.size(name, AMD).digest == entries[1]["digest"]
        assert registry.digest(name) == whole
        with pytest.raises(PullFailed, match="linux/s390x"):
            registry.size(name, "linux/s390x")


def test_an_image_that_is_not_there_is_refused(address: str) -> None:
    with Registry(address) as registry:
        for ask in (lambda name: registry.size(name, AMD), registry.digest):
            with pytest.raises(PullFailed) as caught:
                ask(parse_name(f"{address}/no/such"))
            assert caught.value.failure.problem is PullProblem.REFUSED


@pytest.mark.slow
def test_a_registry_of_ones_network_is_asked_in_plain_where_it_speaks_no_tls(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_image(address, "a/one", "latest", LAYERS)
    monkeypatch.setattr(registry_module, "is_this_host", lambda host: False)

    with Registry(address) as registry:
        assert registry.size(parse_name(f"{address}/a/one"), AMD).layers


def test_a_registry_on_this_host_may_have_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    pem = tmp_path / "server.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += f" -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout {pem} -out {pem}.crt"
    subprocess.run(command.split(), check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", f"{pem}.crt")
    settings = f"  tls: {{certificate: {pem}.crt, key: {pem}}}\n"

    with registry_server(tmp_path / "registry", settings) as place, Registry(place) as registry:
        with pytest.raises(PullFailed, match="unknown"):
            registry.size(parse_name(f"{place}/a/b"), AMD)
        assert registry.quota() is None


def test_a_public_registry_is_never_asked_in_plain(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "is_this_host", lambda host: False)
    monkeypatch.setattr(registry_module, "is_private", lambda host: False)

    with Registry(address) as registry, pytest.raises(PullFailed, match="no TLS"):
        registry.size(parse_name(f"{address}/a/one"), AMD)


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("spark", True),
        ("mac.local", True),
        ("spark.tail12.ts.net", True),
        ("100.101.1.1", True),
        ("192.168.1.5", True),
        ("fd7a:115c::1", True),
        ("ghcr.io", False),
        ("registry-1.docker.io", False),
        ("8.8.8.8", False),
        ("100.128.0.1", False),
        ("local.example.com", False),
    ],
)
def test_a_private_network_is_known_by_what_is_written(host: str, private: bool) -> None:
    assert is_private(host) is private


# the quota


@pytest.mark.parametrize(
    ("limit", "remaining", "quota"),
    [
        ("100;w=21600", "76;w=21600", Quota(100, 76, 21600)),
        ("200;w=21600", "0;w=21600", Quota(200, 0, 21600)),
        ("100", "5", Quota(100, 5, 21600)),
        ("5;w=60", "3", Quota(5, 3, 60)),
        ("100 ; w = 60", " 3 ", Quota(100, 3, 60)),
        ("", "", None),
        ("unlimited", "unlimited", None),
        ("100;w=21600", "", None),
        ("-1", "-1", None),
    ],
)
def test_what_is_left_is_read(limit: str, remaining: str, quota: Quota | None) -> None:
    assert parse_quota({"ratelimit-limit": limit, "ratelimit-remaining": remaining}) == quota


Answering = Callable[[Asked], Reply]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answering], FakeServer]]:
    """Plays Docker Hub's registry."""
    open_servers: list[FakeServer] = []

    def start(answer: Answering) -> FakeServer:
        server = FakeServer(answer).__enter__()
        open_servers.append(server)
        monkeypatch.setitem(registry_module.API_HOSTS, HUB, server.place)
        return server

    yield start
    for server in open_servers:
        server.__exit__()


LEFT = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "7;w=21600"}


def test_docker_hub_is_asked_for_its_quota_at_no_cost(
    hub: Callable[[Answering], FakeServer],
) -> None:
    server = hub(lambda asked: Reply(headers=LEFT))

    with Registry(HUB) as registry:
        assert registry.quota() == Quota(100, 7, 21600)

    assert [p for p in server.paths() if "manifests" in p] == [
        "HEAD /v2/ratelimitpreview/test/manifests/latest"
    ]


@pytest.mark.parametrize(
    ("reply", "quota"),
    [
        (Reply(), None),
        (Reply(429, headers={**LEFT, "RateLimit-Remaining": "0;w=21600"}), Quota(100, 0, 21600)),
    ],
)
def test_a_quota_may_be_none_or_spent(
    reply: Reply, quota: Quota | None, hub: Callable[[Answering], FakeServer]
) -> None:
    hub(lambda asked: reply if "manifests" in asked.path else Reply())

    with Registry(HUB) as registry:
        assert registry.quota() == quota


def test_a_spent_quota_says_when_to_come_again(hub: Callable[[Answering], FakeServer]) -> None:
    spent = Reply(429, headers={"Retry-After": "1234"})
    hub(lambda asked: spent if "manifests" in asked.path else Reply())

    with Registry(HUB) as registry:
        for ask in (registry.quota, lambda: registry.size(parse_name("a/b"), AMD)):
            with pytest.raises(PullFailed) as caught:
                ask()
            assert caught.value.failure.problem is PullProblem.QUOTA
            assert caught.value.failure.retry_after_s == 1234


@pytest.mark.parametrize(
    ("image", "asked"), [("", "HEAD /v2/"), ("a/b:v1", "HEAD /v2/a/b/manifests/v1")]
)
def test_other_registries_are_asked_for_their_quota_by_head_too(image: str, asked: str) -> None:
    with FakeServer(lambda _: Reply(headers=LEFT)) as server, Registry(server.place) as registry:
        name = parse_name(f"{server.place}/{image}") if image else None
        assert registry.quota(name) == Quota(100, 7, 21600)

    assert server.paths()[-1] == asked


# odd answers


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(body=b"<html>log in to this network</html>"), "no manifest"),
        (Reply(body=MANIFEST, cut_to=20), ""),
        (Reply(body=b"x" * (5 << 20)), "more than"),
        (Reply(204), "no manifest"),
        (Reply(500), "HTTP 500"),
        (Reply(302, headers={"Location": "http://[bad"}), ""),
    ],
)
def test_what_may_be_better_later_is_away(reply: Reply, says: str) -> None:
    answer = {True: Reply(), False: reply}
    with (
        FakeServer(lambda asked: answer[asked.path == "/v2/"]) as server,
        Registry(server.place) as registry,
        pytest.raises(PullFailed) as caught,
    ):
        registry.size(parse_name(f"{server.place}/a/b"), AMD)

    assert caught.value.failure.problem is PullProblem.AWAY
    assert says in caught.value.failure.detail


def test_another_manifest_than_was_asked_for_by_digest_is_not_taken() -> None:
    with (
        FakeServer(lambda _: Reply(body=MANIFEST)) as server,
        Registry(server.place) as registry,
        pytest.raises(PullFailed, match="another manifest"),
    ):
        registry.size(parse_name(f"{server.place}/a/b@sha256:{'1' * 64}"), AMD)


@pytest.mark.slow
def test_a_list_that_leads_to_itself_ends() -> None:
    index = {"manifests": [{"digest": f"sha256:{'1' * 64}", "platform": {"os": "linux"}}]}
    index["manifests"][0]["platform"]["architecture"] = "amd64"  # type: ignore[index]
    with (
        FakeServer(lambda _: Reply(body=index)) as server,
        Registry(server.place) as registry,
        pytest.raises(PullFailed, match="have no end"),
    ):
        registry.size(parse_name(f"{server.place}/a/b"), AMD)


def test_a_manifest_without_a_digest_header_has_none_by_head() -> None:
    with (
        FakeServer(lambda _: Reply()) as server,
        Registry(server.place) as registry,
        pytest.raises(PullFailed, match="does not say its digest"),
    ):
        registry.digest(parse_name(f"{server.place}/a/b"))


def test_a_registry_at_a_proxy_is_asked_through_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry_module, "is_private", lambda host: False)
    with FakeProxy(answer=b"HTTP/1.1 503 away\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.place}")
        with Registry("registry.example") as registry, pytest.raises(PullFailed, match="proxy"):
            registry.digest(parse_name("registry.example/a"))

    assert any("registry.example" in asked for asked in proxy.asked)
