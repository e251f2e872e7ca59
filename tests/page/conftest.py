"""A written page, and a browser without a window: one of each for all tests of a module."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright
from support.written_page import WrittenPage, write_run_with_page

VIEWS = {"phone": (360, 740), "desktop": (1280, 900)}
SCHEMES = ("light", "dark")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenPage:
    return write_run_with_page(tmp_path_factory.mktemp("page") / "a-night")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Its event loop goes on in this very thread, where no other can until it is closed."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=os.environ["SWE_ORCHESTRATOR_BROWSER"],
            args=["--no-sandbox", "--disable-dev-shm-usage"],  # root, and small containers
        )
        yield chromium
        chromium.close()


@dataclass
class Watched:
    """A page in the browser, and what it did that no page of ours may do."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """What it wrote to the console, raised, or asked the network for."""

    def __post_init__(self) -> None:
        self._notes: dict[str, Callable[..., None]] = {
            "console": lambda message: self._note(message.type, message.text),
            "pageerror": lambda error: self._note("error", str(error)),
            "request": self._request,
        }

    def watch(self) -> None:
        for event, note in self._notes.items():
            self.page.on(event, note)  # type: ignore[call-overload]

    def leave(self) -> None:
        """Nothing of what was there is left, but for the page itself, which the next one uses."""
        self.page.goto("about:blank")
        for event, note in self._notes.items():
            self.page.remove_listener(event, note)

    def go(self, url: str) -> Page:
        """To a new page at this address, also where only what stands behind `#` differs."""
        self.page.goto("about:blank")
        self.page.goto(url)
        self.page.wait_for_selector("#instances-bar:not([hidden])", state="attached")
        self.page.wait_for_selector("#opened-body [role=status]:text('Loading')", state="detached")
        return self.page

    def _note(self, kind: str, text: str) -> None:
        self.complaints.append(f"{kind}: {text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("file:", "about:", "data:", "http://127.0.0.1:")):
            self.complaints.append(f"asked for {request.url}")


@pytest.fixture(scope="module")
def pages(browser: Browser) -> dict[str, Page]:
    """By what makes them differ: a new one takes longer than most of what is done with it."""
    return {}


@pytest.fixture
def open_page(browser: Browser, pages: dict[str, Page]) -> Iterator[Callable[..., Watched]]:
    """Opens a page: `open_page("phone", "dark").go(url)`. In the end none has complained."""
    opened: list[Watched] = []

    def open_(view: str = "desktop", scheme: str = "light", **more: Any) -> Watched:
        width, height = VIEWS[view]
        size: Any = {"width": width, "height": height}
        if str(more) not in pages:
            pages[str(more)] = browser.new_context(**more).new_page()
        page = pages[str(more)]
        page.set_viewport_size(size)
        page.emulate_media(media="screen", color_scheme=scheme)  # type: ignore[arg-type]
        watched = Watched(page)
        watched.watch()
        opened.append(watched)
        return watched

    yield open_
    for watched in opened:
        watched.leave()
    assert [line for watched in opened for line in watched.complaints] == []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path
