"""Which hosts lie in private networks, and how a proxy is passed by on the way to them."""

from __future__ import annotations

import os
import subprocess

import pytest

from orchestrator.network.connections import way_to
from orchestrator.network.private_hosts import is_of_tailnet, is_private
from orchestrator.network.proxies import find_proxy

PROXY = "http://proxy.firm.com:3128"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("host", "of_tailnet"),
    [
        ("100.64.0.1", True),
        ("100.127.255.254", True),
        ("100.128.0.1", False),
        ("100.63.0.1", False),
        ("fd7a:115c:a1e0::53", True),
        ("FD7A:115C:A1E0:AB12::1", True),
        ("fd7a:115c:a1e1::1", False),
        ("spark.tail1234.ts.net", True),
        ("Spark.Tail1234.TS.net.", True),
        ("ts.net.firm.com", False),
        ("spark", False),
        ("192.168.1.20", False),
    ],
)
def test_a_host_of_a_tailnet_is_known_by_its_address_or_name(host: str, of_tailnet: bool) -> None:
    assert is_of_tailnet(host) is of_tailnet


@pytest.mark.parametrize(
    ("host", "private"),
    [
        *((host, True) for host in ("192.168.1.20", "10.0.0.7", "172.20.1.1", "169.254.3.4")),
        *((host, True) for host in ("100.100.1.2", "fd00::7", "fe80::1", "spark", "spark.local")),
        *((host, True) for host in ("spark.tail1234.ts.net", "gpu.lan", "gpu.internal")),
        *((host, False) for host in ("8.8.8.8", "2001:4860::1", "api.firm.com", "172.32.0.1", "")),
        *((host, False) for host in ("127.0.0.1", "localhost", "::1")),
    ],
)
def test_a_private_host_is_known_without_looking_its_name_up(host: str, private: bool) -> None:
    assert is_private(host) is private


@pytest.mark.parametrize(
    "before",
    [{}, {"NO_PROXY": "corp.com"}, {"no_proxy": "corp.com"}, {"no_proxy": ""}, {"No_Proxy": "a,b"}],
)
@pytest.mark.parametrize(
    "host", ["spark", "192.168.1.20", "100.70.0.2", "[fd7a:115c:a1e0::2]", "spark.tail1.ts.net"]
)
def test_the_command_that_is_told_passes_the_proxy_by(
    host: str, before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell runs it, whatever exceptions there were."""
    for name, value in {"HTTP_PROXY": PROXY, **before}.items():
        monkeypatch.setenv(name, value)
    url = f"http://{host}:8000/v1"
    command = way_to(url).bypass

    shell = subprocess.run(
        ["bash", "-c", f"{command}\nenv -0"], env=dict(os.environ), capture_output=True, check=True
    )
    after = dict(entry.decode().partition("=")[::2] for entry in shell.stdout.split(b"\0") if entry)

    assert find_proxy(url) is not None
    assert find_proxy(url, after) is None
    assert find_proxy("http://huggingface.co/", after) is not None


@pytest.mark.parametrize(
    ("proxy", "url"),
    [
        ("socks5://localhost:1055", "http://spark:8000/v1"),
        ("http://127.0.0.1:3128", "http://100.70.0.2:8000/v1"),
        (PROXY, "https://api.firm.com/v1"),
    ],
)
def test_a_proxy_that_belongs_there_is_left_alone(
    proxy: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tailscale's without root and ssh's, on this host; and any before a public server."""
    monkeypatch.setenv("ALL_PROXY", proxy)

    assert way_to(url).proxy is not None
    assert way_to(url).bypass == ""
