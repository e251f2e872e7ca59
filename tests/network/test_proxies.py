"""Which proxy a URL is asked through, by the environment alone: nothing is looked up or asked."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable
from urllib import request
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PrerequisiteError
from orchestrator.network.proxies import find_proxy, is_this_host, without_login

PROXY = "http://proxy:3128"


def url_of(url: str, **environment: str) -> str | None:
    """The proxy's address for a URL in such an environment."""
    proxy = find_proxy(url, environment)
    return proxy.url if proxy else None


@pytest.mark.parametrize(
    ("environment", "for_http", "for_https"),
    [
        ({}, None, None),
        ({"http_proxy": PROXY}, PROXY, None),
        ({"https_proxy": PROXY}, None, PROXY),
        ({"HTTPS_PROXY": PROXY}, None, PROXY),
        ({"all_proxy": PROXY}, PROXY, PROXY),
        ({"ALL_PROXY": PROXY, "http_proxy": "http://other:1"}, "http://other:1", PROXY),
        ({"HTTP_PROXY": PROXY, "http_proxy": "http://lower:1"}, "http://lower:1", None),
        ({"HTTP_PROXY": PROXY, "http_proxy": ""}, None, None),
        ({"HTTP_PROXY": "  "}, None, None),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, PROXY, None),
        ({"ftp_proxy": PROXY, "proxy": PROXY}, None, None),
    ],
)
def test_the_variables_count_as_curl_has_them(
    environment: dict[str, str], for_http: str | None, for_https: str | None
) -> None:
    assert url_of("http://gpu:8000/v1", **environment) == for_http
    assert url_of("https://gpu:8000/v1", **environment) == for_https


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("proxy:3128", "http://proxy:3128"),
        (" http://proxy:3128/ ", "http://proxy:3128"),
        ("HTTP://proxy", "http://proxy"),
        ("https://proxy:443", "https://proxy:443"),
        ("socks5://localhost:1055/", "socks5://localhost:1055"),
        ("socks5h://localhost", "socks5://localhost:1080"),
        ("http://[fd7a::1]:3128", "http://[fd7a::1]:3128"),
        ("http://me:secret@proxy:1", "http://me:secret@proxy:1"),
        ("http://me:s%40crt@proxy:1", "http://me:s%40crt@proxy:1"),
        ("http://me@firm:p@ss:w/rd#?@proxy:1", "http://me%40firm:p%40ss%3Aw%2Frd%23%3F@proxy:1"),
        ("me:s crt@proxy:1", "http://me:s%20crt@proxy:1"),
        ("http://token@proxy:1", "http://token@proxy:1"),
    ],
)
def test_a_proxy_is_read_as_people_write_it(written: str, meant: str) -> None:
    assert url_of("http://gpu/v1", http_proxy=written) == meant


@pytest.mark.parametrize(
    "value",
    [
        "http://proxy:port",
        "http://proxy:99999",
        "http://proxy:0",
        "http://",
        "http://:3128",
        "proxy one:3128",
        "socks4://proxy:1080",
        "socks://proxy:1080",
        "htp://proxy:1",
        "file:///etc/passwd",
        "http://[::1:3128",
        "http://[::g]:3128",
        "http://a:b:c",
        "http://me:pa55word@",
        "htp://me:pa55word@proxy:1",
        "http://me:pa55word@proxy:port",
        "me:pa55@word@pro xy:1",
    ],
)
@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY"])
def test_a_proxy_that_can_not_be_meant_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        find_proxy("http://gpu:8000/v1", {name: value})

    assert caught.value.what.startswith(f"{name} is '")
    assert "NO_PROXY" in caught.value.cure
    assert "\n" not in str(caught.value)
    assert "pa55" not in str(caught.value), "a password is in no message"


def test_a_setting_that_does_not_count_for_a_url_does_not_stop_it() -> None:
    assert url_of("http://gpu/v1", https_proxy="nonsense:x") is None
    assert url_of("http://gpu/v1", http_proxy="nonsense:x", no_proxy="gpu") is None


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1.2.3", "127.1", "2130706433", "0x7f.0.0.1", "0.0.0.0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]"),
        *("localhost", "LOCALHOST", "localhost.", "model.localhost", "ip6-localhost"),
        socket.gethostname(),
    ],
)
def test_this_host_is_never_asked_through_a_proxy(host: str) -> None:
    everything = {"http_proxy": PROXY, "ALL_PROXY": "socks5://x:1", "https_proxy": "broken:port"}

    assert url_of(f"http://{host}:8000/v1", **everything) is None
    assert url_of(f"https://{host}/v1", **everything) is None


