"""Recordings on the page: dropped, chosen, looked at, played, downloaded."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from emotion2vec.v1 import recognition_pb2
from playwright.sync_api import Locator, Page, expect

from tests.page.conftest import EXAMPLES, Server, Visit, encode, samples_of, write_wav

ANGRY = EXAMPLES / "angry.flac"
PAGE = Path(__file__).parents[2] / "server/emotion2vec_server/http_api/page"


def choose(page: Page, *paths: Path) -> None:
    page.locator("#files").set_input_files([str(path) for path in paths])


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation").get_by_role("listitem").filter(has_text=name)


def drop(page: Page, *paths: Path) -> None:
    """As a person does, files from the desktop."""
    transfer = page.evaluate_handle("() => new DataTransfer()")
    for path in paths:
        page.evaluate(
            """([transfer, name, bytes]) =>
                transfer.items.add(new File([bytes], name))""",
            [transfer, path.name, path.read_bytes()],
        )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("main", event, {"dataTransfer": transfer})


def test_it_shows_what_grpc_says(visit: Visit, server: Server) -> None:
    said = server.recognize(ANGRY.read_bytes()).result
    page = visit()
    choose(page, ANGRY)
    expect(page.locator(".lead-label")).to_have_text(said.label)
    rows = page.locator(".result .scores li").all()
    shown = {
        one.get_attribute("data-label"): one.locator(".score-value").inner_text() for one in rows
    }
    assert shown == {score.label: f"{score.probability:.1%}" for score in said.scores}


def test_all_that_is_dropped_is_recognised(visit: Visit, tmp_path: Path) -> None:
    """Several at once, in every container that people have."""
    samples = samples_of(ANGRY)
    write_wav(tmp_path / "a.wav", samples)
    for name, codec in (
        ("b.mp3", "libmp3lame"),
        ("c.m4a", "aac"),
        ("d.ogg", "libopus"),
        ("e.webm", "libopus"),
    ):
        encode(tmp_path / name, codec, samples)
    page = visit()
    drop(page, ANGRY, *sorted(tmp_path.iterdir()))
    for name in ("angry.flac", "a.wav", "b.mp3", "c.m4a", "d.ogg", "e.webm"):
        expect(row(page, name)).to_contain_text("angry")
    expect(page.get_by_role("navigation", name="6 recordings")).to_be_visible()
    with page.expect_download() as table:
        page.get_by_role("button", name="Table (CSV)").click()
    lines = list(csv.DictReader(io.StringIO(table.value.path().read_text())))
    assert [line["label"] for line in lines] == ["angry"] * 6


def test_the_playhead_reads_the_frame_that_it_stands_on(visit: Visit, server: Server) -> None:
    audio = (PAGE / "samples" / "five-voices.ogg").read_bytes()
    said = server.recognize(audio, granularity=recognition_pb2.GRANULARITY_FRAME).frames
    scores = np.reshape(said.probabilities, (said.frame_count, len(said.labels)))
    page = visit()
    page.get_by_role("button", name="Five voices in a row").click()
    surface = page.get_by_role("slider", name="Position in the recording")
    for share in (0.1, 0.5, 0.9):
        box = surface.bounding_box()
        assert box is not None
        surface.click(position={"x": share * box["width"], "y": 150})
        time = float(surface.get_attribute("aria-valuenow") or "nan")
        duration = float(surface.get_attribute("aria-valuemax") or "nan")
        assert time == pytest.approx(share * duration, abs=0.05)
        frame = scores[int(time / 0.02 + 1e-6)]
        leading = said.labels[int(frame.argmax())]
        expect(page.locator(".readout")).to_contain_text(f"{leading} {frame.max():.0%}")
    # The bars follow.
    left = page.locator(f'.scores li[data-label="{leading}"] .score-mark').evaluate(
        "mark => parseFloat(mark.style.insetInlineStart)"
    )
    assert left == pytest.approx(100 * frame.max(), abs=0.1)


def test_playing_moves_the_playhead(visit: Visit) -> None:
    page = visit()
    choose(page, ANGRY)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    slider = page.get_by_role("slider")
    expect(slider).not_to_have_attribute("aria-valuenow", "0.00")
    # To the end, and ready for another time.
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(slider).to_have_attribute("aria-valuenow", re.compile(r"2\.2\d"))


def test_heat_map_and_curves_are_drawn_and_zoomed(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Five voices in a row").click()
    surface = page.get_by_role("slider")
    first = surface.screenshot()
    page.get_by_role("radio", name="Curves").check()
    second = surface.screenshot()
    page.get_by_role("button", name="Zoom in").click()
    third = surface.screenshot()
    assert len({first, second, third}) == 3
    scroller = page.locator(".timeline-scroller")
    assert scroller.evaluate("one => one.scrollWidth / one.clientWidth") == pytest.approx(
        2, abs=0.02
    )
    page.get_by_role("button", name="Show all").click()
    assert scroller.evaluate("one => one.scrollWidth / one.clientWidth") == 1
    # What was chosen is kept for the next one.
    choose(page, ANGRY)
    expect(page.get_by_role("radio", name="Curves")).to_be_checked()


def test_the_leading_emotions_are_there_in_words(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Five voices in a row").click()
    turns = page.locator(".turn")
    expect(turns.first).to_be_visible()
    labels = turns.locator(".turn-label").all_inner_texts()
    assert [labels[0], labels[-1]] == ["angry", "fearful"]
    turns.last.click()
    expect(page.locator(".readout")).to_contain_text(re.compile(r"0:0[5-8]\.\d\d"))
    expect(page.locator(".note.alert")).to_contain_text("Alert: angry or disgusted from 0.0 s")


def test_downloads_hold_what_the_server_says(visit: Visit, server: Server) -> None:
    said = server.recognize(
        ANGRY.read_bytes(),
        granularity=recognition_pb2.GRANULARITY_FRAME,
        return_embedding=True,
        return_processed_audio=True,
    )
    page = visit()
    choose(page, ANGRY)

    def download(name: str) -> bytes:
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        return download.value.path().read_bytes()

    result = json.loads(download("Result (JSON)"))
    assert result["result"]["confidence"] == pytest.approx(said.result.confidence, abs=1e-5)
    frames = np.loadtxt(io.BytesIO(download("Frames (CSV)")), delimiter=",", skiprows=1)
    assert frames[:, 0] == pytest.approx(np.arange(said.frames.frame_count) * 0.02)
    np.testing.assert_allclose(frames[:, 1:].ravel(), said.frames.probabilities, atol=1e-5)
    embedding = np.load(io.BytesIO(download("Embedding (NPY)")))
    np.testing.assert_allclose(embedding, said.embedding.values, atol=1e-4)
    assert download("Audio as heard (WAV)")[44:] == said.processed_audio
    with zipfile.ZipFile(io.BytesIO(download("All of it (ZIP)"))) as folder:
        assert {"result.json", "processed_audio.wav", "embedding.npy", "frames.csv"} <= set(
            folder.namelist()
        )


def test_a_long_recording_is_whole(visit: Visit, tmp_path: Path) -> None:
    """Beyond one window of the model."""
    samples = np.tile(samples_of(ANGRY), 35)[: 70 * 16000]
    write_wav(tmp_path / "long.wav", samples)
    page = visit()
    choose(page, tmp_path / "long.wav")
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuemax", "70.00")
    with page.expect_download() as download:
        page.get_by_role("button", name="Audio as heard (WAV)").click()
    assert download.value.path().read_bytes()[44:] == samples.astype("<i2").tobytes()
    expect(page.locator(".result-head")).to_contain_text("1:10 of audio")
    assert page.locator("details", has_text="Segments").locator(".turn").count() == 3


def test_what_is_too_long_for_frames_has_segments(visit: Visit, tmp_path: Path) -> None:
    """The server refuses such an answer from some hours on, for which there is no time here."""
    write_wav(tmp_path / "long.wav", np.tile(samples_of(ANGRY), 60))
    page = visit()
    page.route(
        re.compile(r"recognize\?.*GRANULARITY_FRAME"),
        lambda route: route.fulfill(status=413, body='{"detail": "too many numbers"}'),
    )
    choose(page, tmp_path / "long.wav")
    page.get_by_role("slider").press("End")
    expect(page.locator(".readout")).to_contain_text(re.compile(r"2:17\.\d+ · angry \d+%"))
    # It is played from the file itself.
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_a_long_recording_says_how_far_it_is_and_can_be_cancelled(
    visit: Visit, tmp_path: Path
) -> None:
    """20 minutes, of which nobody waits for the end."""
    write_wav(tmp_path / "long.wav", np.tile(samples_of(ANGRY), 525))
    page = visit()
    choose(page, tmp_path / "long.wav")
    expect(page.locator(".working")).to_contain_text(re.compile(r"\d% sent"))
    with page.expect_event("requestfailed") as ended:
        page.get_by_role("button", name="Cancel", exact=True).click()
    assert "/v1/recognize" in ended.value.url
    expect(page.get_by_role("heading", name="How does it sound?")).to_be_visible()


def test_what_is_sent_at_once_says_how_much_has_been_heard(visit: Visit, tmp_path: Path) -> None:
    """Compressed, minutes fit the buffers on the way: all is sent long before it is recognised."""
    encode(tmp_path / "long.mp3", "libmp3lame", np.tile(samples_of(ANGRY), 175))
    page = visit()
    choose(page, tmp_path / "long.mp3")
    expect(page.locator(".working")).to_contain_text(re.compile(r"\d:\d\d heard"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("heading", name="How does it sound?")).to_be_visible()


def test_channels_by_themselves(visit: Visit, tmp_path: Path) -> None:
    left, right = samples_of(ANGRY), samples_of(EXAMPLES / "sad.flac")
    count = min(len(left), len(right))
    write_wav(tmp_path / "call.wav", np.stack([left[:count], right[:count]], 1).ravel(), 2)
    page = visit()
    choose(page, tmp_path / "call.wav")
    expect(page.locator(".note.warning").first).to_contain_text("channels")
    page.get_by_text("Options").click()
    # The recording that is shown follows at once.
    page.get_by_role("checkbox", name="Each channel by itself").check()
    expect(page.locator(".lead-label")).to_have_text("angry")
    page.get_by_role("radio", name="Channel 2").check()
    expect(page.locator(".lead-label")).to_have_text("sad")
    expect(row(page, "call.wav")).to_contain_text(re.compile("angry.*sad", re.DOTALL))


def test_it_is_small_and_asks_nobody_else(visit: Visit, server: Server) -> None:
    page = visit()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload(wait_until="networkidle")
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(server.url).netloc}
    files = [path for path in PAGE.rglob("*") if path.suffix in {".js", ".css", ".html", ".svg"}]
    assert sum(path.stat().st_size for path in files) < 150_000
