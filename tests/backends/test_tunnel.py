"""A server in a sandbox that has no network, reached from this host, in each backend."""

from __future__ import annotations

import random
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from support.specs import KINDS, sandbox_spec

from orchestrator.backends import Sandbox, find_backend
from orchestrator.backends.tunnel import Tunnel
from orchestrator.errors import SandboxUnavailable
from orchestrator.types import Instance

pytestmark = pytest.mark.slow

PYTHON = {"docker": "/opt/miniconda3/bin/python"}
"""An interpreter of the sandbox, as SWE-agent's server has one; elsewhere this one."""
Open = Callable[..., Sandbox]
SERVER = """
import http.server, os, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece

    def do_GET(self):
        if self.path == "/hangs":
            time.sleep(300)
        if self.path == "/dies":
            os._exit(3)
        self.answer(self.path.encode())

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

print("it says something")
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SOON_S = 20.0
GONE = (httpx.NetworkError, httpx.RemoteProtocolError)
"""What a client meets whose connection ends; not that it ran out of patience."""


class House:
    """A sandbox, and how to start servers in it."""

    def __init__(self, sandbox: Sandbox, kind: str) -> None:
        self.sandbox = sandbox
        self.python = PYTHON.get(kind, sys.executable)

    def serve(self, program: str = SERVER, *words: str, patience_s: float = SOON_S) -> Tunnel:
        command = [self.python, "-I", "-c", program, "{port}", *words]
        return Tunnel(self.sandbox, self.python, command, patience_s)

    def running(self, word: str) -> str:
        """The processes in the sandbox that have a word on their command line."""
        hidden = f"[{word[0]}]{word[1:]}"  # not this command's own
        return self.sandbox.exec(f"ps -eo args | grep '{hidden}' || true", 30).text


@pytest.fixture(scope="module", params=KINDS)
def house(
    request: pytest.FixtureRequest,
    instance: Instance,
    tmp_path_factory: pytest.TempPathFactory,
    bring_image: Callable[[str, Instance], None],
) -> Iterator[House]:
    """One sandbox for all tests that leave it as it was."""
    bring_image(request.param, instance)
    spec = sandbox_spec(instance, tmp_path_factory.mktemp("run"))
    with find_backend(request.param).start(spec) as sandbox:
        yield House(sandbox, request.param)


@pytest.fixture(params=KINDS)
def own_house(request: pytest.FixtureRequest, open_sandbox: Open) -> House:
    """A sandbox that the test may spoil."""
    return House(open_sandbox(request.param), request.param)


def client_of(tunnel: Tunnel) -> httpx.Client:
    url = f"http://127.0.0.1:{tunnel.port}"
    return httpx.Client(base_url=url, timeout=SOON_S, verify=False, trust_env=False)


def test_many_requests_at_once_get_their_own_answers(house: House) -> None:
    with house.serve() as tunnel, ThreadPoolExecutor(16) as pool:

        def ask(number: int) -> str:
            with client_of(tunnel) as client:  # a connection of its own
                return client.get(f"/{number}").text

        assert list(pool.map(ask, range(100))) == [f"/{number}" for number in range(100)]


def test_one_connection_serves_many_requests(house: House) -> None:
    with house.serve() as tunnel, client_of(tunnel) as client:
        said = [client.post("/", content=f"{number}" * 1000).text for number in range(30)]

    assert said == [f"{number}" * 1000 for number in range(30)]


def test_much_goes_there_and_back_unchanged(house: House) -> None:
    data = random.Random(7).randbytes(5_000_000)

    with house.serve() as tunnel, client_of(tunnel) as client:
        assert client.post("/", content=data).content == data


def test_much_of_several_at_once_is_not_mixed_up(house: House) -> None:
    pieces = [random.Random(seed).randbytes(1_000_000) for seed in range(6)]

    with house.serve() as tunnel, ThreadPoolExecutor(6) as pool:

        def echo(data: bytes) -> bytes:
            with client_of(tunnel) as client:
                return client.post("/", content=data).content

        assert list(pool.map(echo, pieces)) == pieces


def test_two_servers_in_one_sandbox_do_not_get_in_each_others_way(house: House) -> None:
    with house.serve() as one, house.serve() as other:
        for tunnel in (one, other, one):
            with client_of(tunnel) as client:
                assert client.get("/here").text == "/here"
    assert one.port != other.port


def test_a_client_that_hangs_up_early_does_not_disturb_others(house: House) -> None:
    with house.serve() as tunnel, client_of(tunnel) as client:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", tunnel.port)) as rude:
                rude.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nno more")
        assert client.get("/polite").text == "/polite"


def test_a_server_that_dies_at_its_start_is_reported_with_its_last_words(house: House) -> None:
    dies = "import sys; print('no such model', flush=True); sys.exit('größer: gives up')"

    with pytest.raises(SandboxUnavailable, match=r"not start: no such model\ngrößer: gives up$"):
        house.serve(dies)


def test_a_server_that_never_listens_is_not_waited_for_for_ever(house: House) -> None:
    word = secrets.token_hex(8)

    with pytest.raises(SandboxUnavailable, match="it did not start in time"):
        house.serve("import time; time.sleep(300)", word, patience_s=0.5)

    assert eventually(lambda: house.running(word) == "")


@pytest.mark.parametrize("what", ["interpreter", "server"])
def test_a_program_that_is_not_there_is_unavailable(house: House, what: str) -> None:
    python = "/no/such/python" if what == "interpreter" else house.python

    with pytest.raises(SandboxUnavailable, match=r"did not start|No such file"):
        Tunnel(house.sandbox, python, ["/no/such/server"], SOON_S)


def test_a_server_that_dies_later_fails_its_requests_and_nothing_hangs(house: House) -> None:
    with house.serve() as tunnel, client_of(tunnel) as client:
        assert client.get("/").text == "/"
        with pytest.raises(GONE):
            client.get("/dies")
        with pytest.raises(GONE):
            client.get("/")


def test_leaving_ends_the_server_and_all_that_carried_to_it(house: House) -> None:
    word = secrets.token_hex(8)
    with house.serve(SERVER, word) as tunnel, client_of(tunnel) as client:
        assert client.get("/").text == "/"
        assert word in house.running(word)

    assert eventually(lambda: house.running(word) == "")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", tunnel.port))


def test_leaving_with_a_request_under_way_fails_it(house: House) -> None:
    word = secrets.token_hex(8)
    with house.serve(SERVER, word) as tunnel:
        asked = hanging_request(tunnel)

    assert isinstance(asked.exception(timeout=SOON_S), GONE)
    assert eventually(lambda: house.running(word) == "")


def test_a_tunnel_may_be_closed_twice(house: House) -> None:
    tunnel = house.serve()

    tunnel.close()
    tunnel.close()


def test_a_sandbox_that_goes_away_fails_what_is_under_way(own_house: House) -> None:
    with own_house.serve() as tunnel:
        asked = hanging_request(tunnel)

        own_house.sandbox.close()

        assert isinstance(asked.exception(timeout=SOON_S), GONE)
    assert eventually(lambda: not any(t.name == "tunnel" for t in threading.enumerate()))


def test_who_comes_when_the_sandbox_has_gone_is_refused(own_house: House) -> None:
    with own_house.serve() as tunnel:
        own_house.sandbox.close()

        for _ in range(3):
            with client_of(tunnel) as client, pytest.raises(GONE):
                client.get("/")


def test_in_a_sandbox_that_is_gone_no_server_starts(own_house: House) -> None:
    own_house.sandbox.close()

    with pytest.raises(SandboxUnavailable):
        own_house.serve()


def hanging_request(tunnel: Tunnel) -> Future[None]:
    """A request that the server has, and does not answer."""
    found: Future[None] = Future()
    about_to_ask = threading.Event()

    def ask() -> None:
        try:
            with client_of(tunnel) as client:
                client.get("/")
                about_to_ask.set()
                client.get("/hangs")
        except Exception as error:  # noqa: BLE001 - the test looks at it
            found.set_exception(error)
        else:
            found.set_result(None)

    threading.Thread(target=ask, daemon=True).start()
    assert about_to_ask.wait(SOON_S)
    time.sleep(0.2)
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SOON_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
