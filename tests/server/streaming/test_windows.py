from __future__ import annotations

import numpy as np
import pytest
from emotion2vec_runtime.errors import InvalidRequestError
from emotion2vec_server.streaming.windows import Framing, Window, Windower, framing_of
from hypothesis import example, given
from hypothesis import strategies as st

from tests.server.streaming.live import FIELD, HOP, frame_count, make_manifest


def make_framing(window: int, hop: int, lookahead: int) -> Framing:
    return Framing(window, hop, lookahead, HOP, FIELD)


@st.composite
def framings(draw: st.DrawFn) -> Framing:
    window = draw(st.integers(1, 40))
    hop = draw(st.integers(1, window))
    lookahead = draw(st.integers(0, window - hop))
    return make_framing(window, hop, lookahead)


@st.composite
def chunkings(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A length around some frame's border, and where to cut it."""
    frames = draw(st.integers(0, 90))
    total = max(0, frames * HOP + draw(st.sampled_from([-1, 0, 1, 79, 80, 81, 200])))
    cuts = draw(st.lists(st.integers(0, total), max_size=30))
    return total, sorted(cuts)


def ramp(total: int) -> np.ndarray:
    """Each sample is its own index, so a window tells where it was cut from."""
    return np.arange(total, dtype=np.float32)


@st.composite
def steps(draw: st.DrawFn) -> Framing:
    """Of incremental streams, whose hop and lookahead are free."""
    window, hop, lookahead = (draw(st.integers(least, 40)) for least in (1, 1, 0))
    return Framing(window, hop, lookahead, HOP, FIELD, incremental=True)


def run(windower: Windower, samples: np.ndarray, cuts: list[int]) -> list[Window]:
    windows = [window for piece in np.split(samples, cuts) for window in windower.push(piece)]
    last = windower.finish()
    return windows if last is None else [*windows, last]


def assert_tiles(windows: list[Window], total: int) -> None:
    finals = [k for window in windows for k in range(window.final_begin, window.final_end)]
    assert finals == list(range(frame_count(total)))


def assert_holds_its_frames(window: Window) -> None:
    assert window.first_frame <= window.final_begin <= window.final_end <= window.frame_end
    assert frame_count(len(window.samples)) == window.frame_end - window.first_frame
    begin = window.first_frame * HOP
    np.testing.assert_array_equal(window.samples, np.arange(begin, window.end_sample))


@given(steps(), chunkings(), st.booleans(), st.data())
def test_steps_run_each_frame_once_as_new(
    framing: Framing, chunking: tuple[int, list[int]], early: bool, data: st.DataObject
) -> None:
    total, cuts = chunking
    windower = Windower(framing, early=early)
    windows = []
    for piece in np.split(ramp(total), cuts):
        windower.hop = data.draw(st.integers(1, 40))
        windows += windower.push(piece)
    if (last := windower.finish()) is not None:
        windows.append(last)
    assert_tiles(windows, total)
    ran = 0
    for window in windows:
        assert window.first_frame == window.final_begin <= window.final_end <= window.frame_end
        assert frame_count(len(window.samples)) == window.frame_end - ran
        begin = ran * HOP if len(window.samples) else window.end_sample
        np.testing.assert_array_equal(window.samples, np.arange(begin, window.end_sample))
        ran = window.frame_end
    assert ran == frame_count(total)


@given(framings() | steps(), chunkings(), st.booleans())
@example(make_framing(2, 1, 1), (16001, [15760]), False)
def test_windows_do_not_depend_on_the_chunking(
    framing: Framing, chunking: tuple[int, list[int]], early: bool
) -> None:
    total, cuts = chunking
    chunked = run(Windower(framing, early=early), ramp(total), cuts)
    whole = run(Windower(framing, early=early), ramp(total), [])
    assert [window[1:] for window in chunked] == [window[1:] for window in whole]
    for one, other in zip(chunked, whole, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


@given(framings(), chunkings(), st.booleans())
def test_final_frames_tile_the_utterance(
    framing: Framing, chunking: tuple[int, list[int]], early: bool
) -> None:
    total, cuts = chunking
    windows = run(Windower(framing, early=early), ramp(total), cuts)
    assert_tiles(windows, total)
    for window in windows:
        assert_holds_its_frames(window)


@given(framings(), chunkings())
def test_final_frames_have_the_lookahead_and_the_left_context(
    framing: Framing, chunking: tuple[int, list[int]]
) -> None:
    total, cuts = chunking
    for window in run(Windower(framing), ramp(total), cuts):
        is_last = window.final_end == frame_count(total)
        assert is_last or window.frame_end - window.final_end >= framing.lookahead
        left = window.final_begin - window.first_frame
        assert window.first_frame == 0 or left >= framing.window - framing.lookahead - framing.hop


@given(framings(), chunkings(), st.data())
def test_any_sequence_of_hops_tiles(
    framing: Framing, chunking: tuple[int, list[int]], data: st.DataObject
) -> None:
    total, cuts = chunking
    windower = Windower(framing, early=data.draw(st.booleans()))
    windows = []
    for piece in np.split(ramp(total), cuts):
        windower.hop = data.draw(st.integers(1, framing.window - framing.lookahead or 1))
        windows += windower.push(piece)
    if (last := windower.finish()) is not None:
        windows.append(last)
    assert_tiles(windows, total)
    for window in windows:
        assert_holds_its_frames(window)


@given(framings(), st.integers(0, 90))
def test_steady_windows_have_one_length(framing: Framing, frames: int) -> None:
    windower = Windower(framing)
    windows = windower.push(ramp(frames * HOP + FIELD))
    steady = [window for window in windows if window.frame_end >= framing.window]
    assert {len(window.samples) for window in steady} <= {(framing.window - 1) * HOP + FIELD}


def test_early_windows_come_before_anything_is_final() -> None:
    framing = make_framing(window=20, hop=2, lookahead=6)
    samples = ramp(8 * HOP + FIELD)
    early = Windower(framing, early=True).push(samples)
    assert [(w.final_begin, w.final_end, w.frame_end) for w in early] == [
        (0, 0, 2),
        (0, 0, 4),
        (0, 0, 6),
        (0, 2, 8),
    ]
    late = Windower(framing).push(samples)
    assert [(w.final_begin, w.final_end, w.frame_end) for w in late] == [(0, 2, 8)]


def test_memory_does_not_grow() -> None:
    windower = Windower(make_framing(window=150, hop=25, lookahead=20))
    chunk = np.zeros(1600, dtype=np.float32)
    for _ in range(100):
        windower.push(chunk)
    held = len(windower._buffer._store)
    for _ in range(3000):
        windower.push(chunk)
    assert len(windower._buffer._store) == held < 4 * 150 * HOP


def test_a_window_is_a_copy() -> None:
    windower = Windower(make_framing(window=4, hop=1, lookahead=1))
    (window,) = windower.push(ramp(HOP + FIELD))
    kept = window.samples.copy()
    for _ in range(40):
        windower.push(-ramp(1600))
    np.testing.assert_array_equal(window.samples, kept)


@pytest.mark.parametrize(("window", "hop", "lookahead"), [(10, 6, 5), (10, 0, 5), (10, 5, -1)])
def test_a_framing_that_does_not_tile_is_refused(window: int, hop: int, lookahead: int) -> None:
    with pytest.raises(ValueError, match="no tiling"):
        make_framing(window, hop, lookahead)


def test_a_hop_that_does_not_tile_is_refused() -> None:
    windower = Windower(make_framing(window=10, hop=2, lookahead=4))
    windower.hop = 6
    for hop in (0, 7):
        with pytest.raises(ValueError, match="does not tile"):
            windower.hop = hop


def test_settings_are_rounded_to_frames() -> None:
    framing = framing_of(make_manifest(), 480_000, window=2.0, hop=0.25, lookahead=0.51)
    assert (framing.window, framing.hop, framing.lookahead) == (100, 12, 26)


def test_defaults_fit_a_model_with_short_windows() -> None:
    framing = framing_of(make_manifest(), 32_000)
    assert framing.window == 99
    assert framing.span(0, framing.window)[1] <= 32_000


def test_the_longest_window_fits_the_model() -> None:
    framing = framing_of(make_manifest(), 480_000, window=30.0)
    assert framing.span(0, framing.window)[1] <= 480_000


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("window", {"window": 0.1}),
        ("window", {"window": 31.0}),
        ("window", {"window": -1.0}),
        ("hop", {"hop": 0.0}),
        ("hop", {"hop": 0.05}),
        ("hop", {"hop": 40.0}),
        ("lookahead", {"lookahead": -0.1}),
        ("lookahead", {"lookahead": 1e9}),
        ("lookahead", {"lookahead": float("nan")}),
        ("window", {"window": 1.0, "hop": 0.8, "lookahead": 0.4}),
    ],
)
def test_settings_out_of_range_name_their_field(field: str, values: dict[str, float]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        framing_of(make_manifest(), 480_000, **values)
    assert caught.value.field == f"config.{field}"


def test_a_stretched_hop_keeps_as_much_context_before_a_frame_as_behind_it() -> None:
    framing = make_framing(window=150, hop=25, lookahead=20)
    assert framing.longest_hop == 110
    assert make_framing(window=30, hop=15, lookahead=15).longest_hop == 15