@pytest.mark.parametrize("host", ["mini.fritz.box", "mini", "Mini.local", "MINI.local."])
def test_a_host_is_itself_by_each_of_its_names(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Mini.fritz.box")

    assert is_this_host(host)
    assert not is_this_host(f"x{host}")
    assert not is_this_host("mini.firm.com")


@pytest.mark.parametrize(
    "host",
    ["128.0.0.1", "10.0.0.1", "[::2]", "localhost.firm.com", "mylocalhost", "127.0.0.1.nip.io"],
)
def test_what_only_looks_like_this_host_is_another(host: str) -> None:
    assert url_of(f"http://{host}/v1", http_proxy=PROXY) == PROXY


EXCEPTED = [
    ("gpu", "gpu"),
    ("GPU", "gpu"),
    ("gpu", "GPU."),
    ("gpu.", "gpu"),
    ("a.firm.com", "firm.com"),
    ("firm.com", ".firm.com"),
    ("a.b.firm.com", ".firm.com"),
    ("a.firm.com", "*.firm.com"),
    ("anything", "*"),
    ("[fd00::1]", "*"),
    ("gpu", "other, gpu"),
    ("gpu", "other gpu"),
    ("gpu", " ,, other,gpu , "),
    ("gpu", "http://gpu/"),
    ("gpu:8000", "gpu:8000"),
    ("gpu", "gpu:80"),
    ("10.1.2.3", "10.0.0.0/8"),
    ("10.1.2.3", "10.1.2.3/8"),
    ("10.1.2.3", "10.0.0.0/255.0.0.0"),
    ("10.1.2.3:8000", "10.1.2.3:8000"),
    ("10.1.2.3", "10.1.2.3"),
    ("10.1.2.3", "10.1.*"),
    ("100.64.0.7", "100.64.0.0/10"),
    ("[::ffff:10.1.2.3]", "10.0.0.0/8"),
    ("[fd7a:115c::7]", "fd7a:115c::/48"),
    ("[fd7a:115c::7]", "[fd7a:115c::]/48"),
    ("[fd7a:115c::7]", "fd7a:115c:0:0:0:0:0:7"),
    ("[fd7a:115c::7]:8000", "[fd7a:115c::7]:8000"),
    ("[fd7a:115c::7]", "[FD7A:115C::7]"),
    ("[fe80::1%25eth0]", "fe80::/10"),
]


@pytest.mark.parametrize(("place", "no_proxy"), EXCEPTED)
def test_every_form_of_an_exception_is_understood(place: str, no_proxy: str) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        assert url_of(f"http://{place}/v1", http_proxy=PROXY, **{name: no_proxy}) is None


@pytest.mark.parametrize(
    ("place", "no_proxy"),
    [
        ("gpu", ""),
        ("gpu", "pu"),
        ("notfirm.com", "firm.com"),
        ("firm.com.evil.org", "firm.com"),
        ("gpu:8000", "gpu:80"),
        ("gpu", "."),
        ("gpu", "/"),
        ("11.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "10.0.0.0/99"),
        ("10.1.2.3", "fd00::/8"),
        ("10.1.2.3", "2.3"),
        ("[fd7a::1]", "10.0.0.0/8"),
        ("[fd7a::1]:80", "[fd7a::1]:8000"),
        ("[fd7a::1]", "fd7b::/16"),
        ("gpu", "10.0.0.0/8, fd00::/8, [::1]:x, http://, ::::, *x"),
    ],
)
def test_an_exception_covers_nothing_else(place: str, no_proxy: str) -> None:
    assert url_of(f"http://{place}/v1", http_proxy=PROXY, no_proxy=no_proxy) == PROXY


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`mac(proxies, exceptions)`: the network settings of a Mac, as Python reads them there."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def set_up(settings: dict[str, str], *exceptions: str, simple: bool = False) -> None:
        def is_bypassed(host: str) -> bool:
            excepted = {"exclude_simple": simple, "exceptions": exceptions}
            return bool(request._proxy_bypass_macosx_sysconf(host, excepted))  # type: ignore[attr-defined]

        monkeypatch.setattr(
            request, "getproxies_macosx_sysconf", lambda: dict(settings), raising=False
        )
        monkeypatch.setattr(request, "proxy_bypass_macosx_sysconf", is_bypassed, raising=False)

    return set_up


def test_where_the_environment_names_none_the_systems_settings_count(
    mac: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # SOCKS too is written with http there
    mac({"https": PROXY, "socks": "http://s:1080"}, "inside")

    assert str(find_proxy("https://gpu/v1")) == f"the proxy {PROXY} of the system's settings"
    assert str(find_proxy("http://gpu/v1")).startswith("the proxy socks5://s:1080 of ")
    assert find_proxy("http://inside/v1") is None
    assert find_proxy("http://127.0.0.1/v1") is None
    monkeypatch.setenv("HTTPS_PROXY", "http://mine:1")
    assert str(find_proxy("https://gpu/v1")) == "the proxy http://mine:1 of HTTPS_PROXY"
    assert find_proxy("http://gpu/v1") is None


@pytest.mark.parametrize(
    ("host", "exception"),
    [
        ("spark.local", "*.local"),
        ("spark.tail1234.ts.net", "*.ts.net"),
        ("169.254.7.7", "169.254/16"),
        ("100.100.1.2", "100.64.0.0/10"),
        ("192.168.1.5", "192.168.1.5"),
        ("10.1.2.3", "10"),
    ],
)
def test_a_server_among_a_macs_exceptions_is_asked_directly(
    mac: Callable[..., None], host: str, exception: str
) -> None:
    mac({"http": PROXY, "https": PROXY}, "nothing.else", exception)

    for scheme in ("http", "https"):
        assert find_proxy(f"{scheme}://{host}:8000/v1") is None
        assert find_proxy(f"{scheme}://gpu.example.invalid:8000/v1") is not None


def test_a_mac_may_except_all_names_without_a_dot(mac: Callable[..., None]) -> None:
    mac({"http": PROXY}, simple=True)

    assert find_proxy("http://spark:8000/v1") is None
    assert find_proxy("http://spark.lan:8000/v1") is not None


def test_exceptions_in_the_environment_and_a_macs_settings_add_up(
    mac: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mac({"http": PROXY}, "*.local")
    monkeypatch.setenv("NO_PROXY", "spark")

    assert find_proxy("http://spark:8000/v1") is None
    assert find_proxy("http://gpu.local:8000/v1") is None
    assert str(find_proxy("http://gpu:8000/v1")) == f"the proxy {PROXY} of the system's settings"


def test_no_other_system_has_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delattr(request, "getproxies_macosx_sysconf", raising=False)

    assert find_proxy("http://gpu:8000/v1") is None


def test_a_proxy_as_text_names_its_variable_and_no_login() -> None:
    proxy = find_proxy("http://gpu", {"HTTP_PROXY": "http://me:pa55@proxy:1"})

    assert str(proxy) == "the proxy http://***@proxy:1 of HTTP_PROXY"


@pytest.mark.fuzz
@given(st.text(), st.text(), st.text())
def test_no_environment_and_no_url_ends_in_another_error(
    url: str, proxy: str, no_proxy: str
) -> None:
    for target in (url, f"http://{url}", "http://gpu:8000/v1"):
        with contextlib.suppress(PrerequisiteError):
            found = find_proxy(target, {"http_proxy": proxy, "NO_PROXY": no_proxy})
            assert found is None or urlsplit(found.url).hostname


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=4)


@pytest.mark.fuzz
@given(WORDS, WORDS)
def test_a_login_survives_whatever_it_is_made_of(user: str, password: str) -> None:
    user = user.replace(":", "").replace("%", "").strip() or "me"
    password = password.replace("%", "").strip() or "secret"
    proxy = find_proxy("http://gpu", {"http_proxy": f"http://{user}:{password}@proxy:1"})

    assert proxy is not None
    parts = urlsplit(proxy.url)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert str(proxy) == "the proxy http://***@proxy:1 of http_proxy"
    assert without_login(f"http://{user}:{password}@proxy:1") == "http://***@proxy:1"


@pytest.mark.fuzz
@given(st.ip_addresses())
def test_an_address_is_covered_by_each_range_that_holds_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    place = f"[{address}]" if address.version == 6 else str(address)
    wide, narrow = (ipaddress.ip_network((address, bits), strict=False) for bits in (8, 24))

    for entry in (wide, narrow, address):
        assert url_of(f"http://{place}/v1", http_proxy=PROXY, no_proxy=str(entry)) is None
    found = url_of(f"http://{place}/v1", http_proxy=PROXY)
    assert (found is None) == is_this_host(str(address))
