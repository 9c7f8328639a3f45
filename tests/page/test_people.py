"""For everybody: by keyboard, by screen reader, on a phone, in Chinese, and when things fail."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.page.conftest import EXAMPLES, Server, Visit, samples_of, start_server, write_wav

ANGRY = EXAMPLES / "angry.flac"
AXE = Axe()


def choose(page: Page, *paths: Path) -> None:
    page.locator("#files").set_input_files([str(path) for path in paths])


def assert_accessible(page: Page) -> None:
    found = AXE.run(page).response["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Visit, scheme: str) -> None:
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    expect(page.get_by_role("heading", name="How does it sound?")).to_be_visible()
    assert_accessible(page)
    choose(page, ANGRY, Path(__file__))
    expect(page.locator(".lead-label")).to_have_text("angry")
    assert_accessible(page)
    page.get_by_role("button", name=Path(__file__).name).first.click()
    expect(page.locator(".failure")).to_be_visible()
    assert_accessible(page)


def test_axe_finds_nothing_while_the_microphone_runs(visit: Visit) -> None:
    page = visit(reduced_motion="reduce", permissions=["microphone"])
    page.get_by_role("button", name="Use the microphone").click()
    expect(page.locator(".live .lead-label")).to_be_visible()
    assert_accessible(page)


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    page = visit()
    reach(page, "An angry voice")
    page.keyboard.press("Enter")
    expect(page.locator(".lead-label")).to_have_text("angry")
    # Where the result is, the space bar plays it at once.
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Space")
    slider = page.get_by_role("slider")
    reach(page, "Position in the recording")
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0.00")
    page.keyboard.press("Shift+ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "1.00")
    expect(slider).to_have_attribute("aria-valuetext", "0:01.00 · angry 89% · other 4%")
    page.keyboard.press("+")
    assert page.locator(".timeline-scroller").evaluate(
        "one => one.scrollWidth / one.clientWidth > 1.9"
    )
    reach(page, "Remove angry.flac", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How does it sound?")).to_be_visible()
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()


def reach(page: Page, name: str, key: str = "Tab") -> None:
    """Goes from one control to the next until it is this one."""
    for _ in range(60):
        page.keyboard.press(key)
        found = page.evaluate(
            "() => document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()"
        )
        if found == name:
            return
    raise AssertionError(f"the keyboard does not get to {name!r}")


def test_screen_readers_are_told_the_result(visit: Visit) -> None:
    page = visit()
    choose(page, ANGRY)
    expect(page.locator("#announcer")).to_have_text("angry.flac: angry, 89%")


@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
def test_a_phone_shows_all_without_scrolling_sideways(visit: Visit, locale: str) -> None:
    page = visit(viewport={"width": 360, "height": 740}, has_touch=True, locale=locale)

    def overflow() -> Any:
        return page.evaluate("() => document.documentElement.scrollWidth - innerWidth")

    assert overflow() <= 0
    choose(page, ANGRY, Path(__file__))
    expect(page.locator(".lead-label")).to_be_visible()
    assert overflow() <= 0
    # A finger seeks too.
    surface = page.get_by_role("slider")
    surface.scroll_into_view_if_needed()
    surface.tap(position={"x": 100, "y": 100})
    expect(surface).not_to_have_attribute("aria-valuenow", "0.00")


def test_chinese_throughout(visit: Visit) -> None:
    page = visit(locale="zh-CN")
    expect(page.get_by_role("heading", name="听起来是什么情绪？")).to_be_visible()
    choose(page, ANGRY)
    expect(page.locator(".lead-label")).to_have_text("生气")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    # Another language is chosen for good.
    page.get_by_role("button", name="English").click()
    expect(page.locator(".lead-label")).to_have_text("angry")
    page.reload()
    expect(page.get_by_role("heading", name="How does it sound?")).to_be_visible()


def test_both_languages_have_all_words(visit: Visit) -> None:
    page = visit()
    keys = page.evaluate(
        """async () => {
            const load = async (name) => Object.keys((await import(`/words/${name}.js`)).default);
            return [await load("en"), await load("zh")];
        }"""
    )
    # English takes labels and warnings as the server has them.
    assert set(keys[0]) == {key for key in keys[1] if not key.startswith(("label.", "warning."))}


def test_what_is_no_audio_is_said_with_the_way_out(visit: Visit) -> None:
    page = visit()
    choose(page, Path(__file__))
    expect(page.get_by_role("heading", name="This can't be heard as audio")).to_be_visible()
    expect(page.locator(".failure")).to_contain_text("are sure to work")


def test_a_full_server_is_tried_again(visit: Visit) -> None:
    page = visit()
    tries = []

    def refuse_once(route: Route) -> None:
        tries.append(route)
        if len(tries) > 1:
            route.continue_()
        else:
            route.fulfill(status=503, headers={"Retry-After": "1"}, body='{"detail": "full"}')

    page.route("**/v1/recognize*", refuse_once)
    choose(page, ANGRY)
    expect(page.get_by_role("navigation")).to_contain_text("Server is busy, trying again")
    expect(page.locator(".lead-label")).to_have_text("angry")
    assert len(tries) == 2


def test_a_server_that_stops_is_told(visit: Visit, tmp_path: Path) -> None:
    """It can't finish 20 minutes in its drain time, and says so before it goes."""
    write_wav(tmp_path / "long.wav", np.tile(samples_of(ANGRY), 525))
    server = start_server("--drain-seconds", "1")
    page = visit(server.url)
    choose(page, tmp_path / "long.wav")
    expect(page.locator(".working")).to_contain_text(re.compile(r"\d% sent"))
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    # Another server may take its place, so that is tried.
    page.get_by_text("Server is busy, trying again").first.wait_for()
    stopping.join()
    assert server.process.returncode == 0
    expect(page.get_by_role("heading", name="The server does not answer")).to_be_visible()


@pytest.fixture
def guarded(tmp_path: Path) -> Server:
    """A server that asks for a token and takes a second of audio; the test stops it."""
    (tmp_path / "tokens").write_text("open-sesame\n")
    return start_server("--token-file", str(tmp_path / "tokens"), *LIMITS)


LIMITS = ("--max-audio-seconds", "2", "--max-recording-seconds", "2", "--max-stream-seconds", "3")


def test_tokens_limits_and_a_server_that_goes_away(
    visit: Visit, guarded: Server, tmp_path: Path
) -> None:
    write_wav(tmp_path / "short.wav", samples_of(ANGRY)[:24000])
    page = visit(guarded.url, permissions=["microphone"])
    try:
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        assert_accessible(page)
        page.get_by_role("textbox", name="Token").fill("open-sesame")
        page.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        choose(page, tmp_path / "short.wav")
        expect(page.locator(".lead-label")).to_have_text("angry")
        # A stream takes the token too. What breaks off by itself is kept, and told why.
        page.get_by_role("button", name="Use the microphone").click()
        expect(page.locator(".live .lead-label")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("The live stream broke off")
        expect(page.get_by_role("navigation", name="2 recordings")).to_be_visible()
        choose(page, ANGRY)
        expect(page.get_by_role("heading", name="Too large for this server")).to_be_visible()
        expect(page.locator(".failure-detail")).to_contain_text("2 s")
    finally:
        assert guarded.stop() == 0
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="The server does not answer")).to_be_visible()
