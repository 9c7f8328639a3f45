"""The microphone: Chromium's fake device speaks a recording."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Server, Visit


def test_what_is_said_is_seen_while_it_is_said_and_whole_after_it(
    visit: Visit, server: Server
) -> None:
    page = visit(permissions=["microphone"])
    page.get_by_role("button", name="Use the microphone").click()
    # Frames come, and with them bars for now and the result until now.
    expect(page.locator(".live .scores li").first).to_be_visible()
    expect(page.locator(".live .lead-label")).to_have_text("angry")
    # Anger that lasts is told while it does.
    expect(page.locator(".live-note")).to_contain_text("Alert: angry or disgusted from")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".result")).to_be_visible()
    with page.expect_download() as heard:
        page.get_by_role("button", name="Audio as heard (WAV)").click()
    with page.expect_download() as result:
        page.get_by_role("button", name="Result (JSON)").click()
    shown = json.loads(result.value.path().read_text())["result"]["scores"]
    said = server.recognize(heard.value.path().read_bytes()).result
    expect(page.locator(".lead-label")).to_have_text(said.label)
    assert [score["probability"] for score in shown] == pytest.approx(
        [score.probability for score in said.scores], abs=2e-3
    )
    # Its frames cover all of it.
    slider = page.get_by_role("slider")
    slider.press("End")
    slider.press("ArrowLeft")
    expect(page.locator(".readout")).to_have_text(re.compile(r"\d:\d\d\.\d\d · \w+ \d+%"))


def test_no_permission_is_said(visit: Visit) -> None:
    page = visit()
    page.evaluate(
        """() => {
            navigator.mediaDevices.getUserMedia = () =>
                Promise.reject(new DOMException("", "NotAllowedError"));
        }"""
    )
    page.get_by_role("button", name="Use the microphone").click()
    expect(page.get_by_role("alert")).to_contain_text("Allow it beside the address")
    # And everything is as before.
    expect(page.get_by_role("heading", name="How does it sound?")).to_be_visible()
