"""The page of a run in a real browser: what a person sees and does, on a phone and at a desk."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from support.written_page import WrittenPage, write_table_of

from orchestrator.compare.build import build_comparison
from orchestrator.compare.page import render_comparison_page
from orchestrator.compare.sides import Side
from orchestrator.paths import RunPaths

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Opener = Callable[..., Any]
VIEWS = [("phone", "dark"), ("desktop", "light")]
FOCUSED_ROW = "document.activeElement.closest('tr[data-instance]')?.dataset.instance"
LOOK = "e => { const s = getComputedStyle(e); return [s.color, s.borderStyle, s.borderRadius] }"
WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"


def require_no_overflow(page: Page) -> None:
    width, room = page.evaluate(WIDTHS)
    assert width <= room, f"{width} px of content in a window of {room} px at {page.url}"


def serious_problems(page: Page) -> list[str]:
    """What axe finds that keeps people out, contrast too: rule and first element."""
    context = {"exclude": [["#instances-table tr:nth-child(n+12)"]]}  # more of the same
    options = {"resultTypes": ["violations"]}
    found = Axe().run(page, context=context, options=options).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['target']} {rule['nodes'][0]['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


def current_step(page: Page) -> str:
    return page.locator(".step[aria-current] h4").inner_text()


def shown_rows(page: Page) -> list[str]:
    rows = page.locator("#instances-table tbody tr[data-instance]")
    return [str(row.get_attribute("data-instance")) for row in rows.all()]


@pytest.mark.parametrize(("view", "scheme"), VIEWS)
def test_the_page_fits_its_window_and_keeps_nobody_out(
    open_page: Opener, written: WrittenPage, view: str, scheme: str, pictures: Path
) -> None:
    page = open_page(view, scheme).go(written.url)
    page.screenshot(path=pictures / "page.png", full_page=True)

    require_no_overflow(page)
    assert serious_problems(page) == []


@pytest.mark.parametrize(("view", "scheme"), VIEWS)
def test_a_comparison_fits_its_window_and_keeps_nobody_out(
    open_page: Opener, view: str, scheme: str, tmp_path: Path
) -> None:
    sides = [
        Side(
            name,
            "a run",
            {f"orchard__ledger-{n}": float((n + shift) % 3 == 0) for n in range(9)},
            facts={"agent.system_template_of_a_long_name": f"{name} {'long ' * 40}"},
        )
        for shift, name in enumerate(("monday", "tuesday", "wednesday"))
    ]
    path = tmp_path / "both.html"
    path.write_text(render_comparison_page(build_comparison(sides), tmp_path), encoding="utf-8")

    page = open_page(view, scheme).page
    page.goto(path.as_uri())

    require_no_overflow(page)
    assert serious_problems(page) == []
    assert page.locator("tbody th", has_text="monday").first.bounding_box()["width"] > 100
    first = "e => getComputedStyle(e, '::first-letter').textTransform"
    assert page.locator("h1").evaluate(first) == "none"  # a run's name stays as it is


@pytest.mark.parametrize(("view", "scheme"), VIEWS)
def test_an_opened_instance_fits_its_window_and_keeps_nobody_out(
    open_page: Opener, written: WrittenPage, view: str, scheme: str, pictures: Path
) -> None:
    watched, report = open_page(view, scheme), written.report
    for ids in (report.resolved_ids, report.failure_ids, (written.cut,), (written.hostile,)):
        page = watched.go(f"{written.url}#/{ids[0]}")
        page.screenshot(path=pictures / f"{ids[0]}.png")
        require_no_overflow(page)

    page.evaluate("document.querySelectorAll('#opened .more').forEach((button) => button.click())")
    page.evaluate("document.querySelectorAll('#opened details').forEach((box) => box.open = true)")
    require_no_overflow(page)
    assert serious_problems(page) == []


def test_nothing_that_a_model_or_a_patch_holds_is_obeyed(
    open_page: Opener, written: WrittenPage
) -> None:
    page = open_page().go(f"{written.url}#/{written.hostile}/step/1")

    text = page.locator("#opened").inner_text()
    assert page.evaluate("globalThis.broken") is None
    assert page.locator("#opened img, #opened script").count() == 0
    assert "</script><script>globalThis.broken = 1" in text
    assert "[U+202E]" in text  # what would turn the direction of writing can be seen
    assert "\x1b" not in text
    assert "[ESC][2J" in text  # in a patch; what a terminal was told is left out
    assert current_step(page) == "Step 1"


def test_a_link_to_a_step_opens_it(open_page: Opener, written: WrittenPage) -> None:
    instance = written.report.resolved_ids[0]
    page = open_page("phone").go(f"{written.url}#/{instance}/step/7")

    assert current_step(page) == "Step 7"
    assert page.locator("#opened-name").inner_text() == instance
    top = page.locator("#step-7").bounding_box()["y"]
    assert 0 < top < 200


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("nobody__knows-1", "This run has no such instance."),
        ("%E0%A4%A/step/x", "This run has no such instance."),
        ("{}/step/99999", "of"),
        ("{}/step/0", "1 of"),
        ("{}/step/seven", "Trajectory"),
        ("{}/tests", "Tests"),
        ("/", "This run has no such instance."),
    ],
)
def test_an_odd_link_says_what_it_leads_to(
    open_page: Opener, written: WrittenPage, end: str, says: str
) -> None:
    page = open_page().go(f"{written.url}#/{end.format(written.report.resolved_ids[0])}")

    assert says in page.locator("#opened").inner_text()


@pytest.mark.parametrize(
    "instance",
    ["a/b", 'a"b<i>', "ü ?#%25&", "__proto__", "constructor", "x\u202ey", "a' b", "\ud800"],
)
def test_an_instance_of_an_odd_name_opens_by_its_link(
    open_page: Opener, tmp_path: Path, instance: str
) -> None:
    page = open_page().go(write_table_of(instance, RunPaths(tmp_path)).as_uri())

    page.locator("#instances-table tbody a").click()
    page.get_by_role("heading", name="Trajectory").wait_for()
    page.keyboard.press("End")
    page.reload()  # what stands in the address is enough

    page.wait_for_selector(".step[aria-current]")
    assert current_step(page) == "Step 2"
    page.evaluate("location.hash = location.hash.replaceAll('%2F', '/')")  # as others write it
    assert current_step(page) == "Step 2"
    assert page.locator(".step[aria-current]").inner_text().count("w") > 100


def test_a_link_to_a_step_can_be_copied(open_page: Opener, written: WrittenPage) -> None:
    instance = written.report.resolved_ids[0]
    allowed = ["clipboard-read", "clipboard-write"]
    page = open_page(permissions=allowed).go(f"{written.url}#/{instance}")

    page.get_by_role("button", name="Copy a link to step 3", exact=True).click()
    page.get_by_text("Copied").wait_for()

    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{written.url}#/{instance}/step/3"


def test_keys_step_through_a_trajectory(open_page: Opener, written: WrittenPage) -> None:
    instance = written.report.resolved_ids[0]
    count = written.steps_of(instance)
    page = open_page().go(f"{written.url}#/{instance}/step/1")

    seen = []
    for key in ("j", "ArrowRight", "k", "End", "j", "ArrowLeft", "Home", "k"):
        page.keyboard.press(key)
        seen.append(int(current_step(page).split()[1]))

    assert seen == [2, 3, 2, count, count, count - 1, 1, 1]
    assert page.url.endswith(f"#/{instance}/step/1")


def test_keys_search_a_trajectory(open_page: Opener, written: WrittenPage) -> None:
    instance = written.report.resolved_ids[0]
    page = open_page().go(f"{written.url}#/{instance}/step/1")

    page.keyboard.press("/")
    page.keyboard.type("git")  # no key is taken for a step where somebody types
    page.get_by_text(re.compile(r"^\d+ of \d+ steps$")).wait_for()
    steps = page.locator(".step:visible")
    assert 0 < steps.count() < written.steps_of(instance)
    assert page.evaluate("CSS.highlights.get('found').size") >= steps.count()

    page.keyboard.press("Enter")
    assert "git" in page.locator(".step[aria-current]").inner_text()
    page.keyboard.press("j")
    assert current_step(page) == steps.nth(1).locator("h4").inner_text()

    page.keyboard.press("/")
    page.keyboard.type(" no such text")
    page.get_by_text("No step holds that.").wait_for()
    assert steps.count() == 0
    page.keyboard.press("Escape")
    assert steps.count() == written.steps_of(instance)


def test_what_is_searched_for_is_shown_though_it_stands_far_down(
    open_page: Opener, written: WrittenPage
) -> None:
    page = open_page().go(f"{written.url}#/{written.hostile}/step/1")
    before = page.locator("#step-1 .observation pre").inner_text()
    assert "the very end" not in before

    page.keyboard.press("/")
    page.keyboard.type("the very end")
    page.keyboard.press("Enter")

    assert "the very end" in page.locator("#step-1 .observation pre").inner_text()
    assert page.evaluate("CSS.highlights.get('found').size") == 1


def test_the_keyboard_alone_opens_an_instance_and_comes_back(
    open_page: Opener, written: WrittenPage
) -> None:
    page = open_page().go(f"{written.url}")
    page.locator("#instances-bar input").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(FOCUSED_ROW)
        if name:
            break

    page.keyboard.press("Enter")
    page.locator("#opened-name").wait_for()
    assert page.evaluate("document.activeElement.id") == "opened-name"
    assert page.title().startswith(name)

    page.keyboard.press("Escape")
    page.locator("#opened").wait_for(state="hidden")
    assert page.evaluate(FOCUSED_ROW) == name


def test_the_table_is_searched_filtered_and_sorted(open_page: Opener, written: WrittenPage) -> None:
    page, report = open_page().go(written.url), written.report

    page.get_by_label("Verdict", exact=True).select_option("no verdict")
    assert sorted(shown_rows(page)) == sorted(report.failure_ids)
    page.get_by_label("Verdict", exact=True).select_option("resolved")
    assert set(shown_rows(page)) <= set(report.resolved_ids)
    page.get_by_label("Search", exact=True).fill(report.resolved_ids[0])
    assert shown_rows(page) == [report.resolved_ids[0]]
    page.get_by_label("Search", exact=True).fill("")
    page.get_by_label("Verdict", exact=True).select_option("")
    for way in ("ascending", "descending"):
        page.get_by_role("button", name="Steps").press("Enter")
        page.locator(f"th[aria-sort={way}]").wait_for()

    steps = page.locator("#instances-table tbody tr td:nth-child(6)").all_inner_texts()
    numbers = [int(text.replace("–", "-1")) for text in steps]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 5


def test_the_next_instance_is_the_one_below_in_the_table(
    open_page: Opener, written: WrittenPage
) -> None:
    page = open_page().go(written.url)
    page.get_by_label("Verdict", exact=True).select_option("no verdict")
    first, second, *_ = shown_rows(page)

    page.locator(f"tr[data-instance='{first}'] a").click()
    assert page.locator("#opened-before").is_hidden()
    page.locator("#opened-next").click()

    page.get_by_role("heading", name=second).wait_for()


def test_a_failure_does_not_look_like_an_unresolved_instance(
    open_page: Opener, written: WrittenPage
) -> None:
    page, report = open_page().go(written.url), written.report
    page.get_by_label("Search", exact=True).fill("")

    def look(instance: str) -> tuple[Any, ...]:
        page.get_by_label("Search", exact=True).fill(instance)
        cell = page.locator(f"tr[data-instance='{instance}'] td.came-out")
        return cell.inner_text(), *cell.locator(".shape").evaluate(LOOK)

    kinds = (report.resolved_ids, report.unresolved_ids, report.failure_ids)
    looks = [look(ids[0]) for ids in kinds]
    words, colours = {text for text, *_ in looks}, {colour for _, colour, *_ in looks}
    assert len(words) == len(colours) == 3
    assert looks[1][2:] != looks[2][2:]  # told apart in print without colours, too


def test_a_page_without_the_files_beside_it_says_what_is_missing(
    open_page: Opener, written: WrittenPage, tmp_path: Path
) -> None:
    shutil.copy(written.paths.report_html, tmp_path)
    watched = open_page()
    page = watched.go(f"{(tmp_path / 'report.html').as_uri()}#/{written.report.resolved_ids[0]}")

    text = page.locator("#opened").inner_text()
    assert "could not be loaded" in text
    assert "Patch beside gold patch" in text  # what is small came along
    (line,) = watched.complaints
    assert "ERR_FILE_NOT_FOUND" in line
    watched.complaints.clear()


@pytest.fixture
def served(written: WrittenPage) -> Iterator[str]:
    """The run's folder at a plain web server, as people put it up for others."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """A test says nothing."""

        def do_GET(self) -> None:
            if self.path == "/favicon.ico":
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

    handler = functools.partial(Handler, directory=str(written.paths.root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/report.html"
        server.shutdown()


def test_the_page_works_at_a_web_server_too(
    open_page: Opener, written: WrittenPage, served: str
) -> None:
    page = open_page().go(f"{served}#/{written.report.resolved_ids[0]}/step/2")

    assert current_step(page) == "Step 2"


def test_without_scripts_it_is_a_plain_table(open_page: Opener, written: WrittenPage) -> None:
    page = open_page("phone", java_script_enabled=False).page
    page.goto(written.url)

    assert len(shown_rows(page)) == written.report.instances
    assert page.locator("#instances-bar").is_hidden()


def test_on_paper_the_page_has_all_instances(open_page: Opener, written: WrittenPage) -> None:
    page = open_page().go(written.url)
    assert len(shown_rows(page)) < written.report.instances

    printed = page.pdf(format="A4")

    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 4
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(shown_rows(page)) == written.report.instances


@pytest.mark.parametrize("end", ["", "#/{}"])
def test_on_paper_it_is_dark_on_light_and_within_the_paper(
    open_page: Opener, written: WrittenPage, end: str
) -> None:
    page = open_page("desktop", "dark").go(written.url + end.format(written.hostile))
    page.set_viewport_size({"width": 700, "height": 1000})  # A4

    page.emulate_media(media="print", color_scheme="dark")

    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    assert sum(map(int, re.findall(r"\d+", ink)[:3])) < 150
    assert paper == "rgb(255, 255, 255)"
    require_no_overflow(page)


def test_every_link_to_an_instance_leads_to_one(open_page: Opener, written: WrittenPage) -> None:
    page = open_page().go(written.url)
    links = page.locator("main section a[href^='#/']")
    known = "[...document.querySelectorAll('script[data-instance]')].map(e => e.dataset.instance)"

    linked = {str(link.get_attribute("href"))[2:] for link in links.all()}
    assert len(linked) > 50
    assert linked <= set(page.evaluate(known))
